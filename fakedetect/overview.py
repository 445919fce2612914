"""What the menu shows above its entries: the chosen model, its state, and the data folders."""

import os
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.console import plural
from fakedetect.core.model_folder import describe_model, find_starter
from fakedetect.core.model_input import SIZE
from fakedetect.core.settings import FOLDERS, Settings
from fakedetect.images.listing import Skipped, is_image_name, is_junk


@dataclass(frozen=True)
class Counted:
    """The pictures in a folder by their names, and what else lies there."""

    pictures: int
    skipped: Skipped


def count_images(folder: Path) -> Counted | None:
    """What a folder holds, None where it is missing."""
    if not folder.is_dir():
        return None
    skipped = Skipped()
    pictures = 0
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_junk(name)]
        for name in names:
            if is_image_name(name):
                pictures += 1
            else:
                skipped.add(name)
    return Counted(pictures, skipped)


def _state(counted: Counted | None, folder: Path) -> str:
    if counted is None:
        return f"missing ({folder})"
    skipped = str(counted.skipped)
    return plural(counted.pictures, "picture") + (f"; {skipped}" if skipped else "")


def has_data(settings: Settings) -> bool:
    """Whether any of the data folders is there."""
    known = settings.recall_input()
    copies = [known.scaling.folder(plain) for plain in settings.plain_copies.values()] if known else []
    folders = [*settings.original.values(), *settings.plain_copies.values(), *copies]
    return any(folder.is_dir() for folder in folders)


def describe_state(settings: Settings) -> str:
    """The lines above the main menu."""
    lines = [f"Model: {settings.model} ({describe_model(settings, settings.model)})"]
    if not has_data(settings):
        lines.append(f"No pictures yet: none of the data folders named in {settings.file} exists.")
        lines.append("Put your data set there, or press 9 for a demonstration with made-up pictures.")
        if find_starter(settings):
            lines.append("To check a picture of your own, press 8: no data set is needed.")
        return "\n".join(lines)
    for name in FOLDERS:
        folder = settings.original[name]
        lines.append(f"  {name.replace('-', ' '):<14}{_state(count_images(folder), folder)}")
    return "\n".join([*lines, *_describe_copies(settings)])


def _describe_copies(settings: Settings) -> list[str]:
    """The copies that the chosen model takes; where timm has to say which, that is left to `choose`."""
    known = settings.recall_input()
    if known is None:
        look = settings.command("choose", settings.model)
        return [f"  resized       input size not known yet; run {look} to look it up"]
    lines = []
    for part, plain in settings.plain_copies.items():
        folder = known.scaling.folder(plain)
        name = f"resized {part}" + (f" {known.size}" if known.size != SIZE else "")
        lines.append(f"  {name:<13} {_state(count_images(folder), folder)}")
    return lines
