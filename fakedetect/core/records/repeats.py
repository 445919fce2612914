"""The record that `train --repeat` writes: repeats.json, the figures of several runs."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.evaluation import Rounded, TestResults, format_range
from fakedetect.core.records.record import Count, NotNegative, Record, Share, read_record, write_record
from fakedetect.core.records.training import Epoch
from fakedetect.core.settings.model_folder import REPEATS_FILE
from fakedetect.core.settings.recipes import AtLeastOne, Seed
from fakedetect.core.terminal.progress import format_figure

TEST_FIGURES = ("accuracy", "roc_auc", "recall_fake", "recall_real")
"""The main figures on the test dataset."""

FIGURES: Mapping[str, tuple[str, str]] = {
    "validation_loss": ("validation loss", ".4f"),
    "validation_accuracy": ("validation accuracy", ".1%"),
    "accuracy": ("test accuracy", ".1%"),
    "roc_auc": ("ROC AUC", ".3f"),
    "average_precision": ("average precision", ".3f"),
    "recall_fake": ("fake recall", ".1%"),
    "recall_real": ("real recall", ".1%"),
    "precision_fake": ("fake precision", ".1%"),
    "precision_real": ("real precision", ".1%"),
    "f1_fake": ("fake F1", ".3f"),
    "f1_real": ("real F1", ".3f"),
}
"""The figures of a run by field: the name shown, and the number format."""


class RunFigures(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A run's figures on its validation pictures and, if there is one, on the test dataset."""

    validation_loss: NotNegative
    validation_accuracy: Share
    accuracy: Share | None = None
    roc_auc: Share | None = None
    average_precision: Rounded | None = None
    recall_fake: Share | None = None
    recall_real: Share | None = None
    precision_fake: Share | None = None
    precision_real: Share | None = None
    f1_fake: Share | None = None
    f1_real: Share | None = None


class RepeatedRun(Record, frozen=True, kw_only=True):
    """A run, identified by its seed; `checkpoint` is its model_hash()."""

    seed: Seed
    checkpoint: str
    best_epoch: Count
    figures: RunFigures


class Spread(Record, frozen=True, kw_only=True):
    """A figure over several runs: mean, sample standard deviation and range."""

    runs: AtLeastOne
    mean: NotNegative
    deviation: NotNegative
    lowest: NotNegative
    highest: NotNegative

    def __post_init__(self) -> None:
        if self.runs < 2 or self.lowest > self.highest:
            raise ValueError("a spread needs two or more runs, the lowest first")

    def format(self, form: str) -> str:
        """Return '91.7 % ± 0.8 %', each number in a format."""
        return f"{format_figure(self.mean, form)} ± {format_figure(self.deviation, form)}"

    def format_range(self, form: str) -> str:
        """Return '90.9 % to 92.6 %'."""
        return format_range(self.lowest, self.highest, form)


class Repeats(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Runs that differ only in their seed, the model's own run first; `checkpoint` is the hash of that
    one.

    `test_pictures` is a hash that identifies the test copies. `spread` has every figure of two or more
    runs.
    """

    checkpoint: str
    runs: Annotated[tuple[RepeatedRun, ...], msgspec.Meta(min_length=1)]
    spread: dict[str, Spread]
    test_pictures: str | None = None

    def __post_init__(self) -> None:
        if unknown := set(self.spread) - set(FIGURES):
            raise ValueError(f"spread has unknown figures: {', '.join(sorted(unknown))}")

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def seeds(self) -> str:
        """The seeds of the runs: 'seeds 42, 43, 44'."""
        found = ", ".join(str(run.seed) for run in self.runs)
        return f"seed{'s' if len(self.runs) > 1 else ''} {found}"


def gather_figures(best: Epoch, results: TestResults | None) -> RunFigures:
    """Return the figures of a run from its best epoch and its test."""
    validation = RunFigures(validation_loss=best.val_loss, validation_accuracy=best.val_accuracy)
    if results is None:
        return validation
    fake, real = results.classes.both()
    return msgspec.structs.replace(
        validation,
        accuracy=results.accuracy,
        roc_auc=results.roc_auc,
        average_precision=results.average_precision,
        recall_fake=fake.recall,
        recall_real=real.recall,
        precision_fake=fake.precision,
        precision_real=real.precision,
        f1_fake=fake.f1,
        f1_real=real.f1,
    )


def gather_repeats(checkpoint: str, runs: Sequence[RepeatedRun], test_pictures: str | None) -> Repeats:
    """Build the record of several runs, with mean and spread of every figure."""
    spread = {}
    for name in FIGURES:
        values = [value for run in runs if (value := getattr(run.figures, name)) is not None]
        if len(values) > 1:
            spread[name] = Spread(
                runs=len(values),
                mean=statistics.fmean(values),
                deviation=statistics.stdev(values),
                lowest=min(values),
                highest=max(values),
            )
    return Repeats(checkpoint=checkpoint, runs=tuple(runs), spread=spread, test_pictures=test_pictures)


def format_spread(repeats: Repeats, names: Sequence[str]) -> str:
    """Return 'test accuracy 91.7 % ± 0.8 % (90.9 % to 92.6 %), ROC AUC …' for the figures that exist."""
    found = ((*FIGURES[name], repeats.spread[name]) for name in names if name in repeats.spread)
    return ", ".join(
        f"{words} {spread.format(form)} ({spread.format_range(form)})" for words, form, spread in found
    )


def describe_spread(repeats: Repeats) -> list[str]:
    """Return a table with the mean, the deviation, the range and all values of each figure."""
    rows = [("figure", "mean ± deviation", "lowest to highest", "each")]
    for name, (words, form) in FIGURES.items():
        if found := repeats.spread.get(name):
            values = [getattr(run.figures, name) for run in repeats.runs]
            each = " ".join("-" if value is None else format_figure(value, form) for value in values)
            rows.append((words, found.format(form), found.format_range(form), each))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]


def read_repeats(folder: Path, checkpoint: str, again: str) -> Repeats | None:
    """Read the repeated runs of a checkpoint by its hash; None if there are none or they are for
    another one.

    Args:
        again: the command that repeats again, for the message.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_record(folder / REPEATS_FILE, Repeats, f"Remove it, then repeat again: {again}")
    return found if found and found.checkpoint == checkpoint else None


def read_repeats_with_spread(folder: Path, checkpoint: str, again: str) -> Repeats | None:
    """Return read_repeats(), or None if only one run is finished."""
    found = read_repeats(folder, checkpoint, again)
    return found if found and found.spread else None


def write_repeats(folder: Path, repeats: Repeats) -> None:
    """Write the repeated runs into a model's folder, whole or not at all."""
    write_record(folder / REPEATS_FILE, repeats)
