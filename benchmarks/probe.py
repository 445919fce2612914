"""The probe's two jobs: the features of pictures, and the classifiers with held-out sources."""

import io
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.corpus import make_small
from benchmarks.pairs import BenchmarkJob
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.feature_cache import FeatureCache
from fakedetect.images.listing import list_images
from fakedetect.models.devices import Normaliser, to_device
from fakedetect.models.openvino.conversion import choose_engine
from fakedetect.models.probe.backbone import build_backbone
from fakedetect.models.probe.features import compute_features
from fakedetect.models.probe.fitting import predict_held_out, standardise
from fakedetect.models.probe.folds import Folds
from fakedetect.models.processes import Group
from fakedetect.training.probe import PROBE_STRENGTHS

WIDTH, FOLDS = 9216, 8
LEAST_CORRELATION = 0.99
"""Least correlation of margins between two ways of fitting."""

PATHS = """\
model = "probe"
[training]
pretrained = false
[probe]
degraded_views = 0
[models.probe]
timm = "vit_base_patch16_224"
"""


def compute_vit_features(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """ViT-B/16 features from files, against one picture at a time in float32."""
    make_small(folder / "small", 16 if quick else 64)
    (folder / "paths.toml").write_text(PATHS, encoding="utf-8")
    settings = load_settings(folder / "paths.toml")
    recipe: Recipe = settings.recipe
    paths = list_images(folder / "small")
    backbone = build_backbone(recipe, (), 0)
    to_device(backbone)
    engine = choose_engine(settings, Console(quiet=True), backbone)
    found: dict[str, np.ndarray] = {}

    def theirs() -> None:
        normalise = Normaliser(recipe, next(backbone.parameters()).device)
        rows = []
        with torch.inference_mode():
            for path in paths:
                image = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.LANCZOS)
                data = io.BytesIO()
                image.save(data, "JPEG", quality=75)
                pixels = np.array(Image.open(data).convert("RGB"))
                batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
                rows.append(backbone(normalise(batch)).cpu().numpy())
        found["reference"] = np.concatenate(rows)

    def ours() -> None:
        kept = FeatureCache(folder / "features.bin", "benchmark", backbone.width)
        kept.file.unlink(missing_ok=True)
        seen = compute_features(settings, Console(quiet=True), Group(), engine, kept, paths)
        found["ours"] = seen.views[0]

    def equal() -> bool:
        a, b = (np.asarray(found[name], np.float32).ravel() for name in ("reference", "ours"))
        return float(np.corrcoef(a, b)[0, 1]) > LEAST_CORRELATION

    return BenchmarkJob(len(paths), "pictures", theirs, ours, equal, lambda: engine.name)


def fit_classifiers(folder: Path, quick: bool, _: str) -> BenchmarkJob:
    """Classifiers for every fold and strength, against scikit-learn's pipeline in float64."""
    count = 500 if quick else 1000
    random = np.random.default_rng(1)
    rows = random.normal(size=(5000, WIDTH)).astype(np.float16)
    is_fake = rows[:, :50].astype(np.float32).sum(1) + random.normal(0, 8, 5000) > 0
    folds = np.arange(5000) % FOLDS
    margins = {"reference": np.zeros(count), "ours": np.zeros(count)}

    def theirs() -> None:
        for fold in range(FOLDS):
            out = folds[:count] == fold
            scale = StandardScaler().fit(rows[:count][~out].astype(np.float64))
            for strength in PROBE_STRENGTHS:
                classifier = LogisticRegression(C=strength, max_iter=500)
                classifier.fit(scale.transform(rows[:count][~out]), is_fake[:count][~out])
                margins["reference"][out] = classifier.decision_function(scale.transform(rows[:count][out]))

    def predict_by_fold(size: int) -> np.ndarray:
        standard, _, _ = standardise([rows[:size]])
        assigned = Folds(folds[:size], FOLDS, (True, True))
        margins: np.ndarray = predict_held_out(
            standard, is_fake[:size], np.ones(size), assigned, PROBE_STRENGTHS
        )[-1]
        return margins

    def ours() -> None:
        margins["ours"] = predict_by_fold(count)

    def note() -> str:
        begun = time.perf_counter()
        predict_by_fold(5000)
        return f"5,000 pictures: {time.perf_counter() - begun:.0f} s"

    def equal() -> bool:
        return float(np.corrcoef(margins["reference"], margins["ours"])[0, 1]) > LEAST_CORRELATION

    return BenchmarkJob(FOLDS * len(PROBE_STRENGTHS), "fits", theirs, ours, equal, note)
