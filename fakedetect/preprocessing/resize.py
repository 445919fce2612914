"""Option 2: copies of the original pictures, of the size that the chosen model takes."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, file_lock, write_text
from fakedetect.core.processes.pool import map_images
from fakedetect.core.processes.shards import Shard, parse_shard
from fakedetect.core.settings.model_input import REFERENCE_SCALING, Scaling
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.settings.trained_input import check_size, find_scalings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.folders import (
    find_existing_folders,
    list_folder_pictures,
    read_bad_images,
    warn_about_missing,
)
from fakedetect.images.copies import (
    ALIGNED_QUALITY,
    MARKER_FILES,
    PLAIN_COPIES,
    CopyKind,
    encode,
    find_marker_files,
    format_for_copy,
    name_copies,
    open_for_copy,
    shrink,
)
from fakedetect.images.faults import explain_fault
from fakedetect.images.listing import Skipped, list_images
from fakedetect.images.pillow import prepare_pillow
from fakedetect.images.reading import open_checked


@dataclass(frozen=True)
class Resized:
    """What became of a folder's pictures: `made` and `done_before` are copies, `bad` left out.

    Of `made`, `again` were there, of a picture that has changed or was another one.
    `stale` copies have no original any more; `pruned` says whether they were deleted. `partly`: a folder
    could not be read. `planned`: nothing has been done yet.
    """

    name: str
    target: Path
    kind: CopyKind
    shard: Shard
    made: int
    again: int
    done_before: int
    bad: int
    stale: int
    pruned: bool
    partly: bool
    planned: bool

    @property
    def empty(self) -> bool:
        """The folder held no pictures."""
        return self.shard.number == 1 and not (self.made or self.done_before or self.bad)


@dataclass(frozen=True)
class Job:
    """A picture to copy, and where its copy goes."""

    source: Path
    copy: Path
    kind: CopyKind = PLAIN_COPIES


def output_folder(settings: Settings, name: str, scaling: Scaling) -> Path:
    """Where the copies of an original folder ('train-real', …) go that are scaled so."""
    part, label = name.split("-")
    folder = scaling.folder(settings.plain_copies[part])
    older = folder / f"resized_{label}"
    return older if older.is_dir() and not (folder / label).is_dir() else folder / label


def is_done(job: Job) -> bool:
    """Whether the copy is there and its source has not changed since.

    A copy carries its source's time, and is younger than the source's inode: files of an archive share one
    time, and one of them may have taken another's place. Where times of inodes are not kept (Windows), the
    source's time has to do.
    """
    try:
        copy, source = job.copy.stat(), job.source.stat()
    except OSError:
        return False
    apart = abs(copy.st_mtime_ns - source.st_mtime_ns)
    # FAT keeps times to two seconds, exFAT to ten milliseconds.
    coarse = copy.st_mtime_ns % 2_000_000_000 == 0
    same_time = apart < 10_000_000 or (coarse and apart < 2_000_000_000)
    return copy.st_size > 0 and same_time and source.st_ctime_ns < copy.st_ctime_ns


def resize_image(job: Job) -> str | None:
    """Write one copy; returns why the picture cannot be used, or None.

    Raises:
        UserError: the copy cannot be written.
    """
    try:
        # Before it is read: a change while it is being read is seen by the next run.
        source = job.source.stat()
        with open_checked(job.source) as opened:
            image = open_for_copy(opened, job.kind)
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


def _list_jobs(paths: Sequence[Path], source: Path, target: Path, kind: CopyKind) -> list[Job]:
    names = name_copies([path.relative_to(source) for path in paths], kind.aligned)
    return [Job(source / name, target / copy, kind) for name, copy in names.items()]


def _make_place(jobs: Sequence[Job], source: Path, target: Path, kind: CopyKind, shared: bool) -> None:
    """Remove copies of another kind for those of a folder's jobs, of bad pictures too.

    Otherwise a picture would have two copies, or an old one would count as done.

    Raises:
        UserError: they cannot; or the folder is `shared` with other shards, which may be writing.
    """
    if not kind.marker_files and not target.is_dir():
        return
    try:
        if find_marker_files(target) != kind.marker_files:
            if (
                shared
                and target.is_dir()
                and list_images(target)
                and find_marker_files(target) != kind.marker_files
            ):
                raise UserError(
                    f"{target} contains copies of another kind. Remove that folder before the shards start."
                )
            if not shared:
                paths, other = [job.source for job in jobs], replace(kind, aligned=not kind.aligned)
                for job in (*jobs, *_list_jobs(paths, source, target, other)):
                    job.copy.unlink(missing_ok=True)
            for mark in MARKER_FILES:
                if mark in kind.marker_files:
                    write_text(target / mark, "")
                else:
                    (target / mark).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"Cannot replace the copies in {target}: {error.strerror}.") from None


def resize_folder(
    settings: Settings, console: Console, name: str, kind: CopyKind, shard: Shard, request: "Request"
) -> Resized:
    """Copy the pictures of one original folder; those already done are skipped.

    A dry run goes by the names of files and the list of bad pictures, and changes nothing.

    Args:
        name: one of FOLDERS.
        kind: how the copies are made, of which size too.
        shard: the part of the pictures to copy.

    Raises:
        UserError: originals and copies would mix, or the copies cannot be written.
    """
    source, target = _find_places(settings, name, kind)
    listed, dry, failed = read_bad_images(settings), request.dry_run, 0
    paths, skipped = list_folder_pictures(source, console)
    # Shards share the folder.
    alone = bool(paths) and shard.count == 1 and not dry
    with _lock_copies(target) if alone else nullcontext():
        planned = _list_jobs(paths, source, target, kind)
        if not dry:
            _make_place(planned, source, target, kind, shard.count > 1)
        # In a dry run, copies of another kind are still there, and would be made again.
        afresh = dry and target.is_dir() and find_marker_files(target) != kind.marker_files
        jobs = shard.part_of([job for job in planned if job.source not in listed])
        to_do = [job for job in jobs if afresh or not is_done(job)]
        again = 0 if afresh else sum(job.copy.exists() for job in to_do)
        if not dry:
            failed = _make_copies(to_do, name, settings.workers, console)
        # Of several shards, each would count and delete the same.
        first = shard.number == 1 and not afresh
        stale = _find_stale(planned, source, target, skipped) if first else []
        if request.prune and not dry:
            _delete(stale)
    return Resized(
        name=name,
        target=target,
        kind=kind,
        shard=shard,
        made=len(to_do) - failed,
        again=again,
        done_before=len(jobs) - len(to_do),
        bad=sum(path in listed for path in paths) + failed,
        stale=len(stale),
        pruned=request.prune,
        partly=bool(skipped.unreadable),
        planned=dry,
    )


def _make_copies(jobs: Sequence[Job], name: str, workers: int, console: Console) -> int:
    """Write the copies, under a bar with that name; returns how many could not be made."""
    prepare_pillow()
    failed = 0
    for job, reason in console.track(map_images(resize_image, jobs, workers), len(jobs), name):
        if reason is not None:
            console.warn(f"skipped: {printable(job.source)}: {reason}")
            failed += 1
    return failed


def _find_places(settings: Settings, name: str, kind: CopyKind) -> tuple[Path, Path]:
    """Where the originals are and where their copies go.

    Raises:
        UserError: one lies in the other.
    """
    source, target = settings.original[name], output_folder(settings, name, kind.scaling)
    if source == target or source in target.parents or target in source.parents:
        raise UserError(
            f"The copies of {source} would go to {target}. "
            f"Give originals and copies separate folders in {settings.file}."
        )
    return source, target


@contextmanager
def _lock_copies(target: Path) -> Iterator[None]:
    """Keep a class folder of copies to this run; what a killed one left half-written is removed."""
    with file_lock(target.with_name(f".{target.name}.lock"), str(target)):
        for left in target.rglob(f".{'?' * 32}.partial"):
            left.unlink(missing_ok=True)
        yield


def _find_stale(planned: Sequence[Job], source: Path, target: Path, skipped: Skipped) -> list[Path]:
    """The copies of no original, neither of a good nor of a bad one: training would still use them.

    Without any original, nothing is stale: whoever keeps only the copies has deleted them all.
    """
    if not planned or not target.is_dir():
        return []
    expected = {job.copy for job in planned}
    # Of a folder that cannot be read, nobody knows which originals are gone.
    return [
        copy
        for copy in list_images(target)
        if copy not in expected and not skipped.covers(source / copy.relative_to(target))
    ]


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
        f"{resized.name}{shard}: {plural(resized.made, 'picture')}{' to be' if resized.planned else ''} "
        f"resized into {resized.target}"
        + (f" ({scaling})" if scaling != REFERENCE_SCALING else "")
        + (f" (aligned: JPEG, quality {ALIGNED_QUALITY})" if resized.kind.aligned else "")
        + (f", {resized.again:,} of them again, since their originals changed" if resized.again else "")
        + (f", {resized.done_before:,} already done" if resized.done_before else "")
        + (f", {plural(resized.bad, 'bad picture')} skipped" if resized.bad else "")
        + _describe_stale(settings, resized)
    )


def _describe_stale(settings: Settings, resized: Resized) -> str:
    if not resized.stale:
        return ""
    copies = plural(resized.stale, "copy")
    if resized.pruned:
        return f", {copies} without an original {'to be ' if resized.planned else ''}deleted"
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
        dry_run: say what would be done, and change nothing.
        shard: 'k/n' to copy a share only.
    """

    folders: Sequence[str] = ()
    align: bool = False
    fast: bool = False
    prune: bool = False
    dry_run: bool = False
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
    existing = find_existing_folders(settings, folders, console)
    check_size(settings, console)
    warn_about_missing(settings, console)
    kinds = [CopyKind(request.align, request.fast, scaling=scaling) for scaling in find_scalings(settings)]
    done = [
        resize_folder(settings, console, name, kind, part, request) for kind in kinds for name in existing
    ]
    whole = len(existing) == len(set(folders)) and not any(each.empty or each.partly for each in done)
    return Outcome("\n".join(_describe_resized(settings, each) for each in done), 0 if whole else 1)
