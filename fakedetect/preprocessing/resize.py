"""Option 2: copies of the original pictures, of the size that the chosen model takes."""

import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, write_text
from fakedetect.core.processes.pool import map_images
from fakedetect.core.processes.shards import Shard, parse_shard
from fakedetect.core.settings.model_input import REFERENCE_SCALING, Scaling
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.settings.trained_input import check_size, find_scalings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.folders import existing_folders, list_pictures, read_bad_images
from fakedetect.images.copies import (
    ALIGNED_QUALITY,
    MARKS,
    PLAIN_COPIES,
    Kind,
    encode,
    format_for_copy,
    open_for_copy,
    present_marks,
    shrink,
)
from fakedetect.images.faults import explain_fault
from fakedetect.images.listing import list_images
from fakedetect.images.pillow import prepare_pillow
from fakedetect.images.reading import open_checked


@dataclass(frozen=True)
class Resized:
    """What became of a folder's pictures: `made` and `done_before` are copies, `bad` left out.

    `stale` copies have no original any more; `pruned` says whether they were deleted. `partly`: a folder
    could not be read.
    """

    name: str
    target: Path
    kind: Kind
    shard: Shard
    made: int
    done_before: int
    bad: int
    stale: int
    pruned: bool
    partly: bool

    @property
    def empty(self) -> bool:
        """The folder held no pictures."""
        return self.shard.number == 1 and not (self.made or self.done_before or self.bad)


@dataclass(frozen=True)
class Job:
    """A picture to copy, and where its copy goes."""

    source: Path
    copy: Path
    kind: Kind = PLAIN_COPIES


def output_folder(settings: Settings, name: str, scaling: Scaling) -> Path:
    """Where the copies of an original folder ('train-real', …) go that are scaled so."""
    part, label = name.split("-")
    folder = scaling.folder(settings.plain_copies[part])
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
    try:
        with open_checked(job.source) as opened:
            image = open_for_copy(opened, job.kind)
        source = job.source.stat()
    except Exception as error:
        return explain_fault(error, job.source)
    file_format, encoded = format_for_copy(job.copy, "JPEG"), io.BytesIO()
    try:
        image = shrink(image, job.kind)
    except MemoryError as error:
        return explain_fault(error, job.source)
    try:
        # Beside the disk, so that what a picture carries is told from a full one.
        encode(image, encoded, file_format, job.kind)
    except OSError as error:
        return f"its copy cannot be written as {file_format} ({error}); re-save it as PNG or JPEG"
    with atomic_write(job.copy, durable=False) as file:
        file.write(encoded.getbuffer())
    os.utime(job.copy, ns=(source.st_atime_ns, source.st_mtime_ns))
    return None


def _plain_jobs(paths: Sequence[Path], source: Path, target: Path, kind: Kind) -> list[Job]:
    return [Job(path, target / path.relative_to(source), kind) for path in paths]


def _aligned_jobs(paths: Sequence[Path], source: Path, target: Path, kind: Kind) -> list[Job]:
    """All copies end in .jpg; where that makes two the same, they keep their whole names before it."""
    wanted = [target / path.relative_to(source).with_suffix(".jpg") for path in paths]
    counts = Counter(str(copy).lower() for copy in wanted)
    return [
        Job(path, copy if counts[str(copy).lower()] == 1 else copy.with_name(f"{path.name}.jpg"), kind)
        for path, copy in zip(paths, wanted, strict=True)
    ]


def _plan(paths: Sequence[Path], source: Path, target: Path, kind: Kind, shared: bool) -> list[Job]:
    """The jobs of a folder. Copies of another kind make place first.

    Otherwise a picture would have two copies, or an old one would count as done.

    Raises:
        UserError: they cannot; or the folder is `shared` with other shards, which may be writing.
    """
    plain, aligned = (make(paths, source, target, kind) for make in (_plain_jobs, _aligned_jobs))
    jobs = aligned if kind.aligned else plain
    if not kind.marks and not target.is_dir():
        return jobs
    try:
        if present_marks(target) != kind.marks:
            if shared and target.is_dir() and list_images(target) and present_marks(target) != kind.marks:
                raise UserError(
                    f"{target} contains copies of another kind. Remove that folder before the shards start."
                )
            for job in () if shared else (*plain, *aligned):
                job.copy.unlink(missing_ok=True)
            for mark in MARKS:
                if mark in kind.marks:
                    write_text(target / mark, "")
                else:
                    (target / mark).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"Cannot replace the copies in {target}: {error.strerror}.") from None
    return jobs


