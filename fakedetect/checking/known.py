"""What is known of a model that answers: its evaluation, its test, and how often its verdicts are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fakedetect.checking.base_rates import Rates, find_rates, share_right
from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import Evaluation, read_evaluation
from fakedetect.core.records.test import TestResults, read_results
from fakedetect.core.records.training import read_out_of_fold
from fakedetect.core.settings.model_folder import EVALUATION, results_file
from fakedetect.core.terminal.console import Console
from fakedetect.metrics.calibration import FAKE, REAL
from fakedetect.models.detector import Detector

T = TypeVar("T")

TOO_OFTEN_WRONG = 0.75
"""Balanced accuracy on pictures from elsewhere below which a verdict is marked as a mere hint."""


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


def remind(known: Known, advise: bool = False) -> list[str]:
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


def _command(known: Known) -> str:
    """The command that measures it on other pictures."""
    return known.detector.settings.command("evaluate", "--data", "FOLDER")


def tell_base_rates(known: Sequence[Known], prevalence: float, advise: bool = False) -> list[str]:
    """How many of the verdicts would be right where so few pictures are AI-generated, a line a model.

    Args:
        advise: name the option and the command that change the answer.
    """
    lines = [_tell_base_rate(each, prevalence, advise) for each in known]
    if len(known) > 1:
        lines.insert(0, "The accuracy of their joint verdict was not measured; for each model alone:")
    return lines


def _tell_base_rate(known: Known, prevalence: float, advise: bool) -> str:
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
        f"{_tell_right(rates, FAKE, prevalence)}; {_tell_right(rates, REAL, prevalence)}. This follows "
        f"from {name}'s verdicts on {rates.of}: it called {_percent(caught)} of {rates.fakes:,} fakes "
        f"fake, and {_percent(alarms)} of {rates.reals:,} real pictures."
    )


def _tell_right(rates: Rates, verdict: str, prevalence: float) -> str:
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
