"""Option 1: find the pictures that cannot be used, and list them with the reason."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakedetect.bad_list import read_bad_images, save_bad_images
from fakedetect.console import Console, Outcome, plural
from fakedetect.errors import UserError
from fakedetect.folders import existing_folders
from fakedetect.images import count_workers, find_fault, list_images, map_images
from fakedetect.settings import FOLDERS, Settings

SECONDS_BETWEEN_SAVES = 2.0


@dataclass(frozen=True)
class BadImage:
    """A picture that cannot be used, and why."""

    path: Path
    reason: str


def find_bad_images(
    settings: Settings, console: Console, folder: Path, listed: dict[Path, str]
) -> tuple[int, list[BadImage]]:
    """Check every picture below a folder and bring `listed` and the files up to date.

    Returns:
        The number of pictures that were checked, and the bad ones.
    """
    paths = list_images(folder)
    present = set(paths)
    for path in [path for path in listed if folder in path.parents and path not in present]:
        del listed[path]
    bad: list[BadImage] = []
    saved = time.monotonic()
    results = map_images(find_fault, paths, count_workers(settings.training.workers))
    try:
        for path, fault in console.track(results, len(paths), folder.name):
            listed.pop(path, None)
            if fault is None:
                continue
            reason = fault if isinstance(fault, str) else "its decoder crashed"
            bad.append(BadImage(path, reason))
            listed[path] = reason
            console.note(f"bad: {path}: {reason}")
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                save_bad_images(settings, listed)
                saved = time.monotonic()
    finally:
        save_bad_images(settings, listed)
    return len(paths), bad


def scan(settings: Settings, console: Console, folders: Sequence[str] = FOLDERS) -> Outcome:
    """Check the asked-for original folders; only their lines in the list are replaced."""
    folders = folders or FOLDERS
    existing = existing_folders(settings, folders, console)
    listed = read_bad_images(settings)
    lines = []
    total = 0
    for name in existing:
        count, bad = find_bad_images(settings, console, settings.original[name], listed)
        total += len(bad)
        lines.append(f"{name}: {plural(count, 'picture')}, {len(bad)} bad")
    lines.append(f"{plural(total, 'bad picture')} found; {len(listed)} listed in {settings.bad_images}")
    return Outcome("\n".join(lines), 0 if len(existing) == len(set(folders)) else 1)


def show_bad_images(settings: Settings, console: Console) -> Outcome:
    """The list that earlier scans wrote."""
    if not settings.bad_images.is_file():
        raise UserError("There is no list of bad images yet. Scan first: python menu.py scan")
    bad = read_bad_images(settings)
    lines = [f"{path}{f': {reason}' if reason else ''}" for path, reason in bad.items()]
    lines.append(f"{plural(len(bad), 'bad picture')} in {settings.bad_images}")
    return Outcome("\n".join(lines))
