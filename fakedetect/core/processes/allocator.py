"""The C library's heap, which keeps the memory that is freed while a job works."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
"""glibc's numbers for mallopt."""

GLIBC_DEFAULTS = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 * 1024**2, TRIM_THRESHOLD: 64 * 1024**2}
"""What glibc comes to by itself once large blocks have been freed."""

BYTES_KEPT_FOR_PICTURES = 128 * 1024**2
"""Bytes for a process that decodes pictures: enough for those of most cameras."""

KEEP_ALL = -1


def keep_freed_memory(most: int = KEEP_ALL) -> None:
    """Have this process keep the memory that it frees for what it needs next (mallopt(3)).

    glibc returns large blocks to the kernel, which clears every page before it hands them out again. A step
    of training, a batch of predictions or a large picture needs as much as the one before it. Other C
    libraries are left alone.

    Args:
        most: bytes to keep at most.
    """
    if library := _find_glibc():
        # A second arena cannot hold large blocks, and what is free in one is missing in the other.
        library.mallopt(ARENA_MAX, 1)
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, most)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep all freed memory until the end of a job, and return it to the kernel then."""
    keep_freed_memory()
    try:
        yield
    finally:
        if library := _find_glibc():
            for parameter, value in GLIBC_DEFAULTS.items():
                library.mallopt(parameter, value)
        return_freed_memory()


def return_freed_memory() -> None:
    """Return all free memory to the kernel, before work whose blocks have other sizes.

    They would not fit where the freed ones were, and memory would grow.
    """
    if library := _find_glibc():
        library.malloc_trim(0)


@cache
def _find_glibc() -> Any:
    """None where the C library is another one."""
    if sys.platform != "linux":
        return None
    import ctypes

    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
