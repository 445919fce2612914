"""Listing the pictures in folders, in a fixed order, and counting what is skipped."""

import heapq
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from fakedetect.core.errors import UserError

EXTENSIONS = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif",
        ".tiff", ".avif", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".ppm", ".pgm", ".pbm", ".pnm",
    )
)  # fmt: skip
HEIF_EXTENSIONS = frozenset((".heic", ".heics", ".heif", ".heifs", ".hif"))
"""Pictures of phones, which Pillow reads if pillow-heif is installed."""

JUNK_FILES = frozenset(("thumbs.db", "desktop.ini", "ehthumbs.db"))
SYSTEM_FOLDERS = frozenset(
    (
        "__macosx", "#recycle", "#snapshot", "@eadir", "@recently-snapshot", "@recycle", "@sharebin",
        "@tmp", "~snapshot", "$recycle.bin", "recycled", "recycler", "found.000", "lost+found", "lost.dir",
        "system volume information", "network trash folder", "temporary items", "thevolumesettingsfolder",
        "files_trashbin", "files_versions",
    )
)  # fmt: skip
"""System folders whose names do not start with a dot, in lower case. They hold deleted pictures, earlier
versions and thumbnails, which the user has elsewhere or has thrown away."""

MOST_LISTED_KINDS = 6


@cache
def has_heif() -> bool:
    """Whether pillow-heif, which reads HEIC and HEIF, is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def suffix_of(name: str) -> str:
    """Return a name's extension with its dot, in lower case; '' for none. That of '..jpg' is '.jpg'."""
    start, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and start and ending else ""


def is_image_name(name: str) -> bool:
    """Whether a file name is that of a picture in a supported format."""
    return not name.startswith(".") and _ends_as_image(name)


def _ends_as_image(name: str) -> bool:
    suffix = suffix_of(name)
    return suffix in EXTENSIONS or (suffix in HEIF_EXTENSIONS and has_heif())


def is_hidden_folder(name: str) -> bool:
    """Whether a folder is hidden or a system folder."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


class Skipped:
    """Files and folders below a named folder that were skipped.

    Attributes:
        kinds: the number of files that are not pictures by their names, by extension.
        folders: the number of hidden and system folders, by name; their content is not listed.
        hidden: the number of hidden pictures.
        in_cloud: the number of pictures of which only a placeholder is on this computer.
        unreadable: folders that cannot be read, and why.
    """

    # Not a dataclass: every worker imports this module, and starts faster without importing dataclasses.
    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.folders: Counter[str] = Counter()
        self.hidden = self.in_cloud = 0
        self.unreadable: dict[Path, str] = {}

    def add(self, name: str) -> None:
        """Count a file; files that systems and this program create are not counted."""
        if not name.startswith("."):
            if name.lower() not in JUNK_FILES:
                self.kinds[suffix_of(name)[1:].upper() or "without an extension"] += 1
        elif name.endswith(".icloud"):
            self.in_cloud += 1
        # '._NAME' is the AppleDouble file of the picture NAME, not a picture.
        elif not name.startswith("._") and _ends_as_image(name):
            self.hidden += 1

    @property
    def unreadable_lines(self) -> list[str]:
        """A line for each folder that cannot be read."""
        return [f"Skipped the folder {_printable(path)}: {why}." for path, why in self.unreadable.items()]

    def covers(self, path: Path) -> bool:
        """Whether a path lies in a folder that could not be read, so that it may still exist."""
        return any(path.is_relative_to(folder) for folder in self.unreadable)

    def __str__(self) -> str:
        """One line; '' if nothing was skipped except unreadable folders."""
        return "; ".join(filter(None, (self._describe_kinds(), *self._describe_hidden())))

    def _describe_kinds(self) -> str:
        if not self.kinds:
            return ""
        common = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        parts = [f"{count:,} {kind}" for kind, count in common[:MOST_LISTED_KINDS]]
        if rest := sum(count for _, count in common[MOST_LISTED_KINDS:]):
            parts.append(f"{rest:,} of other types")
        total = self.kinds.total()
        what = "1 file that is not a picture" if total == 1 else f"{total:,} files that are not pictures"
        line = f"skipped {what}: {', '.join(parts)}"
        heif = sum(self.kinds[suffix[1:].upper()] for suffix in HEIF_EXTENSIONS)
        return line + ("; for HEIC: pip install pillow-heif" if heif else "")

    def _describe_hidden(self) -> Iterator[str]:
        if total := self.folders.total():
            common = sorted(self.folders, key=lambda name: (-self.folders[name], name))
            names = map(_printable, common[:MOST_LISTED_KINDS])
            more = ", …" if len(self.folders) > MOST_LISTED_KINDS else ""
            what = "1 hidden or system folder" if total == 1 else f"{total:,} hidden or system folders"
            yield f"skipped {what}: {', '.join(names)}{more}"
        if self.hidden:
            yield f"skipped hidden pictures: {self.hidden:,}"
        if self.in_cloud:
            yield f"not downloaded from iCloud: {self.in_cloud:,} (download them in Finder, then run again)"


def stream_images(
    paths: Sequence[Path], warn: Callable[[str], None], skipped: Skipped | None = None
) -> Iterator[Path]:
    """Yield every named picture, and every picture below a named folder, one folder at a time.

    A file that is named itself is yielded whatever its extension. A folder that cannot be read is skipped
    with a warning.

    Args:
        warn: called with each warning.
        skipped: counts what is skipped.

    Raises:
        UserError: a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no picture or folder {path}. Check the name.")
    for path in paths:
        if path.is_dir():
            for _, found in _walk(path, skipped or Skipped(), warn):
                yield from map(Path, sorted(found))
        else:
            yield path


