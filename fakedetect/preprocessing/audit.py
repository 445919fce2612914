"""The shortcut audit: whether a classifier separates the classes without the pixels.

Background: Grommelt et al. 2024, 'Fake or JPEG? Revealing Common Biases in Generated Image Detection
Datasets': detectors learn the format, the quality and the size where these differ by class.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fakedetect.core.settings.recipes import SEED
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.shortcuts import LEAST_AUDIT_PICTURES, Audit, AuditFeature
from fakedetect.metrics.intervals import roc_auc_interval
from fakedetect.metrics.null import cross_validate

NUMBER_PHRASES = {
    "width": "are more than {:.0f} pixels wide",
    "height": "are more than {:.0f} pixels high",
    "aspect_ratio": "have a width/height above {:.2f}",
    "megapixels": "have more than {:.2f} megapixels",
    "bytes_per_pixel": "have more than {:.3f} bytes per pixel",
    "jpeg_quality": "have a JPEG quality above {:.0f}",
}
CATEGORY_PHRASES = {
    "format": "are {} files",
    "extension": "end in {}",
    "mode": "have the colour mode {}",
    "jpeg_subsampling": "have the chroma subsampling {}",
    "jpeg_tables": "have the JPEG quantisation tables {}",
}
FLAG_PHRASES = {
    "exif": "have EXIF data",
    "icc": "have an ICC colour profile",
    "software": "have a software entry",
}
"""The audited columns, and phrases on pictures above a number, of a category, or with a flag."""

MOST_AUDITED_PICTURES = 20_000
"""The audit draws a random sample of a larger dataset, which gives the same result."""

MOST_CATEGORIES = 100
"""The most common values of a category; rarer ones are merged."""


def _build_table(frame: pd.DataFrame) -> pd.DataFrame:
    table = frame[[*NUMBER_PHRASES]].astype(float)
    for name in CATEGORY_PHRASES:
        values = frame[name].fillna("none").astype(str)
        common = values.value_counts().index[:MOST_CATEGORIES]
        table[name] = values.where(values.isin(common), "rare").astype("category")
    for name in FLAG_PHRASES:
        table[name] = frame[name].astype(float)
    return table


def _make_feature(name: str, phrase: str, holds: pd.Series, fake: pd.Series) -> AuditFeature:
    of_fake, of_real = float(holds[fake].mean()), float(holds[~fake].mean())
    verb = "are" if phrase.startswith("are") else "do"
    says = f"{percent(of_fake, 0)} of fake pictures {phrase}; {percent(of_real, 0)} of real ones {verb}"
    return AuditFeature(name=name, fake=of_fake, real=of_real, description=says)


def _find_best_threshold(values: pd.Series, fake: pd.Series) -> float | None:
    """Return the value above which the shares of the two classes differ the most (Youden 1950)."""
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


def _list_candidates(frame: pd.DataFrame, fake: pd.Series) -> list[AuditFeature]:
    found = [_make_feature("shape", "are square", frame["width"] == frame["height"], fake)]
    for name, phrase in NUMBER_PHRASES.items():
        threshold = _find_best_threshold(frame[name], fake)
        if threshold is not None:
            found.append(_make_feature(name, phrase.format(threshold), frame[name] > threshold, fake))
    for name, phrase in CATEGORY_PHRASES.items():
        for value in frame[name].dropna().value_counts().index[:MOST_CATEGORIES]:
            found.append(_make_feature(name, phrase.format(value), frame[name] == value, fake))
    for name, phrase in FLAG_PHRASES.items():
        found.append(_make_feature(name, phrase, frame[name].astype(bool), fake))
    return found


def _find_strongest(frame: pd.DataFrame, fake: pd.Series) -> tuple[AuditFeature, ...]:
    best: dict[str, AuditFeature] = {}
    for feature in sorted(_list_candidates(frame, fake), key=lambda f: -abs(f.fake - f.real)):
        if abs(feature.fake - feature.real) >= 0.005:
            best.setdefault(feature.name, feature)
    return tuple(best.values())


def _draw_sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Draw MOST_AUDITED_PICTURES at most: half of each class, or more if the other class has fewer."""
    if len(frame) <= MOST_AUDITED_PICTURES:
        return frame
    classes = [of_class for _, of_class in frame.groupby("label")]
    limits = [
        max(MOST_AUDITED_PICTURES // 2, MOST_AUDITED_PICTURES - (len(frame) - len(of_class)))
        for of_class in classes
    ]
    return pd.concat(
        [
            of_class.sample(min(len(of_class), limit), random_state=SEED)
            for of_class, limit in zip(classes, limits, strict=True)
        ]
    )


def audit_shortcuts(frame: pd.DataFrame, on: str) -> Audit:
    """Cross-validate a classifier that sees only the headers of the pictures.

    Args:
        frame: a row for each picture, with `label` ('fake' or 'real') and the columns of its header.
        on: 'original' or 'resized', as recorded in the audit.
    """
    frame = _draw_sample(frame).reset_index(drop=True)
    fake = frame["label"] == "fake"
    if min(fake.sum(), (~fake).sum()) < LEAST_AUDIT_PICTURES:
        return Audit(on=on, auc=None, auc_low=None, auc_high=None, count=len(frame), features=())
    auc = float(roc_auc_score(fake, cross_validate(_build_table(frame), fake)))
    low, high = roc_auc_interval(auc, int(fake.sum()), int((~fake).sum()))
    return Audit(
        on=on,
        auc=auc,
        auc_low=low,
        auc_high=high,
        count=len(frame),
        features=_find_strongest(frame, fake),
    )
