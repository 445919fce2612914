"""The memory that pictures may use, divided among processes, and glibc's settings to keep freed memory."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

MOST_BYTES_PER_PICTURE = 4 * 1024**3
"""What a process may use in addition to its libraries."""

LEAST_BYTES_PER_PICTURE = 256 * 1024**2
"""Fewer processes are started rather than giving each less: a 12-megapixel photograph needs half of it."""

TOO_LARGE = "needs too much memory"
"""The reason for a picture that may be usable with more memory."""

SHARE_OF_FREE = 0.8
"""The share of the free memory for pictures; the rest is for this process and other programs."""

PICTURE_MEMORY_LIMIT: ContextVar[int | None] = ContextVar("PICTURE_MEMORY_LIMIT", default=None)
"""Bytes per picture in this process while other processes read pictures; None for all free memory."""

CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""The files with a container's memory limit and use, for cgroups v2 and v1."""

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
"""Parameter numbers of mallopt(3) in glibc."""

GLIBC_DEFAULTS = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 * 1024**2, TRIM_THRESHOLD: 64 * 1024**2}
"""The values that glibc's dynamic thresholds reach once large blocks have been freed."""

BYTES_KEPT_FOR_PICTURES = 128 * 1024**2
"""For a process that decodes pictures: enough for those of most cameras."""

KEEP_ALL = -1


def measure_memory_for_pictures() -> int:
    """Return the bytes that all pictures together may use now."""
    return int(SHARE_OF_FREE * _free_memory())


def is_too_large(needed: int) -> bool:
    """Return whether a picture that needs this many bytes must wait until no other process has one."""
    share = PICTURE_MEMORY_LIMIT.get()
    return share is not None and needed > share


def _free_memory() -> int:
    """Return the free bytes of the machine or container; half of all memory if that is not known."""
    if sys.platform == "win32":
        return _free_in_windows()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    for limit, used in CGROUP_FILES:
        try:
            free = min(free, max(0, int(Path(limit).read_text()) - int(Path(used).read_text())))
        except (OSError, ValueError):
            # No such group, or one without a limit ('max').
            continue
    return free


def _free_in_windows() -> int:
    import ctypes

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of sysinfoapi.h."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page", "free_page", "own")),
            ("free_own", ctypes.c_ulonglong),
            ("extended", ctypes.c_ulonglong),
        )

    status = Status()
    status.length = ctypes.sizeof(status)
    windll = getattr(ctypes, "windll")  # noqa: B009, unknown to mypy on other systems
    if not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return MOST_BYTES_PER_PICTURE
    return int(status.free)


def keep_freed_memory(most: int = KEEP_ALL) -> None:
    """Make this process keep the memory that it frees for its next allocations (mallopt(3)).

    glibc returns large blocks to the kernel, which clears every page before it hands them out again. A
    training step, a batch of predictions or a large picture needs as much memory as the one before it.
    Other C libraries are not changed.

    Args:
        most: bytes to keep at most.
    """
    if library := _find_glibc():
        # Further arenas cannot hold large blocks, and memory freed in one is not available in another.
        library.mallopt(ARENA_MAX, 1)
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, most)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep all freed memory during the block, and return it to the kernel at its end."""
    keep_freed_memory()
    try:
        yield
    finally:
        if library := _find_glibc():
            for parameter, value in GLIBC_DEFAULTS.items():
                library.mallopt(parameter, value)
        return_freed_memory()


def return_freed_memory() -> None:
    """Return all free memory to the kernel, before work with blocks of other sizes.

    They would not fit into the freed ones, and memory use would grow.
    """
    if library := _find_glibc():
        library.malloc_trim(0)


@cache
def _find_glibc() -> Any:
    """Return the loaded glibc; None for another C library."""
    if sys.platform != "linux":
        return None
    import ctypes

    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
