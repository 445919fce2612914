"""What a test leaves in a model's folder: results, predictions, confusion matrix; and what they say."""

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
from fakedetect.core.records.cells import read_table, to_cell
from fakedetect.core.records.evaluation import Entry, LeftOut, Measure, SourceEntry
from fakedetect.core.records.test import Matrix, TestResults, read_results
from fakedetect.core.settings.model_folder import predictions_file, results_file
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural
from fakedetect.dataset.samples import Sample
from fakedetect.images.sheets import (
    CLASS_COLOURS,
    SERIES_COLOURS,
    TEXT_COLOUR,
    escape_text,
    make_panels,
    save_figure,
)

COLUMNS = ("path", "source", "label", "predicted", "p_fake")
"""Those of the table of predictions."""

ONE_SIDED = 0.95
"""The share of both classes that a model calls the same from which on it tells nothing apart."""

OWN = "on the test set"
WORTH_A_WARNING = 0.05
"""A loss of ROC AUC between the test set and other pictures that deserves a warning."""

DEEPEST = 0.75
"""Opacity of a cell that holds all pictures of its row; its text stays readable."""

STEEPNESS = 3
"""The power of a cell's share that its opacity grows with: 83 % and 100 % differ as 4 and 7 do."""


@dataclass(frozen=True)
class Tested:
    """A model's results on the test pictures, and its predictions: a row a picture, with COLUMNS."""

    results: TestResults
    predictions: pd.DataFrame


def read_tested(folder: Path, again: str) -> Tested | None:
    """The test that a model's folder holds; None where the model has not been tested.

    Args:
        again: the command that tests again, for the message.

    Raises:
        UserError: its files cannot be used, or come from different tests.
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
    return Tested(results, predictions)


def format_predictions(samples: Sequence[Sample], predicted: np.ndarray, p_fake: np.ndarray) -> str:
    """The table of predictions as CSV.

    Args:
        predicted: (N,) of 0 fake, 1 real; p_fake: (N,).
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
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
    """A table of predictions: a row a picture, with COLUMNS, every one checked.

    Args:
        again: the command that writes it again, for the message.

    Raises:
        UserError: it cannot be used.
    """
    # pandas' own reader takes no names that are not UTF-8.
    rows = read_table(file, COLUMNS, f"Test again: {again}")
    if rows is None:
        raise _refuse(file, again, "it is missing")
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    try:
        table["p_fake"] = table["p_fake"].astype(float)
    except ValueError as error:
        raise _refuse(file, again, " ".join(str(error).split())) from None
    if not table["p_fake"].between(0, 1).all():
        raise _refuse(file, again, "p_fake must be between 0 and 1")
    for column in ("label", "predicted"):
        if not table[column].isin(CLASSES).all():
            raise _refuse(file, again, f"{column} must be {' or '.join(CLASSES)}")
    return table


def _refuse(file: Path, again: str, why: str) -> UserError:
    return UserError(f"{file} cannot be used: {why}. Test again: {again}")


def tell_one_sided(matrix: Matrix) -> list[str]:
    """A warning where a model has one answer for nearly all pictures of both classes; nothing otherwise."""
    if not all(map(sum, matrix)):
        return []
    for column, name in enumerate(CLASSES):
        shares = [row[column] / sum(row) for row in matrix]
        if min(shares) >= ONE_SIDED:
            every = "every picture" if min(shares) == 1 else "nearly every picture"
            fakes, reals = (f"{share:.1%}" for share in shares)
            return [
                f"Warning: the model calls {every} {name} ({fakes} of the fakes, {reals} of the reals): it "
                "does not tell the classes apart, whatever its accuracy."
            ]
    return []


def confusion_of(entry: Entry) -> Matrix:
    """The confusion matrix of an evaluated set of pictures, from its recalls."""
    found = entry.measures
    fakes, reals = (
        round(count * (recall.value or 0.0))
        for count, recall in ((entry.fake, found.recall_fake), (entry.real, found.recall_real))
    )
    return (fakes, entry.fake - fakes), (entry.real - reals, reals)


def find_mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """The wrong answers, fake taken for real first, the most confident first, with `confidence`."""
    wrong = predictions[predictions["label"] != predictions["predicted"]].copy()
    wrong["confidence"] = np.where(wrong["label"] == "fake", 1 - wrong["p_fake"], wrong["p_fake"])
    return wrong.sort_values(["label", "confidence"], ascending=[True, False], kind="stable")


