"""How much memory pictures may use: the free memory, divided among the processes that read them."""

import os
import sys
from contextvars import ContextVar
from pathlib import Path

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
