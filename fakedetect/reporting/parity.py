"""How far exported files agree with the detector, from the picture's file on."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from fakedetect.core.console import Console, plural
from fakedetect.core.errors import UserError
from fakedetect.core.recipes import SIZE
from fakedetect.dataset.originals import find_originals
from fakedetect.images.copies import LOSSLESS, Kind
from fakedetect.images.views import Look, View, look_at
from fakedetect.models.detector import Detector
from fakedetect.models.engine import compile_network, import_openvino
from fakedetect.models.predictions import load_pictures

PICTURES = 32
SEED = 42

MOST_APART = 1e-3
"""Difference in p(fake), all in float32."""


@dataclass(frozen=True)
class Parity:
    """The largest difference in p(fake) on `count` test pictures, by what computes the exported file."""

    count: int
    apart: Mapping[str, float]

    @property
    def agrees(self) -> bool:
        """Whether all differences are those of rounding."""
        return all(value <= MOST_APART for value in self.apart.values())

    def in_words(self) -> list[str]:
        """A line for each of what computes."""
        pictures = plural(self.count, "test picture")
        lines = [
            f"{name} on {pictures}, from the file on: p(fake) differs by {value:.1e} at most"
            for name, value in self.apart.items()
        ]
        if not self.agrees:
            lines.append(f"That is more than {MOST_APART:g}: do not use a file that differs so much.")
        return lines


def compare_files(detector: Detector, console: Console, files: Sequence[Path]) -> Parity:
    """Ask the exported files and the detector about the same pictures.

    Args:
        files: an .onnx and an .xml are compared.

    Raises:
        UserError: there are no test pictures that can be read.
    """
    paths = _choose(detector)
    looks = (look_at(Look(path, (detector.kind,))) for path in console.track(paths, len(paths), "compare"))
    seen = {path: view for path, view in zip(paths, looks, strict=True) if isinstance(view, View)}
    if not seen:
        raise UserError("No test picture can be read, on which the exported files could be compared.")
    images = np.concatenate([view.images[0] for view in seen.values()])
    wanted = detector.calibration.probability(detector.margins(images))
    given = np.stack([prepare(path, detector.kind) for path in seen])
    apart = {}
    for file in files:
        if (engine := ENGINES.get(file.suffix)) is not None:
            name, answer = engine(file)
            apart[name] = float(np.abs(answer(given) - wanted).max())
    return Parity(len(seen), apart)


def _choose(detector: Detector) -> list[Path]:
    """The originals of test pictures, drawn the same every time."""
    samples = load_pictures(detector.settings, "test").samples
    order = np.random.default_rng(SEED).permutation(len(samples))[:PICTURES]
    return find_originals(detector.settings, "test", [samples[place].path for place in sorted(order)])


def prepare(path: Path, kind: Kind) -> np.ndarray:
    """A picture as an exported file takes it, (224, 224, 3) uint8, with Pillow alone: docs/export.md."""
    with Image.open(path) as opened:
        file_format = "JPEG" if kind.aligned or opened.format == "MPO" else opened.format or "PNG"
        image: Image.Image = ImageOps.exif_transpose(opened)
        if kind.aligned or image.mode != "L":
            image = image.convert("RGB")
    small = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    if file_format in LOSSLESS:
        return np.asarray(small.convert("RGB"))
    file = io.BytesIO()
    options: dict[str, Any] = {}
    if kind.aligned:
        options = {"quality": kind.quality, "subsampling": 0 if kind.quality >= 95 else 2}
    small.save(file, file_format, **options)
    return np.asarray(Image.open(file).convert("RGB"))


def _run_onnx(file: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return "onnxruntime", lambda images: session.run(None, {"images": images})[0]


def _run_openvino(file: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    core = import_openvino().Core()
    compiled = compile_network(core, core.read_model(file), bf16=False)
    return "OpenVINO", lambda images: compiled(images)[0]


ENGINES = {".onnx": _run_onnx, ".xml": _run_openvino}
"""What computes a file, by its ending: a name, and images (B, 224, 224, 3) uint8 -> p_fake (B,)."""
