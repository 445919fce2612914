"""The pictures that a user names, one after the other: however many, they take no more memory."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fakedetect.errors import UserError
from fakedetect.images import is_image_name

AT_A_TIME = 10_000
"""Entries of a folder that are sorted together."""


def stream_images(paths: Sequence[Path], tell: Callable[[str], None]) -> Iterator[Path]:
    """Every named picture, and every picture below a named folder; unlike list_images, not all sorted.

    A file that is named itself is given whatever its name ends in. A folder that cannot be read is
    told, and passed over.

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
        tell(f"Passed over the folder {folder}: {error.strerror}.")
