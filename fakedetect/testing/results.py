"""The results, predictions and confusion matrix of a test: their files and their description."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fakedetect.core.errors import UserError
from fakedetect.core.records.csv_files import read_csv, to_cell
from fakedetect.core.records.evaluation import (
    Entry,
    LeftOut,
    Matrix,
    Measure,
    SourceEntry,
    TestResults,
    read_results,
)
from fakedetect.core.settings.model_folder import predictions_file, results_file
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import Sample
from fakedetect.images.sheets import (
    CLASS_COLOURS,
    SERIES_COLOURS,
    TEXT_COLOUR,
    escape_text,
    make_panels,
    save_figure,
)

PREDICTION_COLUMNS = ("path", "source", "label", "predicted", "p_fake")
"""Columns of the table of predictions."""

ONE_SIDED_SHARE = 0.95
"""If at least this share of both classes is predicted as one class, the model does not separate them."""

ON_TEST_SET = "on the test set"
AUC_LOSS_TO_WARN = 0.05
"""A loss of ROC AUC, from the test set to other pictures, that deserves a warning."""

LARGEST_OPACITY = 0.75
"""Of a cell with all pictures of its row; its text stays readable."""

OPACITY_POWER = 3
"""Opacity grows with this power of a cell's share: 83 % and 100 % differ clearly (4 to 7)."""


@dataclass(frozen=True)
class TestedModel:
    """A model's results on the test pictures, and its predictions: one row per picture, with
    PREDICTION_COLUMNS."""

    results: TestResults
    predictions: pd.DataFrame


def read_tested_model(folder: Path, again: str) -> TestedModel | None:
    """Read the test in a model's folder; None if the model has not been tested.

    Args:
        again: the command that tests again, for the message.

    Raises:
        UserError: the files cannot be used, or come from different tests.
    """
    results = read_results(results_file(folder, "test"), again)
    if results is None:
        return None
    file = predictions_file(folder, "test")
    predictions = read_predictions(file, again)
    if not len(predictions) == results.count == sum(map(sum, results.confusion_matrix)):
        raise UserError(
            f"{results_file(folder, 'test')} and {file.name} are from different tests. Test again: {again}"
        )
    return TestedModel(results, predictions)


def format_predictions(samples: Sequence[Sample], predicted: np.ndarray, p_fake: np.ndarray) -> str:
    """Return the table of predictions as CSV.

    Args:
        predicted: (N,) of 0 fake, 1 real; p_fake: (N,).
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(PREDICTION_COLUMNS)
    for sample, number, p in zip(samples, predicted, p_fake, strict=True):
        writer.writerow(
            (
                to_cell(str(sample.path)),
                to_cell(sample.source),
                CLASSES[sample.label],
                CLASSES[number],
                f"{p:.8f}",
            )
        )
    return table.getvalue()


def read_predictions(file: Path, again: str) -> pd.DataFrame:
    """Read and check a table of predictions: one row per picture, with PREDICTION_COLUMNS.

    Args:
        again: the command that writes it again, for the message.

    Raises:
        UserError: the file cannot be used.
    """
    # The reader of pandas does not accept names that are not UTF-8.
    rows = read_csv(file, PREDICTION_COLUMNS, f"Test again: {again}")
    if rows is None:
        raise _unusable_file(file, again, "it is missing")
    table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS), dtype=object)
    try:
        table["p_fake"] = table["p_fake"].astype(float)
    except ValueError as error:
        raise _unusable_file(file, again, " ".join(str(error).split())) from None
    if not table["p_fake"].between(0, 1).all():
        raise _unusable_file(file, again, "p_fake must be between 0 and 1")
    for column in ("label", "predicted"):
        if not table[column].isin(CLASSES).all():
            raise _unusable_file(file, again, f"{column} must be {' or '.join(CLASSES)}")
    return table


def _unusable_file(file: Path, again: str, why: str) -> UserError:
    return UserError(f"{file} cannot be used: {why}. Test again: {again}")


def describe_one_sided(matrix: Matrix) -> list[str]:
    """Return a warning if a model predicts one class for nearly all pictures, else nothing."""
    if not all(map(sum, matrix)):
        return []
    for column, name in enumerate(CLASSES):
        shares = [row[column] / sum(row) for row in matrix]
        if min(shares) >= ONE_SIDED_SHARE:
            every = "every picture" if min(shares) == 1 else "nearly every picture"
            fakes, reals = (percent(share) for share in shares)
            return [
                f"Warning: the model calls {every} {name} ({fakes} of the fakes, {reals} of the reals): it "
                "does not separate the classes, despite its accuracy."
            ]
    return []


def build_confusion_matrix(entry: Entry) -> Matrix:
    """Return the confusion matrix of an evaluated set of pictures, from its recalls."""
    found = entry.measures
    fakes, reals = (
        round(count * (recall.value or 0.0))
        for count, recall in ((entry.fake, found.recall_fake), (entry.real, found.recall_real))
    )
    return (fakes, entry.fake - fakes), (entry.real - reals, reals)


def find_mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the wrong predictions with their `confidence`, fakes first, the most confident first."""
    wrong = predictions[predictions["label"] != predictions["predicted"]].copy()
    wrong["confidence"] = np.where(wrong["label"] == "fake", 1 - wrong["p_fake"], wrong["p_fake"])
    return wrong.sort_values(["label", "confidence"], ascending=[True, False], kind="stable")


