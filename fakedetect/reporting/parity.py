"""How far exported files agree with the detector, from the picture's file on."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.terminal.console import Console, plural
from fakedetect.dataset.samples import find_originals
from fakedetect.images.copies import ALIGNED_QUALITY, CopyKind, format_for_copy
from fakedetect.images.reading import turn_upright
from fakedetect.images.views import View, ViewRequest, load_view
from fakedetect.models.detector import Detector
from fakedetect.models.openvino.engine import compile_network, openvino_core
from fakedetect.models.predictions import load_pictures
from fakedetect.models.probe.model import draw_test_pictures

PICTURES = 32
SEED = 42

MOST_APART = 1e-3
"""Difference in p(fake), all in float32."""


class Answering(nn.Module):
    """A detector as one network: images (B, S, S, 3) uint8 -> calibrated p_fake (B,) float32.

    Args:
        model: images (B, 3, S, S) float -> logits (B, 2), on the CPU, in evaluation mode.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, recipe: Recipe, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature
        self.register_buffer("mean", torch.tensor(recipe.input.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(recipe.input.std).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float() / 255
        logits = self.model((pixels - self.mean) / self.std)
        return torch.sigmoid((logits[:, 0] - logits[:, 1]) / self.temperature)


@dataclass(frozen=True)
class Parity:
    """The largest difference in p(fake) on `count` pictures, by what computes the exported file.

    `from_files` of them were prepared from their files by prepare(); the others, which it does not cover,
    as check prepares them. `made_up`: there were no test pictures.
    """

    count: int
    from_files: int
    apart: Mapping[str, float]
    made_up: bool = False

    @property
    def agrees(self) -> bool:
        """Whether all differences are those of rounding."""
        return all(value <= MOST_APART for value in self.apart.values())

    def in_words(self) -> list[str]:
        """A line for each of what computes."""
        pictures = plural(self.count, "made-up picture" if self.made_up else "test picture")
        if self.from_files == self.count:
            pictures += ", including decoding"
        elif self.from_files:
            pictures += f", {self.from_files:,} of them including decoding"
        lines = [
            f"{name} on {pictures}: p(fake) differs by at most {value:.1e}"
            for name, value in self.apart.items()
        ]
        if not self.agrees:
            lines.append(f"That is more than {MOST_APART:g}: do not use a file that differs so much.")
        return lines


@dataclass(frozen=True)
class Pictures:
    """What is compared: `images` (N, S, S, 3) uint8 as check prepares them, and `given` as prepare()
    does, where it covers the file (N,) bool."""

    images: np.ndarray
    given: np.ndarray
    covered: np.ndarray
    made_up: bool = False


def choose_pictures(detector: Detector, console: Console) -> Pictures:
    """Test pictures, drawn the same every time; made-up ones where there are none that can be read."""
    try:
        samples = load_pictures(detector.settings, "test").samples
    except UserError as error:
        console.warn(f"Comparing on made-up pictures: {error}")
        return _made_up(detector)
    order = np.random.default_rng(SEED).permutation(len(samples))[:PICTURES]
    paths = find_originals(detector.settings, "test", [samples[place].path for place in sorted(order)])
    seen = [(path, load_view(ViewRequest(path, (detector.kind,)))) for path in paths]
    views = [(path, view) for path, view in seen if isinstance(view, View)]
    if not views:
        console.warn("Comparing on made-up pictures: no test picture can be read")
        return _made_up(detector)
    images = np.concatenate([view.images[0] for _, view in views])
    prepared = [prepare(path, detector.kind) for path, _ in views]
    covered = np.array([pixels is not None for pixels in prepared])
    pairs = zip(images, prepared, strict=True)
    given = np.stack([image if pixels is None else pixels for image, pixels in pairs])
    return Pictures(images, given, covered)


def _made_up(detector: Detector) -> Pictures:
    images = draw_test_pictures(detector.settings.recipe.input.size)
    return Pictures(images, images, np.zeros(len(images), bool), made_up=True)


def compare_files(answering: Answering, pictures: Pictures, files: Sequence[Path]) -> Parity:
    """Ask the exported files and the network that they were made of about the same pictures.

    Args:
        answering: on the CPU.
        files: an .onnx and an .xml are compared.
    """
    with torch.inference_mode():
        wanted = answering(torch.from_numpy(pictures.images)).numpy()
    apart = {}
    for file in files:
        if (engine := ENGINES.get(file.suffix)) is not None:
            name, answer = engine(file)
            apart[name] = float(np.abs(answer(pictures.given) - wanted).max())
    covered = int(pictures.covered.sum())
    return Parity(count=len(wanted), from_files=covered, apart=apart, made_up=pictures.made_up)


def prepare(path: Path, kind: CopyKind) -> np.ndarray | None:
    """A picture as an exported file takes it, (S, S, 3) uint8, with Pillow alone: docs/export.md.

    None for what the page leaves to its reader: other files than JPEG and PNG in RGB or grey, or of another
    name than that of their format; and where copies are fast ones, which are scaled in another way.
    """
    with Image.open(path) as opened:
        file_format = opened.format
        usual = opened.mode in ("RGB", "L") and not opened.has_transparency_data
        if kind.fast or not usual or "icc_profile" in opened.info:
            return None
        if file_format not in ("JPEG", "PNG") or format_for_copy(path, file_format) != file_format:
            return None
        size, how = kind.scaling.size, Image.Resampling[kind.scaling.interpolation.upper()]
        small = turn_upright(opened).convert("RGB").resize((size, size), how)
    file = io.BytesIO()
    options: dict[str, Any] = {}
    if kind.aligned:
        file_format = "JPEG"
        options = {"quality": kind.quality, "subsampling": 0 if kind.quality >= ALIGNED_QUALITY else 2}
    small.save(file, file_format, **options)
    return np.asarray(Image.open(file).convert("RGB"))


def _run_onnx(file: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return "onnxruntime", lambda images: session.run(None, {"images": images})[0]


def _run_openvino(file: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    core = openvino_core()
    compiled = compile_network(core, core.read_model(file), bf16=False)
    return "OpenVINO", lambda images: compiled(images)[0]


ENGINES = {".onnx": _run_onnx, ".xml": _run_openvino}
"""What computes a file, by its ending: a name, and images (B, S, S, 3) uint8 -> p_fake (B,)."""
