"""The records that `evaluate` and `test` write: evaluation.json, test_results.json, train_results.json."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.record import (
    Count,
    NotNegative,
    Record,
    Share,
    Temperature,
    read_record,
    write_record,
)
from fakedetect.core.terminal.progress import format_figure

ClassName = Annotated[str, msgspec.Meta(pattern=r"^(fake|real)\Z")]
Strength = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
PositiveCount = Annotated[int, msgspec.Meta(ge=1, le=10**15)]
Bin = tuple[Share, Share, PositiveCount]
"""A bin of a reliability diagram: mean p_fake, share of fakes, pictures."""

Bins = Annotated[tuple[Bin, ...], msgspec.Meta(min_length=1)]


def format_range(low: float, high: float, form: str = ".3f", to: str = " to ") -> str:
    """Format the ends of an interval: '0.863 to 0.945'."""
    return f"{format_figure(low, form)}{to}{format_figure(high, form)}"


def format_interval(value: float, low: float, high: float, form: str = ".3f", to: str = " to ") -> str:
    """Format a figure and its interval: '0.912 (0.863 to 0.945)'.

    Args:
        to: shorter in tables for narrow terminals.
    """
    return f"{format_figure(value, form)} ({format_range(low, high, form, to)})"


class Measure(Record, frozen=True, kw_only=True):
    """A figure and its 95 % interval; all None if a required class is missing."""

    value: Share | None
    low: Share | None = None
    high: Share | None = None

    def __str__(self) -> str:
        return self.describe()

    def describe(self, form: str = ".3f") -> str:
        """Return '0.912 (0.863 to 0.945)' in a format; '-' for None."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return format(self.value, form)
        return format_interval(self.value, self.low, self.high, form)


class Accuracy(Measure, frozen=True, kw_only=True):
    """The share of correct predictions and its 95 % interval."""

    value: Share
    low: Share
    high: Share


class Measures(Record, frozen=True, kw_only=True):
    """The metrics on a set of pictures."""

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
    """A source of one class: its share of correct predictions, and its ROC AUC against the other class."""

    source: str
    label: ClassName = msgspec.field(name="class")
    count: Count
    right: Accuracy
    roc_auc: Measure

    @property
    def name(self) -> str:
        """The source, or the class if the pictures have no source."""
        return self.source or self.label


class VerdictRates(Record, frozen=True, kw_only=True):
    """How often each verdict occurs on pictures of a known class.

    `temperature`, `fake_from` and `real_below` are the calibration used. Versions before 0.6 did not write
    the fields that have a default.
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
    """The figures on a set of pictures; `verdicts` is None if no thresholds are fitted.

    `reliability` has a diagram for each kind of probability. `auc_same_shape` is the ROC AUC of fake and
    real pictures that are all square, all wide or all tall, and has no value without such pictures; it is
    None if shapes are unknown or all the same, and in files of versions before 0.6. `null_auc` is the ROC
    AUC of the files' size and format alone; None if too few original files are known.
    """

    count: Count
    fake: Count
    real: Count
    measures: Measures
    sources: tuple[SourceEntry, ...]
    verdicts: VerdictRates | None
    reliability: dict[str, Bins]
    auc_same_shape: Measure | None = None
    null_auc: Measure | None = None


class Point(Record, frozen=True, kw_only=True):
    """The figures on unchanged or degraded pictures; `low` and `high` belong to the ROC AUC."""

    roc_auc: Share
    low: Share
    high: Share
    accuracy: Share
    recall_fake: Share
    recall_real: Share


class DegradedPoint(Point, frozen=True, kw_only=True):
    """A point of a robustness curve: the degradation, its strength and its description."""

    kind: str
    strength: Strength
    description: str = msgspec.field(name="says")


class Stability(Record, frozen=True, kw_only=True):
    """The verdicts of check's stability test on the pictures."""

    unstable: Share
    unsure: Share
    accuracy_of_sure: Share


class Robustness(Record, frozen=True, kw_only=True):
    """The figures after degradations; `of_originals` pictures were degraded at full size."""

    count: Count
    of_originals: Count
    clean: Point
    points: Annotated[tuple[DegradedPoint, ...], msgspec.Meta(min_length=1)]
    mean_auc: Share
    worst_auc: Share
    worst: str
    stability: Stability


class TestEntry(Entry, frozen=True, kw_only=True):
    """The figures on the test dataset."""

    robustness: Robustness


class ForeignEntry(Entry, frozen=True, kw_only=True):
    """The figures on a folder of other pictures.

    `predictions` is the SHA-256 of foreign_predictions_file(), and `own` counts the pictures that are also
    in the project's folders; versions before 0.6 wrote neither.
    """

    folder: str
    predictions: str | None = None
    own: Count = 0


class LeftOut(Record, frozen=True, kw_only=True):
    """A source on which a model trained without it was tested, and the figures of the model trained
    with it."""

    label: ClassName = msgspec.field(name="class")
    count: Count
    right: Accuracy
    roc_auc: Measure
    right_with: Share
    roc_auc_with: Share | None


class Family(Record, frozen=True, kw_only=True):
    """A held-out family of generators: its ROC AUC against all real pictures, and its number of
    pictures."""

    auc: Measure
    n: PositiveCount


