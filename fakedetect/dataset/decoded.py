"""Decoded pictures: one at a time, or cached together in one array on disk."""

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

DECODED_SHARE_OF_DISK = 0.25
"""The largest share of the free disk space that a dataset's array may take."""

SECONDS_TO_WAIT_FOR_DECODING = 1800.0
"""How long to wait for another run that is decoding the same pictures."""


def load_or_explain(path: Path, scaling: Scaling) -> np.ndarray | str:
    """Return a copy as (S, S, 3) uint8, scaled if necessary, or why it cannot be used."""
    try:
        with open_checked(path) as opened:
            image = to_rgb_or_grey(opened).convert("RGB")
        if image.size != (scaling.size, scaling.size):
            image = scale(image, scaling)
        return np.asarray(image)
    except Exception as error:
        return explain_fault(error, path)


def count_picture_bytes(size: int) -> int:
    """Return the bytes of a decoded picture; `size` is its side in pixels."""
    return size * size * 3


@dataclass(frozen=True)
class DecodedPictures:
    """The decoded pictures of a folder: `file` holds (N, S, S, 3) uint8; `rows` has their rows by path.

    `faults` has the reasons of those that cannot be decoded, which are not in `rows`. `size` is S.
    """

    file: Path
    size: int
    rows: dict[Path, int]
    faults: dict[Path, str]

    def open(self) -> FileIO:
        """Open the file for reading; a mapped file would count as this program's memory."""
        return FileIO(self.file)

    def read(self, file: FileIO, path: Path, pixels: np.ndarray) -> str | None:
        """Read a picture from the opened file into `pixels` (S, S, 3) uint8.

        Returns:
            Why it cannot be used (it could not be decoded, or the file is cut off), or None.
        """
        if path not in self.rows:
            return self.faults.get(path, "was not decoded")
        file.seek(self.rows[path] * count_picture_bytes(self.size))
        if file.readinto(pixels.data) != count_picture_bytes(self.size):
            return f"{self.file} is cut off"
        return None


@dataclass(frozen=True)
class _Job:
    path: Path
    file: Path
    row: int
    scaling: Scaling


def _decode_into(job: _Job) -> str | None:
    """Decode a picture into its row of the file; return why it cannot be used, or None.

    Raises:
        UserError: the array cannot be written.
    """
    pixels = load_or_explain(job.path, job.scaling)
    if isinstance(pixels, str):
        return pixels
    try:
        # Written, not mapped: with a mapped file, a full disk would kill the process.
        with job.file.open("r+b") as file:
            file.seek(job.row * count_picture_bytes(job.scaling.size))
            file.write(pixels.tobytes())
    except OSError as error:
        raise UserError(f"Cannot write {job.file}: {error.strerror}.") from None
    return None


def _state(paths: Sequence[Path], folder: Path) -> np.ndarray:
    """Return the state that decides whether an array is up to date: (N + 1, 4) int64.

    The first row is the hash of the names; the others are the states of the files.
    """
    names = "\0".join(str(path.relative_to(folder)) for path in paths)
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).digest()
    stats = [(0, 0, 0, 0)] * len(paths)
    for row, path in enumerate(paths):
        try:
            # Inode numbers may reach 2 ** 64.
            size, modified, changed, number = state_of(path)
            stats[row] = size, modified, changed, number % 2**63
        except OSError:
            continue
    return np.concatenate([np.frombuffer(digest, np.int64)[None], np.array(stats, np.int64)])


def _open(
    file: Path, index: Path, paths: Sequence[Path], state: np.ndarray, size: int
) -> DecodedPictures | None:
    """Open an existing array; return None unless it is complete and up to date."""
    try:
        with np.load(index, allow_pickle=False) as saved:
            if not np.array_equal(saved["state"], state):
                return None
            found = saved["reasons"]
        whole = file.stat().st_size == len(paths) * count_picture_bytes(size)
    except Exception as error:
        # numpy and zipfile raise many types on damaged files; the array is then rebuilt.
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
    """Fill an array's file; return for each picture why it cannot be decoded, '' if it can."""
    with file.open("wb") as empty:
        empty.truncate(len(paths) * count_picture_bytes(scaling.size))
    reasons = [""] * len(paths)
    jobs = [_Job(path=path, file=file, row=row, scaling=scaling) for row, path in enumerate(paths)]
    for job, reason in console.track(map_images(_decode_into, jobs, workers), len(jobs), "decoding, once"):
        reasons[job.row] = reason or ""
    return reasons


def decode_pictures(
    folder: Path, paths: Sequence[Path], console: Console, workers: int, scaling: Scaling
) -> DecodedPictures | None:
    """Decode the pictures of a folder once into a cache, or reuse that of an earlier run.

    Returns:
        None if the disk has no room (DECODED_SHARE_OF_DISK) or cannot be written; pictures are then decoded
        each time they are needed.
    """
    home = derived_folder_of("decoded", folder)
    file, index, partial = home / "decoded.bin", home / "decoded.npz", home / "decoded.partial"
    state = _state(paths, folder)
    try:
        with file_lock(home / "decoded.lock", str(folder), SECONDS_TO_WAIT_FOR_DECODING):
            if found := _open(file, index, paths, state, scaling.size):
                return found
            need = len(paths) * count_picture_bytes(scaling.size)
            for old in (index, file, partial):
                old.unlink(missing_ok=True)
            remove_least_recent()
            if need > DECODED_SHARE_OF_DISK * shutil.disk_usage(home).free:
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
