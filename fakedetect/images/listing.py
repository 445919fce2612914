"""Pictures in folders: which files are pictures by their names, and every one of them in order."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fakedetect.core.errors import UserError

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif")
)

AT_A_TIME = 10_000
"""Entries of a folder that are sorted together."""


def stream_images(paths: Sequence[Path], tell: Callable[[str], None]) -> Iterator[Path]:
    """Every named picture, and every picture below a named folder; unlike list_images, not all sorted.

    A file that is named itself is given whatever its name ends in. A folder that cannot be read is
    skipped with a message.

    Raises:
        UserError: a path is not there.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no picture or folder {path}. Check the name.")
    for path in paths:
        if path.is_dir():
            yield from _below(path, frozenset(), tell)
        else:
            yield path


def _below(folder: Path, above: frozenset[str], tell: Callable[[str], None]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        # A link back to a folder that it lies in.
        return
    try:
        with os.scandir(folder) as entries:
            while block := list(itertools.islice(entries, AT_A_TIME)):
                for entry in sorted(block, key=lambda found: found.name):
                    try:
                        is_folder = entry.is_dir()
                    except OSError:
                        continue
                    if is_folder:
                        yield from _below(Path(entry.path), above | {real}, tell)
                    elif is_image_name(entry.name):
                        yield Path(entry.path)
    except OSError as error:
        tell(f"Skipped the folder {folder}: {error.strerror}.")


def list_images(folder: Path) -> list[Path]:
    """Every file below `folder` that claims by its name to be a picture.

    Ordered as torchvision's ImageFolder orders them: folder by folder, then by name.

    Raises:
        UserError: the folder cannot be read.
    """
    return [path for _, paths in sorted(_walk(folder, set())) for path in sorted(paths)]


def _walk(folder: Path, seen: set[str]) -> Iterator[tuple[str, list[Path]]]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    names: list[Path] = []
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise UserError(f"Cannot read the folder {folder}: {error.strerror}.") from None
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(Path(entry.path), seen)
        elif is_image_name(entry.name):
            names.append(Path(entry.path))
    yield str(folder), names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A symbolic link that leads to itself.
        return False


def is_image_name(name: str) -> bool:
    """Whether a file name claims to be a picture's."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS
