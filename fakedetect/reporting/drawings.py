"""The charts and pictures of a report: figures as inline SVG in the page's colours, wrong predictions, and
heat maps."""

import base64
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from scipy.special import logit
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from fakedetect.core.processes.pool import map_images
from fakedetect.core.records.evaluation import Robustness, TestEntry
from fakedetect.core.records.training import Epoch
from fakedetect.core.settings.recipes import CLASSES, SEED
from fakedetect.core.terminal.console import printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import find_originals
from fakedetect.explaining.figures import choose_layer_name, read_for_overlay, to_input
from fakedetect.explaining.heatmaps import find_layer, grad_cam, overlay
from fakedetect.images.sheets import CLASS_COLOURS, SERIES_COLOURS, TEXT_COLOUR, missing_glyphs_ignored
from fakedetect.images.views import read_thumbnail
from fakedetect.metrics.calibration import Calibration
from fakedetect.metrics.measures import UNCALIBRATED_CURVE
from fakedetect.models.detector import Detector
from fakedetect.models.predictions import load_test_copies
from fakedetect.testing.figures import (
    kind_name,
    list_kinds,
    plot_p_fake,
    plot_reliability,
    plot_robustness,
    plot_roc,
)
from fakedetect.testing.results import find_mistakes, plot_confusion
from fakedetect.training.log import plot_accuracy, plot_losses

MISTAKE_COUNT = 12
HEAT_MAP_COUNT = 8

CHART_WIDTH_INCHES, CHART_HEIGHT_INCHES = 4.4, 3.3
"""The page scales a chart; these set how large its text is relative to its curves."""

PAGE_COLOURS = {
    CLASS_COLOURS["fake"]: "--fake",
    CLASS_COLOURS["real"]: "--real",
    **{colour: f"--c{number}" for number, colour in enumerate(SERIES_COLOURS)},
    TEXT_COLOUR: "--ink",
    "grey": "--grey",
    "black": "--ink",
    "white": "--card",
    "#b0b0b0": "--line",
    "#cccccc": "--line",
}
"""matplotlib's colours, and the page's CSS variables that replace them in light and dark mode."""


@dataclass(frozen=True)
class Chart:
    """A figure of the page: its title, and an SVG element with all text escaped."""

    title: str
    svg: str


def draw_chart(title: str, plot: Callable[[Axes], None]) -> Chart:
    """Draw a chart with `plot`, which draws into axes."""
    figure = Figure(figsize=(CHART_WIDTH_INCHES, CHART_HEIGHT_INCHES), layout="constrained")
    axes = figure.subplots()
    plot(axes)
    axes.set_title("")
    file = io.StringIO()
    # The salt makes the ids within a chart unique on the page.
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}),
        missing_glyphs_ignored(),
    ):
        FigureCanvasSVG(figure).print_svg(
            file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return Chart(title, _restyle(file.getvalue(), title))


def _restyle(text: str, title: str) -> str:
    """Adapt matplotlib's SVG to a page: the page's colours and font, no fixed size, no duplicate ids."""
    svg = text[text.index("<svg") :]
    for left_out in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r' xmlns(:\w+)?="[^"]*"'):
        svg = re.sub(left_out, "", svg, flags=re.DOTALL)
    for size in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r"#([\w-]+)[\")]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(to_hex(colour), f"var({name})")
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    return svg.replace(">", f' role="img"><title>{escape(title)}</title>', 1)


def draw_reliability_charts(test: TestEntry, calibrated: bool) -> list[Chart]:
    """Draw the reliability of p(fake): uncalibrated and, if `calibrated`, calibrated."""
    return [
        draw_chart(f"Reliability: {name}", partial(plot_reliability, bins=bins, title=""))
        for name, bins in test.reliability.items()
        if name == UNCALIBRATED_CURVE or calibrated
    ]


def draw_robustness_charts(found: Robustness) -> list[Chart]:
    """Draw a chart for each kind of degradation."""
    return [
        draw_chart(kind_name(kind), partial(plot_robustness, kind=kind, found=found))
        for kind in list_kinds(found)
    ]


def draw_learning_curves(epochs: Sequence[Epoch]) -> list[Chart]:
    """Draw the loss and the validation accuracy over the epochs."""
    return [
        draw_chart("Training vs. Validation Loss", lambda axes: plot_losses(axes, epochs, "")),
        draw_chart("Validation accuracy", lambda axes: plot_accuracy(axes, epochs, "")),
    ]


@dataclass(frozen=True)
class PagePicture:
    """A picture of the page: a JPEG in base64, its size in pixels and its caption."""

    jpeg: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class ShownPredictions:
    """Charts of predictions, the number of wrong ones, and the most confident wrong ones."""

    charts: tuple[Chart, ...]
    wrong: int
    count: int
    pictures: tuple[PagePicture, ...]


