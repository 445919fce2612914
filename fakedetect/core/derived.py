"""What is derived from a user's files and kept for this user: networks, features, decoded pictures.

Nothing of it lies beside what it was made of. A folder of a model or of pictures may come from elsewhere,
and derived files that came along would be believed: everything that ties them to their source is public.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_text

CACHE_VARIABLE = "FAKEDETECT_CACHE"
LARGEST_CACHE_BYTES = 20 * 1000**3
"""Bytes that the folder may hold; beyond that, what was not used for the longest time goes."""

SECONDS_KEPT = 24 * 3600
"""What was used within this time stays: another run may be reading it."""

CACHE_VERSION = "1"
"""Changes when anything derived is made in another way."""


def cache_folder() -> Path:
    """Where derived files are: FAKEDETECT_CACHE, or a folder in the one that the system has for caches.

    Raises:
        UserError: the user has no home.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    try:
        if sys.platform == "win32":
            return (
                Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "fakedetect/cache"
            )
        if sys.platform == "darwin":
            return Path.home() / "Library/Caches/fakedetect"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fakedetect"
    except RuntimeError:
        raise UserError(
            f"No home folder was found. Name a folder for caches in {CACHE_VARIABLE}."
        ) from None


def derived_folder(kind: str, key: str) -> Path:
    """The folder of what was derived from something; it need not be there.

    Args:
        kind: 'networks', say.
        key: all that it depends on, in words: hashes of contents, or the place of a folder whose files are
            compared.
    """
    folder = cache_folder() / kind / hash_text(f"{CACHE_VERSION} {kind} {key}")[:32]
    with suppress(OSError):
        # It has been used.
        os.utime(folder)
    return folder


def derived_folder_of(kind: str, place: Path) -> Path:
    """derived_folder() of a folder of the user's."""
    return derived_folder(kind, str(place.resolve()))


def remove_least_recent(largest: int = LARGEST_CACHE_BYTES) -> None:
    """Remove what was not used for the longest time, until the rest is small enough."""
    with suppress(OSError):
        found = sorted(_list_derived(), key=lambda each: each[0], reverse=True)
        total = 0
        for used, size, folder in found:
            total += size
            if total > largest and time.time() - used > SECONDS_KEPT:
                shutil.rmtree(folder, ignore_errors=True)


def _list_derived() -> Iterator[tuple[float, int, Path]]:
    """When each was used last, its bytes, and its folder."""
    for folder in cache_folder().glob("*/*"):
        if folder.is_dir() and not folder.is_symlink():
            sizes = [file.lstat().st_size for file in folder.iterdir()]
            yield folder.stat().st_mtime, sum(sizes), folder
