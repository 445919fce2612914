"""The folders that pictures lie in: which are there, which class each stands for."""

from collections.abc import Sequence
from pathlib import Path

from fakedetect.core.console import Console
from fakedetect.core.errors import UserError
from fakedetect.core.settings import FOLDERS, Settings

CLASS_FOLDERS = {
    **dict.fromkeys(("fake", "resized_fake", "1_fake", "ai"), 0),
    **dict.fromkeys(("real", "resized_real", "0_real", "nature"), 1),
}
"""Names of class folders in lower case, and the model's output that each stands for."""


def existing_folders(settings: Settings, folders: Sequence[str], console: Console) -> list[str]:
    """The asked-for original folders that are there; the others are warned about.

    Raises:
        UserError: none of them is there, or two names mean the same folder.
    """
    _check_apart(settings)
    chosen = [name for name in FOLDERS if name in folders]
    missing = [name for name in chosen if not settings.original[name].is_dir()]
    for name in missing:
        console.warn(
            f"There is no folder {settings.original[name]} ({name}). "
            f"Put the pictures there or name their folder in {settings.file}."
        )
    if len(missing) == len(chosen):
        raise UserError(
            f"No folder to work on. Without a data set, try the demo: {settings.command('demo')}"
        )
    return [name for name in chosen if name not in missing]


def _check_apart(settings: Settings) -> None:
    seen: dict[Path, str] = {}
    for name, folder in settings.original.items():
        place = folder.resolve()
        if place in seen and place.is_dir():
            raise UserError(
                f"{seen[place]} and {name} are the same folder, {folder}. "
                f"Name two different ones in {settings.file}."
            )
        seen[place] = name


def class_folders(folder: Path, advice: str = "Resize first.") -> list[tuple[Path, int]]:
    """The class folders in a folder, by name, each with its label (0 fake, 1 real).

    Args:
        advice: what to do where one is missing, as the last sentence of the message.

    Raises:
        UserError: the folder or a class is missing, or a class has several folders.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. {advice}")
    found = [
        (path, CLASS_FOLDERS[path.name.lower()])
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.lower() in CLASS_FOLDERS
    ]
    for label, name in ((0, "fake"), (1, "real")):
        folders = [path.name for path, number in found if number == label]
        if not folders:
            raise UserError(f"{folder} has no class folder '{name}'. {advice}")
        if len(folders) > 1:
            raise UserError(
                f"{folder} has several folders for the class {name}: {', '.join(folders)}. Keep one."
            )
    return found


def source_of(path: Path, class_folder: Path) -> str:
    """A picture's source: its sub-folder inside the class folder, '' for none."""
    inside = path.relative_to(class_folder).parent
    return "" if inside == Path() else inside.as_posix()
