"""Option 2: 224 x 224 copies of the original pictures."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakedetect.bad_list import existing_folders, read_bad_images
from fakedetect.console import Console, Outcome, plural
from fakedetect.errors import UserError
from fakedetect.files import atomic_write
from fakedetect.images import (
    count_workers,
    explain_fault,
    list_images,
    map_images,
    open_image,
    to_rgb_or_grey,
)
from fakedetect.settings import FOLDERS, Settings

SIZE = 224


@dataclass(frozen=True)
class Job:
    """A picture to copy, and where its copy goes."""

    source: Path
    copy: Path


def output_folder(settings: Settings, name: str) -> Path:
    """Where the copies of an original folder ('train-real', …) go."""
    part, label = name.split("-")
    folder = settings.resized[part]
    older = folder / f"resized_{label}"
    return older if older.is_dir() and not (folder / label).is_dir() else folder / label


def is_done(job: Job) -> bool:
    """Whether the copy is there and its source has not changed since: a copy carries its time."""
    try:
        copy, source = job.copy.stat(), job.source.stat()
    except OSError:
        return False
    apart = abs(copy.st_mtime_ns - source.st_mtime_ns)
    # FAT keeps times to two seconds, exFAT to ten milliseconds.
    coarse = copy.st_mtime_ns % 2_000_000_000 == 0
    return copy.st_size > 0 and (apart < 10_000_000 or (coarse and apart < 2_000_000_000))


def resize_image(job: Job) -> str | None:
    """Write one copy; returns why the picture cannot be used, or None.

    Raises:
        UserError: the copy cannot be written.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(job.source) as opened:
                image = to_rgb_or_grey(opened).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            image.info.pop("transparency", None)
        Image.init()
        file_format = Image.registered_extensions()[job.copy.suffix.lower()]
        source = job.source.stat()
    except Exception as error:
        return explain_fault(error, job.source)
    with atomic_write(job.copy) as file:
        image.save(file, format=file_format)
    os.utime(job.copy, ns=(source.st_atime_ns, source.st_mtime_ns))
    return None


def resize(settings: Settings, console: Console, folders: Sequence[str] = FOLDERS) -> Outcome:
    """Copy the pictures of the asked-for original folders; those already done are passed over."""
    folders = folders or FOLDERS
    existing = existing_folders(settings, folders, console)
    listed = read_bad_images(settings)
    lines = []
    for name in existing:
        source, target = settings.original[name], output_folder(settings, name)
        if source == target or source in target.parents or target in source.parents:
            raise UserError(
                f"The copies of {source} would go to {target}. "
                f"Give originals and copies separate folders in {settings.file}."
            )
        paths = list_images(source)
        good = [path for path in paths if path not in listed]
        jobs = [Job(path, target / path.relative_to(source)) for path in good]
        to_do = [job for job in jobs if not is_done(job)]
        results = map_images(resize_image, to_do, count_workers(settings.training.workers))
        failed = 0
        for job, fault in console.track(results, len(to_do), name):
            if fault is not None:
                reason = fault if isinstance(fault, str) else "its decoder crashed"
                console.warn(f"left out: {job.source}: {reason}")
                failed += 1
        line = f"{name}: {plural(len(to_do) - failed, 'picture')} resized into {target}"
        if skipped := len(jobs) - len(to_do):
            line += f", {skipped:,} already done"
        if bad := len(paths) - len(good) + failed:
            line += f", {bad:,} bad left out"
        lines.append(line)
    return Outcome("\n".join(lines), 0 if len(existing) == len(set(folders)) else 1)
