"""What a model has answered on a set of pictures: charts of its answers, and the wrong ones."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import logit
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from fakedetect.core.processes.pool import map_images
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import printable
from fakedetect.images.tiles import read_thumbnail
from fakedetect.metrics.calibration import Calibration
from fakedetect.models.detector import Detector
from fakedetect.reporting.charts import Chart, draw_chart
from fakedetect.testing.figures import plot_p_fake, plot_roc
from fakedetect.testing.results import find_mistakes, plot_confusion

MISTAKES = 12


@dataclass(frozen=True)
class Picture:
    """A picture of the page: a JPEG in base64, its size in pixels and what it is."""

    jpeg: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class Answers:
    """Charts of the answers, how many of them are wrong, and the most confident wrong ones."""

    charts: tuple[Chart, ...]
    wrong: int
    count: int
    pictures: tuple[Picture, ...]


def _draw_answers(name: str, predictions: pd.DataFrame, calibration: Calibration) -> Iterator[Chart]:
    """Confusion matrix, ROC curve and the histogram of p(fake) by class, with the thresholds.

    Args:
        name: of the set of pictures, for the titles.
        predictions: a row a picture, with the columns label, predicted and p_fake.
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
    # The table's digits end before the largest margins do.
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
        return {f"fake from {fake_from:.1%} on, else real": fake_from}
    return {f"real below {real_below:.1%}": real_below, f"fake from {fake_from:.1%} on": fake_from}


def gather_answers(
    name: str, predictions: pd.DataFrame, detector: Detector, paths: Sequence[Path]
) -> Answers:
    """What there is to show of the answers to a set of pictures.

    Args:
        predictions: a row a picture, with COLUMNS of testing/results.
        paths: the files to show, in the order of the rows.
    """
    wrong = find_mistakes(predictions.assign(shown=list(map(str, paths))))
    return Answers(
        charts=tuple(_draw_answers(name, predictions, detector.calibration)),
        wrong=len(wrong),
        count=len(predictions),
        pictures=tuple(_show_mistakes(wrong, detector.settings.workers)),
    )


def _show_mistakes(wrong: pd.DataFrame, workers: int) -> Iterator[Picture]:
    shown = wrong.groupby("label").head(MISTAKES // 2)
    images = dict(map_images(read_thumbnail, [Path(path) for path in shown["shown"]], workers))
    for row in shown.itertuples():
        image = images[Path(row.shown)]
        name = printable(Path(row.path).name)
        caption = f"{name}: {row.label}, classified as {row.predicted} ({row.confidence:.1%})"
        if isinstance(image, str):
            image, caption = np.full((2, 2, 3), 128, np.uint8), f"{caption}; now missing or unreadable"
        yield encode_picture(image, caption)


def encode_picture(image: np.ndarray, caption: str) -> Picture:
    """A picture (H, W, 3) uint8 for the page."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=85)
    height, width = image.shape[:2]
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(jpeg=data, width=width, height=height, caption=caption)
