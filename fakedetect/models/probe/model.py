"""A probe: a linear classifier for fake or real on a backbone's features, and its file."""

from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from fakedetect.core.derived import derived_folder
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, hash_file
from fakedetect.core.records.record import NotNegative, Record, read_record, write_record
from fakedetect.core.settings.model_folder import BACKBONE_CHECK
from fakedetect.core.settings.model_input import SIZE
from fakedetect.core.settings.recipes import SEED, Recipe
from fakedetect.models.probe.backbone import Backbone, build_backbone, hash_weights, with_own_weights
from fakedetect.models.probe.classifier import TEST_PICTURE_COUNT, LinearClassifier, ProbeFacts, read_probe

MOST_MARGIN_DIFFERENCE = 0.25
"""Largest change of the test margins, as a root mean square, that other weights may cause. Rounding every
channel of CLIP ViT-B/16 to 8 bits moves the starter's by 0.05, random weights by 1.7 (python -m
benchmarks.held_out --rounding)."""


class BackboneCheck(Record, frozen=True, kw_only=True):
    """Weights whose test margins are close to those of the weights that a probe was fitted on."""

    probe: str
    weights: str
    apart: NotNegative


class Probe(nn.Module):
    """images (B, 3, S, W) float, normalised -> logits (B, 2), half the margin each.

    The margin is a linear function of the backbone's standardised features. W is `squares` times S.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor

    def __init__(self, backbone: Backbone, classifier: LinearClassifier):
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.squares = classifier.weights.size // backbone.width
        for field in fields(classifier):
            self.register_buffer(field.name, torch.from_numpy(getattr(classifier, field.name)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        standard = (self.backbone(images) - self.mean) / self.scale
        # A product and a sum: autocast would compute a matrix product in bfloat16.
        half = ((standard * self.weights).sum(1) + self.bias) / 2
        return torch.stack([half, -half], 1)


def draw_test_pictures(size: int, count: int = TEST_PICTURE_COUNT, squares: int = 1) -> np.ndarray:
    """Draw made-up pictures (N, S, W, 3) uint8 of waves and noise, the same on every machine.

    Args:
        squares: W as a multiple of S.
    """
    random = np.random.default_rng(SEED)
    rows, columns = np.mgrid[:size, : squares * size] / size
    pictures = []
    for number in range(count):
        waves = np.zeros((*rows.shape, 3))
        for _ in range(12):
            down, across = random.normal(0, 2 ** (number % 5), 2)
            wave = np.sin(2 * np.pi * (down * rows + across * columns + random.random()))
            waves += wave[:, :, None] * random.normal(0, 20, 3)
        waves += random.normal(0, number, waves.shape)
        pictures.append(np.clip(128 + waves, 0, 255).round().astype(np.uint8))
    return np.stack(pictures)


def compute_test_margins(probe: Probe, recipe: Recipe) -> np.ndarray:
    """Compute a probe's margins (20,) for the made-up pictures, in float32 on the CPU."""
    taken = recipe.input
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (taken.mean, taken.std))
    pictures = draw_test_pictures(taken.size, squares=probe.squares)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits: torch.Tensor = probe((images - mean) / std)
    return (logits[:, 0] - logits[:, 1]).numpy()


def write_probe(path: Path, probe: Probe, facts: ProbeFacts, recipe: Recipe) -> None:
    """Write probe.safetensors atomically; the same probe gives the same bytes."""
    tensors = {
        **{name: value.contiguous() for name, value in probe.named_buffers(recurse=False)},
        "test_margins": torch.from_numpy(compute_test_margins(probe, recipe)),
    }
    # A single key: the library writes several in random order.
    text = msgspec.json.encode(facts).decode("utf-8")
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(tensors, {"probe": text}))


def load_probe(recipe: Recipe, path: Path) -> Probe:
    """Load the recipe's backbone with the classifier of a probe.safetensors.

    The backbone's weights are those of a backbone.safetensors in the same folder, if there is one,
    otherwise the recipe's.

    Raises:
        UserError: the file is not valid, belongs to another model or was fitted on other weights, or the
            backbone's weights are not available.
    """
    found = read_probe(path)
    facts, classifier = found.facts, found.classifier
    if facts.architecture != recipe.architecture:
        raise UserError(
            f"{path} is a probe on {facts.architecture}, and {recipe.name} is a {recipe.architecture}. "
            "Choose that model, or train again."
        )
    if (fitted := facts.size or SIZE) != recipe.input.size:
        raise UserError(
            f"{path} was fitted on pictures of {fitted} x {fitted} pixels, but {recipe.name} takes "
            f"{recipe.input.size} x {recipe.input.size}. Set size = {fitted} for it, or train again."
        )
    recipe = with_own_weights(recipe, path.parent)
    backbone = build_backbone(recipe, facts.layers, facts.seed, facts.tokens)
    if (count := classifier.weights.size) != (width := facts.squares * backbone.width):
        raise UserError(f"{path} has {count:,} weights for {width:,} features. Train again.")
    probe = Probe(backbone, classifier).eval()
    if (weights := hash_weights(backbone.network)) != facts.weights:
        _check_other_weights(probe, recipe, path, weights, found.test_margins)
    return probe


def _check_other_weights(
    probe: Probe, recipe: Recipe, path: Path, weights: str, wanted: np.ndarray
) -> None:
    """Accept weights that differ from those of the fit by rounding only.

    Raises:
        UserError: they differ more.
    """
    own = hash_file(path)
    file = derived_folder("backbones", f"{own} {weights}") / BACKBONE_CHECK
    known = read_record(file, BackboneCheck, "Remove it.")
    if known and known.weights == weights and known.probe == own and known.apart <= MOST_MARGIN_DIFFERENCE:
        return
    apart = float(np.sqrt(np.mean((compute_test_margins(probe, recipe) - wanted) ** 2)))
    if not apart <= MOST_MARGIN_DIFFERENCE:
        raise UserError(
            f"{path} was fitted with different weights of {recipe.architecture}: the logits of "
            f"{len(wanted)} test pictures differ by {apart:.2f}. Give the weights it was fitted with "
            "(weights = … in paths.toml), or train again."
        )
    # If nothing can be written, each run checks the weights.
    with suppress(UserError):
        write_record(file, BackboneCheck(probe=own, weights=weights, apart=apart))
