"""The user's cache: networks, features and decoded pictures derived from other files.

Derived files never lie next to their source. A folder of a model or of pictures may come from someone
else, and derived files that came with it would be trusted: everything that ties them to their source is
public.
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
"""Beyond this size, the entries that were not used for the longest time are removed."""

SECONDS_KEPT = 24 * 3600
"""Entries used within this time are kept: another run may be reading them."""

CACHE_VERSION = "1"
"""Increase it when any derived file is computed differently."""


def cache_folder() -> Path:
    """Return the cache folder: FAKEDETECT_CACHE, or a folder in the system's cache directory.

    Raises:
        UserError: the user has no home folder.
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
    """Return the folder of something derived; it may not exist yet.

    Args:
        kind: such as 'networks'.
        key: everything that the result depends on, as text: hashes of contents, or the path of a folder
            whose files are compared.
    """
    folder = cache_folder() / kind / hash_text(f"{CACHE_VERSION} {kind} {key}")[:32]
    with suppress(OSError):
        # The time of last use.
        os.utime(folder)
    return folder


def derived_folder_of(kind: str, place: Path) -> Path:
    """Return derived_folder() for a folder of the user's."""
    return derived_folder(kind, str(place.resolve()))


def remove_least_recent(largest: int = LARGEST_CACHE_BYTES) -> None:
    """Remove the least recently used entries until the cache is small enough."""
    with suppress(OSError):
        found = sorted(_list_derived(), key=lambda each: each[0], reverse=True)
        total = 0
        for used, size, folder in found:
            total += size
            if total > largest and time.time() - used > SECONDS_KEPT:
                shutil.rmtree(folder, ignore_errors=True)


def _list_derived() -> Iterator[tuple[float, int, Path]]:
    """Yield the time of last use, the size in bytes and the path of each entry."""
    for folder in cache_folder().glob("*/*"):
        if folder.is_dir() and not folder.is_symlink():
            sizes = [file.lstat().st_size for file in folder.iterdir()]
            yield folder.stat().st_mtime, sum(sizes), folder
