"""Files that are whole or absent: written beside their place and renamed into it."""

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
"""What a file system without locks answers."""


def as_stored(path: Path) -> Path:
    """The path under which a file or folder is here; the same one where it is not.

    A name may be stored in another normal form of Unicode than it is typed or shown in: macOS writes é as
    two characters, others as one, and most file systems tell these apart.
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
    """Open a binary file that takes the place of `path` only when the block ends well.

    A `durable` file is on the disk before it takes that place, and so whole even after a power cut;
    waiting for the disk is slow where many files are written.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    beside = path.with_name(f".{os.urandom(16).hex()}.partial")
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
    """Keep a folder to this run; what an earlier one that was killed left half-written is removed.

    Raises:
        UserError: another run has it, or the folder cannot be written to.
    """
    with file_lock(folder / ".lock", str(folder)):
        for left in folder.glob(".*.partial"):
            left.unlink(missing_ok=True)
        yield


@contextmanager
def file_lock(path: Path, what: str, seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock file, which has this process's number in it and goes when the block ends.

    Args:
        what: what the lock keeps to one run, for the message.
        seconds: how long to wait for another run to let go.

    Raises:
        UserError: another run holds it, or it cannot be written.
    """
    # Every worker imports this module, and few lock anything.
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
    # Beside the lock, for Windows lets nobody touch the file that is locked.
    owner = _owner_file(path)
    try:
        with atomic_write(owner, durable=False) as file:
            file.write(str(os.getpid()).encode("ascii"))
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        # Removed while it is held: who gets it after us sees that it is gone and makes it anew.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _acquire(path: Path, seconds: float) -> "BaseFileLock":
    """The system's lock, or where the file system has none (NFS, FUSE, SMB), a file that is there.

    Raises:
        Timeout: another run holds it.
        OSError: it cannot be written.
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
    """' (process 123)' by the file beside a lock; '' where there is none yet."""
    try:
        number = _owner_file(lock).read_text(encoding="ascii", errors="replace")[:20]
    except OSError:
        return ""
    return f" (process {number})" if number.isdigit() else ""


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; names that are not UTF-8 keep their bytes."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def check_regular(path: Path) -> None:
    """Let no pipe, socket or device be opened, which may wait for ever.

    Raises:
        OSError: it is one, or it is not there.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def state_of(path: Path) -> tuple[int, int, int, int]:
    """What changes when a file is changed or exchanged: size, its time, the inode's time, the inode.

    The file's time alone says little: files of an archive share it, and programs that copy give it on. The
    inode's time nobody can set. Windows has the time of creation in its place.

    Raises:
        OSError: there is no such file.
    """
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_text(text: str) -> str:
    """hash_file of what write_text makes of a text."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()
