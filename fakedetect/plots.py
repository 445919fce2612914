"""Every figure that is drawn."""

import io
import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fakedetect.files import atomic_write

COLOURS = {"fake": "tab:red", "real": "tab:blue"}
RATIOS = {"9:16": 9 / 16, "2:3": 2 / 3, "3:4": 3 / 4, "1:1": 1, "4:3": 4 / 3, "3:2": 3 / 2, "16:9": 16 / 9}
BINS = 50


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 on a sheet, None for one that cannot be shown, and its caption."""

    image: np.ndarray | None
    caption: str
    wrong: bool = False


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A file name in a script that the font lacks is drawn as boxes; the rest stays readable.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(picture, format=path.suffix[1:], dpi=120)
    with atomic_write(path) as file:
        file.write(picture.getvalue())


def _plot_losses(
    axes: Any, epochs: Sequence[int], train_loss: Sequence[float], val_loss: Sequence[float], title: str
) -> None:
    axes.plot(epochs, train_loss, marker="o", label="Training Loss")
    axes.plot(epochs, val_loss, marker="o", label="Validation Loss")
    axes.set(xlabel="Epoch", ylabel="Loss", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()


def draw_loss_plot(
    epochs: Sequence[int], train_loss: Sequence[float], val_loss: Sequence[float], path: Path
) -> None:
    """The reference's loss plot: training and validation loss over the epochs."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    _plot_losses(figure.subplots(), epochs, train_loss, val_loss, "Training vs. Validation Loss")
    _save(figure, path)


def draw_loss_curves(
    runs: Mapping[str, tuple[Sequence[int], Sequence[float], Sequence[float]]], path: Path
) -> None:
    """Loss plots side by side: the epochs, training and validation losses of each model."""
    figure, panels = _panels(len(runs))
    for axes, (name, (epochs, train_loss, val_loss)) in zip(panels, runs.items(), strict=True):
        _plot_losses(axes, epochs, train_loss, val_loss, name)
    _save(figure, path)


def _panels(count: int) -> tuple[Figure, list[Any]]:
    """A figure with `count` square panels, at most three in a row."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.5 * columns, 4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def _plot_confusion(axes: Any, matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> None:
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
    _save(figure, path)


def draw_confusion_matrices(
    matrices: Mapping[str, Sequence[Sequence[int]]], names: Sequence[str], path: Path
) -> None:
    """Confusion matrices side by side, one a model."""
    figure, panels = _panels(len(matrices))
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        _plot_confusion(axes, matrix, names, name)
    _save(figure, path)


def draw_roc_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, path: Path) -> None:
    """ROC curves together: for each label the false and the true positive rates."""
    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.subplots()
    for label, (false_rate, true_rate) in curves.items():
        axes.plot(false_rate, true_rate, label=label)
    axes.plot((0, 1), (0, 1), color="grey", linestyle=":", label="chance")
    axes.set(
        xlabel="Real pictures called fake", ylabel="Fake pictures called fake", title=title, aspect="equal"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    _save(figure, path)


def draw_counts(counts: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Bars of picture counts by folder, stacked by source: {folder: {source: count}}."""
    figure = Figure(figsize=(8, 0.6 * len(counts) + 1.8), layout="constrained")
    axes = figure.subplots()
    sources = dict.fromkeys(source for by_source in counts.values() for source in by_source)
    left = np.zeros(len(counts))
    for source in sources:
        values = np.array([by_source.get(source, 0) for by_source in counts.values()])
        axes.barh(list(counts), values, left=left, label=source or "no source")
        left += values
    axes.bar_label(axes.containers[-1], labels=[f"{int(total):,}" for total in left], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="Pictures", title="Pictures by folder and source")
    if len(sources) <= 20:
        axes.legend(fontsize="small")
    _save(figure, path)


