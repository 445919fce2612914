"""Parity of exported files with the detector, including the decoding of pictures."""

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
from fakedetect.core.settings.recipes import SEED, Recipe
from fakedetect.core.terminal.console import Console, plural
from fakedetect.dataset.samples import find_originals
from fakedetect.images.copies import ALIGNED_QUALITY, CopyKind, format_for_copy
from fakedetect.images.reading import turn_upright
from fakedetect.images.views import View, ViewRequest, load_view
from fakedetect.models.detector import Detector
from fakedetect.models.openvino.engine import compile_network, openvino_core
from fakedetect.models.predictions import load_pictures
from fakedetect.models.probe.model import draw_test_pictures

PARITY_PICTURE_COUNT = 32

MOST_P_FAKE_DIFFERENCE = 1e-3
"""Largest difference in float32 between p(fake) of an exported file and of the detector."""


class DetectorNetwork(nn.Module):
    """A detector as one network: images (B, S, W, 3) uint8 -> calibrated p_fake (B,) float32.

    Args:
        model: images (B, 3, S, W) float -> logits (B, 2), on the CPU, in evaluation mode.
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
    """The largest difference in p(fake) on `count` pictures, by the library that runs the exported file.

    prepare_picture() prepared `from_files` of them; the others, which it does not cover, were prepared as
    by `check`. `made_up`: the pictures are made-up.
    """

    count: int
    from_files: int
    apart: Mapping[str, float]
    made_up: bool = False

    @property
    def agrees(self) -> bool:
        """Whether all differences are within MOST_P_FAKE_DIFFERENCE."""
        return all(value <= MOST_P_FAKE_DIFFERENCE for value in self.apart.values())

    def describe(self) -> list[str]:
        """Describe the differences, one line for each library."""
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
            lines.append(f"That is more than {MOST_P_FAKE_DIFFERENCE:g}: do not use such a file.")
        return lines


@dataclass(frozen=True)
class ParityPictures:
    """Pictures to compare on: `images` (N, S, W, 3) uint8 as `check` prepares them, and `given`, as
    prepare_picture() does.

    `covered` (N,) bool: whether prepare_picture() covers the file; `given` is the same as `images`
    otherwise.
    """

    images: np.ndarray
    given: np.ndarray
    covered: np.ndarray
    made_up: bool = False


def choose_parity_pictures(detector: Detector, console: Console) -> ParityPictures:
    """Choose test pictures, the same in every run; made-up ones if no test picture can be read."""
    try:
        samples = load_pictures(detector.settings, "test").samples
    except UserError as error:
        console.warn(f"Comparing on made-up pictures: {error}")
        return _make_up_pictures(detector)
    order = np.random.default_rng(SEED).permutation(len(samples))[:PARITY_PICTURE_COUNT]
    paths = find_originals(detector.settings, "test", [samples[place].path for place in sorted(order)])
    seen = [(path, load_view(ViewRequest(path, (detector.kind,)))) for path in paths]
    views = [(path, view) for path, view in seen if isinstance(view, View)]
    if not views:
        console.warn("Comparing on made-up pictures: no test picture can be read")
        return _make_up_pictures(detector)
    images = np.concatenate([view.images[0] for _, view in views])
    prepared = [prepare_picture(path, detector.kind) for path, _ in views]
    covered = np.array([pixels is not None for pixels in prepared])
    pairs = zip(images, prepared, strict=True)
    given = np.stack([image if pixels is None else pixels for image, pixels in pairs])
    return ParityPictures(images, given, covered)


def _make_up_pictures(detector: Detector) -> ParityPictures:
    kind = detector.kind
    images = draw_test_pictures(kind.scaling.size, squares=kind.width // kind.scaling.size)
    return ParityPictures(images, images, np.zeros(len(images), bool), made_up=True)


def measure_parity(network: DetectorNetwork, pictures: ParityPictures, files: Sequence[Path]) -> Parity:
    """Compare the exported files with the original network on the same pictures.

    Args:
        network: the original, on the CPU.
        files: the .onnx and the .xml among them are compared.
    """
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pictures.images)).numpy()
    apart = {}
    for file in files:
        if (load := LOADERS.get(file.suffix)) is not None:
            name, predict = load(file)
            apart[name] = float(np.abs(predict(pictures.given) - wanted).max())
    covered = int(pictures.covered.sum())
    return Parity(count=len(wanted), from_files=covered, apart=apart, made_up=pictures.made_up)


def prepare_picture(path: Path, kind: CopyKind) -> np.ndarray | None:
    """Prepare a picture (S, W, 3) uint8 for an exported file with Pillow alone, as docs/export.md
    describes.

    None for what that page does not cover: files other than JPEG and PNG in RGB or grey, files with the
    extension of another format, and fast copies, which are scaled differently.
    """
    with Image.open(path) as opened:
        file_format = opened.format
        usual = opened.mode in ("RGB", "L") and not opened.has_transparency_data
        if kind.fast or not usual or "icc_profile" in opened.info:
            return None
        if file_format not in ("JPEG", "PNG") or format_for_copy(path, file_format) != file_format:
            return None
        upright = turn_upright(opened).convert("RGB")
    squares = [upright]
    if kind.centre_square:
        side = min(upright.size)
        left, top = ((length - side) // 2 for length in upright.size)
        squares.append(upright.crop((left, top, left + side, top + side)))
    size, how = kind.scaling.size, Image.Resampling[kind.scaling.interpolation.upper()]
    options: dict[str, Any] = {}
    if kind.aligned:
        file_format = "JPEG"
        options = {"quality": kind.quality, "subsampling": 0 if kind.quality >= ALIGNED_QUALITY else 2}
    copies = []
    for square in squares:
        square.resize((size, size), how).save(file := io.BytesIO(), file_format, **options)
        copies.append(np.asarray(Image.open(file).convert("RGB")))
    return np.concatenate(copies, axis=1)


def _load_onnx(file: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return "onnxruntime", lambda images: session.run(None, {"images": images})[0]


def _load_openvino(file: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    core = openvino_core()
    compiled = compile_network(core, core.read_model(file), bf16=False)
    return "OpenVINO", lambda images: compiled(images)[0]


LOADERS = {".onnx": _load_onnx, ".xml": _load_openvino}
"""By file extension: return the library's name, and images (B, S, W, 3) uint8 -> p_fake (B,)."""
