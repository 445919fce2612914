"""Jobs that use a trained model: check and evaluate, from files to verdicts and figures."""

import contextlib
import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from benchmarks.corpus import load_photographs
from benchmarks.pairs import BenchmarkJob
from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture
from fakedetect.checking.judging import check_pictures
from fakedetect.checking.request import ALL, NONE, CheckRequest
from fakedetect.core.settings.model_folder import PROBE_FILE
from fakedetect.core.settings.recipes import ALL_TOKENS, CLASS_TOKEN
from fakedetect.core.settings.settings import TORCH_ENGINE, Inference, Settings, load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.images.copies import PLAIN_COPIES
from fakedetect.images.degradations import ROBUSTNESS_DEGRADATIONS, STABILITY_DEGRADATIONS, Degradation
from fakedetect.images.listing import list_images
from fakedetect.models.building import build_model, save_checkpoint
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import predict_pictures
from fakedetect.models.probe.backbone import build_backbone, hash_weights
from fakedetect.models.probe.classifier import LinearClassifier, ProbeFacts
from fakedetect.models.probe.model import Probe, write_probe

PATHS = """\
model = "lite0"
[models.lite0]
timm = "tf_efficientnet_lite0"
"""

PROBE_PATHS = """\
model = "probe"
[training]
pretrained = false
[models.probe]
timm = "vit_base_patch16_224"
recipe = "probe"
"""

SIDE = 512
LEAST_CORRELATION = 0.99
"""Least correlation between the margins of float32 and bfloat16."""


def _project(folder: Path, count: int) -> tuple[Settings, list[Path]]:
    """Make a model with random weights, and JPEGs of 512 x 512."""
    pictures = folder / f"pictures_{count}"
    if not pictures.is_dir():
        pictures.mkdir()
        random = np.random.default_rng(44)
        for number in range(count):
            source = load_photographs()[number % 2].resize((800, 600))
            left, top = int(random.integers(0, 288)), int(random.integers(0, 88))
            crop = source.crop((left, top, left + SIDE, top + SIDE))
            crop.save(pictures / f"{number:04}.jpg", quality=90)
    (folder / "paths.toml").write_text(PATHS, encoding="utf-8")
    settings = load_settings(folder / "paths.toml")
    if not settings.checkpoint.exists():
        torch.manual_seed(0)
        model = build_model(settings.recipe, pretrained=False)
        with torch.no_grad():
            # Margins like those of a trained model, not all near certainty.
            cast(Any, model).classifier.weight.mul_(0.02)
        save_checkpoint(model, settings.checkpoint)
    return settings, list_images(pictures)


def _predict_one_by_one(
    detector: Detector, paths: Sequence[Path], how: Sequence[Degradation]
) -> np.ndarray:
    """Compute margins (N, 1 + D), one picture at a time, by torch in float32."""
    rows = []
    for path in paths:
        seen = inspect_picture(Inspection(path, (PLAIN_COPIES,), tuple(how)))
        assert isinstance(seen, InspectedPicture)  # noqa: S101
        rows.append(detector.margins(seen.view.images[0]))
    return np.stack(rows)


def _plain_detector(settings: Settings) -> Detector:
    training = replace(settings.training, precision="fp32")
    plain = replace(settings, inference=Inference(engine=TORCH_ENGINE), training=training)
    return load_detector(plain, Console(quiet=True))


def _check(folder: Path, quick: bool, stability: bool) -> BenchmarkJob:
    settings, paths = _project(folder, 40 if quick else 200)
    plain = _plain_detector(settings)
    csv_file = folder / "answers.csv"
    margins: dict[str, np.ndarray] = {}

    def theirs() -> None:
        margins["reference"] = _predict_one_by_one(
            plain, paths, STABILITY_DEGRADATIONS if stability else ()
        )[:, 0]

    def ours() -> None:
        csv_file.unlink(missing_ok=True)
        _run_check(
            settings, CheckRequest(pictures=paths, csv=csv_file, stability=ALL if stability else NONE)
        )

    def equal() -> bool:
        with csv_file.open(encoding="utf-8-sig", newline="") as opened:
            p_fake = {row["path"]: float(row["p_fake_raw"]) for row in csv.DictReader(opened)}
        found = np.array([p_fake[str(path)] for path in paths])
        wanted = 1 / (1 + np.exp(-margins["reference"]))
        return float(np.corrcoef(wanted, found)[0, 1]) > LEAST_CORRELATION

    return BenchmarkJob(len(paths), "pictures", theirs, ours, equal, lambda: _name_engine(settings))


