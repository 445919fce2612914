"""Heat maps of a model's evidence in a picture, and a test of how far they can be trusted."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fakedetect.core.errors import UserError, did_you_mean
from fakedetect.core.settings.recipes import SEED
from fakedetect.models.probe.model import Probe

BLURRED_SHARES = (0.1, 0.2, 0.3)
RANDOM_REGION_COUNT = 8
BLUR_SIGMA_SHARE = 1 / 16
"""Sigma of the blur, as a share of the picture's side."""


COLOUR_MAP = "inferno"
"""Its brightness rises with the value over the whole range, so it can be read without colour vision. Parts
without evidence stay dark."""


@dataclass(frozen=True)
class Faithfulness:
    """By how much the class's probability drops when a share of the picture is blurred out.

    `drops` are for the map's hottest pixels. `random_drops` are means for regions of the same size and
    shape elsewhere. Both are (3,), for `shares`.
    """

    shares: tuple[float, ...]
    drops: tuple[float, ...]
    random_drops: tuple[float, ...]


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return a model's layer by its name.

    Raises:
        UserError: there is no such layer.
    """
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if not name or name not in layers:
        last = ", ".join(list(layers)[-5:])
        raise UserError(
            f"The model has no layer {name!r}{did_you_mean(name, layers)}. Its last layers: {last}."
        )
    return layers[name]


def choose_layer(model: nn.Module, images: torch.Tensor) -> str:
    """Choose the last layer that still has a map: a convolution, or a transformer block's first norm.

    Args:
        images: (B, 3, H, W) normalised; the model runs on one to find the order of its layers.

    Raises:
        UserError: no layer has a map.
    """
    seen: list[str] = []

    def remember(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: torch.Tensor) -> None:
            if isinstance(output, torch.Tensor) and output.ndim >= 3 and output[0, 0].numel() > 1:
                seen.append(name)

        return hook

    hooks = [
        layer.register_forward_hook(remember(name))
        for name, layer in model.named_modules()
        # A block's shortcut runs last but only passes its input on.
        if (isinstance(layer, nn.Conv2d) or name.endswith(".norm1"))
        and "downsample" not in name
        and "shortcut" not in name
    ]
    try:
        with torch.inference_mode():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise UserError(
            "The model has no convolution or transformer block to explain. Give another --layer."
        )
    return seen[-1]


def find_network(model: nn.Module) -> nn.Module:
    """Return the network with a model's layers: the backbone of a probe, otherwise the model itself."""
    return model.backbone.network if isinstance(model, Probe) else model


