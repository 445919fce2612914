"""The record that `test` writes: test_results.json and train_results.json."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.record import Count, NotNegative, Record, Share, read_record

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
