"""What is known of a model that answers: its evaluation, its test, and how often its verdicts are right.

How often is told for pictures of which few are AI-generated, by what was measured on pictures of known
classes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import (
    Entry,
    Evaluation,
    Measure,
    VerdictRates,
    read_evaluation,
)
from fakedetect.core.records.test import TestResults, read_results
from fakedetect.core.records.training import (
    HeldOutScores,
    TrainingRecord,
    ValidationRecord,
    read_held_out_scores,
)
from fakedetect.core.settings.model_folder import EVALUATION, results_file
from fakedetect.core.terminal.console import Console
from fakedetect.metrics.calibration import FAKE, REAL, Calibration, uses_calibration
from fakedetect.metrics.intervals import BOOTSTRAP_SAMPLES, bootstrap_interval, group_values, measure_share
from fakedetect.models.detector import Detector

T = TypeVar("T")

Calls = tuple[int, int, int]
"""How many pictures of a class are called fake and how many real, of so many."""

TOO_OFTEN_WRONG = 0.75
"""Balanced accuracy on pictures from elsewhere below which a verdict is marked as a mere hint."""


@dataclass(frozen=True)
class Rates:
    """What a model calls the fakes and the real pictures of a set: shares with their 95 % intervals.

    Attributes:
        of: the set in words, as in 'on 100 pictures of holidays'.
        fakes: how many of its pictures are fakes; `reals` likewise.
        fake_called_fake: the share of the fakes that is called fake; the others likewise.
    """

    of: str
    fakes: int
    reals: int
    fake_called_fake: Measure
    fake_called_real: Measure
    real_called_fake: Measure
    real_called_real: Measure


def share_right(rates: Rates, verdict: str, prevalence: float) -> Measure:
    """The share of a verdict that would be right, by Bayes' rule; None where it was never given.

    Its 95 % interval is that of the least and the most favourable ends of both rates' intervals, and so
    rather too wide.

    Args:
        verdict: FAKE or REAL.
    """
    if verdict == FAKE:
        right, wrong, share = rates.fake_called_fake, rates.real_called_fake, prevalence
    else:
        right, wrong, share = rates.real_called_real, rates.fake_called_real, 1 - prevalence
    if not (right.value or wrong.value):
        return Measure(value=None)
    return Measure(
        value=_bayes(share, right.value, wrong.value),
        low=_bayes(share, right.low, wrong.high),
        high=_bayes(share, right.high, wrong.low),
    )


def _bayes(share: float, right: float | None, wrong: float | None) -> float:
    """How many of a class's verdicts are right where `right` of its pictures get it, and `wrong` of others.

    Args:
        share: of the class among all pictures.
    """
    hits, misses = share * (right or 0.0), (1 - share) * (wrong or 0.0)
    return hits / (hits + misses)


def find_rates(
    calibration: Calibration,
    evaluation: Evaluation,
    held_out: HeldOutScores | None,
    training: TrainingRecord,
    test: TestResults | None,
) -> Rates | None:
    """A model's verdicts on pictures of known classes: other ones than it was trained on where there are
    any, else the test dataset, else the validation pictures; None where its present thresholds were not
    measured.

    Args:
        held_out: a probe's scores of held-out sources.
        test: the results of `test`, which knows no thresholds.
    """
    calls = {name: _calls_of(entry, calibration) for name, entry in evaluation.foreign.items()}
    if known := {name: of_both for name, of_both in calls.items() if of_both}:
        count = sum(evaluation.foreign[name].count for name in known)
        of = f"{count:,} pictures from other sources ({' and '.join(known)})"
        return _of_calls(of, known.values())
    if held_out and held_out.fakes_by_source and held_out.reals_by_source:
        return _of_held_out(held_out, calibration)
    if evaluation.test and (of_both := _calls_of(evaluation.test, calibration)):
        return _of_calls(f"the {evaluation.test.count:,} pictures of the test dataset", [of_both])
    if test and not calibration.fitted:
        (caught, missed), (alarms, cleared) = test.confusion_matrix
        if caught + missed and alarms + cleared:
            of_both = (caught, missed, caught + missed), (alarms, cleared, alarms + cleared)
            return _of_calls(f"the {test.count:,} pictures of the test dataset", [of_both])
    found = training.calibration.validation if training.calibration else None
    if calibration.fitted and found and (of_both := _calls_by(found, found.fake, found.real)):
        count = found.fake + found.real
        return _of_calls(
            f"the {count:,} validation pictures, on which its thresholds were fitted", [of_both]
        )
    return None


def _calls_of(entry: Entry, calibration: Calibration) -> tuple[Calls, Calls] | None:
    """What the present thresholds make of the fakes and the reals of an entry; None where it is unknown."""
    if entry.verdicts:
        fits = uses_calibration(entry.verdicts, calibration)
        return _calls_by(entry.verdicts, entry.fake, entry.real) if fits else None
    caught, cleared = entry.measures.recall_fake.value, entry.measures.recall_real.value
    # Without thresholds, fake and real part at a half, as recall counts them.
    if calibration.fitted or caught is None or cleared is None:
        return None
    hits, passed = round(caught * entry.fake), round(cleared * entry.real)
    return (hits, entry.fake - hits, entry.fake), (entry.real - passed, passed, entry.real)


def _calls_by(found: VerdictRates | ValidationRecord, fakes: int, reals: int) -> tuple[Calls, Calls] | None:
    """The calls that shares of so many fakes and reals stand for; None where a class or a share is not
    there."""
    caught, cleared = found.fake_called_fake, found.real_called_real
    if caught is None or cleared is None or not (fakes and reals):
        return None
    missed, alarms = found.fake_called_real, found.real_called_fake
    return (
        (round(caught * fakes), round(missed * fakes), fakes),
        (round(alarms * reals), round(cleared * reals), reals),
    )


def _of_calls(of: str, sets: Iterable[tuple[Calls, Calls]]) -> Rates:
    """The rates of sets of pictures together; both classes are there."""
    fakes, reals = (
        [sum(column) for column in zip(*calls, strict=True)] for calls in zip(*sets, strict=True)
    )
    return Rates(
        of=of,
        fakes=fakes[2],
        reals=reals[2],
        fake_called_fake=measure_share(fakes[0], fakes[2]),
        fake_called_real=measure_share(fakes[1], fakes[2]),
        real_called_fake=measure_share(reals[0], reals[2]),
        real_called_real=measure_share(reals[1], reals[2]),
    )


def _of_held_out(scores: HeldOutScores, calibration: Calibration) -> Rates:
    """Means over sources, as the thresholds' promise is made for a source, with intervals over sources."""

    def called(margins: dict[str, tuple[float, ...]], verdict: str) -> Measure:
        groups = [calibration.probability(values) for values in group_values(margins).values()]
        shares = [sum(calibration.verdict(p) == verdict for p in group) / len(group) for group in groups]
        return _mean_of_groups(np.array(shares))

    fakes, reals = (sum(map(len, margins.values())) for margins in (scores.fake, scores.real))
    return Rates(
        of=f"{fakes + reals:,} pictures of held-out sources",
        fakes=fakes,
        reals=reals,
        fake_called_fake=called(scores.fake, FAKE),
        fake_called_real=called(scores.fake, REAL),
        real_called_fake=called(scores.real, FAKE),
        real_called_real=called(scores.real, REAL),
    )


