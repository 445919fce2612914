"""What a test has left in a model's folder: its results, its predictions, its mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fakedetect.core.files import read_json
from fakedetect.core.recipes import CLASSES


def read_tested(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """test_results.json, and test_predictions.csv as a table.

    Raises:
        OSError, ValueError, KeyError, TypeError or IndexError: they cannot be used.
    """
    results = read_json(folder / "test_results.json")
    predictions = pd.read_csv(folder / "test_predictions.csv", keep_default_na=False)
    predictions["p_fake"] = predictions["p_fake"].astype(float)
    if len(predictions) != results["count"] or not set(predictions["label"]) <= set(CLASSES):
        raise ValueError("the two files come from different tests")
    results["classes"]["fake"]["precision"], results["confusion_matrix"][1][1]
    return results, predictions


def find_mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """The wrong answers, fake taken for real first, the most confident first, with `confidence`."""
    wrong = predictions[predictions["label"] != predictions["predicted"]].copy()
    wrong["confidence"] = np.where(wrong["label"] == "fake", 1 - wrong["p_fake"], wrong["p_fake"])
    return wrong.sort_values(["label", "confidence"], ascending=[True, False], kind="stable")