def resize_folder(
    settings: Settings, console: Console, name: str, kind: Kind, shard: Shard, prune: bool = False
) -> Resized:
    """Copy the pictures of one original folder; those already done are skipped.

    Args:
        name: one of FOLDERS.
        kind: how the copies are made, of which size too.
        shard: the part of the pictures to copy.
        prune: delete the copies that have no original any more.

    Raises:
        UserError: originals and copies would mix, or the copies cannot be written.
    """
    source, target = settings.original[name], output_folder(settings, name, kind.scaling)
    if source == target or source in target.parents or target in source.parents:
        raise UserError(
            f"The copies of {source} would go to {target}. "
            f"Give originals and copies separate folders in {settings.file}."
        )
    listed = read_bad_images(settings)
    paths, skipped = list_pictures(source, console)
    good = [path for path in paths if path not in listed]
    planned = _plan(good, source, target, kind, shard.count > 1)
    jobs = shard.part_of(planned)
    to_do = [job for job in jobs if not is_done(job)]
    prepare_pillow()
    results = map_images(resize_image, to_do, settings.workers)
    failed = 0
    for job, reason in console.track(results, len(to_do), name):
        if reason is not None:
            console.warn(f"skipped: {printable(job.source)}: {reason}")
            failed += 1
    # Of several shards, each would count and delete the same.
    stale = _find_stale(paths, planned, source, target, kind) if shard.number == 1 else []
    stale = [copy for copy in stale if not skipped.covers(source / copy.relative_to(target))]
    if prune:
        _delete(stale)
    return Resized(
        name=name,
        target=target,
        kind=kind,
        shard=shard,
        made=len(to_do) - failed,
        done_before=len(jobs) - len(to_do),
        bad=len(paths) - len(good) + failed,
        stale=len(stale),
        pruned=prune,
        partly=bool(skipped.unreadable),
    )


def _find_stale(
    paths: Sequence[Path], planned: Sequence[Job], source: Path, target: Path, kind: Kind
) -> list[Path]:
    """The copies of no original, neither of a good nor of a bad one: training would still use them.

    Without any original, nothing is stale: whoever keeps only the copies has deleted them all.
    """
    if not paths or not target.is_dir():
        return []
    good = {job.source for job in planned}
    bad = [path for path in paths if path not in good]
    make = _aligned_jobs if kind.aligned else _plain_jobs
    expected = {job.copy for job in (*planned, *make(bad, source, target, kind))}
    return [copy for copy in list_images(target) if copy not in expected]


def _delete(copies: Sequence[Path]) -> None:
    for copy in copies:
        try:
            copy.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"Cannot delete {copy}: {error.strerror}. Close the program that has it open."
            ) from None


def _describe_resized(settings: Settings, resized: Resized) -> str:
    shard = f" (shard {resized.shard})" if resized.shard.count > 1 else ""
    scaling = resized.kind.scaling
    if resized.empty:
        where = settings.original[resized.name]
        none = f"{resized.name}{shard}: there are no pictures in {where}. Put some there, then resize."
        return none + _describe_stale(settings, resized)
    return (
        f"{resized.name}{shard}: {plural(resized.made, 'picture')} resized into {resized.target}"
        + (f" ({scaling})" if scaling != REFERENCE_SCALING else "")
        + (f" (aligned: JPEG, quality {ALIGNED_QUALITY})" if resized.kind.aligned else "")
        + (f", {resized.done_before:,} already done" if resized.done_before else "")
        + (f", {plural(resized.bad, 'bad picture')} skipped" if resized.bad else "")
        + _describe_stale(settings, resized)
    )


def _describe_stale(settings: Settings, resized: Resized) -> str:
    if not resized.stale:
        return ""
    copies = plural(resized.stale, "copy")
    if resized.pruned:
        return f", {copies} without an original deleted"
    has, them = ("has", "it") if resized.stale == 1 else ("have", "them")
    return (
        f"\n  {copies} {has} no original any more (moved, deleted?), and training would still use {them}. "
        f"To delete {them}: {settings.command('resize', '--prune', resized.name)}"
    )


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a call of resize asks for.

    Attributes:
        folders: any of FOLDERS; none of them means all.
        align: every copy is an RGB JPEG of one quality by one encoder, whatever the original was:
            the classes can then not be told apart by their files.
        fast: large JPEGs are decoded at a smaller size, still at least twice that of the copy.
        prune: delete copies whose original has been moved or deleted.
        shard: 'k/n' to copy a share only.
    """

    folders: Sequence[str] = ()
    align: bool = False
    fast: bool = False
    prune: bool = False
    shard: str | None = None


def resize(settings: Settings, console: Console, **asked: Any) -> Outcome:
    """Copy the pictures of the asked-for original folders in the size that the chosen model takes.

    Those already done are skipped. Where the model has a checkpoint that was trained with another size than
    it would be now, copies of both are made.

    Args:
        asked: the fields of a Request.

    Raises:
        UserError: no folder is there, the model does not take that size, or copies cannot be written.
    """
    request = Request(**asked)
    part, folders = parse_shard(request.shard), request.folders or FOLDERS
    existing = existing_folders(settings, folders, console)
    check_size(settings, console)
    kinds = [Kind(request.align, request.fast, scaling=scaling) for scaling in find_scalings(settings)]
    done = [
        resize_folder(settings, console, name, kind, part, request.prune)
        for kind in kinds
        for name in existing
    ]
    whole = len(existing) == len(set(folders)) and not any(each.empty or each.partly for each in done)
    return Outcome("\n".join(_describe_resized(settings, each) for each in done), 0 if whole else 1)