def _name_engine(settings: Settings) -> str:
    return f"{settings.recipe.architecture}, {load_detector(settings, Console(quiet=True)).engine.name}"


def check(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Verdicts with the stability test, provenance and a CSV, from 512-pixel JPEGs."""
    return _check(folder, quick, stability=True)


def check_plain(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """The same without the stability test."""
    return _check(folder, quick, stability=False)


def check_page(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Verdicts with the stability test, with an HTML page against without."""
    settings, paths = _project(folder, 40 if quick else 200)
    page = folder / "answers.html"

    def without() -> None:
        _run_check(settings, CheckRequest(pictures=paths))

    def ours() -> None:
        page.unlink(missing_ok=True)
        _run_check(settings, CheckRequest(pictures=paths, html=page))

    def equal() -> bool:
        cards = page.read_text(encoding="utf-8").partition('<ol id="cards">')[2].partition("</ol>")[0]
        return cards.count("<h3>") == len(paths)

    return BenchmarkJob(len(paths), "pictures", without, ours, equal, lambda: _name_engine(settings))


def _run_check(settings: Settings, wanted: CheckRequest) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        check_pictures(settings, Console(quiet=True), wanted)


def _make_probe(folder: Path, tokens: str, centre_square: bool) -> Settings:
    """Make a probe with random weights on ViT-B/16."""
    folder.mkdir(exist_ok=True)
    (folder / "paths.toml").write_text(PROBE_PATHS, encoding="utf-8")
    settings = load_settings(folder / "paths.toml")
    backbone = build_backbone(settings.recipe, (), 0, tokens)
    width = backbone.width * (2 if centre_square else 1)
    random = np.random.default_rng(0)
    classifier = LinearClassifier(
        mean=np.zeros(width, np.float32),
        scale=np.ones(width, np.float32),
        weights=random.normal(0, 1, width).astype(np.float32),
        bias=np.array(0, np.float32),
    )
    facts = ProbeFacts(
        architecture=settings.recipe.architecture,
        weights=hash_weights(backbone.network),
        layers=backbone.layers,
        seed=0,
        strength=0.001,
        views=1,
        tokens=tokens,
        centre_square=centre_square,
    )
    write_probe(settings.model_folder / PROBE_FILE, Probe(backbone, classifier), facts, settings.recipe)
    return settings


def check_by_probe(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Verdicts of a probe on ViT-B/16 that reads the centre square too, against one that does not and reads
    all tokens; half of the pictures are square."""
    count = 16 if quick else 100
    paths = _project(folder, count)[1]
    for number, path in enumerate(paths):
        if number % 2:
            with Image.open(path) as opened:
                opened.resize((640, 480)).save(path, quality=90)
    one, two = (
        _make_probe(folder / "one", ALL_TOKENS, False),
        _make_probe(folder / "two", CLASS_TOKEN, True),
    )
    rows: list[int] = []

    def ours() -> None:
        file = folder / "two.csv"
        file.unlink(missing_ok=True)
        _run_check(two, CheckRequest(pictures=paths, csv=file))
        rows.append(len(file.read_text(encoding="utf-8-sig").splitlines()))

    return BenchmarkJob(
        count,
        "pictures",
        lambda: _run_check(one, CheckRequest(pictures=paths)),
        ours,
        lambda: rows[-1] == count + 1,
        lambda: _name_engine(two),
    )


def evaluate(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """The robustness curves of evaluate: every picture, original and after each degradation."""
    settings, paths = _project(folder, 16 if quick else 200)
    plain, quiet = _plain_detector(settings), Console(quiet=True)
    margins: dict[str, np.ndarray] = {}

    def theirs() -> None:
        margins["reference"] = _predict_one_by_one(plain, paths, ROBUSTNESS_DEGRADATIONS)

    def ours() -> None:
        found, _ = predict_pictures(
            load_detector(settings, quiet), quiet, paths, "robustness", ROBUSTNESS_DEGRADATIONS
        )
        margins["ours"] = np.stack([found[path] for path in paths])

    def equal() -> bool:
        wanted, found = margins["reference"].ravel(), margins["ours"].ravel()
        return float(np.corrcoef(wanted, found)[0, 1]) > LEAST_CORRELATION

    return BenchmarkJob(len(paths), "pictures", theirs, ours, equal, lambda: _name_engine(settings))
