"""Option 1: find the pictures that cannot be used, and list them with the reason."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fakedetect.core.console import Console, Outcome, plural, printable
from fakedetect.core.errors import UserError
from fakedetect.core.pool import map_images
from fakedetect.core.records import Count, Record, read_record, write_record
from fakedetect.core.settings import FOLDERS, Settings
from fakedetect.core.shards import Shard, parse_shard
from fakedetect.dataset.bad_list import read_bad_images, replace_bad_images
from fakedetect.dataset.folders import existing_folders
from fakedetect.images.listing import Skipped, list_images
from fakedetect.images.reading import find_fault, prepare_pillow

SECONDS_BETWEEN_SAVES = 2.0


@dataclass
class Found:
    """What a scan knows so far of a folder's pictures: `checked` ones, and the `bad` among them."""

    checked: set[Path] = field(default_factory=set)
    bad: dict[Path, str] = field(default_factory=dict)


class ScannedShare(Record, frozen=True, kw_only=True):
    """What a job of several leaves for the last one: whether it is `done`, and its `bad` pictures, each by
    its place among all, whose names have the hash `pictures`, and with the reason."""

    pictures: str
    done: bool
    bad: tuple[tuple[Count, str], ...]


@dataclass(frozen=True)
class Scanned:
    """What a scan of a folder has come to: the pictures checked, the bad ones, and what is no picture."""

    name: str
    count: int
    bad: int
    skipped: Skipped

    def __str__(self) -> str:
        skipped = str(self.skipped)
        return f"{self.name}: {plural(self.count, 'picture')}, {self.bad} bad" + (
            f"; {skipped}" if skipped else ""
        )


def find_bad_images(
    settings: Settings,
    console: Console,
    paths: Sequence[Path],
    label: str,
    save: Callable[[Found], None],
) -> Found:
    """Check pictures; `save` gets what is known so far, now and then and at the end."""
    found = Found()
    saved = time.monotonic()
    prepare_pillow()
    results = map_images(find_fault, paths, settings.workers)
    try:
        for path, reason in console.track(results, len(paths), label):
            found.checked.add(path)
            if reason is None:
                continue
            found.bad[path] = reason
            console.note(f"bad: {printable(path)}: {reason}")
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                save(found)
                saved = time.monotonic()
    finally:
        save(found)
    return found


def scan_folder(
    settings: Settings, console: Console, name: str, paths: Sequence[Path], skipped: Skipped
) -> Scanned:
    """Check an original folder's pictures; only their lines in the list are replaced."""
    folder, present = settings.original[name], set(paths)

    def save(found: Found) -> None:
        def is_ours(path: Path) -> bool:
            return path in found.checked or (folder in path.parents and path not in present)

        replace_bad_images(settings, is_ours, found.bad)

    found = find_bad_images(settings, console, paths, name, save)
    return Scanned(name=name, count=len(paths), bad=len(found.bad), skipped=skipped)


def scan(
    settings: Settings,
    console: Console,
    folders: Sequence[str] = FOLDERS,
    shard: str | None = None,
) -> Outcome:
    """Check the asked-for original folders; only their lines in the list are replaced.

    Args:
        folders: any of FOLDERS.
        shard: 'k/n' to check a share only; the last share to end brings all lists together.
    """
    part = parse_shard(shard)
    folders = folders or FOLDERS
    existing = existing_folders(settings, folders, console)
    status = 0 if len(existing) == len(set(folders)) else 1
    skipped = {name: Skipped() for name in existing}
    pictures = {name: list_images(settings.original[name], skipped[name]) for name in existing}
    if part.count > 1:
        return Outcome(_scan_shard(settings, console, pictures, part), status)
    scanned = [
        scan_folder(settings, console, name, paths, skipped[name]) for name, paths in pictures.items()
    ]
    lines = [str(each) for each in scanned]
    lines.append(
        f"{plural(sum(each.bad for each in scanned), 'bad picture')} found; "
        f"{len(read_bad_images(settings))} listed in {settings.bad_images}"
    )
    return Outcome("\n".join(lines), status)


def _shard_file(settings: Settings, shard: Shard) -> Path:
    name = f"{settings.bad_images.stem}.shard-{shard.number}-of-{shard.count}.json"
    return settings.bad_images.with_name(name)


def _scan_shard(settings: Settings, console: Console, found: dict[str, list[Path]], shard: Shard) -> str:
    everything = [path for paths in found.values() for path in paths]
    names = b"\0".join(os.fsencode(path) for path in everything)
    digest = hashlib.sha256(names).hexdigest()
    paths = shard.part_of(everything)

    places = {path: place for place, path in enumerate(everything)}

    def save(known: Found, done: bool = False) -> None:
        bad = tuple(sorted((places[path], printable(reason)) for path, reason in known.bad.items()))
        write_record(_shard_file(settings, shard), ScannedShare(pictures=digest, done=done, bad=bad))

    checked = find_bad_images(settings, console, paths, f"shard {shard}", save)
    save(checked, done=True)
    line = f"shard {shard}: {plural(len(paths), 'picture')} of {len(everything):,}, {len(checked.bad)} bad"
    return f"{line}\n{_merge(settings, list(found), everything, shard.count, digest)}"


def _read_share(file: Path, digest: str, pictures: int) -> ScannedShare | None:
    """A share that is done, of these very pictures; None for any other, which has to be scanned again."""
    with suppress(UserError):
        share = read_record(file, ScannedShare, "Scan that share again.")
        if share and share.done and share.pictures == digest:
            return share if all(place < pictures for place, _ in share.bad) else None
    return None


def _merge(
    settings: Settings, folders: Sequence[str], everything: Sequence[Path], count: int, digest: str
) -> str:
    """Bring the shares together once all are done; each that ends tries, and the last one can."""
    files = [_shard_file(settings, Shard(number, count)) for number in range(1, count + 1)]
    parts = [_read_share(file, digest, len(everything)) for file in files]
    if missing := [number for number, part in enumerate(parts, start=1) if part is None]:
        some = ", ".join(str(number) for number in missing[:8]) + (", …" if len(missing) > 8 else "")
        return f"Not done yet for these pictures: {plural(len(missing), 'shard')} ({some})."
    homes = {settings.original[name] for name in folders}
    bad = {everything[place]: reason for part in parts if part for place, reason in part.bad}
    listed = replace_bad_images(settings, lambda path: not homes.isdisjoint(path.parents), bad)
    for file in files:
        file.unlink(missing_ok=True)
    return f"All {count} shards are done; {len(listed)} listed in {settings.bad_images}"


def show_bad_images(settings: Settings, console: Console) -> Outcome:
    """The list that earlier scans wrote."""
    if not settings.bad_images.is_file():
        raise UserError(f"There is no list of bad images yet. Scan first: {settings.command('scan')}")
    bad = read_bad_images(settings)
    lines = [f"{printable(path)}{f': {reason}' if reason else ''}" for path, reason in bad.items()]
    lines.append(f"{plural(len(bad), 'bad picture')} in {settings.bad_images}")
    return Outcome("\n".join(lines))