def _as_maps(model: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Reshape a layer's output to (B, C, h, w); drop class tokens, and move channels from last to first."""
    if values.ndim == 3:
        patches = values[:, getattr(find_network(model), "num_prefix_tokens", 1) :]
        side = math.isqrt(patches.shape[1])
        if side * side == patches.shape[1] and side > 1:
            values = patches.transpose(1, 2).unflatten(2, (side, side))
            return values
    elif values.ndim == 4:
        if values.shape[1] == values.shape[2] != values.shape[3]:
            values = values.permute(0, 3, 1, 2)
        if values.shape[2] * values.shape[3] > 1:
            return values
    raise UserError(f"The layer's output {tuple(values.shape)} is not a map. Name another --layer.")


def _scale_maps(maps: torch.Tensor, images: torch.Tensor) -> np.ndarray:
    """Scale maps of values >= 0 to 0..1 and to the size of the images (B, 3, H, W).

    Args:
        maps: (B V, h, w); a picture of a probe consists of V squares side by side, each with a map.
    """
    maps = maps.unflatten(0, (len(images), -1)).movedim(1, 2).flatten(2)  # (B, h, V w)
    scaled = maps / maps.amax((1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
    large = functional.interpolate(scaled[:, None], size=images.shape[2:], mode="bilinear")
    return large[:, 0].clamp(0, 1).cpu().numpy()


def grad_cam(
    model: nn.Module, layer: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> tuple[np.ndarray, torch.Tensor]:
    """Compute Grad-CAM (Selvaraju et al. 2017): a layer's channels weighted by their mean gradient.

    Args:
        images: (B, 3, H, W) normalised.
        targets: (B,) the class (0 fake, 1 real) whose logit is explained; -1 for the predicted one.

    Returns:
        Maps (B, H, W) in 0..1 (all 0 if nothing supports the class), logits (B, 2).
    """
    kept: dict[str, torch.Tensor] = {}

    def keep(_: nn.Module, __: object, output: torch.Tensor) -> None:
        if not isinstance(output, torch.Tensor):
            raise UserError("That layer returns more than one output. Name another --layer.")
        kept["values"] = output

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = model(images)
            if "values" not in kept:
                raise UserError("That layer does not contribute to the prediction. Name another --layer.")
            chosen = torch.where(targets < 0, logits.argmax(1), targets)
            score = logits.gather(1, chosen[:, None]).sum()
            gradient = torch.autograd.grad(score, kept["values"], allow_unused=True)[0]
    finally:
        hook.remove()
    if gradient is None:
        raise UserError("That layer does not contribute to the prediction. Name another --layer.")
    values, gradients = (_as_maps(model, tensor) for tensor in (kept["values"].detach(), gradient))
    weights = gradients.mean((2, 3), keepdim=True)
    return _scale_maps((weights * values).sum(1).relu().float(), images), logits.detach().float()


def has_attention(model: nn.Module) -> bool:
    """Whether Attention Rollout supports the model: a timm transformer with one token sequence."""
    blocks = getattr(find_network(model), "blocks", None)
    return isinstance(blocks, nn.Sequential) and all(
        hasattr(getattr(block, "attn", None), "attn_drop") for block in blocks
    )


def attention_rollout(model: nn.Module, images: torch.Tensor) -> np.ndarray:
    """Compute Attention Rollout (Abnar and Zuidema 2020): the flow from patches to the class token.

    It multiplies the layers' attention. Heads are averaged, and the residual connection counts as half. The
    map is the same for every class.

    Args:
        images: (B, 3, H, W) normalised.

    Returns:
        Maps (B, H, W) in 0..1.

    Raises:
        UserError: the model has no attention of that form.
    """
    if not has_attention(model):
        raise UserError("Attention Rollout needs a ViT. Use --method grad-cam.")
    maps: list[torch.Tensor] = []
    network = find_network(model)
    attentions: list[Any] = [block.attn for block in cast(nn.Sequential, network.blocks)]
    fused = [attention.fused_attn for attention in attentions]
    hooks = [
        attention.attn_drop.register_forward_hook(lambda _, __, output: maps.append(output.mean(1)))
        for attention in attentions
    ]
    try:
        # The fused kernel never stores the attention as a tensor.
        for attention in attentions:
            attention.fused_attn = False
        with torch.inference_mode():
            model(images)
    finally:
        for attention, setting in zip(attentions, fused, strict=True):
            attention.fused_attn = setting
        for hook in hooks:
            hook.remove()
    identity = torch.eye(maps[0].shape[-1], device=maps[0].device)
    flow = identity.expand_as(maps[0])
    for attention in maps:
        mixed = (attention.float() + identity) / 2
        flow = mixed / mixed.sum(-1, keepdim=True) @ flow
    prefix = getattr(network, "num_prefix_tokens", 1)
    to_patches = flow[:, 0, prefix:] if prefix else flow.mean(1)
    side = math.isqrt(to_patches.shape[1])
    patches = to_patches.unflatten(1, (side, side))
    return _scale_maps(patches - patches.amin((1, 2), keepdim=True), images)


def overlay(image: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the map in COLOUR_MAP, and a mixture of 0.4 of it with 0.6 of the picture, which cannot
    overflow.

    Args:
        image: (H, W, 3) uint8, the picture in any size and shape. The model saw it squeezed to a square, so
            the map is stretched back.
        heat: (S, S) in 0..1; of a probe's copy (S, 2 S): the right half is that of the centre square, and
            the larger value is shown.

    Returns:
        Both (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    size = len(heat)
    heat, of_centre = heat[:, :size], heat[:, size:]
    if heat.shape != (height, width):
        heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    if of_centre.size:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        inside = np.s_[top : top + side, left : left + side]
        heat = heat.copy()
        heat[inside] = np.maximum(
            heat[inside], cv2.resize(of_centre, (side, side), interpolation=cv2.INTER_LINEAR)
        )
    coloured = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    mixed = 0.4 * coloured.astype(np.float32) + 0.6 * image.astype(np.float32) + 0.5
    return coloured, mixed.astype(np.uint8)


def measure_faithfulness(
    predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, heat: np.ndarray, target: int
) -> Faithfulness | None:
    """Run a deletion test (after Petsiuk et al. 2018, RISE): blur the hottest pixels, measure the class's
    drop.

    Args:
        predict: images (B, S, W, 3) uint8 -> probabilities (B, 2).
        image: (S, W, 3) uint8.
        heat: (S, W) in 0..1.
        target: the class whose probability is measured.

    Returns:
        None if the map is flat, so that it has no hottest pixels.
    """
    if heat.max() == heat.min():
        return None
    random = np.random.default_rng(SEED)
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA_SHARE * len(image))
    order = np.argsort(-heat, axis=None, kind="stable")
    pictures = [image]
    for share in BLURRED_SHARES:
        mask = np.zeros(heat.shape, bool)
        mask.flat[order[: round(share * heat.size)]] = True
        moved = [
            np.roll(mask, random.integers(0, len(mask), 2), (0, 1)) for _ in range(RANDOM_REGION_COUNT)
        ]
        pictures += [np.where(region[:, :, None], blurred, image) for region in (mask, *moved)]
    values = predict(np.stack(pictures))[:, target]
    drops = (values[0] - values[1:]).reshape(len(BLURRED_SHARES), 1 + RANDOM_REGION_COUNT)
    return Faithfulness(
        BLURRED_SHARES,
        tuple(float(drop) for drop in drops[:, 0]),
        tuple(float(drop) for drop in drops[:, 1:].mean(1)),
    )
