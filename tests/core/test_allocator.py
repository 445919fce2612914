"""Memory that is freed stays with the process while a job works, and goes back to the kernel afterwards."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from fakedetect.core.processes.memory import freed_memory_kept
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


def measure() -> dict[str, int]:
    """Faults and memory before, during and after a job, and the faults of a process that reads pictures."""
    seen = {"memory": memory(), "usual": count_faults()}
    with freed_memory_kept():
        seen |= {"kept": count_faults(), "memory_kept": memory()}
    seen |= {"memory_after": memory(), "after": count_faults()}
    ((_, seen["reader"]),) = map_images(count_faults, ["a picture"], 1)
    return seen


@pytest.fixture(scope="module")
def seen() -> dict[str, int]:
    """Measured in a process of its own: free blocks among those of other tests would serve as well."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=True
    )
    numbers: dict[str, int] = json.loads(result.stdout)
    return numbers


def test_a_job_takes_the_memory_again_that_it_has_freed(seen: dict[str, int]) -> None:
    assert 10 * seen["kept"] < seen["usual"]
    assert seen["memory_kept"] > seen["memory"] + BLOCK // 2
    assert seen["memory_after"] < seen["memory"] + BLOCK // 2
    assert seen["after"] > seen["usual"] // 2


def test_so_does_a_process_that_reads_pictures(seen: dict[str, int]) -> None:
    assert 10 * seen["reader"] < seen["usual"]


if __name__ == "__main__":
    print(json.dumps(measure()))
