"""How a model does on each source of pictures: the sub-folders of the class folders."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from fakedetect.core.console import plural
from fakedetect.core.intervals import roc_auc_interval, share_interval
from fakedetect.core.recipes import CLASSES
from fakedetect.dataset.samples import Sample

OWN = "on the test set"
WORTH_A_WARNING = 0.05
"""A loss of ROC AUC between the test set and other pictures that deserves a warning."""


def measure_sources(samples: Sequence[Sample], margins: np.ndarray) -> list[dict[str, Any]]:
    """For each source and class: its share of right answers, and its ROC AUC against the other class.

    Args:
        margins: (N,) logit of fake minus logit of real.
    """
    labels = np.array([sample.label for sample in samples])
    right = (margins >= 0) == (labels == 0)
    entries = []
    for label, source in sorted({(sample.label, sample.source) for sample in samples}):
        mine = np.array([s.label == label and s.source == source for s in samples])
        count, hits = int(mine.sum()), int(right[mine].sum())
        low, high = share_interval(hits, count)
        entry: dict[str, Any] = {
            "source": source,
            "class": CLASSES[label],
            "count": count,
            "right": {"value": hits / count, "low": low, "high": high},
            "roc_auc": {"value": None, "low": None, "high": None},
        }
        both = mine | (labels != label)
        is_fake = labels[both] == 0
        if 0 < is_fake.sum() < len(is_fake):
            auc = float(roc_auc_score(is_fake, margins[both]))
            low, high = roc_auc_interval(auc, int(is_fake.sum()), int((~is_fake).sum()))
            entry["roc_auc"] = {"value": auc, "low": low, "high": high}
        entries.append(entry)
    return entries


def tell_sources(entries: Sequence[dict[str, Any]]) -> list[str]:
    """The sources as a table, with their mean and the worst of them."""
    lines = [f"  {'by source':<34}{'class':<6}{'pictures':>9}  accuracy (95 %)         ROC AUC (95 %)"]
    for entry in entries:
        right, auc = entry["right"], entry["roc_auc"]
        said = "-" if auc["value"] is None else f"{auc['value']:.3f} ({auc['low']:.3f}-{auc['high']:.3f})"
        share = f"{right['value']:.1%} ({right['low']:.1%}-{right['high']:.1%})"
        name = f"{entry['source'] or '(no source)':<34}{entry['class']:<6}{entry['count']:>9,}"
        lines.append(f"  {name}  {share:<24}{said}")
    if len(entries) > 1:
        worst = min(entries, key=lambda entry: entry["right"]["value"])
        mean = float(np.mean([entry["right"]["value"] for entry in entries]))
        lines.append(
            f"  mean accuracy of the sources: {mean:.1%}; worst: {worst['source'] or worst['class']}, "
            f"{worst['right']['value']:.1%}"
        )
    return lines


def auc_of(entry: Any) -> float | None:
    """The ROC AUC in an entry of evaluation.json, if there is one."""
    try:
        return float(entry["measures"]["roc_auc"]["value"])
    except (KeyError, TypeError, ValueError):
        return None


def tell_gap(own: float | None, other: float | None, where: str, at_home: str = OWN) -> list[str]:
    """The difference in ROC AUC between pictures like the training ones and others, in words."""
    if own is None or other is None:
        return []
    line = f"ROC AUC {own:.3f} {at_home}, {other:.3f} {where}"
    if other >= own - WORTH_A_WARNING:
        return [f"{line}: the model generalises."]
    return [
        f"{line}.",
        f"Warning: the model does not generalise; its ROC AUC is {own - other:.3f} lower there. On "
        "pictures from elsewhere, expect the second figure, not the first.",
    ]


def tell_left_out(source: str, entry: dict[str, Any]) -> str:
    """A left-out source's entry in words."""
    return (
        f"{source} ({entry['class']}, {plural(entry['count'], 'picture')}): "
        f"accuracy {entry['right']['value']:.1%} when left out of training, {entry['right_with']:.1%} "
        f"when not; ROC AUC {entry['roc_auc']['value']:.3f} and {entry['roc_auc_with']:.3f}"
    )
