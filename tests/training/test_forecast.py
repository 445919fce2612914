"""How long a run takes at most: when that is said, how often, and what it comes to."""

import time

import pytest

from fakedetect.core.console import Console
from fakedetect.core.settings import Training
from fakedetect.training.forecast import Forecast


class Heard(Console):
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def note(self, text: str, code: str = "") -> None:
        self.lines.append(text)


def forecast(patience: int = 3, runs: int = 1, pictures: int = 900, passes: int = 0) -> Forecast:
    return Forecast(Heard(), Training(max_epochs=20, patience=patience), pictures, 300, passes, runs)


def heard(of: Forecast) -> list[str]:
    assert isinstance(of.console, Heard)
    return of.console.lines


def step(of: Forecast, patch: pytest.MonkeyPatch, seconds_a_step: float, epoch: int, steps: int) -> None:
    """Steps of 10 pictures, the first of which takes a minute more."""
    for number in range(1, steps + 1):
        patch.setattr(time, "monotonic", lambda number=number: 60 + number * seconds_a_step)
        of.see_steps(epoch, number, 10 * number)


def test_it_is_said_once_at_the_rate_after_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    of = forecast()
    step(of, monkeypatch, 1.0, 1, 10)
    assert not heard(of)
    step(of, monkeypatch, 1.0, 1, 60)
    of.see_epoch(1, 500.0)
    # 90 steps and 300 pictures forward, a third of a step each.
    assert heard(of) == [
        "At this rate at most 33 min 20 s for 20 epochs (1 min 40 s each); training stops sooner if the "
        "validation loss stops falling"
    ]
    slow = forecast(patience=20, runs=3)
    step(slow, monkeypatch, 31.0, 1, 2)
    assert heard(slow) == [
        "At this rate at most 17 h 13 min for 20 epochs (51 min 40 s each), 2 d 3 h in all with the 2 runs "
        "to follow"
    ]


def test_short_epochs_are_measured_whole_and_short_runs_are_not_announced() -> None:
    of = forecast(passes=1000)
    of.see_epoch(2, 10.0)
    of.see_epoch(3, 99.0)
    # The vote's passes at the end: 10 s x 1,000 / 3 of 1,000 steps' pictures.
    assert [line.split(" (")[0] for line in heard(of)] == [
        "At this rate at most 3 min 13 s for 19 epochs left"
    ]
    short = forecast()
    short.see_epoch(1, 2.9)
    short.see_epoch(2, 60.0)
    assert not heard(short)
