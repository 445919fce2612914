"""What is known of a model that answers: its evaluation, its test, and how often its verdicts are right.

How often is told for pictures of which few are AI-generated, by what was measured on pictures of known
classes.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
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
from fakedetect.core.records.training import OutOfFold, TrainingRecord, ValidationRecord, read_out_of_fold
from fakedetect.core.settings.model_folder import EVALUATION, results_file
from fakedetect.core.terminal.console import Console
from fakedetect.metrics.calibration import FAKE, REAL, Calibration, is_of_calibration
from fakedetect.metrics.intervals import REPEATS, by_group, interval, measure_share
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
    calls = {name: _calls_of(entry, calibration) for name, entry in evaluation.foreign.items()}
    if known := {name: of_both for name, of_both in calls.items() if of_both}:
        count = sum(evaluation.foreign[name].count for name in known)
        of = f"{count:,} pictures from other sources ({' and '.join(known)})"
        return _of_calls(of, known.values())
    if unseen and unseen.fakes_by_source and unseen.reals_by_source:
        return _of_unseen(unseen, calibration)
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
        fits = is_of_calibration(entry.verdicts, calibration)
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


def _of_unseen(scores: OutOfFold, calibration: Calibration) -> Rates:
    """Means over sources, as the thresholds' promise is made for a source, with intervals over sources."""

    def called(margins: dict[str, tuple[float, ...]], verdict: str) -> Measure:
        groups = [calibration.probability(values) for values in by_group(margins).values()]
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
    drawn = random.choice(shares, (REPEATS, len(shares))).mean(axis=1)
    low, high = interval(drawn, len(shares))
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
    unseen = None
    if detector.is_probe:
        unseen = read(lambda: read_out_of_fold(folder, checkpoint, command("train", "--overwrite")))
    rates = find_rates(detector.calibration, evaluation, unseen, detector.training, test)
    return Known(detector=detector, evaluation=evaluation, test=test, rates=rates)


def describe_reminders(known: Known, advise: bool = False) -> list[str]:
    """What to keep in mind of a model's verdicts, before they are read.

    Args:
        advise: name the command that finds out more.
    """
    detector = known.detector
    lines = []
    unseen = known.evaluation.unseen_sources
    if unseen and unseen.of_sources:
        area, recall = unseen.auc.value or 0.0, unseen.fake_recall_at_5.value or 0.0
        lines.append(
            f"Keep in mind: on held-out generators, {detector.name} has {recall:.0%} fake recall at a 5% "
            f"false-positive rate on real pictures of held-out sources (ROC AUC {area:.2f}; 0.5 is chance)."
        )
    for name, entry in known.evaluation.foreign.items():
        accuracy, auc = entry.measures.accuracy.value, entry.measures.roc_auc.value
        if accuracy is not None and auc is not None:
            lines.append(
                f"Keep in mind: on the pictures of {name}, {detector.name} had an accuracy of "
                f"{accuracy:.0%} (ROC AUC {auc:.2f}; 0.5 is chance)."
            )
    if not lines:
        lines.append(
            f"Keep in mind: {detector.name} was not tested on other sources; its error rate there may be "
            f"much higher.{f' Test it: {_command(known)}' if advise else ''}"
        )
    return lines


def explain_p_fake(known: Sequence[Known], weak: bool) -> str:
    """What the figures beside the verdicts are; of a model that is weak, what its question mark means."""
    fitted = all(each.detector.calibration.fitted for each in known)
    whose = f"{known[0].detector.name}'s" if len(known) == 1 else f"the mean of {len(known)} models'"
    return (
        f"p(fake) is {whose} {'' if fitted else 'uncalibrated '}probability that the picture is "
        "AI-generated: values near 0 % indicate real, near 100 % fake."
        + (" A question mark: the verdict is a hint only, see above." if weak else "")
    )


