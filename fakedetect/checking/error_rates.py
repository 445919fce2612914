"""A model's measured error rates, and the predictive values that follow from them.

Error rates are measured on pictures of known classes. A predictive value is the share of a verdict that is
right for a given prevalence of AI-generated pictures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import (
    Entry,
    Evaluation,
    Measure,
    TestResults,
    VerdictRates,
    read_evaluation,
    read_results,
)
from fakedetect.core.records.training import (
    HeldOutScores,
    TrainingRecord,
    ValidationRecord,
    read_held_out_scores,
)
from fakedetect.core.settings.model_folder import EVALUATION, results_file
from fakedetect.core.terminal.console import Console, plural
from fakedetect.metrics.calibration import FAKE, REAL, Calibration, uses_calibration
from fakedetect.metrics.intervals import BOOTSTRAP_SAMPLES, bootstrap_interval, group_values, measure_share
from fakedetect.models.detector import Detector

T = TypeVar("T")

VerdictCounts = tuple[int, int, int]
"""A class's pictures that are called fake, those that are called real, and all."""

LEAST_TRUSTED_ACCURACY = 0.75
"""A balanced accuracy on foreign pictures below this makes a model's verdicts mere hints."""


@dataclass(frozen=True)
class ErrorRates:
    """A model's verdicts on a dataset, as shares of each class with 95 % intervals.

    Attributes:
        dataset: its description, such as '100 pictures from other sources (holidays)'.
        fakes: the number of its fakes; `reals` likewise.
        fake_called_fake: the share of the fakes that are called fake; the others likewise.
    """

    dataset: str
    fakes: int
    reals: int
    fake_called_fake: Measure
    fake_called_real: Measure
    real_called_fake: Measure
    real_called_real: Measure


def compute_predictive_value(rates: ErrorRates, verdict: str, prevalence: float) -> Measure:
    """Return the share of a verdict that would be right, by Bayes' rule; None if it never occurred.

    The 95 % interval combines the least and the most favourable ends of both rates' intervals, so it is
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
    """Return the share of a class's verdicts that are right.

    Args:
        share: the class's share of all pictures.
        right: the share of the class's pictures that get the verdict.
        wrong: the share of the other pictures that get it.
    """
    hits, misses = share * (right or 0.0), (1 - share) * (wrong or 0.0)
    return hits / (hits + misses)


def find_error_rates(
    calibration: Calibration,
    evaluation: Evaluation,
    held_out: HeldOutScores | None,
    training: TrainingRecord,
    test: TestResults | None,
) -> ErrorRates | None:
    """Return a model's error rates on the best evidence; None if its current thresholds were not measured.

    The best evidence is foreign pictures, then held-out sources, then the test dataset, then the validation
    pictures.

    Args:
        held_out: a probe's scores of held-out sources.
        test: the results of `test`, which uses no thresholds.
    """
    counts = {name: _count_entry(entry, calibration) for name, entry in evaluation.foreign.items()}
    if known := {name: both for name, both in counts.items() if both}:
        count = sum(evaluation.foreign[name].count for name in known)
        dataset = f"{count:,} pictures from other sources ({' and '.join(known)})"
        return _pool_counts(dataset, known.values())
    if held_out and held_out.fakes_by_source and held_out.reals_by_source:
        return _measure_held_out_sources(held_out, calibration)
    if evaluation.test and (both := _count_entry(evaluation.test, calibration)):
        return _pool_counts(f"the {evaluation.test.count:,} pictures of the test dataset", [both])
    if test and not calibration.fitted:
        (caught, missed), (alarms, cleared) = test.confusion_matrix
        if caught + missed and alarms + cleared:
            both = (caught, missed, caught + missed), (alarms, cleared, alarms + cleared)
            return _pool_counts(f"the {test.count:,} pictures of the test dataset", [both])
    found = training.calibration.validation if training.calibration else None
    if calibration.fitted and found and (both := _count_by_rates(found, found.fake, found.real)):
        count = found.fake + found.real
        return _pool_counts(
            f"the {count:,} validation pictures, on which its thresholds were fitted", [both]
        )
    return None


def _count_entry(entry: Entry, calibration: Calibration) -> tuple[VerdictCounts, VerdictCounts] | None:
    """Count an entry's verdicts by the current thresholds, for fakes and reals; None if unknown."""
    if entry.verdicts:
        fits = uses_calibration(entry.verdicts, calibration)
        return _count_by_rates(entry.verdicts, entry.fake, entry.real) if fits else None
    caught, cleared = entry.measures.recall_fake.value, entry.measures.recall_real.value
    # Without thresholds, the boundary is one half, as for recall.
    if calibration.fitted or caught is None or cleared is None:
        return None
    hits, passed = round(caught * entry.fake), round(cleared * entry.real)
    return (hits, entry.fake - hits, entry.fake), (entry.real - passed, passed, entry.real)


