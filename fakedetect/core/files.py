"""Files that are whole or absent: written beside their place and renamed into it."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fakedetect.core.errors import UserError


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` only when the block ends well.

    A `durable` file is on the disk before it takes that place, and so whole even after a power cut;
    waiting for the disk is slow where many files are written.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    beside = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Check the disk and the permissions."
        ) from error
    finally:
        # Where there is no such folder there is nothing to remove.
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep a folder to this run; what an earlier one that was killed left half-written is removed.

    Raises:
        UserError: another run has it, or the folder cannot be written to.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _take_lock(path)
        for left in folder.glob(".*.partial"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write into {folder}: {error.strerror}. Check the permissions.") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _take_lock(path: Path) -> BinaryIO:
    try:
        import fcntl
    except ImportError:
        # Without such locks, as on Windows, an open file cannot be removed: that does the same.
        path.unlink(missing_ok=True)
        return path.open("wb")
    while True:
        file = path.open("ab+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read(20).decode("ascii", "replace") or "?"
            file.close()
            raise UserError(
                f"{path.parent} is in use by another run (process {who}). Wait for it to end, or end it."
            ) from None
        try:
            current = path.stat().st_ino == os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            current = False
        if current:
            file.truncate(0)
            file.write(str(os.getpid()).encode("ascii"))
            file.flush()
            return file
        # The run before removed its lock between our two looks at it.
        file.close()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; names that are not UTF-8 keep their bytes."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file, or None where there is no readable one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
