"""What the menu shows above its entries: the chosen model, its state, and the data folders."""

import os
from pathlib import Path

from fakedetect.core.console import plural
from fakedetect.core.model_folder import describe_model
from fakedetect.core.settings import FOLDERS, Settings
from fakedetect.images.listing import is_image_name


def count_images(folder: Path) -> int | None:
    """How many pictures a folder holds by their names, None where it is missing."""
    if not folder.is_dir():
        return None
    return sum(is_image_name(name) for _, _, names in os.walk(folder) for name in names)


def _state(count: int | None, folder: Path) -> str:
    return f"missing ({folder})" if count is None else plural(count, "picture")


def has_data(settings: Settings) -> bool:
    """Whether any of the data folders is there."""
    folders = [*settings.original.values(), *settings.resized.values()]
    return any(folder.is_dir() for folder in folders)


def describe_state(settings: Settings) -> str:
    """The lines above the main menu."""
    lines = [f"Model: {settings.model} ({describe_model(settings, settings.model)})"]
    if not has_data(settings):
        lines.append(f"No pictures yet: none of the data folders named in {settings.file} exists.")
        lines.append("Put your data set there, or press 9 for a demonstration with made-up pictures.")
        return "\n".join(lines)
    for name in FOLDERS:
        folder = settings.original[name]
        lines.append(f"  {name.replace('-', ' '):<14}{_state(count_images(folder), folder)}")
    for part, folder in settings.resized.items():
        lines.append(f"  {'resized ' + part:<14}{_state(count_images(folder), folder)}")
    return "\n".join(lines)