class RealSource(Record, frozen=True, kw_only=True):
    """A held-out source of real pictures: its false-positive rate where that of all real pictures is 5
    %."""

    false_alarms_at_5: Measure
    n: PositiveCount


class HeldOutSources(Record, frozen=True, kw_only=True):
    """A probe's figures on held-out sources, with intervals over sources.

    `fakes_by_source` and `reals_by_source`: whether whole sources of the class were held out, or only
    single pictures because the class has one source. `by_collection`: whole collections of sources were
    held out, with both classes. `auc_same_shape` and `null_auc` are as in an Entry; the null is
    cross-validated in the same folds.
    """

    auc: Measure
    fake_recall_at_5: Measure
    families: Annotated[dict[str, Family], msgspec.Meta(min_length=1)]
    real_sources: Annotated[dict[str, RealSource], msgspec.Meta(min_length=1)]
    fakes_by_source: bool = True
    reals_by_source: bool = True
    by_collection: bool = False
    auc_same_shape: Measure | None = None
    null_auc: Measure | None = None

    @property
    def condition(self) -> str:
        """What was held out."""
        return "whole collections held out" if self.by_collection else "held-out sources"

    @property
    def mean_family_auc(self) -> float:
        """The mean ROC AUC of the families."""
        values = [family.auc.value or 0.0 for family in self.families.values()]
        return sum(values) / len(values)

    @property
    def is_by_source(self) -> bool:
        """Whether whole sources of both classes were held out."""
        return self.fakes_by_source and self.reals_by_source

    @property
    def hardest_families(self) -> list[tuple[str, Family]]:
        """The families by name, lowest ROC AUC first."""
        return sorted(self.families.items(), key=lambda item: item[1].auc.value or 0.0)

    @property
    def worst_real_sources(self) -> list[tuple[str, RealSource]]:
        """The real sources by name, highest false-positive rate first."""
        return sorted(self.real_sources.items(), key=lambda item: -(item[1].false_alarms_at_5.value or 0.0))


class Evaluation(Record, frozen=True, kw_only=True, omit_defaults=True):
    """All figures of a checkpoint, which is identified by its hash.

    `held_out_collections` is None if the training named no collections, and in files of version 0.6.
    """

    model: str
    checkpoint: str
    test: TestEntry | None = None
    foreign: dict[str, ForeignEntry] = msgspec.field(default_factory=dict)
    left_out: dict[str, LeftOut] = msgspec.field(default_factory=dict)
    held_out_sources: HeldOutSources | None = msgspec.field(default=None, name="unseen_sources")
    held_out_collections: HeldOutSources | None = None

    @property
    def held_out(self) -> list[HeldOutSources]:
        """The figures on held-out sources and on held-out collections that there are, the lower ROC AUC
        first."""
        found = [each for each in (self.held_out_collections, self.held_out_sources) if each]
        return sorted(found, key=lambda each: each.auc.value or 0.0)


def read_evaluation(path: Path, checkpoint: str, again: str) -> Evaluation | None:
    """Read the evaluation of a checkpoint by its hash; None if there is none or it is for another one.

    Args:
        again: the command that evaluates again, for the message.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_record(path, Evaluation, f"Remove it, then evaluate again: {again}")
    return found if found and found.checkpoint == checkpoint else None


def read_or_create_evaluation(path: Path, model: str, checkpoint: str, again: str) -> Evaluation:
    """Return read_evaluation(), or an empty evaluation of the model."""
    return read_evaluation(path, checkpoint, again) or Evaluation(model=model, checkpoint=checkpoint)


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation, whole or not at all."""
    write_record(path, evaluation)


Rounded = Annotated[float, msgspec.Meta(ge=0, le=1 + 1e-9)]
"""A share that earlier versions wrote with rounding errors: 1.0000000000000002 for a perfect score."""

Matrix = tuple[tuple[Count, Count], tuple[Count, Count]]
"""Rows are true classes, columns are predicted classes; fake comes first in both."""


class ClassResult(Record, frozen=True, kw_only=True):
    """The metrics of one class."""

    precision: Share
    recall: Share
    f1: Share
    support: Count = 0


class ClassResults(Record, frozen=True, kw_only=True):
    """Both classes by name."""

    fake: ClassResult
    real: ClassResult

    def both(self) -> tuple[ClassResult, ClassResult]:
        """Return both classes in the order of CLASSES."""
        return self.fake, self.real


class TestResults(Record, frozen=True, kw_only=True):
    """The results of a model on the resized folder 'train' or 'test'.

    `checkpoint` is the model_hash() of the tested model. ROC AUC and average precision are None if all
    pictures are of one class. Earlier versions did not write the fields that have a default.
    """

    model: str = ""
    checkpoint: str | None = None
    on: str = "test"
    folder: str = ""
    count: Count
    left_out: Count = 0
    accuracy: Share
    classes: ClassResults
    confusion_matrix: Matrix
    roc_auc: Share | None = None
    average_precision: Rounded | None = None
    parameters: Count | None = None
    images_per_second: NotNegative | None = None


def read_results(path: Path, again: str) -> TestResults | None:
    """Read the results in a test_results.json; None if the file is missing.

    Args:
        again: the command that tests again, for the message.

    Raises:
        UserError: the file cannot be used.
    """
    return read_record(path, TestResults, f"Test again: {again}")
