"""The null: how well file properties alone separate the classes, to be read next to a model's ROC AUC."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fakedetect.core.records.evaluation import Measure
from fakedetect.core.settings.recipes import SEED
from fakedetect.metrics.intervals import measure_area

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
    """Measure the ROC AUC of a classifier that sees only the pictures' width, height, bytes and format.

    It is cross-validated on these pictures. A model whose ROC AUC is not clearly higher may have learned
    no more than this.

    Args:
        files: the properties of the N original files; None if unknown.
        is_fake: (N,) bool.

    Returns:
        The ROC AUC with its interval; None if too few files are known.
    """
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    known = np.array([file is not None for file in files], bool)
    fake = is_fake[known]
    if min(fake.sum(), (~fake).sum()) < LEAST_NULL_PICTURES:
        return None
    table = pd.DataFrame([file for file in files if file], columns=["width", "height", "bytes", "format"])
    table["format"] = table["format"].astype("category")
    area = float(roc_auc_score(fake, cross_validate(table, pd.Series(fake))))
    return measure_area(area, int(fake.sum()), int((~fake).sum()))


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


def cross_validate(table: "pd.DataFrame", fake: "pd.Series") -> np.ndarray:
    """Return held-out scores (N,), higher for fake, of gradient-boosted trees on the columns of a table.

    A fold's classifier uses the columns with at least two values in its training rows: scikit-learn cannot
    bin the others, and they carry no information.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    model = HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        min_samples_leaf=min(20, max(2, len(table) // 20)),
        categorical_features="from_dtype",
        random_state=SEED,
    )
    scores = np.full(len(table), fake.mean())
    for fit, held_out in StratifiedKFold(FOLD_COUNT, shuffle=True, random_state=SEED).split(table, fake):
        columns = [name for name in table if table[name].iloc[fit].nunique() > 1]
        if columns:
            model.fit(table[columns].iloc[fit], fake.iloc[fit])
            scores[held_out] = model.predict_proba(table[columns].iloc[held_out])[:, 1]
    return scores
