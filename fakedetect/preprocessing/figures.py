"""Figures of the dataset: counts, histograms and samples."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fakedetect.core.settings.recipes import SEED
from fakedetect.core.terminal.console import printable
from fakedetect.images.sheets import (
    CLASS_COLOURS,
    TITLE_Y,
    draw_sheet,
    escape_text,
    read_tiles,
    save_figure,
    series_colour,
    series_hatch,
    set_round_ticks,
)

ASPECT_RATIOS = {
    "9:16": 9 / 16,
    "2:3": 2 / 3,
    "3:4": 3 / 4,
    "1:1": 1,
    "4:3": 4 / 3,
    "3:2": 3 / 2,
    "16:9": 16 / 9,
}
WIDEST_ASPECT_RATIO = 3
BIN_COUNT = 31
PANEL_LABELS = {
    "width": ("width", "Width (pixels)"),
    "height": ("height", "Height (pixels)"),
    "aspect_ratio": ("shape", f"Width / height ({WIDEST_ASPECT_RATIO}: and more)"),
}
"""The drawn columns, each with its name in the panel's title and the label of its axis."""

SHARE_LABEL = "Share of the class (%)"
SAMPLES_PER_SOURCE = 6
"""Pictures of each source on a sheet, which are one row."""

MOST_DRAWN_SOURCES = 8
"""Sources in a figure; the tables have all."""


def draw_dataset(good: pd.DataFrame, folder: Path, workers: int) -> None:
    """Draw counts.png, histograms.png, histograms_sources.png if there are sources, and samples_*.png.

    Args:
        good: a row for each readable picture.
    """
    counts: dict[str, dict[str, int]] = {}
    for (part, label, source), group in good.groupby(["part", "label", "source"], sort=False):
        counts.setdefault(f"{part} {label}", {})[source] = len(group)
    draw_counts(counts, folder / "counts.png")
    _draw_sizes(good, folder)
    _draw_samples(good, folder, workers)


def _draw_sizes(good: pd.DataFrame, folder: Path) -> None:
    by_part = {
        f"{str(part).capitalize()} pictures": {str(label): rows for label, rows in group.groupby("label")}
        for part, group in good.groupby("part", sort=False)
    }
    draw_histograms(by_part, "Sizes and shapes by class", folder / "histograms.png")
    if not good["source"].any():
        return
    groups = sorted(good.groupby(["label", "source"]), key=lambda item: -len(item[1]))
    by_source = {
        f"{label}/{source or '(none)'}": {str(label): rows}
        for (label, source), rows in groups[:MOST_DRAWN_SOURCES]
    }
    draw_histograms(by_source, "Sizes and shapes by source", folder / "histograms_sources.png")


def _draw_samples(good: pd.DataFrame, folder: Path, workers: int) -> None:
    """Draw a sheet of sample pictures of each folder."""
    by_folder = {
        f"{part} {label}": _draw_sample(rows)
        for (part, label), rows in good.groupby(["part", "label"], sort=False)
    }
    samples = pd.concat(by_folder.values())
    captions = [
        f"{printable(row.path.name)}\n{row.width} x {row.height} {row.format}"
        + (f", {printable(row.source)}" if row.source else "")
        for row in samples.itertuples()
    ]
    # All at once: worker processes take longer to start than to read the pictures of a sheet.
    tiles = iter(read_tiles(list(samples["path"]), captions, workers))
    for name, rows in by_folder.items():
        path = folder / f"samples_{name.replace(' ', '-')}.png"
        draw_sheet(list(islice(tiles, len(rows))), SAMPLES_PER_SOURCE, f"Samples of {name}", path)


def _draw_sample(rows: pd.DataFrame) -> pd.DataFrame:
    """Draw sample pictures for a folder's sheet: a row for each source, or four rows for a single one."""
    most = SAMPLES_PER_SOURCE if rows["source"].nunique() > 1 else 4 * SAMPLES_PER_SOURCE
    return pd.concat(
        group.sample(min(len(group), most), random_state=SEED)
        for _, group in list(rows.groupby("source"))[:MOST_DRAWN_SOURCES]
    )


