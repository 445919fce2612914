"""The figures of a test: confusion matrices, ROC curves, robustness, reliability."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fakedetect.core.evaluation_record import Bin, Point, Robustness
from fakedetect.images.sheets import panels, save_figure


def _plot_confusion(axes: Axes, matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> None:
    axes.imshow(matrix, cmap="Blues", vmin=0)
    highest = max(max(row) for row in matrix)
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            share = value / (sum(values) or 1)
            axes.text(
                column,
                row,
                f"{value:,}\n{share:.1%}",
                ha="center",
                va="center",
                color="white" if value > highest / 2 else "black",
            )
    ticks = range(len(names))
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="Predicted", ylabel="True", title=title)


def draw_confusion_matrix(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, path: Path
) -> None:
    """A confusion matrix (rows: what the pictures are; columns: what they were taken for)."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    _plot_confusion(figure.subplots(), matrix, names, title)
    save_figure(figure, path)


def draw_confusion_matrices(
    matrices: Mapping[str, Sequence[Sequence[int]]], names: Sequence[str], path: Path
) -> None:
    """Confusion matrices side by side, one a model."""
    figure, axes_list = panels(len(matrices))
    for axes, (name, matrix) in zip(axes_list, matrices.items(), strict=True):
        _plot_confusion(axes, matrix, names, name)
    save_figure(figure, path)


def plot_roc(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str) -> None:
    """ROC curves together: for each label the false and the true positive rates."""
    for label, (false_rate, true_rate) in curves.items():
        axes.plot(false_rate, true_rate, label=label)
    axes.plot((0, 1), (0, 1), color="grey", linestyle=":", label="chance")
    axes.set(xlabel="Real pictures called fake", ylabel="Fake pictures called fake", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def draw_roc_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, path: Path) -> None:
    """plot_roc as a file."""
    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.subplots()
    plot_roc(axes, curves, title)
    axes.set_aspect("equal")
    save_figure(figure, path)


def plot_robustness(axes: Axes, kind: str, found: Robustness) -> None:
    """What a kind of degradation does, by its strength: ROC AUC with its interval, and accuracy."""
    degraded = [point for point in found.points if point.kind == kind]
    points: list[Point] = [found.clean, *degraded]
    says = ["as it is", *(point.says for point in degraded)]
    places = range(len(points))
    low, high = [point.low for point in points], [point.high for point in points]
    auc, accuracy = [point.roc_auc for point in points], [point.accuracy for point in points]
    axes.plot(places, auc, marker="o", color="tab:purple", label="ROC AUC (95 %)")
    axes.fill_between(places, low, high, color="tab:purple", alpha=0.15)
    axes.plot(places, accuracy, marker="s", color="tab:orange", label="accuracy")
    axes.axhline(0.5, color="grey", linestyle=":")
    axes.set_xticks(places, [textwrap.fill(each, 10) for each in says], fontsize=8)
    axes.set(ylim=(min(0.4, *low), 1.01), title=kind)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize="small")


def draw_robustness(found: Robustness, title: str, path: Path) -> None:
    """plot_robustness as a file, a panel for each kind of degradation."""
    kinds = kinds_of(found)
    figure, axes_list = panels(len(kinds))
    figure.suptitle(f"{title}: both classes degraded alike")
    for axes, kind in zip(axes_list, kinds, strict=True):
        plot_robustness(axes, kind, found)
    save_figure(figure, path)


def kinds_of(found: Robustness) -> list[str]:
    """The kinds of degradations, each once."""
    return list(dict.fromkeys(point.kind for point in found.points))


def plot_reliability(axes: Axes, bins: Sequence[Bin], title: str) -> None:
    """A reliability diagram: in each bin of p(fake) the share of fakes, beside the number of pictures.

    Args:
        bins: (mean p_fake, share of fakes, count) of the bins that are not empty.
    """
    said, found, counts = zip(*bins, strict=True)
    axes.plot((0, 1), (0, 1), color="grey", linestyle=":", label="perfect")
    area = [12 + 300 * count / sum(counts) for count in counts]
    axes.plot(said, found, color="tab:purple")
    axes.scatter(said, found, s=area, color="tab:purple", label="pictures (area: count)")
    axes.set(
        xlabel="predicted p(fake)", ylabel="Share of fakes", title=title,
        xlim=(-0.03, 1.03), ylim=(-0.03, 1.03),
    )  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")


def draw_reliability(curves: Mapping[str, Sequence[Bin]], title: str, path: Path) -> None:
    """plot_reliability as a file, a panel for each label."""
    figure, axes_list = panels(len(curves))
    figure.suptitle(f"{title}: does a probability mean what it says?")
    for axes, (label, bins) in zip(axes_list, curves.items(), strict=True):
        plot_reliability(axes, bins, label)
    save_figure(figure, path)
