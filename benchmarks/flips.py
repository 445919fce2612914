"""`python -m benchmarks.flips`: how far from one half small changes of a picture turn an answer.

Every picture of some folders is judged as it is and after each change of STABILITY_DEGRADATIONS. The
pictures should be other ones than the model was trained on, whose answers lie further from one half.
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

STEP = 0.05
"""Of the distance between p(fake) and one half, in the table's rows."""


def describe_flips(calibration: Calibration, margins: np.ndarray) -> Sequence[str]:
    """A row for each range of distances, and what they come to together.

    Args:
        margins: (N, 1 + D), of each picture and of its changed views.
    """
    p_fake = calibration.probability(margins[:, 0])
    turned = ((margins[:, 1:] >= 0) != (margins[:, :1] >= 0)).any(1)
    distance = np.abs(p_fake - 0.5)
    rows = ["| p(fake) from one half | pictures | turned | of all further away |", "|---|---|---|---|"]
    for low in np.arange(0, 0.5, STEP):
        beyond = distance >= low
        here = beyond & (distance < low + STEP)
        share = percent(turned[beyond].mean()) if beyond.any() else ""
        counts = f"{here.sum():,} | {turned[here].sum():,}"
        rows.append(f"| {low:.2f} to {low + STEP:.2f} | {counts} | {share} |")
    sure = np.array([calibration.verdict(p) != UNSURE for p in p_fake])
    count = f"{turned[sure].sum():,} of {sure.sum():,} verdicts fake or real"
    return [*rows, f"Turned: {turned.sum():,} of {len(turned):,} answers, {count}"]


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
