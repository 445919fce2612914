"""How far a job is said to be: in a file, in a terminal, and while one step takes long."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Terminal, leave_figures_out, run, shorten

from fakedetect.core.terminal import progress
from fakedetect.core.terminal.console import Console
from fakedetect.core.terminal.progress import format_duration
from fakedetect.dataset.batches import cut_growing_batches
from fakedetect.dataset.samples import Sample


def work(seconds: float, count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(seconds)
        yield number


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_TICKS", 0.02)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7800, "2 h 10 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_a_file_gets_a_line_now_and_then_and_a_short_job_none(
    often: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    list(Console().track(work(0.03, 10), 10, "scan\x1b[2J"))
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6
    assert lines[-1].startswith("scan\\x1b[2J: ") and "of 10 pictures (" in lines[-1]
    assert " img/s, 0 s left" in lines[-1]
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 60.0)
    list(Console().track(work(0.01, 3), 3, "scan"))
    assert capsys.readouterr().err == ""


def test_many_short_jobs_in_a_row_speak_as_a_long_one(
    often: None, capsys: pytest.CaptureFixture[str]
) -> None:
    console, begun = Console(), time.monotonic()
    for _ in range(8):
        list(console.track(work(0.015, 2), 2, "validation"))
    # As many as a job of that length has, however slow the machine is.
    most = (time.monotonic() - begun) / progress.SECONDS_BETWEEN_LINES
    assert 1 <= len(capsys.readouterr().err.splitlines()) <= min(most, 15)


def test_a_line_comes_while_one_picture_takes_long(often: None, capsys: pytest.CaptureFixture[str]) -> None:
    list(Console().track(work(0.3, 1), 1, "test"))
    assert "test: 0 of 1 pictures (0 %)\n" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [100, 40])
def test_a_terminals_clock_goes_on_during_a_long_step(
    often: None, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    terminal = Terminal(columns)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    with Console().progress(100, "epoch 2/50", done=20) as job:
        job.set_details("loss 0.4312, and much more of the same")
        time.sleep(0.2)
        shown = terminal.read().split("\r")
        assert len(shown) > 4, "nothing is done yet, and the bar moves"
        assert "20/100" in shown[-1]
        job.advance(30)
    last = terminal.read().rstrip().split("\r")[-1]
    terminal.close()
    assert all(len(line) <= columns for line in (*shown, last))
    assert "50/100" in last and "loss" in last
    assert ("%|" in last) == (columns == 100), "a narrow terminal has no room for a bar"


def test_what_is_quiet_says_nothing_and_no_thread_is_left(
    often: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    list(Console(quiet=True).track(work(0.1, 1), 1, "test"))
    for _ in Console().track(work(0.0, 3), 3, "scan"):
        break
    with pytest.raises(KeyboardInterrupt), Console().progress(3, "scan"):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            real(thread)
            raise KeyboardInterrupt

        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt), Console().progress(3, "scan"):
            pytest.fail("the job began")
    time.sleep(0.2)
    assert threading.active_count() == before
    assert capsys.readouterr().err == ""


def test_the_first_answers_come_before_a_large_batch_is_read() -> None:
    samples = [Sample(Path(str(number)), 0, "") for number in range(300)]
    batches = cut_growing_batches(samples, 128)
    assert [len(batch) for batch in batches] == [8, 16, 32, 64, 128, 52]
    assert [sample for batch in batches for sample in batch] == samples
    assert [len(batch) for batch in cut_growing_batches(samples[:9], 4)] == [4, 4, 1]
    assert cut_growing_batches([], 4) == []


def test_every_long_job_writes_lines_into_a_log(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_TICKS", 1e-4)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    leave_figures_out(monkeypatch)
    shorten(trained)
    pictures = trained.parent / "dataset/test"
    jobs = {
        "scan": ["train-real:"],
        "train --overwrite": ["epoch 1/1:", "validation:"],
        "test": ["test:"],
        "explore": ["headers:"],
        f"evaluate --data {pictures}": ["test:"],
        f"check {pictures}": ["check:"],
    }
    for command, labels in jobs.items():
        result = run("--paths", trained, *command.split())
        assert result.returncode in (0, 1), result.stderr
        for label in labels:
            told = [line for line in result.stderr.splitlines() if line.startswith(label)]
            assert told and all(" pictures (" in line for line in told), (command, result.stderr)
        if command.startswith("train"):
            details = r"\d %\), loss \d\.\d{4}, \d+\.\d img/s, \d+ s left\n"
            assert re.search(details, result.stderr), result.stderr
