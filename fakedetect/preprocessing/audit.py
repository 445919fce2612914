"""Can the classes be told apart without looking at the pictures? The shortcut audit.

Background: Grommelt et al. 2024, 'Fake or JPEG? Revealing Common Biases in Generated Image Detection
Datasets': detectors learn the format, the quality and the size where these differ by class.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from fakedetect.core.settings.recipes import SEED
from fakedetect.dataset.shortcuts import LEAST_AUDIT_PICTURES, Audit, AuditFeature
from fakedetect.metrics.intervals import roc_auc_interval

NUMBERS = {
    "width": "are more than {:.0f} pixels wide",
    "height": "are more than {:.0f} pixels high",
    "aspect_ratio": "have a width/height above {:.2f}",
    "megapixels": "have more than {:.2f} megapixels",
    "bytes_per_pixel": "have more than {:.3f} bytes per pixel",
    "jpeg_quality": "have a JPEG quality above {:.0f}",
}
NAMES = {
    "format": "are {} files",
    "extension": "end in {}",
    "mode": "have the colour mode {}",
    "jpeg_subsampling": "have the chroma subsampling {}",
    "jpeg_tables": "have the JPEG quantisation tables {}",
}
FLAGS = {
    "exif": "have EXIF data",
    "icc": "have an ICC colour profile",
    "software": "have a software entry",
}
"""What the audit looks at, and what is said of the pictures beyond a number, with a name, with a flag."""

FOLDS = 5
MOST = 20_000
"""Pictures that the audit looks at; a random draw of that many of a larger set says the same."""

MOST_NAMES = 100
"""Values of a name that are kept apart; the rarer ones count as one."""


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    table = frame[[*NUMBERS]].astype(float)
    for name in NAMES:
        values = frame[name].fillna("none").astype(str)
        common = values.value_counts().index[:MOST_NAMES]
        table[name] = values.where(values.isin(common), "rare").astype("category")
    for name in FLAGS:
        table[name] = frame[name].astype(float)
    return table


def _say(name: str, phrase: str, holds: pd.Series, fake: pd.Series) -> AuditFeature:
    of_fake, of_real = float(holds[fake].mean()), float(holds[~fake].mean())
    verb = "are" if phrase.startswith("are") else "do"
    says = f"{100 * of_fake:.0f} % of fake pictures {phrase}; {100 * of_real:.0f} % of real ones {verb}"
    return AuditFeature(name=name, fake=of_fake, real=of_real, description=says)


def _best_threshold(values: pd.Series, fake: pd.Series) -> float | None:
    """The value above which the shares of the two classes differ the most (Youden 1950)."""
    known = values.notna()
    ordered = values[known].to_numpy().argsort(kind="stable")
    sorted_values = values[known].to_numpy()[ordered]
    is_fake = fake[known].to_numpy()[ordered]
    last = np.flatnonzero(np.diff(sorted_values) > 0)
    if not len(last):
        return None
    below_fake = np.cumsum(is_fake)[last] / max(fake.sum(), 1)
    below_real = np.cumsum(~is_fake)[last] / max((~fake).sum(), 1)
    return float(sorted_values[last[np.abs(below_fake - below_real).argmax()]])


def _candidates(frame: pd.DataFrame, fake: pd.Series) -> list[AuditFeature]:
    found = [_say("shape", "are square", frame["width"] == frame["height"], fake)]
    for name, phrase in NUMBERS.items():
        threshold = _best_threshold(frame[name], fake)
        if threshold is not None:
            found.append(_say(name, phrase.format(threshold), frame[name] > threshold, fake))
    for name, phrase in NAMES.items():
        for value in frame[name].dropna().value_counts().index[:MOST_NAMES]:
            found.append(_say(name, phrase.format(value), frame[name] == value, fake))
    for name, phrase in FLAGS.items():
        found.append(_say(name, phrase, frame[name].astype(bool), fake))
    return found


def _strongest(frame: pd.DataFrame, fake: pd.Series) -> tuple[AuditFeature, ...]:
    best: dict[str, AuditFeature] = {}
    for feature in sorted(_candidates(frame, fake), key=lambda f: -abs(f.fake - f.real)):
        if abs(feature.fake - feature.real) >= 0.005:
            best.setdefault(feature.name, feature)
    return tuple(best.values())


def _draw(frame: pd.DataFrame) -> pd.DataFrame:
    """At most MOST of the pictures: half of each class, more where the other has fewer."""
    if len(frame) <= MOST:
        return frame
    classes = [of_class for _, of_class in frame.groupby("label")]
    rooms = [max(MOST // 2, MOST - (len(frame) - len(of_class))) for of_class in classes]
    return pd.concat(
        [
            of_class.sample(min(len(of_class), room), random_state=SEED)
            for of_class, room in zip(classes, rooms, strict=True)
        ]
    )


def _cross_validate(table: pd.DataFrame, fake: pd.Series) -> np.ndarray:
    """The score of each row (N,), higher for fake, by a classifier fitted without the row's fold.

    A fold's classifier takes the columns that have two values in its training rows: scikit-learn bins no
    others, and they tell nothing apart.
    """
    model = HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        min_samples_leaf=min(20, max(2, len(table) // 20)),
        categorical_features="from_dtype",
        random_state=SEED,
    )
    scores = np.full(len(table), fake.mean())
    for fit, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(table, fake):
        columns = [name for name in table if table[name].iloc[fit].nunique() > 1]
        if columns:
            model.fit(table[columns].iloc[fit], fake.iloc[fit])
            scores[held_out] = model.predict_proba(table[columns].iloc[held_out])[:, 1]
    return scores


def audit_shortcuts(frame: pd.DataFrame, on: str) -> Audit:
    """Cross-validate a classifier that sees only what is around the pictures.

    Args:
        frame: a row a picture, with `label` ('fake' or 'real') and what its header says.
        on: 'original' or 'resized', which of the pictures these are.
    """
    frame = _draw(frame).reset_index(drop=True)
    fake = frame["label"] == "fake"
    if min(fake.sum(), (~fake).sum()) < LEAST_AUDIT_PICTURES:
        return Audit(on=on, auc=None, auc_low=None, auc_high=None, count=len(frame), features=())
    auc = float(roc_auc_score(fake, _cross_validate(_table(frame), fake)))
    low, high = roc_auc_interval(auc, int(fake.sum()), int((~fake).sum()))
    return Audit(
        on=on,
        auc=auc,
        auc_low=low,
        auc_high=high,
        count=len(frame),
        features=_strongest(frame, fake),
    )
