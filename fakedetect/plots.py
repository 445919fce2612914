"""Every figure that is drawn."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fakedetect.files import atomic_write


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:], dpi=120)
    with atomic_write(path) as file:
        file.write(picture.getvalue())


def draw_loss_plot(
    epochs: Sequence[int], train_loss: Sequence[float], val_loss: Sequence[float], path: Path
) -> None:
    """The reference's loss plot: training and validation loss over the epochs."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(epochs, train_loss, marker="o", label="Training Loss")
    axes.plot(epochs, val_loss, marker="o", label="Validation Loss")
    axes.set(xlabel="Epoch", ylabel="Loss", title="Training vs. Validation Loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def draw_confusion_matrix(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, path: Path
) -> None:
    """A confusion matrix (rows: what the pictures are; columns: what they were taken for)."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
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
    _save(figure, path)
