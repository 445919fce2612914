"""What a test has left in a model's folder: its results, its predictions, its mistakes."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fakedetect.core.cells import from_cell, to_cell
from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.model_folder import predictions_file, results_file
from fakedetect.core.recipes import CLASSES
from fakedetect.core.test_record import TestResults, read_results
from fakedetect.dataset.samples import Sample

COLUMNS = ("path", "source", "label", "predicted", "p_fake")


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
    predictions = _read_predictions(file, again)
    if not len(predictions) == results.count == sum(map(sum, results.confusion_matrix)):
        raise UserError(
            f"{results_file(folder, 'test')} and {file.name} are not of one test. Test again: {again}"
        )
    return Tested(results, predictions)


def _read_predictions(file: Path, again: str) -> pd.DataFrame:
    """The table of predictions, every column checked.

    Raises:
        UserError: it cannot be used.
    """
    try:
        table = pd.read_csv(file, keep_default_na=False, dtype=str)[list(COLUMNS)]
        table["p_fake"] = table["p_fake"].astype(float)
        for column in ("path", "source"):
            table[column] = table[column].map(from_cell)
    except KeyError as error:
        raise _refuse(file, again, f"a column is missing: {error}") from None
    except (OSError, ValueError) as error:
        raise _refuse(file, again, " ".join(str(error).split())) from None
    if not table["p_fake"].between(0, 1).all():
        raise _refuse(file, again, "p_fake has to lie between 0 and 1")
    for column in ("label", "predicted"):
        if not table[column].isin(CLASSES).all():
            raise _refuse(file, again, f"{column} has to be {' or '.join(CLASSES)}")
    return table


def _refuse(file: Path, again: str, why: str) -> UserError:
    return UserError(f"{file} cannot be used: {why}. Test again: {again}")


def write_predictions(
    file: Path, samples: Sequence[Sample], predicted: np.ndarray, p_fake: np.ndarray
) -> None:
    """Write the table of predictions.

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
    write_text(file, table.getvalue())


def find_mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """The wrong answers, fake taken for real first, the most confident first, with `confidence`."""
    wrong = predictions[predictions["label"] != predictions["predicted"]].copy()
    wrong["confidence"] = np.where(wrong["label"] == "fake", 1 - wrong["p_fake"], wrong["p_fake"])
    return wrong.sort_values(["label", "confidence"], ascending=[True, False], kind="stable")
