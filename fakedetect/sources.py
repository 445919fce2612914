"""How a model does on each source of pictures: the sub-folders of the class folders."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from fakedetect.dataset import Sample
from fakedetect.intervals import roc_auc_interval, share_interval
from fakedetect.recipes import CLASSES


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
            low, high = roc_auc_interval(is_fake, margins[both])
            auc = float(roc_auc_score(is_fake, margins[both]))
            entry["roc_auc"] = {"value": auc, "low": low, "high": high}
        entries.append(entry)
    return entries


def tell_sources(entries: Sequence[dict[str, Any]]) -> list[str]:
    """The sources as a table, with their mean and the worst of them."""
    lines = [f"  {'by source':<34}{'class':<6}{'pictures':>9}  right (95 %)            ROC AUC (95 %)"]
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
            f"  mean of the sources: {mean:.1%} right; worst: {worst['source'] or worst['class']}, "
            f"{worst['right']['value']:.1%}"
        )
    return lines