def _mean_of_groups(shares: np.ndarray) -> Measure:
    """The mean of the groups' shares (G,), with its interval over groups."""
    value = float(shares.mean())
    if np.ptp(shares) == 0:
        # A bootstrap of equal shares has no width.
        return measure_share(value * len(shares), len(shares))
    random = np.random.default_rng(0)
    drawn = random.choice(shares, (BOOTSTRAP_SAMPLES, len(shares))).mean(axis=1)
    low, high = bootstrap_interval(drawn, len(shares))
    return Measure(value=value, low=min(low, value), high=max(high, value))


@dataclass(frozen=True)
class Known:
    """A model and what was measured of it; `rates` is None where its present thresholds were not."""

    detector: Detector
    evaluation: Evaluation
    test: TestResults | None
    rates: Rates | None

    @property
    def is_weak(self) -> bool:
        """Whether it was wrong too often on some folder from elsewhere."""
        shares = [entry.measures.balanced_accuracy.value for entry in self.evaluation.foreign.values()]
        return any(share is not None and share < TOO_OFTEN_WRONG for share in shares)


def read_known(detector: Detector, console: Console) -> Known:
    """What is known of a detector. The verdicts do without it: a file that cannot be used is a warning."""
    settings, checkpoint = detector.settings, detector.checkpoint_hash
    folder, command = settings.model_folder, settings.command

    def read(file: Callable[[], T | None]) -> T | None:
        try:
            return file()
        except UserError as error:
            console.warn(str(error))
            return None

    evaluation = read(lambda: read_evaluation(folder / EVALUATION, checkpoint, command("evaluate")))
    evaluation = evaluation or Evaluation(model=detector.name, checkpoint=checkpoint)
    test = read(lambda: read_results(results_file(folder, "test"), command("test")))
    test = test if test and test.checkpoint in (None, checkpoint) else None
    held_out = None
    if detector.is_probe:
        held_out = read(lambda: read_held_out_scores(folder, checkpoint, command("train", "--overwrite")))
    rates = find_rates(detector.thresholds, evaluation, held_out, detector.training, test)
    return Known(detector=detector, evaluation=evaluation, test=test, rates=rates)
