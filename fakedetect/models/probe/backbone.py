"""A pretrained network as a feature extractor: features come from every block or stage.

Traces of a generator are in the early blocks and lost in the last ones (Koutlis and Papadopoulos 2024,
'Leveraging Representations from Intermediate Encoder-blocks for Synthetic Image Detection'). The network
stays frozen, so its features are not limited to the traces of the generators in the training set (Ojha et
al. 2023, 'Towards Universal Fake Image Detectors that Generalize Across Generative Models').
"""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_folder import BACKBONE_FILE
from fakedetect.core.settings.recipes import CLASS_TOKEN, Recipe
from fakedetect.models.building import build_network

LEAST_VARIANCE = 1e-6
"""Added to each variance: the square root has no gradient at 0, the variance of an inactive channel."""

DIRECTION_COUNT = 48
"""Covariances are taken of at most this many channels; more are first projected on random directions."""


class Backbone(nn.Module):
    """images (B, 3, S, V S) float, normalised -> features (B, V D) float32, in parts of length 1 each.

    A picture may be V squares side by side; their features are side by side too. The part of a block is its
    class token, or the mean of its patch tokens without one; with ALL_TOKENS, the mean and deviation of the
    patch tokens too. The parts of a stage are the mean, the deviation and the channel covariances of its
    map. Covariances describe textures (Gatys, Ecker and Bethge 2015, 'Texture Synthesis Using Convolutional
    Neural Networks'; in generated faces: Liu, Qi and Torr 2020, 'Global Texture Enhancement for Fake Face
    Detection In the Wild').

    Args:
        network: a model of timm, or torchvision's ResNet, without its head.
        size: S.
        layers: the numbers of the blocks or stages, from 1; empty for all.
        tokens: CLASS_TOKEN or ALL_TOKENS.

    `width` is D.

    Raises:
        UserError: timm cannot extract the network's blocks, or `layers` names one that does not exist.
    """

    def __init__(
        self, network: nn.Module, size: int, layers: Sequence[int] = (), tokens: str = CLASS_TOKEN
    ):
        super().__init__()
        self.network, self.tokens = network, tokens
        with torch.inference_mode():
            found = self._look(torch.zeros(1, 3, size, size))
        if layers and max(layers) > len(found):
            raise UserError(
                f"layers under [probe] names block {max(layers)}, but the model has {len(found)}. Use "
                f'numbers from 1 to {len(found)}, or write layers = "all".'
            )
        self.layers = tuple(sorted(set(layers))) or tuple(range(1, len(found) + 1))
        self.width = sum(part.shape[1] for number in self.layers for part in found[number - 1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        views = images.shape[3] // images.shape[2]
        if views > 1:
            images = images.unflatten(3, (views, -1)).movedim(3, 1).flatten(0, 1)  # (B V, 3, S, S)
        found = self._look(images)
        parts = [part for number in self.layers for part in found[number - 1]]
        features = torch.cat([functional.normalize(part.float(), dim=1) for part in parts], 1)
        return features.unflatten(0, (-1, views)).flatten(1) if views > 1 else features

    def _look(self, images: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        """Return the parts (B, D) of every block or stage."""
        network = cast(Any, self.network)
        if hasattr(network, "layer4"):
            return [self._pool_map(stage) for stage in _compute_resnet_stages(network, images)]
        if not hasattr(network, "forward_intermediates"):
            raise UserError(
                "timm cannot extract intermediate features from this model, which a probe and explore "
                '--labels require. Choose another model, or use recipe = "reference".'
            )
        options = {"intermediates_only": True}
        if "return_prefix_tokens" not in inspect.signature(network.forward_intermediates).parameters:
            return [self._pool_map(stage) for stage in network.forward_intermediates(images, **options)]
        blocks = network.forward_intermediates(
            images, return_prefix_tokens=True, output_fmt="NLC", **options
        )
        has_class_token = getattr(network, "cls_token", None) is not None
        if self.tokens == CLASS_TOKEN:
            return [(prefix[:, 0] if has_class_token else patches.mean(1),) for patches, prefix in blocks]
        classes = [(prefix[:, 0],) if has_class_token else () for _, prefix in blocks]
        pairs = zip(classes, blocks, strict=True)
        return [(*of_class, *_summarise(patches, (1,))) for of_class, (patches, _) in pairs]

    def _pool_map(self, stage: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the mean, the deviation and the covariances of a map (B, C, H, W) over its positions."""
        centred = stage.flatten(2).float()
        centred = centred - centred.mean(2, keepdim=True)
        channels = stage.shape[1]
        if channels > DIRECTION_COUNT:
            centred = self._keep(f"directions_{channels}", lambda: _draw_directions(channels)) @ centred
        count = centred.shape[1]
        pairs = self._keep(f"pairs_{count}", lambda: _number_pairs(count))
        products = (centred @ centred.transpose(1, 2) / centred.shape[2]).flatten(1)
        return (*_summarise(stage, (2, 3)), products.index_select(1, pairs))

    def _keep(self, name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return a constant by its name. It is made at the first call and moves with the model."""
        if name not in self._buffers:
            # Heat maps need gradients through it, which a tensor made in inference mode does not allow.
            with torch.inference_mode(False):
                self.register_buffer(name, make(), persistent=False)
        return cast(torch.Tensor, self._buffers[name])

    @property
    def middle_layer(self) -> str | None:
        """The name of a middle layer whose patch tokens a heat map can show; None without token blocks."""
        blocks = getattr(self.network, "blocks", None)
        if not isinstance(blocks, nn.Sequential) or not hasattr(blocks[0], "norm1"):
            return None
        return f"network.blocks.{len(blocks) // 2}.norm1"


def _summarise(values: torch.Tensor, over: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the deviation (B, C) of tokens or a map over its positions."""
    deviation = (values.float().var(over, correction=0) + LEAST_VARIANCE).sqrt()
    return values.mean(over), deviation


def _draw_directions(channels: int) -> torch.Tensor:
    """Return random orthogonal directions (48, C) in channel space, the same on every machine."""
    drawn = hashlib.shake_256(str(channels).encode()).digest(DIRECTION_COUNT * channels // 8)
    signs = 2.0 * np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(channels, DIRECTION_COUNT) - 1
    directions, sizes = np.linalg.qr(signs)
    # The sign of a direction depends on the linear algebra library, so it is fixed here.
    return torch.from_numpy((directions * np.sign(np.diag(sizes))).T.astype(np.float32))


def _number_pairs(count: int) -> torch.Tensor:
    """Return the index of each pair, once, in a flattened matrix of `count` rows and columns."""
    rows, columns = torch.triu_indices(count, count)
    indices: torch.Tensor = rows * count + columns
    return indices


def _compute_resnet_stages(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    stages = []
    for name, layer in network.named_children():
        if name.startswith(("global_pool", "avgpool")):
            break
        images = layer(images)
        if name.startswith("layer"):
            stages.append(images)
    return stages


def with_own_weights(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with the backbone weights in a probe's folder, if there are any."""
    own = folder / BACKBONE_FILE
    return msgspec.structs.replace(recipe, weights=str(own)) if own.is_file() else recipe


def build_backbone(
    recipe: Recipe, layers: Sequence[int], seed: int | None, tokens: str = CLASS_TOKEN
) -> Backbone:
    """Build the recipe's network with its pretrained weights, in evaluation mode.

    Args:
        layers, tokens: as for Backbone.
        seed: use random weights of this seed instead.

    Raises:
        UserError: timm has no such model, its weights are not available, or it has no blocks.
    """
    if seed is None:
        network = build_network(recipe, pretrained=True)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(recipe, pretrained=False)
    return Backbone(network.eval(), recipe.input.size, layers, tokens).eval()


def hash_weights(network: nn.Module) -> str:
    """Return the SHA-256 of a network's weights, independent of the file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
