"""Work on pictures in processes, some of which crash, hang or take too much memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from fakedetect.core.processes import pool
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
    monkeypatch.setattr(pool, "SECONDS_A_PICTURE", 3.0)
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
    monkeypatch.setattr(pool, "SECONDS_A_PICTURE", 3.0)
    instead = {"crash": "crashed", "hang": "crash", "grow": "never asked for"}
    results = list(map_images(work, ["a", "crash", "b", "hang", "c", "grow"], 1, instead.get))
    # What takes the place of one is lost in its turn, and has another in its place.
    assert sorted(item for item, _ in results) == ["a", "b", "c", "crashed", "crashed", "grow"]
    assert ("crashed", "CRASHED") in results


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits")
def test_memory_is_limited() -> None:
    assert list(map_images(work, ["grow", "a"], 1)) == [("grow", "too much"), ("a", "A")]


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
pool.SECONDS_A_PICTURE = 2.0
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
from fakedetect.core.processes.signals import answer_signals
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
        with answer_signals():
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
