"""How a model does on each source (a sub-folder of a class folder) and on other pictures, in words."""

from collections.abc import Sequence

import numpy as np

from fakedetect.core.records.evaluation import Entry, LeftOut, Measure, SourceEntry
from fakedetect.core.terminal.console import plural

OWN = "on the test set"
WORTH_A_WARNING = 0.05
"""A loss of ROC AUC between the test set and other pictures that deserves a warning."""


def mean_and_worst(entries: Sequence[SourceEntry]) -> tuple[float, SourceEntry]:
    """The mean of the sources' shares of right answers, and the worst source."""
    mean = float(np.mean([entry.right.value for entry in entries]))
    return mean, min(entries, key=lambda entry: entry.right.value)


def tell_sources(entries: Sequence[SourceEntry]) -> list[str]:
    """The sources as a table, with their mean and the worst of them."""
    lines = [f"  {'by source':<34}{'class':<6}{'pictures':>9}  accuracy (95 %)           ROC AUC (95 %)"]
    for entry in entries:
        name = f"{entry.source or '(no source)':<34}{entry.label:<6}{entry.count:>9,}"
        lines.append(f"  {name}  {entry.right.describe('.1%'):<26}{entry.roc_auc}")
    if len(entries) > 1:
        mean, worst = mean_and_worst(entries)
        lines.append(
            f"  mean accuracy of the sources: {mean:.1%}; worst: {worst.name}, {worst.right.value:.1%}"
        )
    return lines


def auc_of(entry: Entry | None) -> float | None:
    """The ROC AUC of a set of pictures, where it was measured."""
    return entry.measures.roc_auc.value if entry else None


def explain_doubt(own: float, other: Measure, known: int = 0) -> str:
    """Why a ROC AUC on other pictures does not show that a model generalises; '' where it does.

    Args:
        own: its ROC AUC on pictures like the training ones.
        known: how many of the others are the project's own.
    """
    if known:
        return f"{known:,} of them {'is' if known == 1 else 'are'} in this project's own folders"
    if other.low is None or other.low < own - WORTH_A_WARNING:
        return "the pictures are too few to show whether it generalises"
    return ""


def tell_gap(
    own: float | None, other: Measure, where: str, at_home: str = OWN, known: int = 0
) -> list[str]:
    """The difference in ROC AUC between pictures like the training ones and others, in words.

    Args:
        known: how many of the others are the project's own.
    """
    if own is None or other.value is None:
        return []
    line = f"ROC AUC {own:.3f} {at_home}, {other.value:.3f} {where}"
    if other.value >= own - WORTH_A_WARNING:
        doubt = explain_doubt(own, other, known)
        return [f"{line}; {doubt}." if doubt else f"{line}: the model generalises."]
    return [
        f"{line}.",
        f"Warning: the model does not generalise; its ROC AUC is {own - other.value:.3f} lower there. On "
        "pictures from other sources, expect the second figure, not the first.",
    ]


def tell_left_out(source: str, entry: LeftOut) -> str:
    """A left-out source's entry in words."""
    auc, auc_with = (
        "-" if value is None else f"{value:.3f}" for value in (entry.roc_auc.value, entry.roc_auc_with)
    )
    return (
        f"{source} ({entry.label}, {plural(entry.count, 'picture')}): "
        f"accuracy {entry.right.value:.1%} when held out of training, {entry.right_with:.1%} "
        f"when not; ROC AUC {auc} and {auc_with}"
    )