def _count_by_rates(
    found: VerdictRates | ValidationRecord, fakes: int, reals: int
) -> tuple[VerdictCounts, VerdictCounts] | None:
    """Convert shares of fakes and reals to counts; None if a class or a share is missing."""
    caught, cleared = found.fake_called_fake, found.real_called_real
    if caught is None or cleared is None or not (fakes and reals):
        return None
    missed, alarms = found.fake_called_real, found.real_called_fake
    return (
        (round(caught * fakes), round(missed * fakes), fakes),
        (round(alarms * reals), round(cleared * reals), reals),
    )


def _pool_counts(dataset: str, sets: Iterable[tuple[VerdictCounts, VerdictCounts]]) -> ErrorRates:
    """Return the rates of several datasets together; both classes are present."""
    fakes, reals = (
        [sum(column) for column in zip(*counts, strict=True)] for counts in zip(*sets, strict=True)
    )
    return ErrorRates(
        dataset=dataset,
        fakes=fakes[2],
        reals=reals[2],
        fake_called_fake=measure_share(fakes[0], fakes[2]),
        fake_called_real=measure_share(fakes[1], fakes[2]),
        real_called_fake=measure_share(reals[0], reals[2]),
        real_called_real=measure_share(reals[1], reals[2]),
    )


def _measure_held_out_sources(scores: HeldOutScores, calibration: Calibration) -> ErrorRates:
    """Return means over sources, with intervals over sources.

    The unit is the source, because the thresholds' guarantee holds for a source.
    """

    def measure_called(margins: dict[str, tuple[float, ...]], verdict: str) -> Measure:
        groups = [calibration.probability(values) for values in group_values(margins).values()]
        shares = [sum(calibration.verdict(p) == verdict for p in group) / len(group) for group in groups]
        return _average_groups(np.array(shares))

    fakes, reals = (sum(map(len, margins.values())) for margins in (scores.fake, scores.real))
    return ErrorRates(
        dataset=f"{fakes + reals:,} pictures of held-out sources",
        fakes=fakes,
        reals=reals,
        fake_called_fake=measure_called(scores.fake, FAKE),
        fake_called_real=measure_called(scores.fake, REAL),
        real_called_fake=measure_called(scores.real, FAKE),
        real_called_real=measure_called(scores.real, REAL),
    )


def _average_groups(shares: np.ndarray) -> Measure:
    """Return the mean of the groups' shares (G,), with its interval over groups."""
    value = float(shares.mean())
    if np.ptp(shares) == 0:
        # A bootstrap of equal shares has no width.
        return measure_share(value * len(shares), len(shares))
    random = np.random.default_rng(0)
    drawn = random.choice(shares, (BOOTSTRAP_SAMPLES, len(shares))).mean(axis=1)
    low, high = bootstrap_interval(drawn, len(shares))
    return Measure(value=value, low=min(low, value), high=max(high, value))


@dataclass(frozen=True)
class ModelMeasurements:
    """A model and its measurements; `rates` is None if its current thresholds were not measured."""

    detector: Detector
    evaluation: Evaluation
    test: TestResults | None
    rates: ErrorRates | None

    @property
    def is_weak(self) -> bool:
        """Whether the model was wrong too often on a dataset from other sources."""
        shares = [entry.measures.balanced_accuracy.value for entry in self.evaluation.foreign.values()]
        return any(share is not None and share < LEAST_TRUSTED_ACCURACY for share in shares)


def read_measurements(detector: Detector, console: Console) -> ModelMeasurements:
    """Read a detector's measurements; warn about a file that cannot be used, as verdicts do not need it."""
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
    rates = find_error_rates(detector.thresholds, evaluation, held_out, detector.training, test)
    if rates and detector.own:
        rates = replace(
            rates,
            dataset=f"{rates.dataset} and {plural(detector.own.photographs, 'photograph')} of your own",
            reals=detector.own.photographs,
            real_called_fake=detector.own.measure_called_fake(detector.calibration),
        )
    return ModelMeasurements(detector=detector, evaluation=evaluation, test=test, rates=rates)