def describe_chances(known: Sequence[Known], prevalence: float, verdicts: Collection[str]) -> list[str]:
    """How many of 100 verdicts would be right, in a line; none where no verdict is fake or real.

    Args:
        verdicts: those that were given.
    """
    given = [verdict for verdict in (FAKE, REAL) if verdict in verdicts]
    if not given:
        return []
    if len(known) > 1:
        return ["How often the models' joint verdict is right was not measured (each alone: --details)."]
    rates = known[0].rates
    if rates is None:
        command = _command(known[0])
        return [
            f"How often {known[0].detector.name} is right on such pictures is unknown. Test it: {command}"
        ]
    shares = {verdict: share_right(rates, verdict, prevalence).value for verdict in given}
    told = [(verdict, share) for verdict, share in shares.items() if share is not None]
    if not told:
        return [f"How often '{given[0]}' is right is unknown: it was never said when it was measured."]
    verdict, share = told[0]
    line = (
        f"Of 100 '{verdict}' verdicts on such pictures {_in_hundred(share)} are right if "
        f"{100 * prevalence:g} in 100 are fakes"
    )
    return [line + "".join(f"; of 100 '{other}', {_in_hundred(share)}" for other, share in told[1:])]


def _in_hundred(share: float) -> str:
    """'about 38'; 0 and 100 only where it is exactly that."""
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return (
        "fewer than 1" if share < 0.005 else "more than 99" if share > 0.995 else f"about {100 * share:.0f}"
    )


def _command(known: Known) -> str:
    """The command that measures it on other pictures."""
    return known.detector.settings.command("evaluate", "--data", "FOLDER")


def describe_base_rates(known: Sequence[Known], prevalence: float, advise: bool = False) -> list[str]:
    """How many of the verdicts would be right where so few pictures are AI-generated, a line a model.

    Args:
        advise: name the option and the command that change the answer.
    """
    lines = [_describe_base_rate(each, prevalence, advise) for each in known]
    if len(known) > 1:
        lines.insert(0, "The accuracy of their joint verdict was not measured; for each model alone:")
    return lines


def _describe_base_rate(known: Known, prevalence: float, advise: bool) -> str:
    name, rates = known.detector.name, known.rates
    if rates is None:
        return (
            f"The share of correct {name} verdicts among pictures like these is unknown: its current "
            f"thresholds were not measured.{f' Measure them: {_command(known)}' if advise else ''}"
        )
    caught, alarms = rates.fake_called_fake.value or 0.0, rates.real_called_fake.value or 0.0
    option = " (--prevalence)" if advise else ""
    return (
        f"If {100 * prevalence:g} % of such pictures were AI-generated{option}, "
        f"{_describe_right(rates, FAKE, prevalence)}; {_describe_right(rates, REAL, prevalence)}. "
        f"This follows from {name}'s verdicts on {rates.of}: it called {_percent(caught)} of "
        f"{rates.fakes:,} fakes fake, and {_percent(alarms)} of {rates.reals:,} real pictures."
    )


def _describe_right(rates: Rates, verdict: str, prevalence: float) -> str:
    """'about 49 % of the 'fake' verdicts would be correct (95 % interval 30 % to 70 %)'."""
    found = share_right(rates, verdict, prevalence)
    if found.value is None or found.low is None or found.high is None:
        return f"the share of correct '{verdict}' verdicts is unknown: it called no picture {verdict}"
    of = f"of the '{verdict}' verdicts" + (" would be correct" if verdict == FAKE else "")
    interval = f"95 % interval {_percent(found.low)} to {_percent(found.high)}"
    return f"about {_percent(found.value)} {of} ({interval})"


def _percent(share: float) -> str:
    """'49 %', '3.1 %'; 0 and 100 only where it is exactly that."""
    percent = 100 * share
    digits = 0 if 10 <= percent <= 90 else 1
    shown = percent if percent in (0, 100) else min(99.9, max(0.1, round(percent, digits)))
    return f"{shown:g} %"