def list_images(folder: Path, skipped: Skipped | None = None) -> list[Path]:
    """List every file below `folder` that is a picture by its name.

    The order is that of torchvision's ImageFolder: by folder, then by name.

    Args:
        skipped: counts what is skipped, including folders below that cannot be read.

    Raises:
        UserError: the folder itself cannot be read.
    """
    found = sorted(_walk(folder, skipped or Skipped()))
    return [path for _, paths in found for path in sorted(map(Path, paths))]


def count_images(folder: Path, skipped: Skipped) -> int:
    """Count the pictures that list_images() would return.

    Args:
        skipped: as in list_images().

    Raises:
        UserError: the folder itself cannot be read.
    """
    return sum(len(paths) for _, paths in _walk(folder, skipped))


def _walk(
    folder: Path, skipped: Skipped, warn: Callable[[str], None] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Yield this folder and every folder below it with the paths of its pictures; each folder once.

    Folders come first and links last, both in order of name. A folder that is also the target of a link is
    therefore listed under its own name on every file system.

    Args:
        warn: called for each folder that cannot be read. Without it, such folders are only added to
            `skipped`, and a UserError is raised if `folder` itself cannot be read.
    """
    seen: set[str] = set()
    folders, links = [str(folder)], list[str]()
    while folders or links:
        place = heapq.heappop(folders or links)
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        paths = []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        if is_hidden_folder(entry.name):
                            skipped.folders[entry.name] += 1
                        else:
                            heapq.heappush(links if entry.is_symlink() else folders, entry.path)
                    elif is_image_name(entry.name):
                        paths.append(entry.path)
                    else:
                        skipped.add(entry.name)
        except OSError as error:
            if warn is None and place == str(folder):
                raise UserError(f"Cannot read the folder {_printable(place)}: {error.strerror}.") from None
            skipped.unreadable[Path(place)] = error.strerror or str(error)
            if warn:
                warn(skipped.unreadable_lines[-1])
        yield place, paths


def _printable(folder: str | Path) -> str:
    # Imported here: every worker imports this module, and starts faster without the console.
    from fakedetect.core.terminal.console import printable

    return printable(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A symbolic link to itself.
        return False
