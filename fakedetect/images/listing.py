"""Pictures in folders: which files are pictures by their names, what else lies there, all in order."""

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
"""Pictures of phones, which Pillow reads once pillow-heif is installed."""

JUNK = frozenset(("thumbs.db", "desktop.ini", "ehthumbs.db"))
SYSTEM_FOLDERS = frozenset(
    (
        "__macosx", "#recycle", "#snapshot", "@eadir", "@recently-snapshot", "@recycle", "@sharebin",
        "@tmp", "~snapshot", "$recycle.bin", "recycled", "recycler", "found.000", "lost+found", "lost.dir",
        "system volume information", "network trash folder", "temporary items", "thevolumesettingsfolder",
        "files_trashbin", "files_versions",
    )
)  # fmt: skip
"""Folders of systems and network drives beside those whose names begin with a dot, in lower case: deleted
pictures, earlier versions, small copies. The user has them elsewhere, or has thrown them away."""

MOST_KINDS = 6


@cache
def has_heif() -> bool:
    """Whether HEIC and HEIF can be read: pillow-heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def suffix_of(name: str) -> str:
    """What a name ends in from its last dot on, in lower case, '' without one; '..jpg' ends in '.jpg'."""
    start, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and start and ending else ""


def is_image_name(name: str) -> bool:
    """Whether a file name claims to be a picture's that can be read here."""
    return not name.startswith(".") and _ends_as_image(name)


def _ends_as_image(name: str) -> bool:
    suffix = suffix_of(name)
    return suffix in EXTENSIONS or (suffix in HEIF_EXTENSIONS and has_heif())


def is_hidden_folder(name: str) -> bool:
    """Whether a folder is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


class Skipped:
    """What lies below a named folder and is not read.

    Attributes:
        kinds: files that are no pictures by their names, by kind.
        folders: hidden ones and those of systems by their names; nothing in them is looked at.
        hidden: hidden pictures.
        in_cloud: pictures of which only a placeholder is here.
        unreadable: folders that cannot be read, and why.
    """

    # No dataclass, nor the console's words: every worker imports this module, and starts sooner without.
    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.folders: Counter[str] = Counter()
        self.hidden = self.in_cloud = 0
        self.unreadable: dict[Path, str] = {}

    def add(self, name: str) -> None:
        """Count a file; what systems and this program leave behind is none of the user's."""
        if not name.startswith("."):
            if name.lower() not in JUNK:
                self.kinds[suffix_of(name)[1:].upper() or "without an extension"] += 1
        elif name.endswith(".icloud"):
            self.in_cloud += 1
        # AppleDouble files stand beside the pictures whose names they bear.
        elif not name.startswith("._") and _ends_as_image(name):
            self.hidden += 1

    @property
    def refused(self) -> list[str]:
        """A line for each folder that cannot be read."""
        return [f"Skipped the folder {_say(place)}: {why}." for place, why in self.unreadable.items()]

    def covers(self, path: Path) -> bool:
        """Whether a path lies in a folder that could not be read: nobody knows whether it is gone."""
        return any(path.is_relative_to(place) for place in self.unreadable)

    def __str__(self) -> str:
        """One line, or '' where nothing was skipped but folders that cannot be read."""
        return "; ".join(filter(None, (self._describe_kinds(), *self._describe_hidden())))

    def _describe_kinds(self) -> str:
        if not self.kinds:
            return ""
        common = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
        parts = [f"{count:,} {kind}" for kind, count in common[:MOST_KINDS]]
        if rest := sum(count for _, count in common[MOST_KINDS:]):
            parts.append(f"{rest:,} of other types")
        total = self.kinds.total()
        what = "1 file that is not a picture" if total == 1 else f"{total:,} files that are not pictures"
        line = f"skipped {what}: {', '.join(parts)}"
        heif = sum(self.kinds[suffix[1:].upper()] for suffix in HEIF_EXTENSIONS)
        return line + ("; for HEIC: pip install pillow-heif" if heif else "")

    def _describe_hidden(self) -> Iterator[str]:
        if total := self.folders.total():
            common = sorted(self.folders, key=lambda name: (-self.folders[name], name))
            names = map(_say, common[:MOST_KINDS])
            more = ", …" if len(self.folders) > MOST_KINDS else ""
            what = "1 hidden or system folder" if total == 1 else f"{total:,} hidden or system folders"
            yield f"passed over {what}: {', '.join(names)}{more}"
        if self.hidden:
            yield f"passed over hidden pictures: {self.hidden:,}"
        if self.in_cloud:
            yield f"not downloaded from iCloud: {self.in_cloud:,} (download them in Finder, then run again)"


def stream_images(
    paths: Sequence[Path], tell: Callable[[str], None], skipped: Skipped | None = None
) -> Iterator[Path]:
    """Every named picture, and every picture below a named folder, a folder at a time.

    A file that is named itself is given whatever its name ends in. A folder that cannot be read is
    skipped with a message.

    Args:
        tell: gets such messages.
        skipped: counts what is not read.

    Raises:
        UserError: a path is not there.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no picture or folder {path}. Check the name.")
    for path in paths:
        if path.is_dir():
            for _, found in _walk(path, skipped or Skipped(), tell):
                yield from map(Path, sorted(found))
        else:
            yield path


def list_images(folder: Path, skipped: Skipped | None = None) -> list[Path]:
    """Every file below `folder` that claims by its name to be a picture.

    Ordered as torchvision's ImageFolder orders them: folder by folder, then by name.

    Args:
        skipped: counts what is not read, and has the folders below that cannot be.

    Raises:
        UserError: the folder itself cannot be read.
    """
    found = sorted(_walk(folder, skipped or Skipped()))
    return [path for _, paths in found for path in sorted(map(Path, paths))]


def count_images(folder: Path, skipped: Skipped) -> int:
    """How many pictures list_images() finds.

    Args:
        skipped: as list_images() takes it.

    Raises:
        UserError: the folder itself cannot be read.
    """
    return sum(len(paths) for _, paths in _walk(folder, skipped))


def _walk(
    folder: Path, skipped: Skipped, tell: Callable[[str], None] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Every folder below, this one too, and the paths of its pictures; each folder once.

    Links are followed when the rest is done, and both in the order of their names: a folder that a link
    leads to as well goes by its own name, on every file system.

    Args:
        tell: is told of a folder that cannot be read. Otherwise only `skipped` has it, and a UserError is
            raised for the first one.
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
            if tell is None and place == str(folder):
                raise UserError(f"Cannot read the folder {_say(place)}: {error.strerror}.") from None
            skipped.unreadable[Path(place)] = error.strerror or str(error)
            if tell:
                tell(skipped.refused[-1])
        yield place, paths


def _say(folder: str | Path) -> str:
    # Every worker imports this module, and starts sooner without the console.
    from fakedetect.core.terminal.console import printable

    return printable(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A symbolic link that leads to itself.
        return False