def find_mean_and_worst(entries: Sequence[SourceEntry]) -> tuple[float, SourceEntry]:
    """Return the mean accuracy of the sources, and the source with the lowest."""
    mean = float(np.mean([entry.right.value for entry in entries]))
    return mean, min(entries, key=lambda entry: entry.right.value)


def describe_sources(entries: Sequence[SourceEntry]) -> list[str]:
    """Return a table of the sources, with their mean and the worst one."""
    lines = [f"  {'by source':<34}{'class':<6}{'pictures':>9}  accuracy (95 %)             ROC AUC (95 %)"]
    for entry in entries:
        name = f"{entry.source or '(no source)':<34}{entry.label:<6}{entry.count:>9,}"
        lines.append(f"  {name}  {entry.right.describe('.1%'):<28}{entry.roc_auc}")
    if len(entries) > 1:
        mean, worst = find_mean_and_worst(entries)
        lines.append(
            f"  mean accuracy of the sources: {percent(mean)}; worst: {worst.name}, "
            f"{percent(worst.right.value)}"
        )
    return lines


def find_auc(entry: Entry | None) -> float | None:
    """Return the ROC AUC of a set of pictures, if it was measured."""
    return entry.measures.roc_auc.value if entry else None


def explain_doubt(own: float, other: Measure, known: int = 0) -> str:
    """Return why a ROC AUC on other pictures does not show that a model generalises; '' if it does.

    Args:
        own: the ROC AUC on pictures like the training ones.
        known: how many of the others are the project's own.
    """
    if known:
        return f"{known:,} of them {'is' if known == 1 else 'are'} in this project's own folders"
    if other.low is None or other.low < own - AUC_LOSS_TO_WARN:
        return "the pictures are too few to show whether it generalises"
    return ""


def describe_gap(
    own: float | None, other: Measure, where: str, at_home: str = ON_TEST_SET, known: int = 0
) -> list[str]:
    """Return the difference in ROC AUC between pictures like the training ones and others.

    Args:
        known: how many of the others are the project's own.
    """
    if own is None or other.value is None:
        return []
    line = f"ROC AUC {own:.3f} {at_home}, {other.value:.3f} {where}"
    if other.value >= own - AUC_LOSS_TO_WARN:
        doubt = explain_doubt(own, other, known)
        return [f"{line}; {doubt}." if doubt else f"{line}: the model generalises."]
    return [
        f"{line}.",
        f"Warning: the model does not generalise; its ROC AUC is {own - other.value:.3f} lower there. On "
        "pictures from other sources, expect the second figure, not the first.",
    ]


def describe_left_out_source(source: str, entry: LeftOut) -> str:
    """Return the figures of a left-out source as one line."""
    auc, auc_with = (
        "-" if value is None else f"{value:.3f}" for value in (entry.roc_auc.value, entry.roc_auc_with)
    )
    return (
        f"{source} ({entry.label}, {plural(entry.count, 'picture')}): "
        f"accuracy {percent(entry.right.value)} when held out of training, {percent(entry.right_with)} "
        f"when not; ROC AUC {auc} and {auc_with}"
    )


def plot_confusion(axes: Axes, matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> None:
    """Plot a confusion matrix (rows: true class; columns: predicted class).

    The colour of a cell shows its share of the row, so that models tested on different numbers of pictures
    are comparable.
    """
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            share = value / (sum(values) or 1)
            place = (column - 0.5, row - 0.5)
            depth = LARGEST_OPACITY * share**OPACITY_POWER
            axes.add_patch(Rectangle(place, 1, 1, color=SERIES_COLOURS[0], alpha=depth, lw=0))
            text = f"{value:,}\n{percent(share)}"
            axes.text(column, row, text, ha="center", va="center", color=TEXT_COLOUR)
    ticks, last = range(len(names)), len(names) - 0.5
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    for label, name in zip(
        (*axes.get_xticklabels(), *axes.get_yticklabels()), (*names, *names), strict=True
    ):
        label.set_color(CLASS_COLOURS[name])
    axes.set(xlim=(-0.5, last), ylim=(last, -0.5), aspect="equal")
    axes.set(xlabel="Predicted class", ylabel="True class", title=escape_text(title))


def write_confusion_figure(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, path: Path
) -> None:
    """Write plot_confusion() to a file."""
    figure = Figure(figsize=(5, 4.8), layout="constrained")
    plot_confusion(figure.subplots(), matrix, names, title)
    save_figure(figure, path)


def write_confusion_figures(
    matrices: Mapping[str, Sequence[Sequence[int]]], names: Sequence[str], path: Path
) -> None:
    """Write the confusion matrices of several models, side by side, to a file."""
    figure, axes_list = make_panels(len(matrices), "Confusion matrices on the test dataset")
    for axes, (name, matrix) in zip(axes_list, matrices.items(), strict=True):
        plot_confusion(axes, matrix, names, name)
    save_figure(figure, path)
