"""Figures of a test: ROC curves, histograms, robustness and reliability."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fakedetect.core.records.evaluation import Bin, Point, Robustness
from fakedetect.core.terminal.console import plural
from fakedetect.images.degradations import STRENGTH_AXES, StrengthAxis
from fakedetect.images.sheets import (
    ACCURACY_COLOUR,
    AUC_COLOUR,
    CLASS_COLOURS,
    SERIES_COLOURS,
    TITLE_Y,
    escape_text,
    make_panels,
    save_figure,
    series_colour,
    series_line,
    series_marker,
    set_round_ticks,
)

P_FAKE_BINS = 20


def plot_roc(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> None:
    """Plot ROC curves by label: false-positive and true-positive rates."""
    for number, (label, (false_rate, true_rate)) in enumerate(curves.items()):
        axes.plot(
            false_rate,
            true_rate,
            label=escape_text(label),
            color=series_colour(number),
            linestyle=series_line(number),
            marker=series_marker(number) if len(curves) > 1 else None,
            # Spread along the curve, and offset so that markers of several curves do not overlap.
            markevery=(0.03 * (number + 1), 0.2),
            markersize=5,
        )
    axes.plot((0, 1), (0, 1), color="grey", linewidth=1, label="chance")
    axes.set(
        xlabel="False positive rate: real pictures called fake",
        ylabel="True positive rate: fakes called fake",
        title=escape_text(title),
    )
    for axis in (axes.xaxis, axes.yaxis):
        set_round_ticks(axis)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def write_roc_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, path: Path) -> None:
    """Write plot_roc() to a file."""
    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.subplots()
    plot_roc(axes, curves, title)
    axes.set_aspect("equal")
    save_figure(figure, path)


def plot_p_fake(
    axes: Axes, p_fake: np.ndarray, is_fake: np.ndarray, thresholds: Mapping[str, float], title: str
) -> None:
    """Plot histograms of p(fake) by class, with the thresholds between verdicts.

    Args:
        p_fake: (N,); is_fake: (N,) bool.
        thresholds: by label, at most two.
    """
    classes = {"fake": p_fake[is_fake], "real": p_fake[~is_fake]}
    shown = {name: values for name, values in classes.items() if len(values)}
    axes.hist(
        list(shown.values()),
        bins=P_FAKE_BINS,
        range=(0, 1),
        weights=[np.full(len(values), 100 / len(values)) for values in shown.values()],
        color=[CLASS_COLOURS[name] for name in shown],
        label=[f"{name} ({plural(len(values), 'picture')})" for name, values in shown.items()],
    )
    for (label, threshold), line in zip(thresholds.items(), ("--", ":"), strict=False):
        axes.axvline(threshold, color="black", linewidth=1, linestyle=line, label=label)
    axes.set(xlabel="p(fake)", ylabel="Share of the class (%)", xlim=(0, 1), title=escape_text(title))
    for axis in (axes.xaxis, axes.yaxis):
        set_round_ticks(axis)
    # Inside the axes, the legend would cover bars.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize="small")


def find_axis_limits(found: Robustness) -> tuple[float, float]:
    """Return the limits of the vertical axis shared by all kinds of degradations."""
    points: list[Point] = [found.clean, *found.points]
    lowest = min(min(point.low, point.accuracy) for point in points)
    return min(0.4, math.floor(10 * lowest) / 10), 1.01


def kind_name(kind: str) -> str:
    """Return the name of a kind of degradation in panels and the report."""
    return STRENGTH_AXES[kind].name if kind in STRENGTH_AXES else kind


def plot_robustness(axes: Axes, kind: str, found: Robustness) -> None:
    """Plot ROC AUC (with its interval) and accuracy by the strength of a kind of degradation."""
    degraded = [point for point in found.points if point.kind == kind]
    points: list[Point] = [found.clean, *degraded]
    axis = STRENGTH_AXES.get(kind, StrengthAxis(kind, "Strength"))
    strengths = ["none", *(f"{point.strength * axis.factor:g}" for point in degraded)]
    places = range(len(points))
    low, high = [point.low for point in points], [point.high for point in points]
    auc, accuracy = [point.roc_auc for point in points], [point.accuracy for point in points]
    axes.plot(places, auc, marker="o", color=AUC_COLOUR, label="ROC AUC, 95 % interval")
    axes.fill_between(places, low, high, color=AUC_COLOUR, alpha=0.15)
    axes.plot(places, accuracy, marker="s", color=ACCURACY_COLOUR, label="accuracy")
    axes.axhline(0.5, color="grey", linestyle=":", label="chance")
    axes.set_xticks(places, strengths)
    axes.set_title(escape_text(axis.name), y=TITLE_Y)
    axes.set(xlabel=escape_text(axis.unit), ylabel="ROC AUC and accuracy")
    axes.set_ylim(find_axis_limits(found))
    set_round_ticks(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize="small")


def write_robustness_figure(found: Robustness, title: str, path: Path) -> None:
    """Write plot_robustness() to a file, with a panel for each kind of degradation."""
    kinds = list_kinds(found)
    figure, axes_list = make_panels(len(kinds), f"{title}: both classes degraded alike")
    for axes, kind in zip(axes_list, kinds, strict=True):
        plot_robustness(axes, kind, found)
    save_figure(figure, path)


def list_kinds(found: Robustness) -> list[str]:
    """List the kinds of degradations, each once."""
    return list(dict.fromkeys(point.kind for point in found.points))


def plot_reliability(axes: Axes, bins: Sequence[Bin], title: str) -> None:
    """Plot a reliability diagram: the share of fakes and the number of pictures by bin of p(fake).

    Args:
        bins: (mean p_fake, share of fakes, count) of each non-empty bin.
    """
    predicted, observed, counts = zip(*bins, strict=True)
    axes.plot((0, 1), (0, 1), color="grey", linestyle=":", label="perfect")
    area = [12 + 300 * count / sum(counts) for count in counts]
    axes.plot(predicted, observed, color=SERIES_COLOURS[0])
    axes.scatter(
        predicted, observed, s=area, color=SERIES_COLOURS[0], label="pictures (area: their number)"
    )
    axes.set(
        xlabel="Predicted p(fake)", ylabel="Share of fakes", title=escape_text(title),
        xlim=(-0.03, 1.03), ylim=(-0.03, 1.03),
    )  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        set_round_ticks(axis)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def write_reliability_figure(curves: Mapping[str, Sequence[Bin]], title: str, path: Path) -> None:
    """Write plot_reliability() to a file, with a panel for each label."""
    figure, axes_list = make_panels(len(curves), f"{title}: are the probabilities calibrated?")
    for axes, (label, bins) in zip(axes_list, curves.items(), strict=True):
        plot_reliability(axes, bins, label)
    save_figure(figure, path)
