"""Files that are whole or absent: written to a temporary name and renamed."""

import errno
import hashlib
import json
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fakedetect.core.errors import UserError

if TYPE_CHECKING:
    from filelock import BaseFileLock

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""The errors of file systems that do not support locks."""


def as_stored(path: Path) -> Path:
    """Return the path under which a file or folder is stored; `path` itself if it does not exist.

    A name may be stored in another Unicode normal form than it is typed in: macOS writes é as two
    characters, other systems as one, and most file systems distinguish the two.
    """
    if str(path).isascii() or os.path.lexists(path) or path == path.parent:
        return path
    folder = as_stored(path.parent)
    if os.path.lexists(folder / path.name):
        return folder / path.name
    try:
        names = os.listdir(folder)
    except (OSError, ValueError):
        return path
    wanted = unicodedata.normalize("NFC", path.name)
    return next((folder / name for name in names if unicodedata.normalize("NFC", name) == wanted), path)


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` only if the block succeeds.

    A `durable` file is flushed to the disk before it is renamed, so it is whole even after a power cut.
    This is slow for many files.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    temporary = path.with_name(f".{os.urandom(16).hex()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Check the disk and the permissions."
        ) from error
    finally:
        # If the folder does not exist, there is nothing to remove.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all.

    Raises:
        OSError: the source cannot be read.
        UserError: the folder cannot be written to, or the disk is full.
    """
    with source.open("rb") as read, atomic_write(target) as written:
        shutil.copyfileobj(read, written)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock a folder for this run, and remove partial files left by a run that was killed.

    Raises:
        UserError: another run holds it, or the folder cannot be written to.
    """
    with file_lock(folder / ".lock", str(folder)):
        for left in folder.glob(".*.partial"):
            left.unlink(missing_ok=True)
        yield


@contextmanager
def file_lock(path: Path, what: str, seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock file until the block ends; a file next to it names the process.

    Args:
        what: what is locked, for the message.
        seconds: how long to wait for another run to release it.

    Raises:
        UserError: another run holds the lock, or it cannot be written.
    """
    # Every worker imports this module, but few use a lock.
    from filelock import Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path, seconds)
    except Timeout:
        raise UserError(
            f"{what} is in use by another run{_holder(path)}. Wait for it to end, or stop it."
        ) from None
    except OSError as error:
        if path.is_symlink():
            raise UserError(f"{path} is a symbolic link, which is not followed. Remove it.") from None
        raise UserError(f"Cannot write {path}: {error.strerror}. Check the permissions.") from error
    # In a file of its own, because Windows does not allow reading a locked file.
    owner = _owner_file(path)
    try:
        with atomic_write(owner, durable=False) as file:
            file.write(str(os.getpid()).encode("ascii"))
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        # Removed while held: the next holder sees that it is gone and creates it again.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _acquire(path: Path, seconds: float) -> "BaseFileLock":
    """Acquire the system's lock, or a lock file if the file system has no locks (NFS, FUSE, SMB).

    Raises:
        Timeout: another run holds the lock.
        OSError: the file cannot be written.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    lock: BaseFileLock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in NO_LOCKS:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.soft"), timeout=seconds)
        lock.acquire()
    return lock


def _owner_file(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.process")


def _holder(lock: Path) -> str:
    """Return ' (process 123)' for the process that holds a lock; '' if it is not known yet."""
    try:
        number = _owner_file(lock).read_text(encoding="ascii", errors="replace")[:20]
    except OSError:
        return ""
    return f" (process {number})" if number.isdigit() else ""


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; file names that are not UTF-8 keep their bytes."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def check_regular(path: Path) -> None:
    """Refuse a pipe, a socket or a device, which could block forever when opened.

    Raises:
        OSError: it is one of these, or it does not exist.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def state_of(path: Path) -> tuple[int, int, int, int]:
    """Return what changes when a file is modified or replaced: size, mtime, ctime (ns) and inode.

    The mtime alone is not enough: files of one archive share it, and copying programs preserve it. Nobody
    can set the ctime. On Windows it is the time of creation.

    Raises:
        OSError: the file does not exist.
    """
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_text(text: str) -> str:
    """Return hash_file() of the file that write_text() would write."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()
