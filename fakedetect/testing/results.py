"""What a test leaves in a model's folder: its results, its predictions, its mistakes."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fakedetect.core.errors import UserError
from fakedetect.core.records.cells import read_table, to_cell
from fakedetect.core.records.evaluation import Entry
from fakedetect.core.records.test import Matrix, TestResults, read_results
from fakedetect.core.settings.model_folder import predictions_file, results_file
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.dataset.samples import Sample

COLUMNS = ("path", "source", "label", "predicted", "p_fake")
"""Those of the table of predictions."""

ONE_SIDED = 0.95
"""The share of both classes that a model calls the same from which on it tells nothing apart."""


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
