"""What `evaluate` finds out about a model: evaluation.json."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.record import Count, Record, Share, Temperature, read_record, write_record

ClassName = Annotated[str, msgspec.Meta(pattern=r"^(fake|real)\Z")]
Strength = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Few = Annotated[int, msgspec.Meta(ge=1, le=10**15)]
Bin = tuple[Share, Share, Few]
"""A bin of a reliability diagram: mean p_fake, share of fakes, pictures."""

Bins = Annotated[tuple[Bin, ...], msgspec.Meta(min_length=1)]


def say_range(low: float, high: float, form: str = ".3f", to: str = " to ") -> str:
    """The ends of an interval: '0.863 to 0.945'."""
    return f"{low:{form}}{to}{high:{form}}"


def say_interval(value: float, low: float, high: float, form: str = ".3f", to: str = " to ") -> str:
    """A figure and its interval: '0.912 (0.863 to 0.945)'.

    Args:
        to: shorter in tables that must fit a narrow terminal.
    """
    return f"{value:{form}} ({say_range(low, high, form, to)})"


class Measure(Record, frozen=True, kw_only=True):
    """A figure and its 95 % interval; all None where one class is missing and it needs both."""

    value: Share | None
    low: Share | None = None
    high: Share | None = None

    def __str__(self) -> str:
        return self.describe()

    def describe(self, form: str = ".3f") -> str:
        """'0.912 (0.863 to 0.945)' in a format; '-' for none."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return format(self.value, form)
        return say_interval(self.value, self.low, self.high, form)


class Accuracy(Measure, frozen=True, kw_only=True):
    """A share of right answers and its 95 % interval."""

    value: Share
    low: Share
    high: Share


class Measures(Record, frozen=True, kw_only=True):
    """The figures of merit on a set of pictures."""

    accuracy: Measure
    balanced_accuracy: Measure
    recall_fake: Measure
    recall_real: Measure
    roc_auc: Measure
    average_precision: Measure
    tpr_at_5: Measure
    tpr_at_1: Measure
    ece: Measure


class SourceEntry(Record, frozen=True, kw_only=True):
    """A source of one class: its share of right answers, and its ROC AUC against the other class."""

    source: str
    label: ClassName = msgspec.field(name="class")
    count: Count
    right: Accuracy
    roc_auc: Measure

    @property
    def name(self) -> str:
        """The source, or its class where the pictures have no source."""
        return self.source or self.label


class VerdictRates(Record, frozen=True, kw_only=True):
    """What the three verdicts come to on pictures whose class is known.

    `temperature`, `fake_from` and `real_below` are the calibration that gave them. Versions before 0.6 did
    not write what has a default here.
    """

    real_called_fake: Share
    fake_called_real: Share
    unsure: Share
    accuracy: Share
    accuracy_of_sure: Share
    ece_calibrated: Share
    temperature: Temperature | None = None
    fake_from: Share | None = None
    real_below: Share | None = None
    fake_called_fake: Share | None = None
    real_called_real: Share | None = None


class Entry(Record, frozen=True, kw_only=True):
    """A set of pictures; `verdicts` is None where no thresholds are fitted.

    `reliability` has a diagram for each kind of probability. `auc_same_shape` is the ROC AUC of fakes and
    real pictures that are both square, both wide or both tall, without a value where there are none; None
    where shapes are not known or all are the same, and in files of versions before 0.6.
    """

    count: Count
    fake: Count
    real: Count
    measures: Measures
    sources: tuple[SourceEntry, ...]
    verdicts: VerdictRates | None
    reliability: dict[str, Bins]
    auc_same_shape: Measure | None = None


class Point(Record, frozen=True, kw_only=True):
    """The figures on pictures as they are, or after a degradation; low and high are the ROC AUC's."""

    roc_auc: Share
    low: Share
    high: Share
    accuracy: Share
    recall_fake: Share
    recall_real: Share


class DegradedPoint(Point, frozen=True, kw_only=True):
    """A point of a robustness curve: a degradation, how strong, and it in words."""

    kind: str
    strength: Strength
    says: str


class Stability(Record, frozen=True, kw_only=True):
    """What check, with its test of stability, makes of the pictures."""

    unstable: Share
    unsure: Share
    accuracy_of_sure: Share


