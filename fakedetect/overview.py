"""What the menu shows above its entries: the chosen model, its state, and the data folders."""

import os
from pathlib import Path

from fakedetect.console import plural
from fakedetect.files import read_json
from fakedetect.images import is_image_name
from fakedetect.settings import FOLDERS, Settings


def count_images(folder: Path) -> int | None:
    """How many pictures a folder holds by their names, None where it is missing."""
    if not folder.is_dir():
        return None
    return sum(is_image_name(name) for _, _, names in os.walk(folder) for name in names)


def _state(count: int | None, folder: Path) -> str:
    return f"missing ({folder})" if count is None else plural(count, "picture")


def describe_model(settings: Settings, name: str) -> str:
    """'trained, tested: 92.00 %' for a model, by the files in its folder."""
    folder = settings.model_folders / name
    unfinished = "; a run was stopped" if (folder / "unfinished_run.pth").is_file() else ""
    return f"{_describe_checkpoint(folder)}{unfinished}"


def _describe_checkpoint(folder: Path) -> str:
    checkpoint = folder / "classifier_model.pth"
    if not checkpoint.is_file():
        return "not trained"
    if checkpoint.stat().st_size < 1000:
        return "its classifier_model.pth is not a model (a Git LFS pointer?)"
    results = read_json(folder / "test_results.json")
    if isinstance(results, dict) and isinstance(results.get("accuracy"), float):
        return f"trained, tested: {100 * results['accuracy']:.2f} % right"
    return "trained"


def has_data(settings: Settings) -> bool:
    """Whether any of the data folders is there."""
    folders = [*settings.original.values(), *settings.resized.values()]
    return any(folder.is_dir() for folder in folders)


def describe(settings: Settings) -> str:
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
