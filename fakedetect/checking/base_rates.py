"""How many verdicts would be right among pictures of which few are AI-generated, by what was measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fakedetect.core.records.evaluation import Entry, Evaluation, Measure
from fakedetect.core.records.test import TestResults
from fakedetect.core.records.training import OutOfFold, TrainingRecord, ValidationRecord
from fakedetect.metrics.calibration import FAKE, REAL, Calibration, is_of_calibration
from fakedetect.metrics.intervals import REPEATS, interval, share_interval
from fakedetect.metrics.unseen import by_group


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
    unseen: OutOfFold | None,
    training: TrainingRecord,
    test: TestResults | None,
) -> Rates | None:
    """A model's verdicts on pictures of known classes: other ones than it was trained on where there are
    any, else the test dataset, else the validation pictures; None where its present thresholds were not
    measured.

    Args:
        unseen: what a probe said of the sources left out of it.
        test: the results of `test`, which knows no thresholds.
    """
    return (
        _of_foreign(evaluation, calibration)
        or _of_unseen(unseen, calibration)
        or _of_test(evaluation, calibration, test)
        or _of_validation(calibration, training)
    )


@dataclass(frozen=True)
class _Calls:
    """How many pictures of a class are called fake and how many real, of so many."""

    fake: int
    real: int
    count: int

    @classmethod
    def of_shares(cls, fake: float, real: float, count: int) -> "_Calls":
        return cls(round(fake * count), round(real * count), count)


def _rates(of: str, counts: Sequence[int], shares: Sequence[Measure]) -> Rates:
    """Counts of fakes and reals, and the shares of each called fake and real, in this order."""
    (fakes, reals), (fake_fake, fake_real, real_fake, real_real) = counts, shares
    return Rates(
        of=of,
        fakes=fakes,
        reals=reals,
        fake_called_fake=fake_fake,
        fake_called_real=fake_real,
        real_called_fake=real_fake,
        real_called_real=real_real,
    )


def _of_calls(of: str, fakes: Iterable[_Calls], reals: Iterable[_Calls]) -> Rates:
    """The rates of sets of pictures together; both classes are there."""
    shares = []
    counts = []
    for calls in (list(fakes), list(reals)):
        count = sum(each.count for each in calls)
        counts.append(count)
        for hits in (sum(each.fake for each in calls), sum(each.real for each in calls)):
            low, high = share_interval(hits, count)
            shares.append(Measure(value=hits / count, low=low, high=high))
    return _rates(of, counts, shares)


def _calls_of(entry: Entry, calibration: Calibration) -> tuple[_Calls, _Calls] | None:
    """What the present thresholds make of the fakes and the reals of an entry; None where it is unknown."""
    if not (entry.fake and entry.real):
        return None
    rates = entry.verdicts
    if rates is None:
        caught, cleared = entry.measures.recall_fake.value, entry.measures.recall_real.value
        # Without thresholds, fake and real part at a half, as accuracy counts them.
        if calibration.fitted or caught is None or cleared is None:
            return None
        return (
            _Calls.of_shares(caught, 1 - caught, entry.fake),
            _Calls.of_shares(1 - cleared, cleared, entry.real),
        )
    caught, cleared = rates.fake_called_fake, rates.real_called_real
    if caught is None or cleared is None or not is_of_calibration(rates, calibration):
        return None
    return (
        _Calls.of_shares(caught, rates.fake_called_real, entry.fake),
        _Calls.of_shares(rates.real_called_fake, cleared, entry.real),
    )


def _of_foreign(evaluation: Evaluation, calibration: Calibration) -> Rates | None:
    known = {
        name: calls
        for name, entry in evaluation.foreign.items()
        if (calls := _calls_of(entry, calibration))
    }
    if not known:
        return None
    count = sum(evaluation.foreign[name].count for name in known)
    of = f"{count:,} pictures from other sources ({' and '.join(known)})"
    return _of_calls(of, (fakes for fakes, _ in known.values()), (reals for _, reals in known.values()))


def _of_unseen(scores: OutOfFold | None, calibration: Calibration) -> Rates | None:
    """Means over sources, as the thresholds' promise is made for a source, with intervals over sources."""
    if scores is None or not (scores.fakes_by_source and scores.reals_by_source):
        return None
    found = []
    for margins in (scores.fake, scores.real):
        groups = [calibration.probability(values) for values in by_group(margins).values()]
        verdicts = [[calibration.verdict(p) for p in group] for group in groups]
        for called in (FAKE, REAL):
            found.append(_mean_of_groups(np.array([each.count(called) / len(each) for each in verdicts])))
    counts = [sum(map(len, margins.values())) for margins in (scores.fake, scores.real)]
    return _rates(f"{sum(counts):,} pictures of held-out sources", counts, found)


def _mean_of_groups(shares: np.ndarray) -> Measure:
    """The mean of the groups' shares (G,), with its interval over groups."""
    value = float(shares.mean())
    if np.ptp(shares) == 0:
        # A bootstrap of equal shares has no width.
        low, high = share_interval(value * len(shares), len(shares))
        return Measure(value=value, low=low, high=high)
    random = np.random.default_rng(0)
    drawn = random.choice(shares, (REPEATS, len(shares))).mean(axis=1)
    low, high = interval(drawn)
    return Measure(value=value, low=min(low, value), high=max(high, value))


def _of_test(evaluation: Evaluation, calibration: Calibration, test: TestResults | None) -> Rates | None:
    entry = evaluation.test
    if entry and (calls := _calls_of(entry, calibration)):
        return _of_calls(f"the {entry.count:,} pictures of the test dataset", [calls[0]], [calls[1]])
    if test is None or calibration.fitted:
        return None
    (caught, missed), (alarms, cleared) = test.confusion_matrix
    if not (caught + missed and alarms + cleared):
        return None
    return _of_calls(
        f"the {test.count:,} pictures of the test dataset",
        [_Calls(caught, missed, caught + missed)],
        [_Calls(alarms, cleared, alarms + cleared)],
    )


def _of_validation(calibration: Calibration, training: TrainingRecord) -> Rates | None:
    found: ValidationRecord | None = training.calibration.validation if training.calibration else None
    if not calibration.fitted or found is None or not (found.fake and found.real):
        return None
    if found.fake_called_fake is None or found.real_called_real is None:
        return None
    return _of_calls(
        f"the {found.fake + found.real:,} validation pictures, on which its thresholds were fitted",
        [_Calls.of_shares(found.fake_called_fake, found.fake_called_real, found.fake)],
        [_Calls.of_shares(found.real_called_fake, found.real_called_real, found.real)],
    )
