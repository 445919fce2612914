"""Work on pictures in processes, some of which crash, hang or take too much memory."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from fakedetect.core.processes import pool
from fakedetect.core.processes.memory import TOO_LARGE
from fakedetect.core.processes.pool import map_images


def work(item: str) -> str:
    if item == "crash":
        os._exit(3)
    if item == "hang":
        time.sleep(600)
    if item == "grow":
        try:
            return f"{len(bytearray(64 * 1024**3))}"
        except MemoryError:
            return "too much"
    if item == "raise":
        raise ValueError("raised in the process")
    return item.upper()


def test_a_crash_or_a_hang_costs_its_own_picture_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS_PER_PICTURE", 3.0)
    items = [f"item {number}" for number in range(60)]
    items[5:5] = ["crash"]
    items[40:40] = ["hang"]
    items.append("crash")
    results = list(map_images(work, items, 2))
    assert sorted(item for item, _ in results) == sorted(items)
    for item, result in results:
        expected = {"crash": "its decoder crashed", "hang": "takes longer than 3 s"}
        assert result == expected.get(item, item.upper())


def test_a_second_try_stands_in_for_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS_PER_PICTURE", 3.0)
    instead = {"crash": "crashed", "hang": "crash", "grow": "never asked for"}
    results = list(map_images(work, ["a", "crash", "b", "hang", "c", "grow"], 1, instead.get))
    # What takes the place of one is lost in its turn, and has another in its place.
    assert sorted(item for item, _ in results) == ["a", "b", "c", "crashed", "crashed", "grow"]
    assert ("crashed", "CRASHED") in results


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits")
def test_memory_is_limited() -> None:
    assert list(map_images(work, ["grow", "a"], 1)) == [("grow", "too much"), ("a", "A")]


def burn(seconds: float) -> str:
    """Take so much of a processor's time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return "burnt"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the clock counts")
def test_time_is_a_processors_and_not_that_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS_PER_PICTURE", 1.0)
    monkeypatch.setattr(pool, "WALL_CLOCK_FACTOR", 1000)
    # More processes than processors: what takes each of them 0.8 s takes longer than 1 s by the clock.
    count = 2 * len(os.sched_getaffinity(0))
    started = time.monotonic()
    found = list(map_images(burn, [0.8] * count + [0.0] * 15 * count, count))
    assert {result for _, result in found} == {"burnt"} and len(found) == 16 * count
    assert time.monotonic() - started > 1.0
    assert list(map_images(burn, [60.0], 1)) == [(60.0, "takes longer than 1 s")]


def note_times(item: tuple[str, int]) -> tuple[float, float] | str:
    """Take so many MiB for a moment; when that began and ended."""
    started = time.monotonic()
    try:
        taken = bytearray(item[1] * 1024**2)
    except MemoryError:
        return TOO_LARGE
    time.sleep(0.02)
    return started, time.monotonic() + 0 * len(taken)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits")
def test_what_is_too_large_for_a_share_has_the_memory_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "measure_memory_for_pictures", lambda: 900 * 1024**2)
    items = [(str(number), 1) for number in range(60)]
    large = [("large", 500), ("larger", 600)]
    items[10:10], items[30:30] = large[:1], [large[1], ("too large", 1200)]
    found = dict(map_images(note_times, items, 3))
    assert set(found) == set(items) and found.pop(("too large", 1200)) == TOO_LARGE
    times = {item: when for item, when in found.items() if not isinstance(when, str)}
    assert len(times) == 62
    for item in large:
        start, end = times[item]
        assert not [other for other, (a, b) in times.items() if other != item and a < end and b > start]


def test_a_result_may_be_anything() -> None:
    found = dict(map_images(np.arange, [3, 4], 1))
    assert [len(found[item]) for item in (3, 4)] == [3, 4]


def test_there_are_no_more_processes_than_the_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "measure_memory_for_pictures", lambda: 600 * 1024**2)
    found = map_images(work, ["a"] * 200, 8)
    next(found)
    assert len(multiprocessing.active_children()) == 2
    found.close()


def test_what_the_function_raises_is_raised_and_the_processes_end() -> None:
    with pytest.raises(ValueError, match="raised in the process"):
        list(map_images(work, ["a"] * 40 + ["raise"], 2))


def test_leaving_early_ends_the_processes() -> None:
    started = time.monotonic()
    results = map_images(work, ["a"] * 1000, 2)
    assert next(results) == ("a", "A")
    results.close()
    assert time.monotonic() - started < 10


FORKED = """
import os, sys, time
from fakedetect.core.processes import pool
from test_pool import work

assert pool._may_fork()
pool.SECONDS_PER_PICTURE = 2.0
items = ["a"] * 20 + ["crash", "b"] + ["c"] * 20 + ["hang", "d"]
results = list(pool.map_images(work, items, 2))
assert sorted(item for item, _ in results) == sorted(items)
assert ("crash", "its decoder crashed") in results and ("hang", "takes longer than 2 s") in results
results = pool.map_images(work, ["a"] * 1000, 3)
next(results)
started = time.monotonic()
results.close()
assert time.monotonic() - started < 2, "they wait for the pipe's end"
assert list(pool.map_images(work, ["grow"], 1)) == [("grow", "too much")]
try:
    list(pool.map_images(work, ["raise"], 1))
except ValueError:
    print("raised")
results = pool.map_images(work, ["a"] * 40, 2)
next(results)
import multiprocessing
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
def test_forked_processes_do_as_those_that_start_afresh() -> None:
    here = Path(__file__).parent
    path = os.pathsep.join(map(str, (here, here.parent, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        # NumPy would start threads of its own, beside which nothing is forked.
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    raised, numbers = done.stdout.splitlines()
    assert raised == "raised"
    until = time.monotonic() + 10
    left = {int(number) for number in numbers.split()}
    while left and time.monotonic() < until:
        left = {number for number in left if _is_running(number)}
    assert not left


def _is_running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


SIGNALLED = """
import os, sys, threading, time
from fakedetect.core.files import atomic_write
from fakedetect.core.processes.pool import map_images
from fakedetect.core.processes.signals import handle_signals
from pathlib import Path

NUMBER = int(sys.argv[1])

def write(path):
    with atomic_write(Path(path), durable=False) as file:
        file.write(b"half")
        file.flush()
        for _ in range(3):
            os.killpg(0, NUMBER)
            time.sleep(0.2)
        file.write(b" and half")

if __name__ == "__main__":
    if sys.argv[2] == "spawn":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    try:
        with handle_signals():
            list(map_images(write, ["first", "second"], 1))
    except KeyboardInterrupt:
        sys.exit(130)
"""
"""A picture is written while a signal reaches the whole group, as from a terminal, again and again."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_leave_no_half_written_file(tmp_path: Path, name: str, start: str) -> None:
    number = getattr(signal, name)
    script = tmp_path / "script.py"
    script.write_text(SIGNALLED)
    folder = tmp_path / "written"
    folder.mkdir()
    ended = subprocess.run(
        [sys.executable, str(script), str(int(number)), start],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        start_new_session=True,
        # Where the tests run in the background of a shell, it is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "", "")
    # Ctrl-C lets the picture be finished; the others end its process too.
    whole = {"first": "half and half"} if name == "SIGINT" else {}
    assert {path.name: path.read_text() for path in folder.iterdir()} == whole
