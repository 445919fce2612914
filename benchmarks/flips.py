"""`python -m benchmarks.flips`: how far from 0.5 small changes of a picture flip its prediction.

Every picture of some folders is predicted unchanged and after each of STABILITY_DEGRADATIONS. Use pictures
that the model was not trained on: p(fake) of training pictures is further from 0.5.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.core.terminal.progress import percent
from fakedetect.images.degradations import STABILITY_DEGRADATIONS
from fakedetect.images.listing import list_images
from fakedetect.metrics.calibration import UNSURE, Calibration
from fakedetect.models.detector import load_detector
from fakedetect.models.predictions import predict_pictures

DISTANCE_STEP = 0.05
"""The width of a row of the table, in p(fake)."""


def describe_flips(calibration: Calibration, margins: np.ndarray) -> Sequence[str]:
    """Return a table row for each range of distances, and a line with the totals.

    Args:
        margins: (N, 1 + D), those of the picture and of its changed views.
    """
    p_fake = calibration.probability(margins[:, 0])
    flipped = ((margins[:, 1:] >= 0) != (margins[:, :1] >= 0)).any(1)
    distance = np.abs(p_fake - 0.5)
    rows = [
        "| distance of p(fake) from 0.5 | pictures | flipped | of all further away |",
        "|---|---|---|---|",
    ]
    for low in np.arange(0, 0.5, DISTANCE_STEP):
        beyond = distance >= low
        here = beyond & (distance < low + DISTANCE_STEP)
        share = percent(flipped[beyond].mean()) if beyond.any() else ""
        counts = f"{here.sum():,} | {flipped[here].sum():,}"
        rows.append(f"| {low:.2f} to {low + DISTANCE_STEP:.2f} | {counts} | {share} |")
    sure = np.array([calibration.verdict(p) != UNSURE for p in p_fake])
    count = f"{flipped[sure].sum():,} of {sure.sum():,} verdicts fake or real"
    return [*rows, f"Flipped: {flipped.sum():,} of {len(flipped):,} predictions, {count}"]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flips", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--paths", type=Path, default=Path("paths.toml"), metavar="FILE")
    parser.add_argument("--model", default="starter_small", metavar="NAME")
    given = parser.parse_args()
    detector = load_detector(load_settings(given.paths).with_model(given.model), Console())
    paths = [path for folder in given.folders for path in list_images(folder)]
    found, _ = predict_pictures(detector, Console(), paths, "flips", STABILITY_DEGRADATIONS)
    print("\n".join(describe_flips(detector.calibration, np.stack(list(found.values())))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
