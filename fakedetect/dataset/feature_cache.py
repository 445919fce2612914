"""A cache of features on disk, keyed by a picture's content and its view."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.terminal.console import Console

FEATURES_SHARE_OF_DISK = 0.25
"""The largest share of the free disk space that features may take."""

MAGIC = b"fakedetect features 1\n"
KEY_BYTES = hashlib.sha256().digest_size
HEADER_BYTES = 64


def make_feature_key(content: str, view: str) -> bytes:
    """Return the key of a picture's view.

    Args:
        content: the hash of the file.
        view: the name of the view.
    """
    return hashlib.sha256(f"{content}\n{view}".encode()).digest()


class FeatureCache:
    """An append-only file of (key, features (D,) float16), which stays usable after a stopped run.

    Args:
        file: created if it does not exist.
        backbone: a description of all that the features depend on; a file of another backbone is replaced.
        width: D.
    """

    def __init__(self, file: Path, backbone: str, width: int):
        self.file, self.width = file, width
        self.header = (MAGIC + hashlib.sha256(f"{backbone}\n{width}".encode()).digest()).ljust(
            HEADER_BYTES, b"\0"
        )
        self.kind = np.dtype([("key", f"V{KEY_BYTES}"), ("values", "<f2", (width,))])
        self.rows = 0
        self.places: dict[bytes, int] = {}
        self.in_memory: dict[bytes, np.ndarray] = {}
        self.writes = True

    def open(self, keys: Sequence[bytes], console: Console) -> None:
        """Find the cached keys, and check that the disk has room for the others.

        If it does not, warn and keep new features in memory.
        """
        try:
            self._read()
            self._forget_damaged(set(keys))
            missing = len(set(keys) - self.places.keys())
            free = shutil.disk_usage(self._existing_folder()).free
            if missing * self.kind.itemsize > FEATURES_SHARE_OF_DISK * free:
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
            if opened.read(HEADER_BYTES) != self.header:
                self.file.unlink()
                return
        count = (size - HEADER_BYTES) // self.kind.itemsize
        if HEADER_BYTES + count * self.kind.itemsize != size:
            # A run was killed while it wrote the last row.
            with self.file.open("r+b") as opened:
                opened.truncate(HEADER_BYTES + count * self.kind.itemsize)
        self.rows = count
        if count:
            self.places = {key.tobytes(): place for place, key in enumerate(self._map()["key"])}

    def _forget_damaged(self, keys: set[bytes]) -> None:
        """Drop rows that are not finite, so that they are computed again; the last row of a key counts."""
        values = self._map()["values"] if self.rows else None
        for key in keys & self.places.keys():
            if values is not None and not np.isfinite(values[self.places[key]]).all():
                del self.places[key]

    def _map(self) -> np.ndarray:
        return np.memmap(self.file, self.kind, "r", HEADER_BYTES, (self.rows,))

    def __contains__(self, key: bytes) -> bool:
        return key in self.places or key in self.in_memory

    def add(self, keys: Sequence[bytes], features: np.ndarray) -> None:
        """Save features (N, D) under their keys.

        Raises:
            UserError: the file cannot be written.
        """
        values = features.astype("<f2")
        if not self.writes:
            self.add_in_memory(keys, values)
            return
        rows = np.empty(len(keys), self.kind)
        rows["key"] = np.frombuffer(b"".join(keys), f"V{KEY_BYTES}")
        rows["values"] = values
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab") as opened:
                if opened.tell() == 0:
                    opened.write(self.header)
                opened.write(rows.tobytes())
        except OSError as error:
            raise UserError(f"Cannot write {self.file}: {error.strerror}. Check the disk.") from None
        self.places.update({key: self.rows + number for number, key in enumerate(keys)})
        self.rows += len(keys)

    def add_in_memory(self, keys: Sequence[bytes], features: np.ndarray) -> None:
        """Keep features (N, D) in memory only, because another process writes them."""
        self.in_memory.update(zip(keys, features.astype("<f2"), strict=True))

    def read(self, keys: Sequence[bytes]) -> np.ndarray:
        """Return the features (N, D) float16 of keys that are all cached."""
        mapped = self._map()["values"] if self.rows else None
        found = np.empty((len(keys), self.width), np.float16)
        for row, key in enumerate(keys):
            if key in self.in_memory:
                found[row] = self.in_memory[key]
            elif mapped is not None:
                found[row] = mapped[self.places[key]]
        return found
