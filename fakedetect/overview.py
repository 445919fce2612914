"""The text above the main menu: the chosen model, its state, and the data folders."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_folder import describe_model, find_starter
from fakedetect.core.settings.model_input import SIZE
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import plural
from fakedetect.dataset.folders import count_listed, find_overlap, read_bad_images
from fakedetect.dataset.review import describe_decisions, read_decisions, review_file
from fakedetect.images.listing import Skipped, count_images


def _describe_folder(settings: Settings, bad: Iterable[Path], folder: Path, part: str = "") -> str:
    """Return the number of usable pictures in a folder, by name and list of bad pictures, and what is
    skipped.

    Args:
        part: for a folder of copies, 'train' or 'test'.
    """
    if not folder.is_dir():
        return f"missing ({folder})"
    skipped = Skipped()
    try:
        pictures = count_images(folder, skipped)
    except UserError as error:
        return str(error)
    listed = count_listed(settings, bad, folder, part)
    left_out = f"{plural(listed, 'bad picture')} left out" if listed else ""
    return "; ".join(
        filter(
            None, (plural(pictures - listed, "picture"), left_out, str(skipped), *skipped.unreadable_lines)
        )
    )


def has_data(settings: Settings) -> bool:
    """Return whether any of the data folders exists."""
    known = settings.find_known_input()
    copies = [known.scaling.folder(plain) for plain in settings.plain_copies.values()] if known else []
    folders = [*settings.original.values(), *settings.plain_copies.values(), *copies]
    return any(folder.is_dir() for folder in folders)


def describe_state(settings: Settings) -> str:
    """Return the lines above the main menu."""
    lines = [f"Model: {settings.model} ({describe_model(settings, settings.model)})"]
    if not settings.file.exists():
        init = settings.command("init")
        lines.append(f"No {settings.file.name} in this folder. To name your folders in one: {init}")
        lines.append("Without it, press 8 to check pictures of your own or 9 for a demonstration.")
        return "\n".join(lines)
    if not has_data(settings):
        if find_starter(settings):
            lines.append("To check a picture without a dataset, press 8.")
        lines.append(f"No pictures yet: none of the data folders named in {settings.file} exists.")
        lines.append("Put your dataset there, or press 9 for a demonstration with made-up pictures.")
        return "\n".join(lines)
    bad: Mapping[Path, str] = {}
    try:
        bad = read_bad_images(settings)
    except UserError as error:
        lines.append(str(error))
    for name in FOLDERS:
        state = _describe_folder(settings, bad, settings.original[name])
        lines.append(f"  {name.replace('-', ' '):<14}{state}")
    lines += _describe_copies(settings, bad)
    lines += _describe_review(settings)
    if overlap := find_overlap(settings):
        lines.append(f"Warning: {overlap}")
    return "\n".join(lines)


def _describe_review(settings: Settings) -> list[str]:
    """Describe the decisions of a review, which the counts above ignore; nothing without one."""
    try:
        decisions = read_decisions(settings, review_file(settings))
    except UserError as error:
        return [str(error)]
    return [f"  {describe_decisions(decisions.values())}"] if decisions else []


def _describe_copies(settings: Settings, bad: Iterable[Path]) -> list[str]:
    """Return the state of the chosen model's copies; a size that only timm knows is left to `choose`."""
    known = settings.find_known_input()
    if known is None:
        look = settings.command("choose", settings.model)
        return [f"  resized       input size not known yet; run {look} to look it up"]
    lines = []
    for part, plain in settings.plain_copies.items():
        folder = known.scaling.folder(plain)
        name = f"resized {part}" + (f" {known.size}" if known.size != SIZE else "")
        lines.append(f"  {name:<13} {_describe_folder(settings, bad, folder, part)}")
    return lines