def draw_counts(counts: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Draw bars of picture counts by folder, stacked by source: {'train fake': {source: count}}.

    Pictures without a source have the colour of their class.
    """
    figure = Figure(figsize=(8, 0.6 * len(counts) + 1.8), layout="constrained")
    axes = figure.subplots()
    classes = [folder.rpartition(" ")[2] for folder in counts]
    sources = dict.fromkeys(source for by_source in counts.values() for source in by_source)
    named = [source for source in sources if source]
    left = np.zeros(len(counts))
    handles = []
    for source in sources:
        values = np.array([by_source.get(source, 0) for by_source in counts.values()])
        if source:
            number = named.index(source)
            style: dict[str, Any] = {"color": series_colour(number), "hatch": series_hatch(number)}
        else:
            style = {"color": [CLASS_COLOURS[name] for name in classes]}
        bars = axes.barh(list(counts), values, left=left, edgecolor="white", **style)
        left += values
        if source:
            handles.append(bars)
    axes.bar_label(bars, labels=[f"{int(total):,}" for total in left], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    for label, name in zip(axes.get_yticklabels(), classes, strict=True):
        label.set_color(CLASS_COLOURS[name])
    set_round_ticks(axes.xaxis, integer=True)
    axes.set(xlabel="Number of pictures", ylabel="Folder", title="Pictures by folder and source")
    if 0 < len(named) <= 20:
        axes.legend(handles, [escape_text(source) for source in named], title="Source", fontsize="small")
    save_figure(figure, path)


def _draw_panel(panel: Axes, classes: Mapping[str, Any], column: str, top: float) -> None:
    """Draw the histogram of a column of a group.

    The classes' bars are side by side, so that all are visible even if all pictures have one size.
    """
    values = [table[column].astype(float).clip(upper=top) for table in classes.values()]
    # Half a bin is cut off at each end, so that 1:1 is the centre of a bin.
    half = top / (BIN_COUNT - 1) / 2
    panel.hist(
        values,
        bins=BIN_COUNT,
        range=(-half, top + half),
        weights=[np.full(len(each), 100 / len(each)) for each in values],
        color=[CLASS_COLOURS[label] for label in classes],
    )
    panel.set_xlim(0, top + half)
    for axis in (panel.xaxis, panel.yaxis):
        set_round_ticks(axis)
    if column == "aspect_ratio":
        _mark_ratios(panel)


def _mark_ratios(panel: Axes) -> None:
    for text, ratio in ASPECT_RATIOS.items():
        panel.axvline(ratio, color="black", linewidth=0.6, linestyle=":")
        panel.annotate(
            text,
            (ratio, 0.98),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            ha="right",
            fontsize=7,
        )


def draw_histograms(groups: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw histograms of width, height and aspect ratio, a row of three for each group.

    The panels of a column share the scale of the sizes, and all panels that of the percentages.

    Args:
        groups: by the name of each row, {class: table with the columns width, height, aspect_ratio}.
    """
    figure = Figure(figsize=(14, 3.4 * len(groups) + 0.6), layout="constrained")
    figure.suptitle(escape_text(title))
    tables = [table for classes in groups.values() for table in classes.values()]
    rows = figure.subplots(len(groups), len(PANEL_LABELS), squeeze=False, sharey=True)
    for number, (column, (name, unit)) in enumerate(PANEL_LABELS.items()):
        largest = max(float(table[column].max()) for table in tables)
        top = WIDEST_ASPECT_RATIO if column == "aspect_ratio" else max(1, largest) * 1.02
        for axes, (group, classes) in zip(rows[:, number], groups.items(), strict=True):
            _draw_panel(axes, classes, column, top)
            counts = ", ".join(f"{len(table):,} {label}" for label, table in classes.items())
            axes.set_title(escape_text(f"{group} ({counts}): {name}"), y=TITLE_Y)
            axes.set(xlabel=unit, ylabel=SHARE_LABEL)
    shown = {label: CLASS_COLOURS[label] for classes in groups.values() for label in classes}
    handles = [Patch(color=colour, label=label) for label, colour in sorted(shown.items())]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    save_figure(figure, path)
