"""How much memory pictures may take: what is free, shared out to the processes that read them."""

import os
import sys
from contextvars import ContextVar
from pathlib import Path

MOST_BYTES_PER_PICTURE = 4 * 1024**3
"""Bytes that a process may take beyond what its libraries need."""

LEAST_BYTES_PER_PICTURE = 256 * 1024**2
"""Fewer processes are started rather than that each had less: a photograph of 12 megapixels takes half."""

TOO_LARGE = "needs too much memory"
"""The reason why a picture cannot be used that more memory may mend."""

SHARE_OF_FREE = 0.8
"""Of the free memory, what pictures may take: the rest is for this process, and for what else runs."""

PICTURE_MEMORY_LIMIT: ContextVar[int | None] = ContextVar("SHARED", default=None)
"""Bytes that a picture may take in this process while others read theirs; None for all that are free."""

CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Where a container's limit and use stand, by the version of Linux's control groups."""


def measure_memory_for_pictures() -> int:
    """Bytes that pictures may take now, all together."""
    return int(SHARE_OF_FREE * _free_memory())


def is_too_large(needed: int) -> bool:
    """Whether a picture that takes so many bytes has to wait until it has the memory to itself."""
    share = PICTURE_MEMORY_LIMIT.get()
    return share is not None and needed > share


def _free_memory() -> int:
    """Bytes that are free in the machine or in this container; half of all where that is not known."""
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