def draw_histograms(groups: Mapping[str, Any], title: str, path: Path) -> None:
    """Histograms of width, height and aspect ratio, a row of three for each group.

    Args:
        groups: for each row's name, {class: table with the columns width, height, aspect_ratio}.
    """
    figure = Figure(figsize=(14, 3.4 * len(groups) + 0.6), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(len(groups), 3, squeeze=False)
    for axes, (name, classes) in zip(rows, groups.items(), strict=True):
        for panel, column in zip(axes, ("width", "height", "aspect_ratio"), strict=True):
            top = max(table[column].max() for table in classes.values())
            limits = (0, 3) if column == "aspect_ratio" else (0, max(1, top) * 1.02)
            for label, table in classes.items():
                values = table[column].clip(upper=limits[1])
                panel.hist(
                    values,
                    bins=BINS,
                    range=limits,
                    weights=np.full(len(values), 100 / len(values)),
                    label=label,
                    color=COLOURS[label],
                    alpha=0.5,
                )
            panel.set(title=f"{name}: {column.replace('_', ' ')}", ylabel="% of the class")
            panel.set_xlabel("width / height (3: and more)" if column == "aspect_ratio" else "pixels")
            panel.legend()
        for text, ratio in RATIOS.items():
            axes[2].axvline(ratio, color="black", linewidth=0.6, linestyle=":")
            axes[2].annotate(
                text,
                (ratio, 0.98),
                xycoords=("data", "axes fraction"),
                rotation=90,
                va="top",
                ha="right",
                fontsize=7,
            )
    _save(figure, path)


def draw_sheet(tiles: Sequence[Tile], columns: int, title: str, path: Path) -> None:
    """Pictures in rows of `columns`, each under its caption; wrong ones in red."""
    rows = math.ceil(len(tiles) / columns)
    figure = Figure(figsize=(2.3 * columns, 2.75 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, tile in zip(figure.axes, tiles, strict=False):
        if tile.image is not None:
            axes.imshow(tile.image)
        lines = [part for line in tile.caption.splitlines() for part in textwrap.wrap(line, 30)]
        # A dollar sign in a file name is no formula.
        axes.set_title(
            "\n".join(lines).replace("$", r"\$"), fontsize=8, color="tab:red" if tile.wrong else "black"
        )
    _save(figure, path)


def draw_explanation(tiles: Sequence[Tile], title: str, path: Path) -> None:
    """Original, heat map and overlay side by side, with the heat map's scale."""
    figure = Figure(figsize=(4 * len(tiles) + 0.8, 4.9), layout="constrained")
    figure.suptitle(title.replace("$", r"\$"))
    panels = figure.subplots(1, len(tiles))
    for axes, tile in zip(panels, tiles, strict=True):
        axes.imshow(tile.image)
        axes.set_title(tile.caption)
        axes.set_axis_off()
    scale = ScalarMappable(Normalize(0, 1), "jet")
    figure.colorbar(scale, ax=panels, shrink=0.75, label="share of the strongest evidence")
    _save(figure, path)


def draw_robustness(
    points: Sequence[Mapping[str, Any]], clean: Mapping[str, float], title: str, path: Path
) -> None:
    """Robustness curves, a panel for each kind of degradation: ROC AUC with its interval, accuracy."""
    kinds = dict.fromkeys(point["kind"] for point in points)
    figure, panels = _panels(len(kinds))
    figure.suptitle(f"{title}: both classes degraded alike")
    for axes, kind in zip(panels, kinds, strict=True):
        of_kind = [{**clean, "says": "as it is"}, *(p for p in points if p["kind"] == kind)]
        places = range(len(of_kind))
        auc = [point["roc_auc"] for point in of_kind]
        axes.plot(places, auc, marker="o", color="tab:purple", label="ROC AUC (95 %)")
        low, high = ([point[end] for point in of_kind] for end in ("low", "high"))
        axes.fill_between(places, low, high, color="tab:purple", alpha=0.15)
        accuracy = [point["accuracy"] for point in of_kind]
        axes.plot(places, accuracy, marker="s", color="tab:orange", label="share right")
        axes.axhline(0.5, color="grey", linestyle=":")
        axes.set_xticks(places, [textwrap.fill(point["says"], 10) for point in of_kind], fontsize=8)
        axes.set(ylim=(min(0.4, *low), 1.01), title=kind)
        axes.grid(alpha=0.3)
    panels[0].legend(loc="lower left")
    _save(figure, path)


def draw_reliability(
    curves: Mapping[str, Sequence[tuple[float, float, int]]], title: str, path: Path
) -> None:
    """Reliability diagrams: in each bin of p(fake) the share of fakes, beside the number of pictures.

    Args:
        curves: for each label, (mean p_fake, share of fakes, count) of the bins that are not empty.
    """
    figure, panels = _panels(len(curves))
    figure.suptitle(f"{title}: does a probability mean what it says?")
    for axes, (label, bins) in zip(panels, curves.items(), strict=True):
        said, found, counts = zip(*bins, strict=True)
        axes.plot((0, 1), (0, 1), color="grey", linestyle=":", label="perfect")
        area = [12 + 300 * count / sum(counts) for count in counts]
        axes.plot(said, found, color="tab:purple")
        axes.scatter(said, found, s=area, color="tab:purple", label="pictures (area: how many)")
        axes.set(
            xlabel="p(fake) that is said", ylabel="Share that is fake", title=label,
            xlim=(-0.03, 1.03), ylim=(-0.03, 1.03),
        )  # fmt: skip
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize="small")
    _save(figure, path)
