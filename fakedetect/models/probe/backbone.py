"""A pretrained network as a source of features: what each of its blocks or stages makes of a picture.

Of every block, not of the last alone: what tells a generator is low in the network, and the last blocks
have forgotten it (Koutlis and Papadopoulos 2024, 'Leveraging Representations from
Intermediate Encoder-blocks for Synthetic Image Detection'). The network stays frozen, and so knows more
than one generator's traces (Ojha et al. 2023, 'Towards Universal Fake Image Detectors that Generalize
Across Generative Models').
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
from fakedetect.core.settings.recipes import Recipe
from fakedetect.models.building import build_network

LEAST_VARIANCE = 1e-6
"""Added to each variance: the root of 0, of a channel that is off, has no gradient."""

DIRECTIONS = 48
"""Of a map with more channels than that, as many random mixtures of them have their covariances taken."""


class Backbone(nn.Module):
    """images (B, 3, H, W) float, normalised -> features (B, D) float32, each part of them of length 1.

    A part is a block's class token, the mean or the deviation of its patch tokens, or of a stage's map; of
    that also the covariances of its channels, which tell textures apart (Gatys, Ecker and Bethge 2015,
    'Texture Synthesis Using Convolutional Neural Networks'; in generated faces: Liu, Qi and Torr 2020,
    'Global Texture Enhancement for Fake Face Detection In the Wild').

    Args:
        network: a model of timm, or torchvision's ResNet, without its head.
        size: H and W.
        layers: the numbers of the blocks or stages, from 1; none for all.

    `width` is D.

    Raises:
        UserError: the network has no blocks that can be looked into, or fewer than that.
    """

    def __init__(self, network: nn.Module, size: int, layers: Sequence[int] = ()):
        super().__init__()
        self.network = network
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
        found = self._look(images)
        parts = [part for number in self.layers for part in found[number - 1]]
        return torch.cat([functional.normalize(part.float(), dim=1) for part in parts], 1)

    def _look(self, images: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
        """The parts (B, D) of every block or stage."""
        network = cast(Any, self.network)
        if hasattr(network, "layer4"):
            return [self._summarise_map(stage) for stage in _stages_of_resnet(network, images)]
        if not hasattr(network, "forward_intermediates"):
            raise UserError(
                "timm cannot extract intermediate features from this model, which a probe and explore "
                '--labels require. Choose another model, or use recipe = "reference".'
            )
        options = {"intermediates_only": True}
        if "return_prefix_tokens" not in inspect.signature(network.forward_intermediates).parameters:
            return [
                self._summarise_map(stage) for stage in network.forward_intermediates(images, **options)
            ]
        blocks = network.forward_intermediates(
            images, return_prefix_tokens=True, output_fmt="NLC", **options
        )
        if getattr(network, "cls_token", None) is None:
            return [_summarise(patches, (1,)) for patches, _ in blocks]
        return [(prefix[:, 0], *_summarise(patches, (1,))) for patches, prefix in blocks]

    def _summarise_map(self, stage: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The mean, the deviation and the covariances of a map (B, C, H, W) over its places."""
        centred = stage.flatten(2).float()
        centred = centred - centred.mean(2, keepdim=True)
        channels = stage.shape[1]
        if channels > DIRECTIONS:
            centred = self._keep(f"directions_{channels}", lambda: _draw_directions(channels)) @ centred
        count = centred.shape[1]
        pairs = self._keep(f"pairs_{count}", lambda: _number_pairs(count))
        products = (centred @ centred.transpose(1, 2) / centred.shape[2]).flatten(1)
        return (*_summarise(stage, (2, 3)), products.index_select(1, pairs))

    def _keep(self, name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A constant of that name, made the first time it is asked for; it moves with the model."""
        if name not in self._buffers:
            # A heat map goes back through it, which a tensor made in inference mode does not allow.
            with torch.inference_mode(False):
                self.register_buffer(name, make(), persistent=False)
        return cast(torch.Tensor, self._buffers[name])

    @property
    def middle_layer(self) -> str | None:
        """The name of a layer halfway up whose patch tokens a heat map can show; None for a network
        without blocks of tokens."""
        blocks = getattr(self.network, "blocks", None)
        if not isinstance(blocks, nn.Sequential) or not hasattr(blocks[0], "norm1"):
            return None
        return f"network.blocks.{len(blocks) // 2}.norm1"


def _summarise(values: torch.Tensor, over: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and the deviation (B, C) of tokens or a map over its places."""
    deviation = (values.float().var(over, correction=0) + LEAST_VARIANCE).sqrt()
    return values.mean(over), deviation


def _draw_directions(channels: int) -> torch.Tensor:
    """Mixtures (48, C) of channels in random directions at right angles, the same everywhere and always."""
    drawn = hashlib.shake_256(str(channels).encode()).digest(DIRECTIONS * channels // 8)
    signs = 2.0 * np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(channels, DIRECTIONS) - 1
    directions, sizes = np.linalg.qr(signs)
    # Which of two opposite directions comes out is left to the library that works them out.
    return torch.from_numpy((directions * np.sign(np.diag(sizes))).T.astype(np.float32))


def _number_pairs(count: int) -> torch.Tensor:
    """The places of each pair, once, in a flattened matrix of `count` rows and columns."""
    rows, columns = torch.triu_indices(count, count)
    places: torch.Tensor = rows * count + columns
    return places


def _stages_of_resnet(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    stages = []
    for name, layer in network.named_children():
        if name.startswith(("global_pool", "avgpool")):
            break
        images = layer(images)
        if name.startswith("layer"):
            stages.append(images)
    return stages


def with_own_weights(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the weights that lie beside a probe in its folder, if some do."""
    own = folder / BACKBONE_FILE
    return msgspec.structs.replace(recipe, weights=str(own)) if own.is_file() else recipe


def build_backbone(recipe: Recipe, layers: Sequence[int], seed: int | None) -> Backbone:
    """The recipe's network with its pretrained weights, ready to be asked.

    Args:
        layers: as Backbone takes them.
        seed: build it with random weights, of this seed, instead.

    Raises:
        UserError: timm has no such model, its weights are not to be had, or it has no blocks.
    """
    if seed is None:
        network = build_network(recipe, pretrained=True)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(recipe, pretrained=False)
    return Backbone(network.eval(), recipe.input.size, layers).eval()


def hash_weights(network: nn.Module) -> str:
    """The SHA-256 of a network's weights on the CPU, whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
