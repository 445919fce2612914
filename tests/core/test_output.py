"""Output that nobody reads any more, that has no room, or that was closed from the start."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")


def start(*arguments: object, **streams: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "menu.py"), *map(str, arguments)],
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
        **streams,
    )


def broken_pipe() -> int:
    """The end to write to of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["scan"], ["loss-graph"], []])
def test_a_reader_that_has_gone_ends_it_in_silence(trained: Path, arguments: list[str]) -> None:
    writing = broken_pipe()
    result = start("--paths", trained, *arguments, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert result.returncode == 141
    assert result.stderr == ""


def test_check_stops_with_its_reader_and_leaves_nothing_half_written(trained: Path) -> None:
    before = {path.name for path in trained.parent.rglob("*")}
    writing = broken_pipe()
    pictures = trained.parent / "dataset/test"
    result = start("--paths", trained, "check", pictures, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert result.returncode == 141
    # What it runs on is said before the first picture.
    assert re.fullmatch(r"tiny runs on the CPU \(.*\)\n", result.stderr)
    assert {path.name for path in trained.parent.rglob("*")} == before


def test_both_streams_in_one_pipe(trained: Path) -> None:
    writing = broken_pipe()
    assert start("--paths", trained, "scan", stdout=writing, stderr=writing).returncode == 141
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["loss-graph"]])
def test_a_full_disk_is_one_line(trained: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        result = start("--paths", trained, *arguments, stdout=full.fileno(), stderr=subprocess.PIPE)
    assert result.returncode == 2
    assert "No space left on device" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_mistake(trained: Path, closed: str) -> None:
    command = f'exec "$@" {closed}'
    program = [sys.executable, str(ROOT / "menu.py"), "--paths", str(trained), "scan", "test-real"]
    result = subprocess.run(
        ["/bin/sh", "-c", command, "sh", *program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
