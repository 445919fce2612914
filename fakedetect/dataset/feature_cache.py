"""Features of pictures on the disk, found by what is in the picture's file and how it was looked at."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.terminal.console import Console

SHARE_OF_DISK = 0.25
"""Of the free disk, the most that the features may take."""

MAGIC = b"fakedetect features 1\n"
KEY = hashlib.sha256().digest_size
HEAD = 64


def key_of(content: str, view: str) -> bytes:
    """The key of a picture's view: the hash of its file, and the view in words."""
    return hashlib.sha256(f"{content}\n{view}".encode()).digest()


class FeatureCache:
    """An append-only file of (key, features (D,) float16), which a stopped run leaves usable.

    Args:
        file: written on, or begun where there is none of this backbone.
        backbone: what all features depend on, in words; a file of another is begun anew.
        width: D.
    """

    def __init__(self, file: Path, backbone: str, width: int):
        self.file, self.width = file, width
        self.head = (MAGIC + hashlib.sha256(f"{backbone}\n{width}".encode()).digest()).ljust(HEAD, b"\0")
        self.kind = np.dtype([("key", f"V{KEY}"), ("values", "<f2", (width,))])
        self.rows = 0
        self.places: dict[bytes, int] = {}
        self.kept: dict[bytes, np.ndarray] = {}
        self.writes = True

    def open(self, keys: Sequence[bytes], console: Console) -> None:
        """Find the keys that are there, and make sure that there is room for the others.

        What does not fit onto the disk is kept in memory, and told.
        """
        try:
            self._read()
            self._forget_damaged(set(keys))
            missing = len(set(keys) - self.places.keys())
            free = shutil.disk_usage(self._existing_folder()).free
            if missing * self.kind.itemsize > SHARE_OF_DISK * free:
                self.writes = False
                console.warn(
                    f"Not enough disk space for {missing * self.kind.itemsize / 1e9:.1f} GB of features in "
                    f"{self.file}: they will be recomputed next time."
                )
        except OSError as error:
            self.writes = False
            console.warn(f"Features are not saved: cannot read {self.file}: {error.strerror}.")

    def _existing_folder(self) -> Path:
        return next(folder for folder in self.file.parents if folder.is_dir())

    def _read(self) -> None:
        if self.file.is_symlink():
            raise OSError(None, "it is a symbolic link, which is not followed")
        if not self.file.is_file():
            return
        size = self.file.stat().st_size
        with self.file.open("rb") as opened:
            if opened.read(HEAD) != self.head:
                self.file.unlink()
                return
        count = (size - HEAD) // self.kind.itemsize
        if HEAD + count * self.kind.itemsize != size:
            # The last one was being written when that run was killed.
            with self.file.open("r+b") as opened:
                opened.truncate(HEAD + count * self.kind.itemsize)
        self.rows = count
        if count:
            self.places = {key.tobytes(): place for place, key in enumerate(self._map()["key"])}

    def _forget_damaged(self, keys: set[bytes]) -> None:
        """Let features that no network gives be computed again; the row that is written last holds."""
        values = self._map()["values"] if self.rows else None
        for key in keys & self.places.keys():
            if values is not None and not np.isfinite(values[self.places[key]]).all():
                del self.places[key]

    def _map(self) -> np.ndarray:
        return np.memmap(self.file, self.kind, "r", HEAD, (self.rows,))

    def __contains__(self, key: bytes) -> bool:
        return key in self.places or key in self.kept

    def add(self, keys: Sequence[bytes], features: np.ndarray) -> None:
        """Keep features (N, D) under their keys.

        Raises:
            UserError: the file cannot be written.
        """
        values = features.astype("<f2")
        if not self.writes:
            self.remember(keys, values)
            return
        rows = np.empty(len(keys), self.kind)
        rows["key"] = np.frombuffer(b"".join(keys), f"V{KEY}")
        rows["values"] = values
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab") as opened:
                if opened.tell() == 0:
                    opened.write(self.head)
                opened.write(rows.tobytes())
        except OSError as error:
            raise UserError(f"Cannot write {self.file}: {error.strerror}. Check the disk.") from None
        self.places.update({key: self.rows + number for number, key in enumerate(keys)})
        self.rows += len(keys)

    def remember(self, keys: Sequence[bytes], features: np.ndarray) -> None:
        """Keep features (N, D) in memory only: another process writes them."""
        self.kept.update(zip(keys, features.astype("<f2"), strict=True))

    def read(self, keys: Sequence[bytes]) -> np.ndarray:
        """The features (N, D) float16 of keys that are all there."""
        mapped = self._map()["values"] if self.rows else None
        found = np.empty((len(keys), self.width), np.float16)
        for row, key in enumerate(keys):
            if key in self.kept:
                found[row] = self.kept[key]
            elif mapped is not None:
                found[row] = mapped[self.places[key]]
        return found
