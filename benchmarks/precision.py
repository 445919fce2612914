"""The effect of OpenVINO and bfloat16 on a trained model's predictions, against torch in float32."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from fakedetect.core.settings.settings import (
    OPENVINO_ENGINE,
    TORCH_ENGINE,
    Inference,
    Settings,
    load_settings,
)
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.folders import find_class_folders
from fakedetect.images.listing import list_images
from fakedetect.models.detector import load_detector
from fakedetect.models.predictions import predict_pictures

CONFIGURATIONS = ((TORCH_ENGINE, "fp32"), (OPENVINO_ENGINE, "fp32"), (OPENVINO_ENGINE, "bf16"))
"""Engines and precisions; the others are compared with the first."""

SEED = 0


def draw_pictures(folder: Path, count: int) -> dict[Path, bool]:
    """Draw at most `count` pictures of real/ and fake/ in a folder, each with whether it is a fake."""
    labelled = [(path, label == 0) for of, label in find_class_folders(folder) for path in list_images(of)]
    order = np.random.default_rng(SEED).permutation(len(labelled))[:count]
    return dict(labelled[place] for place in order)


def compare(settings: Settings, pictures: dict[Path, bool]) -> Sequence[str]:
    """Return a table row for each of CONFIGURATIONS."""
    quiet, rows = Console(quiet=True), []
    usual: dict[Path, tuple[float, str]] = {}
    for engine, precision in CONFIGURATIONS:
        asked = replace(
            settings,
            inference=Inference(engine=engine),
            training=replace(settings.training, precision=precision),
        )
        detector = load_detector(asked, quiet)
        found, _ = predict_pictures(detector, quiet, list(pictures), "compare")
        margins = {path: float(of_picture[0]) for path, of_picture in found.items()}
        answers = {}
        for path, margin in margins.items():
            p_fake = float(detector.calibration.probability(np.array([margin]))[0])
            answers[path] = p_fake, detector.calibration.verdict(p_fake)
        usual = usual or answers
        apart = np.array([abs(answers[path][0] - usual[path][0]) for path in answers])
        changed = sum(answers[path][1] != usual[path][1] for path in answers)
        auc = roc_auc_score([pictures[path] for path in margins], list(margins.values()))
        rows.append(
            f"| {detector.engine.name} | {apart.mean():.4f} | {apart.max():.4f} | {auc:.4f} "
            f"| {changed:,} of {len(answers):,} |"
        )
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder that holds real/ and fake/")
    parser.add_argument("--paths", type=Path, default=Path("paths.toml"), metavar="FILE")
    parser.add_argument("--model", default="starter_small", metavar="NAME")
    parser.add_argument("--count", type=int, default=1000, help="pictures at most (default: 1000)")
    given = parser.parse_args()
    settings = load_settings(given.paths).with_model(given.model)
    print("| engine | p(fake), mean difference | largest | ROC AUC | verdicts changed |")
    print("|---|---|---|---|---|")
    for row in compare(settings, draw_pictures(given.folder, given.count)):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
