"""What makes training on CPUs faster in bfloat16: the one door to the modules beside this one.

- depthwise: oneDNN has no fast gradient for depth-wise kernels of 5 x 5 and 7 x 7 (ConvNeXt, EfficientNet),
  so it is put together of those of 3 x 3 pieces.
- response_norm: ConvNeXtV2's response normalisation reads and writes its maps fewer times, and on large
  maps becomes part of the layer behind it.
- halves: the gradients of both halves of a batch are worked out at once, each by half of the cores, which
  wait less for one another and for memory (models whose pictures do not affect one another).

With all of it, and bfloat16 itself, ConvNeXtV2-Tiny trains 2.92 times as fast as the reference's way in
batches of 16 and 4.77 times in the recipe's of 64 (docs/speed.md); the latter is what
`python -m benchmarks --quick --model convnext_v2_tiny train` measures. In float32 nothing changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from fakedetect.models.cpu_training.halves import LEAST, Halves, find_halves
from fakedetect.models.devices import forward


@dataclass(frozen=True)
class Gradients:
    """How the gradients of a batch are worked out; `halves` is there where that is faster in halves."""

    dtype: torch.dtype
    halves: Halves | None

    def add(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        images: torch.Tensor,
        labels: torch.Tensor,
        scale: torch.Tensor,
    ) -> torch.Tensor:
        """Add the gradients of the sum of the losses, times a scale, to the parameters'; returns the sum.

        Args:
            network: the model, or what shares or compiles it.
            images: (B, 3, H, W) float, normalised.
            labels: (B,).
        """
        if self.halves and len(labels) >= 2 * LEAST:
            return self.halves.add_gradients(images, labels, scale)
        loss = functional.cross_entropy(forward(network, images, self.dtype), labels, reduction="sum")
        (loss * scale).backward()
        return loss.detach()


def speed_up_layers(model: nn.Module) -> nn.Module:
    """A timm model whose layers of those kinds train faster; its weights and names stay as they are."""
    # They import timm, which a model of torchvision does not need.
    from fakedetect.models.cpu_training.depthwise import use_lean_depthwise
    from fakedetect.models.cpu_training.response_norm import use_lean_response_norm

    return use_lean_depthwise(use_lean_response_norm(model))


def speed_up(model: nn.Module, dtype: torch.dtype, size: int, alone: bool = True) -> Gradients:
    """The fastest way to the gradients of a model on its device.

    Args:
        size: of the images (3, S, S) that the model takes.
        alone: the model is neither shared with other processes nor compiled.
    """
    return Gradients(dtype, find_halves(model, dtype, size) if alone else None)
