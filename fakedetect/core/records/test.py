"""What `test` leaves of a data set: test_results.json and train_results.json."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.record import Count, NotNegative, Record, Share, read_record

Rounded = Annotated[float, msgspec.Meta(ge=0, le=1 + 1e-9)]
"""A share that earlier versions wrote as scikit-learn adds it up: 1.0000000000000002 for a perfect one."""

Matrix = tuple[tuple[Count, Count], tuple[Count, Count]]
"""Rows: what the pictures are; columns: what they were taken for; fake first in both."""


class ClassResult(Record, frozen=True, kw_only=True):
    """One class: how far its calls are right, and how many of its pictures are found."""

    precision: Share
    recall: Share
    f1: Share
    support: Count = 0


class ClassResults(Record, frozen=True, kw_only=True):
    """Both classes, by their names."""

    fake: ClassResult
    real: ClassResult

    def both(self) -> tuple[ClassResult, ClassResult]:
        """In the order of CLASSES."""
        return self.fake, self.real


class TestResults(Record, frozen=True, kw_only=True):
    """The results of a model on the resized folder 'train' or 'test'.

    `checkpoint` is the hash of what answered; ROC AUC and average precision are None where the pictures
    are of one class. Earlier versions left out what has a default here.
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
    """The results in a test_results.json; None where there is none.

    Args:
        again: the command that tests again, for the message.

    Raises:
        UserError: the file does not fit.
    """
    return read_record(path, TestResults, f"Test again: {again}")
