"""Fakes and real pictures in one order, to be counted again and again as a bootstrap draws them."""

from collections.abc import Sequence

import numpy as np

from fakedetect.core.evaluation_record import Measure
from fakedetect.core.intervals import interval

FALSE_ALARMS = 0.05
"""The share of the real pictures called fake where the recall of fakes is told."""


def draw(random: np.random.Generator, count: int) -> np.ndarray:
    """How often each of so many units (C,) comes in a draw with replacement."""
    return random.multinomial(count, np.full(count, 1 / count))


class Ranking:
    """The margins of both classes in one order, to be measured with any numbers of copies of each unit.

    A unit is what a bootstrap draws whole: a source, or a picture; it may be empty.
    """

    def __init__(self, fakes: Sequence[np.ndarray], reals: Sequence[np.ndarray]):
        self.fakes = np.array([len(unit) for unit in fakes])
        self.reals = np.array([len(unit) for unit in reals])
        values, places = np.unique(np.concatenate([*fakes, *reals]), return_inverse=True)
        self.values = values
        self.fake_places, self.real_places = np.split(places, [self.fakes.sum()])

    def measure(self, of_fakes: np.ndarray, of_reals: np.ndarray) -> tuple[float, float]:
        """The area under the ROC curve, ties as half, and the fake recall at FALSE_ALARMS, with so many
        copies of each unit of fakes (F,) and of reals (R,)."""
        fakes = np.repeat(of_fakes, self.fakes)
        won, pairs = self.count_wins(of_fakes, of_reals)
        caught = self.fake_places > _least_place(self._pass(of_reals))
        return won / pairs, float(fakes @ caught / fakes.sum())

    def count_wins(self, of_fakes: np.ndarray, of_reals: np.ndarray) -> tuple[float, float]:
        """The pairs of a fake and a real picture in the right order, ties as half, and all pairs, with so
        many copies of each unit."""
        fakes, passed = np.repeat(of_fakes, self.fakes), self._pass(of_reals)
        tied = np.diff(passed, prepend=0)
        return float(fakes @ (passed - tied / 2)[self.fake_places]), float(fakes.sum() * passed[-1])

    def least_margin(self) -> float:
        """The margin above which lie at most FALSE_ALARMS of the real pictures."""
        return float(self.values[_least_place(self._pass(np.ones(len(self.reals))))])

    def _pass(self, of_reals: np.ndarray) -> np.ndarray:
        """How many real pictures lie at each of the values or below, with so many copies of each unit."""
        reals = np.repeat(of_reals, self.reals)
        return np.cumsum(np.bincount(self.real_places, reals, len(self.values)))


def _least_place(passed: np.ndarray) -> int:
    """The place of that margin, by how many real pictures lie at each of the ordered values and below."""
    return int(np.searchsorted(passed, (1 - FALSE_ALARMS) * passed[-1] - 1e-9))


def measure_drawn(value: float, drawn: Sequence[float], closed: tuple[float, float]) -> Measure:
    """A figure with the interval of its bootstrap; where all draws give the same, as they do of a perfect
    result, with the `closed` one."""
    low, high = interval(np.array(drawn))
    if low == high:
        low, high = closed
    return Measure(value=value, low=min(low, value), high=max(high, value))