class Robustness(Record, frozen=True, kw_only=True):
    """What is left after degradations; `of_originals` of the pictures were degraded in full size."""

    count: Count
    of_originals: Count
    clean: Point
    points: Annotated[tuple[DegradedPoint, ...], msgspec.Meta(min_length=1)]
    mean_auc: Share
    worst_auc: Share
    worst: str
    stability: Stability


class TestEntry(Entry, frozen=True, kw_only=True):
    """The test dataset."""

    robustness: Robustness


class ForeignEntry(Entry, frozen=True, kw_only=True):
    """A folder of pictures from elsewhere.

    `predictions` is the SHA-256 of the file of foreign_predictions_file() that holds the answers, and `own`
    counts the pictures that are files of the project's own; versions before 0.6 wrote neither.
    """

    folder: str
    predictions: str | None = None
    own: Count = 0


class LeftOut(Record, frozen=True, kw_only=True):
    """A source: trained without it and tested on it, beside the model that was trained with it."""

    label: ClassName = msgspec.field(name="class")
    count: Count
    right: Accuracy
    roc_auc: Measure
    right_with: Share
    roc_auc_with: Share | None


class Family(Record, frozen=True, kw_only=True):
    """A family of generators that was left out: its ROC AUC against all real pictures, and its size."""

    auc: Measure
    n: Few


class RealSource(Record, frozen=True, kw_only=True):
    """A source of real pictures that was left out: the share called fake where 5 % of all are."""

    false_alarms_at_5: Measure
    n: Few


class HeldOutSources(Record, frozen=True, kw_only=True):
    """What a probe makes of the sources that were left out of it, with intervals over sources.

    `fakes_by_source` and `reals_by_source`: whether whole sources of the class were left out, or pictures
    only, since there is but one. `auc_same_shape` is as in an Entry.
    """

    auc: Measure
    fake_recall_at_5: Measure
    families: Annotated[dict[str, Family], msgspec.Meta(min_length=1)]
    real_sources: Annotated[dict[str, RealSource], msgspec.Meta(min_length=1)]
    fakes_by_source: bool = True
    reals_by_source: bool = True
    auc_same_shape: Measure | None = None

    @property
    def mean_family_auc(self) -> float:
        """The mean of the families' ROC AUC."""
        values = [family.auc.value or 0.0 for family in self.families.values()]
        return sum(values) / len(values)

    @property
    def of_sources(self) -> bool:
        """Whether the figures are those of whole sources that were never seen, of both classes."""
        return self.fakes_by_source and self.reals_by_source

    @property
    def hardest_families(self) -> list[tuple[str, Family]]:
        """The families by name, that with the lowest ROC AUC first."""
        return sorted(self.families.items(), key=lambda item: item[1].auc.value or 0.0)

    @property
    def worst_real_sources(self) -> list[tuple[str, RealSource]]:
        """The sources of real pictures by name, that with the most false alarms first."""
        return sorted(self.real_sources.items(), key=lambda item: -(item[1].false_alarms_at_5.value or 0.0))


class Evaluation(Record, frozen=True, kw_only=True, omit_defaults=True):
    """All that evaluate knows of a checkpoint, named by its hash."""

    model: str
    checkpoint: str
    test: TestEntry | None = None
    foreign: dict[str, ForeignEntry] = msgspec.field(default_factory=dict)
    left_out: dict[str, LeftOut] = msgspec.field(default_factory=dict)
    held_out_sources: HeldOutSources | None = msgspec.field(name="unseen_sources", default=None)


def read_evaluation(path: Path, checkpoint: str, again: str) -> Evaluation | None:
    """The evaluation of a checkpoint, by its hash; None where there is none, or another one's.

    Args:
        again: the command that evaluates again, for the message.

    Raises:
        UserError: the file does not fit.
    """
    found = read_record(path, Evaluation, f"Remove it, then evaluate again: {again}")
    return found if found and found.checkpoint == checkpoint else None


def read_or_begin(path: Path, model: str, checkpoint: str, again: str) -> Evaluation:
    """read_evaluation(); an empty one of the model's where there is none."""
    return read_evaluation(path, checkpoint, again) or Evaluation(model=model, checkpoint=checkpoint)


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation, whole or not at all."""
    write_record(path, evaluation)