def mean_and_worst(entries: Sequence[SourceEntry]) -> tuple[float, SourceEntry]:
    """The mean of the sources' shares of right answers, and the worst source."""
    mean = float(np.mean([entry.right.value for entry in entries]))
    return mean, min(entries, key=lambda entry: entry.right.value)


def tell_sources(entries: Sequence[SourceEntry]) -> list[str]:
    """The sources as a table, with their mean and the worst of them."""
    lines = [f"  {'by source':<34}{'class':<6}{'pictures':>9}  accuracy (95 %)           ROC AUC (95 %)"]
    for entry in entries:
        name = f"{entry.source or '(no source)':<34}{entry.label:<6}{entry.count:>9,}"
        lines.append(f"  {name}  {entry.right.describe('.1%'):<26}{entry.roc_auc}")
    if len(entries) > 1:
        mean, worst = mean_and_worst(entries)
        lines.append(
            f"  mean accuracy of the sources: {mean:.1%}; worst: {worst.name}, {worst.right.value:.1%}"
        )
    return lines


def auc_of(entry: Entry | None) -> float | None:
    """The ROC AUC of a set of pictures, where it was measured."""
    return entry.measures.roc_auc.value if entry else None


def explain_doubt(own: float, other: Measure, known: int = 0) -> str:
    """Why a ROC AUC on other pictures does not show that a model generalises; '' where it does.

    Args:
        own: its ROC AUC on pictures like the training ones.
        known: how many of the others are the project's own.
    """
    if known:
        return f"{known:,} of them {'is' if known == 1 else 'are'} in this project's own folders"
    if other.low is None or other.low < own - WORTH_A_WARNING:
        return "the pictures are too few to show whether it generalises"
    return ""


def tell_gap(
    own: float | None, other: Measure, where: str, at_home: str = OWN, known: int = 0
) -> list[str]:
    """The difference in ROC AUC between pictures like the training ones and others, in words.

    Args:
        known: how many of the others are the project's own.
    """
    if own is None or other.value is None:
        return []
    line = f"ROC AUC {own:.3f} {at_home}, {other.value:.3f} {where}"
    if other.value >= own - WORTH_A_WARNING:
        doubt = explain_doubt(own, other, known)
        return [f"{line}; {doubt}." if doubt else f"{line}: the model generalises."]
    return [
        f"{line}.",
        f"Warning: the model does not generalise; its ROC AUC is {own - other.value:.3f} lower there. On "
        "pictures from other sources, expect the second figure, not the first.",
    ]


def tell_left_out(source: str, entry: LeftOut) -> str:
    """A left-out source's entry in words."""
    auc, auc_with = (
        "-" if value is None else f"{value:.3f}" for value in (entry.roc_auc.value, entry.roc_auc_with)
    )
    return (
        f"{source} ({entry.label}, {plural(entry.count, 'picture')}): "
        f"accuracy {entry.right.value:.1%} when held out of training, {entry.right_with:.1%} "
        f"when not; ROC AUC {auc} and {auc_with}"
    )


def plot_confusion(axes: Axes, matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> None:
    """A confusion matrix (rows: what the pictures are; columns: what they were taken for).

    The deeper a cell, the larger its share of the row: models tested on other numbers of pictures have
    one scale.
    """
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            share = value / (sum(values) or 1)
            place = (column - 0.5, row - 0.5)
            depth = DEEPEST * share**STEEPNESS
            axes.add_patch(Rectangle(place, 1, 1, color=SERIES_COLOURS[0], alpha=depth, lw=0))
            text = f"{value:,}\n{share:.1%}"
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


def draw_confusion_matrix(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, path: Path
) -> None:
    """plot_confusion as a file."""
    figure = Figure(figsize=(5, 4.8), layout="constrained")
    plot_confusion(figure.subplots(), matrix, names, title)
    save_figure(figure, path)


def draw_confusion_matrices(
    matrices: Mapping[str, Sequence[Sequence[int]]], names: Sequence[str], path: Path
) -> None:
    """Confusion matrices side by side, one a model."""
    figure, axes_list = make_panels(len(matrices), "Confusion matrices on the test dataset")
    for axes, (name, matrix) in zip(axes_list, matrices.items(), strict=True):
        plot_confusion(axes, matrix, names, name)
    save_figure(figure, path)
