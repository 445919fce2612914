"""Option 2: resize copies of the original pictures to the input size of the chosen model."""

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
class ResizedFolder:
    """The result for a folder, in numbers of pictures.

    Attributes:
        name: one of FOLDERS.
        target: the folder of the copies.
        made: copies that were made in this run.
        renewed: those of `made` that replaced a copy, because the original has changed.
        done_before: copies that were up to date.
        bad: pictures that were skipped.
        stale: copies without an original.
        pruned: stale copies were deleted.
        incomplete: a subfolder cannot be read.
        planned: a dry run; nothing was changed.
    """

    name: str
    target: Path
    kind: CopyKind
    shard: Shard
    made: int
    renewed: int
    done_before: int
    bad: int
    stale: int
    pruned: bool
    incomplete: bool
    planned: bool

    @property
    def empty(self) -> bool:
        """Whether the folder has no pictures."""
        return self.shard.number == 1 and not (self.made or self.done_before or self.bad)


@dataclass(frozen=True)
class CopyJob:
    """A picture to copy, and the path of the copy."""

    source: Path
    copy: Path
    kind: CopyKind = PLAIN_COPIES


def find_output_folder(settings: Settings, name: str, scaling: Scaling) -> Path:
    """Return the folder for the copies of an original folder ('train-real', …) with this scaling."""
    part, label = name.split("-")
    folder = scaling.folder(settings.plain_copies[part])
    older = folder / f"resized_{label}"
    return older if older.is_dir() and not (folder / label).is_dir() else folder / label


def is_done(job: CopyJob) -> bool:
    """Whether the copy exists and its source has not changed since.

    A copy has its source's modification time, and a later inode change time than the source. The second
    check is for sources that were replaced by a file with the same time, as files of an archive often have.
    On Windows, which has no inode change time, only the first applies.
    """
    try:
        copy, source = job.copy.stat(), job.source.stat()
    except OSError:
        return False
    apart = abs(copy.st_mtime_ns - source.st_mtime_ns)
    # The resolution is two seconds on FAT, ten milliseconds on exFAT.
    coarse = copy.st_mtime_ns % 2_000_000_000 == 0
    same_time = apart < 10_000_000 or (coarse and apart < 2_000_000_000)
    return copy.st_size > 0 and same_time and source.st_ctime_ns < copy.st_ctime_ns


def resize_image(job: CopyJob) -> str | None:
    """Write a copy; return the reason if the picture cannot be used, None otherwise.

    Raises:
        UserError: the copy cannot be written.
    """
    try:
        # Before reading, so that the next run notices a change during the reading.
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
        # In memory, so that an error of the encoder is not mistaken for a full disk.
        encode(image, encoded, file_format, job.kind)
    except OSError as error:
        return f"its copy cannot be written as {file_format} ({error}); re-save it as PNG or JPEG"
    with atomic_write(job.copy, durable=False) as file:
        file.write(encoded.getbuffer())
    os.utime(job.copy, ns=(source.st_atime_ns, source.st_mtime_ns))
    return None


def _list_jobs(paths: Sequence[Path], source: Path, target: Path, kind: CopyKind) -> list[CopyJob]:
    names = name_copies([path.relative_to(source) for path in paths], kind.aligned)
    return [CopyJob(source / name, target / copy, kind) for name, copy in names.items()]


