"""The figures of an exploration: counts and histograms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fakedetect.images.sheets import save_figure

COLOURS = {"fake": "tab:red", "real": "tab:blue"}
RATIOS = {"9:16": 9 / 16, "2:3": 2 / 3, "3:4": 3 / 4, "1:1": 1, "4:3": 4 / 3, "3:2": 3 / 2, "16:9": 16 / 9}
BINS = 50


def draw_counts(counts: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Bars of picture counts by folder, stacked by source: {folder: {source: count}}."""
    figure = Figure(figsize=(8, 0.6 * len(counts) + 1.8), layout="constrained")
    axes = figure.subplots()
    sources = dict.fromkeys(source for by_source in counts.values() for source in by_source)
    left = np.zeros(len(counts))
    for source in sources:
        values = np.array([by_source.get(source, 0) for by_source in counts.values()])
        bars = axes.barh(list(counts), values, left=left, label=source or "no source")
        left += values
    axes.bar_label(bars, labels=[f"{int(total):,}" for total in left], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="Pictures", title="Pictures by folder and source")
    if len(sources) <= 20:
        axes.legend(fontsize="small")
    save_figure(figure, path)


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
    save_figure(figure, path)
