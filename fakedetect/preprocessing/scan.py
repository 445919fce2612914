"""Option 1: find the pictures that cannot be used, and list them with the reason."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import read_json, write_json
from fakedetect.core.pool import map_images
from fakedetect.core.settings import FOLDERS, Settings
from fakedetect.core.shards import Shard, count_workers, parse_shard
from fakedetect.dataset.bad_list import read_bad_images, save_bad_images
from fakedetect.dataset.folders import existing_folders
from fakedetect.images.listing import list_images
from fakedetect.images.reading import find_fault

SECONDS_BETWEEN_SAVES = 2.0


def find_bad_images(
    settings: Settings,
    console: Console,
    paths: Sequence[Path],
    label: str,
    listed: dict[Path, str],
    save: Callable[[], None],
) -> int:
    """Check pictures and bring `listed` up to date, which `save` writes now and then and at the end.

    Returns:
        The number of bad ones.
    """
    bad = 0
    saved = time.monotonic()
    results = map_images(find_fault, paths, count_workers(settings.training.workers))
    try:
        for path, reason in console.track(results, len(paths), label):
            listed.pop(path, None)
            if reason is None:
                continue
            bad += 1
            listed[path] = reason
            console.note(f"bad: {path}: {reason}")
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                save()
                saved = time.monotonic()
    finally:
        save()
    return bad


def _forget_missing(listed: dict[Path, str], folder: Path, present: set[Path]) -> None:
    for path in [path for path in listed if folder in path.parents and path not in present]:
        del listed[path]


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
    share = parse_shard(shard)
    folders = folders or FOLDERS
    existing = existing_folders(settings, folders, console)
    status = 0 if len(existing) == len(set(folders)) else 1
    found = {name: list_images(settings.original[name]) for name in existing}
    if share.count > 1:
        return Outcome(_scan_share(settings, console, found, share), status)
    listed = read_bad_images(settings)
    lines = []
    total = 0
    for name, paths in found.items():
        _forget_missing(listed, settings.original[name], set(paths))
        bad = find_bad_images(
            settings, console, paths, name, listed, lambda: save_bad_images(settings, listed)
        )
        total += bad
        lines.append(f"{name}: {plural(len(paths), 'picture')}, {bad} bad")
    lines.append(f"{plural(total, 'bad picture')} found; {len(listed)} listed in {settings.bad_images}")
    return Outcome("\n".join(lines), status)


def _share_file(settings: Settings, share: Shard) -> Path:
    name = f"{settings.bad_images.stem}.shard-{share.number}-of-{share.count}.json"
    return settings.bad_images.with_name(name)


def _scan_share(settings: Settings, console: Console, found: dict[str, list[Path]], share: Shard) -> str:
    everything = [path for paths in found.values() for path in paths]
    names = b"\0".join(os.fsencode(path) for path in everything)
    digest = hashlib.sha256(names).hexdigest()
    paths = share.share(everything)
    listed: dict[Path, str] = {}

    def save(done: bool = False) -> None:
        bad = [[str(path), reason] for path, reason in sorted(listed.items())]
        value = {"folders": list(found), "pictures": digest, "done": done, "bad": bad}
        write_json(_share_file(settings, share), value)

    bad = find_bad_images(settings, console, paths, f"shard {share}", listed, save)
    save(done=True)
    line = f"shard {share}: {plural(len(paths), 'picture')} of {len(everything):,}, {bad} bad"
    return f"{line}\n{_merge(settings, found, share.count, digest)}"


def _merge(settings: Settings, found: dict[str, list[Path]], count: int, digest: str) -> str:
    """Bring the shares together once all are done; each that ends tries, and the last one can."""
    files = [_share_file(settings, Shard(number, count)) for number in range(1, count + 1)]
    parts = [read_json(file) for file in files]
    missing = [
        number
        for number, part in enumerate(parts, start=1)
        if not (isinstance(part, dict) and part.get("done") and part.get("pictures") == digest)
    ]
    if missing:
        some = ", ".join(str(number) for number in missing[:8]) + (", …" if len(missing) > 8 else "")
        return f"Not done yet for these pictures: {plural(len(missing), 'shard')} ({some})."
    listed = read_bad_images(settings)
    for name in found:
        _forget_missing(listed, settings.original[name], set())
    listed |= {Path(path): reason for part in parts for path, reason in part["bad"]}
    save_bad_images(settings, listed)
    for file in files:
        file.unlink(missing_ok=True)
    return f"All {count} shards are done; {len(listed)} listed in {settings.bad_images}"


def show_bad_images(settings: Settings, console: Console) -> Outcome:
    """The list that earlier scans wrote."""
    if not settings.bad_images.is_file():
        raise UserError("There is no list of bad images yet. Scan first: python menu.py scan")
    bad = read_bad_images(settings)
    lines = [f"{path}{f': {reason}' if reason else ''}" for path, reason in bad.items()]
    lines.append(f"{plural(len(bad), 'bad picture')} in {settings.bad_images}")
    return Outcome("\n".join(lines))