def _prepare_target(
    jobs: Sequence[CopyJob], source: Path, target: Path, kind: CopyKind, shared: bool
) -> None:
    """Remove a folder's copies of another kind, those of bad pictures too, and set its marker files.

    Otherwise a picture would have two copies, or an old copy would count as done.

    Raises:
        UserError: a copy cannot be removed, or the folder is `shared`: other shards may be writing.
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
            for marker in MARKER_FILES:
                if marker in kind.marker_files:
                    write_text(target / marker, "")
                else:
                    (target / marker).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"Cannot replace the copies in {target}: {error.strerror}.") from None


def resize_folder(
    settings: Settings, console: Console, name: str, kind: CopyKind, shard: Shard, request: "ResizeRequest"
) -> ResizedFolder:
    """Copy the pictures of an original folder; skip those already done.

    A dry run uses the names of files and the list of bad pictures, and changes nothing.

    Args:
        name: one of FOLDERS.
        kind: the kind of the copies, with their size.
        shard: the part of the pictures to copy.

    Raises:
        UserError: originals and copies would mix, or the copies cannot be written.
    """
    source, target = _find_folders(settings, name, kind)
    bad_images, dry, failed = read_bad_images(settings), request.dry_run, 0
    paths, skipped = list_folder_pictures(source, console)
    # Shards share the folder.
    locked = bool(paths) and shard.count == 1 and not dry
    with _lock_copies(target) if locked else nullcontext():
        planned = _list_jobs(paths, source, target, kind)
        if not dry:
            _prepare_target(planned, source, target, kind, shard.count > 1)
        # A dry run does not remove copies of another kind; they would be made again.
        remake_all = dry and target.is_dir() and find_marker_files(target) != kind.marker_files
        jobs = shard.part_of([job for job in planned if job.source not in bad_images])
        to_do = [job for job in jobs if remake_all or not is_done(job)]
        renewed = 0 if remake_all else sum(job.copy.exists() for job in to_do)
        if not dry:
            failed = _make_copies(to_do, name, settings.workers, console)
        # Only the first shard: all would count and delete the same copies.
        first = shard.number == 1 and not remake_all
        stale = _find_stale(planned, source, target, skipped) if first else []
        if request.prune and not dry:
            _delete(stale)
    return ResizedFolder(
        name=name,
        target=target,
        kind=kind,
        shard=shard,
        made=len(to_do) - failed,
        renewed=renewed,
        done_before=len(jobs) - len(to_do),
        bad=sum(path in bad_images for path in paths) + failed,
        stale=len(stale),
        pruned=request.prune,
        incomplete=bool(skipped.unreadable),
        planned=dry,
    )


def _make_copies(jobs: Sequence[CopyJob], name: str, workers: int, console: Console) -> int:
    """Write the copies, with a progress bar of that name; return the number of failures."""
    prepare_pillow()
    failed = 0
    for job, reason in console.track(map_images(resize_image, jobs, workers), len(jobs), name):
        if reason is not None:
            console.warn(f"skipped: {printable(job.source)}: {reason}")
            failed += 1
    return failed


def _find_folders(settings: Settings, name: str, kind: CopyKind) -> tuple[Path, Path]:
    """Return the folder of the originals and that of their copies.

    Raises:
        UserError: one is inside the other.
    """
    source, target = settings.original[name], find_output_folder(settings, name, kind.scaling)
    if source == target or source in target.parents or target in source.parents:
        raise UserError(
            f"The copies of {source} would go to {target}. "
            f"Give originals and copies separate folders in {settings.file}."
        )
    return source, target


@contextmanager
def _lock_copies(target: Path) -> Iterator[None]:
    """Lock a class folder of copies, and remove the partial files of a killed run."""
    with file_lock(target.with_name(f".{target.name}.lock"), str(target)):
        for partial in target.rglob(f".{'?' * 32}.partial"):
            partial.unlink(missing_ok=True)
        yield


def _find_stale(planned: Sequence[CopyJob], source: Path, target: Path, skipped: Skipped) -> list[Path]:
    """Find copies without an original, good or bad; training would still use them.

    Without any originals, nothing is stale: some users keep only the copies.
    """
    if not planned or not target.is_dir():
        return []
    expected = {job.copy for job in planned}
    # In a folder that cannot be read, originals may still exist.
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


def _describe_resized(settings: Settings, resized: ResizedFolder) -> str:
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
        + (f", {resized.renewed:,} of them again, since their originals changed" if resized.renewed else "")
        + (f", {resized.done_before:,} already done" if resized.done_before else "")
        + (f", {plural(resized.bad, 'bad picture')} skipped" if resized.bad else "")
        + _describe_stale(settings, resized)
    )


def _describe_stale(settings: Settings, resized: ResizedFolder) -> str:
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
class ResizeRequest:
    """The options of resize.

    Attributes:
        folders: any of FOLDERS; () for all.
        align: make every copy an RGB JPEG of one quality by one encoder, so that the files' properties do
            not separate the classes.
        fast: decode large JPEGs at a smaller size, at least twice that of the copy.
        prune: delete copies whose original has been moved or deleted.
        dry_run: describe what would be done, and change nothing.
        shard: 'k/n' to copy a part only.
    """

    folders: Sequence[str] = ()
    align: bool = False
    fast: bool = False
    prune: bool = False
    dry_run: bool = False
    shard: str | None = None


def resize(settings: Settings, console: Console, **arguments: Any) -> Outcome:
    """Copy the pictures of the requested original folders at the input size of the chosen model.

    Copies already done are skipped. If the model's checkpoint was trained with another size, copies
    of both sizes are made.

    Args:
        arguments: the fields of ResizeRequest.

    Raises:
        UserError: no folder exists, the model does not support the size, or copies cannot be written.
    """
    request = ResizeRequest(**arguments)
    part, folders = parse_shard(request.shard), request.folders or FOLDERS
    existing = find_existing_folders(settings, folders, console)
    check_size(settings, console)
    warn_about_missing(settings, console)
    kinds = [CopyKind(request.align, request.fast, scaling=scaling) for scaling in find_scalings(settings)]
    done = [
        resize_folder(settings, console, name, kind, part, request) for kind in kinds for name in existing
    ]
    complete = len(existing) == len(set(folders)) and not any(
        each.empty or each.incomplete for each in done
    )
    return Outcome("\n".join(_describe_resized(settings, each) for each in done), 0 if complete else 1)
