"""Option 1: find the pictures that cannot be used, and list them with their reasons."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.processes.pool import map_images
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.folders import (
    find_existing_folders,
    read_bad_images,
    replace_bad_images,
    warn_about_missing,
)
from fakedetect.dataset.review import Review, load_review
from fakedetect.images.listing import Skipped, list_images
from fakedetect.images.pillow import prepare_pillow
from fakedetect.images.reading import find_fault

SECONDS_BETWEEN_SAVES = 2.0


@dataclass(frozen=True)
class ScannedFolder:
    """The result of a folder's scan: the number of pictures, of bad ones, and the skipped files."""

    name: str
    count: int
    bad: int
    skipped: Skipped

    def __str__(self) -> str:
        skipped = str(self.skipped)
        return f"{self.name}: {plural(self.count, 'picture')}, {self.bad} bad" + (
            f"; {skipped}" if skipped else ""
        )


def scan_folder(
    settings: Settings, console: Console, name: str, found: Sequence[Path], skipped: Skipped, review: Review
) -> ScannedFolder:
    """Check an original folder's pictures, except those that a review removes, and replace their lines in
    the list.

    The list is saved every SECONDS_BETWEEN_SAVES and at the end.
    """
    folder, present = settings.original[name], set(found)
    paths = [path for path in found if review.label(path, 0) is not None]
    checked: set[Path] = set()
    bad: dict[Path, str] = {}

    def is_ours(path: Path) -> bool:
        removed = folder in path.parents and path not in present and not skipped.covers(path)
        return path in checked or removed

    saved = time.monotonic()
    prepare_pillow()
    results = map_images(find_fault, paths, settings.workers)
    try:
        for path, reason in console.track(results, len(paths), name):
            checked.add(path)
            if reason is None:
                continue
            bad[path] = reason
            console.note(f"bad: {printable(path)}: {reason}")
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                replace_bad_images(settings, is_ours, bad)
                saved = time.monotonic()
    finally:
        replace_bad_images(settings, is_ours, bad)
    return ScannedFolder(name=name, count=len(paths), bad=len(bad), skipped=skipped)


def scan(
    settings: Settings,
    console: Console,
    folders: Sequence[str] = FOLDERS,
    shard: str | None = None,
) -> Outcome:
    """Check the requested original folders, and replace their lines in the list of bad images.

    Args:
        folders: any of FOLDERS.
        shard: refused with a message for scripts of earlier versions, which scanned in several jobs.

    Raises:
        UserError: a `shard` is given, or none of the folders exists.
    """
    if shard is not None:
        raise UserError("scan has no --shard any more: one job reads all pictures. Leave it out.")
    folders = folders or FOLDERS
    existing = find_existing_folders(settings, folders, console)
    status = 0 if len(existing) == len(set(folders)) else 1
    skipped = {name: Skipped() for name in existing}
    pictures = {name: list_images(settings.original[name], skipped[name]) for name in existing}
    for line in (line for found in skipped.values() for line in found.unreadable_lines):
        console.warn(line)
        status = 1
    review = load_review(settings, existing)
    scanned = [
        scan_folder(settings, console, name, paths, skipped[name], review)
        for name, paths in pictures.items()
    ]
    lines = [*map(str, scanned), *review.describe()]
    lines.append(
        f"{plural(sum(each.bad for each in scanned), 'bad picture')} found; "
        f"{len(read_bad_images(settings))} listed in {settings.bad_images}"
    )
    return Outcome("\n".join(lines), status)


def show_bad_images(settings: Settings, console: Console) -> Outcome:
    """Show the list that earlier scans wrote.

    Raises:
        UserError: there is no list.
    """
    if not settings.bad_images.is_file():
        raise UserError(f"There is no list of bad images yet. Scan first: {settings.command('scan')}")
    bad = read_bad_images(settings)
    warn_about_missing(settings, console)
    lines = [f"{printable(path)}{f': {reason}' if reason else ''}" for path, reason in bad.items()]
    lines.append(f"{plural(len(bad), 'bad picture')} in {settings.bad_images}")
    return Outcome("\n".join(lines))
