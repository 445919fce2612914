"""How many verdicts would be right where few pictures are AI-generated."""

import pytest

from fakedetect.checking.error_rates import ErrorRates, compute_predictive_value, find_error_rates
from fakedetect.core.records.evaluation import Evaluation, Measure
from fakedetect.core.records.training import HeldOutScores, TrainingRecord
from fakedetect.metrics.calibration import Calibration
from fakedetect.metrics.intervals import share_interval


def rates(fakes: tuple[int, int, int], reals: tuple[int, int, int]) -> ErrorRates:
    """The counts of each class: called fake, called real, all."""
    found = []
    for called_fake, called_real, count in (fakes, reals):
        for hits in (called_fake, called_real):
            low, high = share_interval(hits, count)
            found.append(Measure(value=hits / count, low=low, high=high))
    return ErrorRates("pictures", fakes[2], reals[2], *found)


def test_few_fakes_make_few_fake_verdicts_right() -> None:
    known = rates((55, 20, 100), (3, 90, 100))
    right = compute_predictive_value(known, "fake", 0.05)
    assert right.value == pytest.approx(0.05 * 0.55 / (0.05 * 0.55 + 0.95 * 0.03))
    assert 0.2 < right.low < right.value < right.high < 0.8
    assert compute_predictive_value(known, "fake", 0.5).value == pytest.approx(0.55 / 0.58)
    real = compute_predictive_value(known, "real", 0.05)
    assert real.value == pytest.approx(0.95 * 0.9 / (0.95 * 0.9 + 0.05 * 0.2))
    # Ten times the pictures say the same, and more surely.
    more = compute_predictive_value(rates((550, 200, 1000), (30, 900, 1000)), "fake", 0.05)
    assert more.value == pytest.approx(right.value) and more.high - more.low < right.high - right.low


def test_a_verdict_that_was_never_wrong_on_a_handful_is_not_called_certain() -> None:
    few = compute_predictive_value(rates((5, 0, 5), (0, 5, 5)), "fake", 0.05)
    many = compute_predictive_value(rates((500, 0, 500), (0, 500, 500)), "fake", 0.05)
    assert few.high == 1 and 0.02 < few.low < 0.2
    assert many.high == 1 and 0.8 < many.low < 1


def test_held_out_sources_without_an_error_make_nothing_certain() -> None:
    apart = {
        label: {str(number): (sign * 3.0, sign * 4.0) for number in range(5)}
        for label, sign in (("fake", 1), ("real", -1))
    }
    scores = HeldOutScores(checkpoint="0", fakes_by_source=True, reals_by_source=True, **apart)
    evaluation = Evaluation(model="probe", checkpoint="0")
    known = find_error_rates(Calibration(), evaluation, scores, TrainingRecord(), None)
    assert known is not None and known.real_called_fake.value == 0
    right = compute_predictive_value(known, "fake", 0.05)
    assert right.high == 1 and 0.02 < right.low < 0.2


def test_a_verdict_that_was_never_right_or_never_given_divides_by_nothing() -> None:
    wrong = compute_predictive_value(rates((0, 10, 10), (10, 0, 10)), "fake", 0.05)
    assert (wrong.value, wrong.low) == (0, 0) and 0 < wrong.high < 0.05
    never = compute_predictive_value(rates((0, 0, 10), (0, 0, 10)), "fake", 0.05)
    assert (never.value, never.low, never.high) == (None, None, None)
    for share in (1e-300, 1 - 1e-16):
        found = compute_predictive_value(rates((5, 2, 10), (1, 8, 10)), "fake", share)
        assert 0 <= found.low <= found.value <= found.high <= 1
