"""The null: how well file properties alone separate the classes, to be read next to a model's ROC AUC."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fakedetect.core.records.evaluation import Measure
from fakedetect.core.settings.recipes import SEED
from fakedetect.metrics.intervals import measure_auc

if TYPE_CHECKING:
    import pandas as pd

NULL = "ROC AUC of size and format alone"
"""The name of this figure on the screen, in the report and in the card."""

LEAST_NULL_PICTURES = 20
"""Pictures of each class with a known file; the null of fewer would be noise."""

CHANCE_AUC = 0.6
"""Up to here, file properties say little about the class."""

FOLD_COUNT = 5

FileProperties = tuple[int, int, int, str]
"""Width, height, bytes and format of a picture's file."""


def measure_null(files: Sequence[FileProperties | None], is_fake: np.ndarray) -> Measure | None:
    """Measure the ROC AUC of score_files().

    A model whose ROC AUC is not clearly higher may have learned no more than this.

    Returns:
        The ROC AUC with its interval; None if too few files are known.
    """
    scores = score_files(files, is_fake)
    if scores is None:
        return None
    known = ~np.isnan(scores)
    return measure_auc(is_fake[known], scores[known])


def score_files(
    files: Sequence[FileProperties | None], is_fake: np.ndarray, folds: np.ndarray | None = None
) -> np.ndarray | None:
    """Score pictures by a classifier that sees only the width, height, bytes and format of their files.

    Args:
        files: the properties of the N original files; None if unknown.
        is_fake: (N,) bool.
        folds: (N,) the fold in which each picture is held out; None for random folds.

    Returns:
        Held-out scores (N,), higher for fake, NaN for unknown files; None if too few files are known.
    """
    import pandas as pd

    known = np.array([file is not None for file in files], bool)
    fake = is_fake[known]
    if min(fake.sum(), (~fake).sum()) < LEAST_NULL_PICTURES:
        return None
    table = pd.DataFrame([file for file in files if file], columns=["width", "height", "bytes", "format"])
    table["format"] = table["format"].astype("category")
    scores = np.full(len(files), np.nan)
    scores[known] = cross_validate(table, pd.Series(fake), None if folds is None else folds[known])
    return scores


def describe_null(auc: Measure, null: Measure | None) -> list[str]:
    """Warn in one line if size and format alone score about as well as the model."""
    if null is None or null.low is None or null.high is None or auc.low is None or null.low <= CHANCE_AUC:
        return []
    if auc.low > null.high:
        return []
    return [
        f"Size and format of the files alone have a ROC AUC of {null}: on these pictures the model is not "
        "shown to see more."
    ]


def cross_validate(table: "pd.DataFrame", fake: "pd.Series", folds: np.ndarray | None = None) -> np.ndarray:
    """Return held-out scores (N,), higher for fake, of gradient-boosted trees on the columns of a table.

    A fold's classifier uses the columns with at least two values in its training rows: scikit-learn cannot
    bin the others, and they carry no information.

    Args:
        folds: (N,) the fold in which each row is held out; None for random folds.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import PredefinedSplit, StratifiedKFold
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        min_samples_leaf=min(20, max(2, len(table) // 20)),
        categorical_features="from_dtype",
        random_state=SEED,
    )
    scores = np.full(len(table), fake.mean())
    random = StratifiedKFold(FOLD_COUNT, shuffle=True, random_state=SEED)
    for fit, held_out in (random if folds is None else PredefinedSplit(folds)).split(table, fake):
        columns = [name for name in table if table[name].iloc[fit].nunique() > 1]
        # Whole sources are held out of given folds, which may leave one class.
        if columns and fake.iloc[fit].nunique() > 1:
            # More threads gain nothing in such small steps, and wait for minutes on a busy computer.
            with threadpool_limits(1, "openmp"):
                model.fit(table[columns].iloc[fit], fake.iloc[fit])
                scores[held_out] = model.predict_proba(table[columns].iloc[held_out])[:, 1]
    return scores