def _draw_predictions(name: str, predictions: pd.DataFrame, calibration: Calibration) -> Iterator[Chart]:
    """Draw the confusion matrix, the ROC curve, and p(fake) by class with the thresholds.

    Args:
        name: of the set of pictures, for the titles.
        predictions: a row for each picture, with the columns label, predicted and p_fake.
    """
    is_fake = (predictions["label"] == "fake").to_numpy()
    p_fake = predictions["p_fake"].to_numpy()
    matrix = confusion_matrix(predictions["label"], predictions["predicted"], labels=CLASSES).tolist()
    plot = partial(plot_confusion, matrix=matrix, names=CLASSES, title="")
    yield draw_chart(f"Confusion matrix: {name}", plot)
    if 0 < is_fake.sum() < len(is_fake):
        false_rate, true_rate, _ = roc_curve(is_fake, p_fake)
        curves = {f"AUC {roc_auc_score(is_fake, p_fake):.3f}": (false_rate, true_rate)}
        yield draw_chart(f"ROC curve: {name}", partial(plot_roc, curves=curves, title=""))
    # The table's rounded values may be 0 or 1, whose margins are infinite.
    margins = logit(p_fake.clip(1e-9, 1 - 1e-9))
    yield draw_chart(
        f"{'Calibrated p(fake)' if calibration.fitted else 'p(fake)'} by class: {name}",
        partial(
            plot_p_fake,
            p_fake=calibration.probability(margins),
            is_fake=is_fake,
            thresholds=_name_thresholds(calibration),
            title="",
        ),
    )


def _name_thresholds(calibration: Calibration) -> dict[str, float]:
    fake_from, real_below = calibration.fake_from, calibration.real_below
    if fake_from == real_below:
        return {f"fake from {percent(fake_from)} on, else real": fake_from}
    return {
        f"real below {percent(real_below)}": real_below,
        f"fake from {percent(fake_from)} on": fake_from,
    }


def gather_predictions(
    name: str, predictions: pd.DataFrame, detector: Detector, paths: Sequence[Path]
) -> ShownPredictions:
    """Collect the charts and pictures of the predictions for a set of pictures.

    Args:
        predictions: a row for each picture, with COLUMNS of testing/results.
        paths: the files to show, in the order of the rows.
    """
    wrong = find_mistakes(predictions.assign(shown=list(map(str, paths))))
    return ShownPredictions(
        charts=tuple(_draw_predictions(name, predictions, detector.calibration)),
        wrong=len(wrong),
        count=len(predictions),
        pictures=tuple(_show_mistakes(wrong, detector.settings.workers)),
    )


def _show_mistakes(wrong: pd.DataFrame, workers: int) -> Iterator[PagePicture]:
    shown = wrong.groupby("label").head(MISTAKE_COUNT // 2)
    images = dict(map_images(read_thumbnail, [Path(path) for path in shown["shown"]], workers))
    for row in shown.itertuples():
        image = images[Path(row.shown)]
        name = printable(Path(row.path).name)
        caption = f"{name}: {row.label}, classified as {row.predicted} ({percent(row.confidence)})"
        if isinstance(image, str):
            image, caption = np.full((2, 2, 3), 128, np.uint8), f"{caption}; now missing or unreadable"
        yield encode_picture(image, caption)


def encode_picture(image: np.ndarray, caption: str) -> PagePicture:
    """Encode a picture (H, W, 3) uint8 for the page."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=85)
    height, width = image.shape[:2]
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return PagePicture(jpeg=data, width=width, height=height, caption=caption)


def draw_heat_maps(detector: Detector, predictions: pd.DataFrame) -> tuple[str, list[PagePicture]]:
    """Draw Grad-CAM of the predicted class on a few pictures, the same in every run and half of them fake.

    Returns:
        The name of the layer, and the pictures.
    """
    settings = detector.settings
    random = np.random.default_rng(SEED)
    rows = {}
    for _, of_class in predictions.groupby("label"):
        chosen = sorted(random.permutation(len(of_class))[: HEAT_MAP_COUNT // 2])
        rows.update({Path(row.path): row for row in of_class.iloc[chosen].itertuples()})
    originals = dict(zip(rows, find_originals(settings, "test", list(rows)), strict=True))
    copies = load_test_copies(detector, list(rows))
    drawn, name = [], ""
    for path, row in rows.items():
        image = copies[path]
        if isinstance(image, str):
            continue
        tensor = to_input(detector, image[None])
        name = name or choose_layer_name(settings, detector.model, tensor, None)
        target = torch.tensor([CLASSES.index(row.predicted)], device=tensor.device)
        maps, _ = grad_cam(detector.model, find_layer(detector.model, name), tensor, target)
        caption = f"{printable(path.name)}: {row.label}, classified as {row.predicted}"
        shown = read_for_overlay(originals[path], image)
        drawn.append(encode_picture(overlay(shown, maps[0])[1], caption))
    return name, drawn
