"""Memory that is freed stays with the process while a job works, and goes back to the kernel afterwards."""

import platform
from pathlib import Path

import pytest

from fakedetect.core.processes.heap import freed_is_kept
from fakedetect.core.processes.pool import map_images

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

BLOCK = 80 * 1024**2
"""Bytes, more than glibc keeps by itself."""

PAGE = resource.getpagesize()


def count_faults(_: str = "") -> int:
    """The pages that the kernel clears while a block is taken and freed again and again."""
    assert len(b"x" * BLOCK) == BLOCK
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        assert len(b"x" * BLOCK) == BLOCK
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def test_a_job_takes_the_memory_again_that_it_has_freed() -> None:
    before, usual = memory(), count_faults()
    with freed_is_kept():
        assert 10 * count_faults() < usual
        assert memory() > before + BLOCK // 2
    assert memory() < before + BLOCK // 2
    assert count_faults() > usual // 2


def test_so_does_a_process_that_reads_pictures() -> None:
    usual = count_faults()
    ((_, kept),) = map_images(count_faults, ["a picture"], 1)
    assert 10 * kept < usual
