"""The folders that pictures lie in: which are there, which class each stands for."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console
from fakedetect.images.listing import list_images

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


def advise_to_resize(settings: Settings, part: str) -> Callable[[str], str]:
    """What to do where copies of a class are missing in the resized folder 'train' or 'test': put originals
    into their folder, if there are none, or resize those that are there."""

    def advise(missing: str) -> str:
        command = settings.command("resize")
        for name in CLASSES if missing not in CLASSES else (missing,):
            original = settings.original[f"{part}-{name}"]
            if not original.is_dir() or not list_images(original):
                return f"There are no {name} pictures in {original}. Put some there and resize: {command}"
        return f"Resize first: {command}"

    return advise


def class_folders(
    folder: Path, advise: Callable[[str], str] = lambda _: "Resize first."
) -> list[tuple[Path, int]]:
    """The class folders in a folder, by name, each with its label (0 fake, 1 real).

    Args:
        advise: gives what to do where a class is missing, or '' for both, as the last sentence of the
            message.

    Raises:
        UserError: the folder or a class is missing, or a class has several folders.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. {advise('')}")
    found = [
        (path, CLASS_FOLDERS[path.name.lower()])
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.lower() in CLASS_FOLDERS
    ]
    for label, name in enumerate(CLASSES):
        folders = [path.name for path, number in found if number == label]
        if not folders:
            raise UserError(f"{folder} has no class folder '{name}'. {advise(name)}")
        if len(folders) > 1:
            raise UserError(
                f"{folder} has several folders for the class {name}: {', '.join(folders)}. Keep one."
            )
    return found


def source_of(path: Path, class_folder: Path) -> str:
    """A picture's source: its sub-folder inside the class folder, '' for none."""
    inside = path.relative_to(class_folder).parent
    return "" if inside == Path() else inside.as_posix()
