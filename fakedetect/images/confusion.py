"""A confusion matrix as a figure."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fakedetect.images.palette import CLASS_COLOURS, SERIES_COLOURS, TEXT_COLOUR
from fakedetect.images.sheets import literal, save_figure

DEEPEST = 0.5
"""Opacity of a cell that holds all pictures of its row; its text stays readable."""


def plot_confusion(axes: Axes, matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> None:
    """A confusion matrix (rows: what the pictures are; columns: what they were taken for).

    The deeper a cell, the larger its share of the row: models tested on other numbers of pictures have
    one scale.
    """
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            share = value / (sum(values) or 1)
            place = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(place, 1, 1, color=SERIES_COLOURS[0], alpha=DEEPEST * share, lw=0))
            text = f"{value:,}\n{share:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=TEXT_COLOUR)
    ticks, last = range(len(names)), len(names) - 0.5
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    for label, name in zip(
        (*axes.get_xticklabels(), *axes.get_yticklabels()), (*names, *names), strict=True
    ):
        label.set_color(CLASS_COLOURS[name])
    axes.set(xlim=(-0.5, last), ylim=(last, -0.5), aspect="equal")
    axes.set(xlabel="Predicted class", ylabel="True class", title=literal(title))


def draw_confusion_matrix(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, path: Path
) -> None:
    """plot_confusion as a file."""
    figure = Figure(figsize=(5, 4.8), layout="constrained")
    plot_confusion(figure.subplots(), matrix, names, title)
    save_figure(figure, path)
