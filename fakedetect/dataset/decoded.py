"""Pictures as pixels: decoded one by one, or once for all into one array on the disk."""

import hashlib
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from fakedetect.core.derived import derived_folder_of, remove_least_recent
from fakedetect.core.errors import UserError, is_bug
from fakedetect.core.files import atomic_write, file_lock, state_of
from fakedetect.core.processes.pool import map_images
from fakedetect.core.settings.model_input import Scaling
from fakedetect.core.terminal.console import Console
from fakedetect.images.copies import scale
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import open_checked, to_rgb_or_grey

SHARE_OF_DISK = 0.25
"""Of the free disk, the most that the array of a data set may take."""

SECONDS_TO_WAIT = 1800.0
"""For another run to decode the same pictures."""


def load_or_explain(path: Path, scaling: Scaling) -> np.ndarray | str:
    """A copy as (S, S, 3) uint8, or why it cannot be used; a picture of another size is scaled."""
    try:
        with open_checked(path) as opened:
            image = to_rgb_or_grey(opened).convert("RGB")
        if image.size != (scaling.size, scaling.size):
            image = scale(image, scaling)
        return np.asarray(image)
    except Exception as error:
        return explain_fault(error, path)


def bytes_of(size: int) -> int:
    """How many bytes a decoded picture of so many pixels a side takes."""
    return size * size * 3


@dataclass(frozen=True)
class DecodedPictures:
    """The decoded pictures of a folder: `file` holds (N, S, S, 3) uint8, and each has its row.

    `faults` has the reasons of those that cannot be decoded; they have no row. `size` is S.
    """

    file: Path
    size: int
    rows: dict[Path, int]
    faults: dict[Path, str]

    def open(self) -> FileIO:
        """The file, for reading; a mapped one would count all that was read as this program's memory."""
        return FileIO(self.file)

    def read(self, file: FileIO, path: Path, pixels: np.ndarray) -> str | None:
        """Read a picture from the opened file into `pixels` (S, S, 3) uint8.

        Returns:
            Why it cannot be used: it could not be decoded, or the file ends before it. None if it can.
        """
        if path not in self.rows:
            return self.faults.get(path, "was not decoded")
        file.seek(self.rows[path] * bytes_of(self.size))
        if file.readinto(pixels.data) != bytes_of(self.size):
            return f"{self.file} is cut off"
        return None


@dataclass(frozen=True)
class _Job:
    path: Path
    file: Path
    row: int
    scaling: Scaling


def _decode_into(job: _Job) -> str | None:
    """Write a picture's pixels into its row; returns why it cannot be used, or None.

    Raises:
        UserError: the array cannot be written.
    """
    pixels = load_or_explain(job.path, job.scaling)
    if isinstance(pixels, str):
        return pixels
    try:
        # Written, not mapped: with a mapped file, a full disk would kill the process.
        with job.file.open("r+b") as file:
            file.seek(job.row * bytes_of(job.scaling.size))
            file.write(pixels.tobytes())
    except OSError as error:
        raise UserError(f"Cannot write {job.file}: {error.strerror}.") from None
    return None


def _state(paths: Sequence[Path], folder: Path) -> np.ndarray:
    """What has to be equal for an array to be up to date: (N + 1, 4) int64.

    The names' hash, and each file's state.
    """
    names = "\0".join(str(path.relative_to(folder)) for path in paths)
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).digest()
    stats = [(0, 0, 0, 0)] * len(paths)
    for row, path in enumerate(paths):
        try:
            # A file system may number its files up to 2 ** 64.
            size, modified, changed, number = state_of(path)
            stats[row] = size, modified, changed, number % 2**63
        except OSError:
            continue
    return np.concatenate([np.frombuffer(digest, np.int64)[None], np.array(stats, np.int64)])


def _open(
    file: Path, index: Path, paths: Sequence[Path], state: np.ndarray, size: int
) -> DecodedPictures | None:
    """The array that is there, if it is whole and up to date."""
    try:
        with np.load(index, allow_pickle=False) as saved:
            if not np.array_equal(saved["state"], state):
                return None
            found = saved["reasons"]
        whole = file.stat().st_size == len(paths) * bytes_of(size)
    except Exception as error:
        # numpy and zipfile raise whatever the bytes lead them to; the array is made anew.
        if is_bug(error):
            raise
        return None
    if not whole or found.shape != (len(paths),) or found.dtype.kind != "U":
        return None
    reasons = found.tolist()
    faults = {path: reason for path, reason in zip(paths, reasons, strict=True) if reason}
    rows = {path: row for row, path in enumerate(paths) if path not in faults}
    return DecodedPictures(file=file, size=size, rows=rows, faults=faults)


def _build(
    file: Path, paths: Sequence[Path], console: Console, workers: int, scaling: Scaling
) -> list[str]:
    """Fill an array's file; returns for each picture why it has no pixels, '' where it has."""
    with file.open("wb") as empty:
        empty.truncate(len(paths) * bytes_of(scaling.size))
    reasons = [""] * len(paths)
    jobs = [_Job(path=path, file=file, row=row, scaling=scaling) for row, path in enumerate(paths)]
    for job, reason in console.track(map_images(_decode_into, jobs, workers), len(jobs), "decoding, once"):
        reasons[job.row] = reason or ""
    return reasons


def decode_all(
    folder: Path, paths: Sequence[Path], console: Console, workers: int, scaling: Scaling
) -> DecodedPictures | None:
    """The pictures below a folder decoded once, kept among what is derived, or as an earlier run left them.

    Returns:
        None where the array has no room (SHARE_OF_DISK) or no place; pictures are then decoded
        whenever they are needed.
    """
    home = derived_folder_of("decoded", folder)
    file, index, partial = home / "decoded.bin", home / "decoded.npz", home / "decoded.partial"
    state = _state(paths, folder)
    try:
        with file_lock(home / "decoded.lock", str(folder), SECONDS_TO_WAIT):
            if found := _open(file, index, paths, state, scaling.size):
                return found
            need = len(paths) * bytes_of(scaling.size)
            for old in (index, file, partial):
                old.unlink(missing_ok=True)
            remove_least_recent()
            if need > SHARE_OF_DISK * shutil.disk_usage(home).free:
                console.warn(
                    f"Not enough disk space for {need / 1e9:.1f} GB of decoded pictures in {home}; "
                    "they are decoded each time they are needed, which is slower."
                )
                return None
            try:
                reasons = _build(partial, paths, console, workers, scaling)
                partial.replace(file)
            finally:
                partial.unlink(missing_ok=True)
            saved = io.BytesIO()
            np.savez(saved, state=state, reasons=np.array(reasons, dtype=np.str_))
            with atomic_write(index) as target:
                target.write(saved.getvalue())
            return _open(file, index, paths, state, scaling.size)
    except (OSError, UserError) as error:
        console.warn(f"The pictures are decoded each time they are needed, which is slower: {error}")
        return None
