"""Settings of glibc malloc: keep freed memory while a job runs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
"""Parameter numbers of mallopt(3) in glibc."""

GLIBC_DEFAULTS = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 * 1024**2, TRIM_THRESHOLD: 64 * 1024**2}
"""The values that glibc's dynamic thresholds reach once large blocks have been freed."""

BYTES_KEPT_FOR_PICTURES = 128 * 1024**2
"""For a process that decodes pictures: enough for those of most cameras."""

KEEP_ALL = -1


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
