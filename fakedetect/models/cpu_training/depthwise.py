"""Depth-wise convolutions of large kernels, trained on CPUs in bfloat16 in a fraction of the time."""

from typing import Any

import torch
from torch import nn

from fakedetect.models.cpu_training.mixed_precision import trains_mixed

PIECE = 3
"""The side of a kernel whose gradient oneDNN works out fast; larger ones take tens of times as long."""


class _Depthwise(torch.autograd.Function):
    """conv2d of as many groups as channels; the gradient of its kernel is put together of 3 x 3 pieces.

    Each piece is the gradient of a 3 x 3 kernel on the map moved to where the piece lies, so the sums are
    the same ones.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return nn.functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        stride, padding = ctx.stride, ctx.padding
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _gradient_of(0, gradient, x, weight, stride, padding)
        if ctx.needs_input_grad[1]:
            of_weight = _by_pieces(gradient, x, weight, stride, padding)
        if ctx.needs_input_grad[2]:
            # oneDNN would work out the kernel's gradient beside it.
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def _gradient_of(
    which: int,
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor:
    """Of the input (0) or the kernels (1)."""
    channels = len(weight)
    sizes = [channels], list(stride), list(padding), [1, 1]
    wanted = [which == 0, which == 1, False]
    found: torch.Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, *sizes, False, [0, 0], channels, wanted
    )[which]
    return found


def _by_pieces(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor:
    """The gradient of the kernels (C, 1, K, L), each at least 3 x 3."""
    padded = nn.functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    high, wide = (step * (size - 1) + PIECE for step, size in zip(stride, gradient.shape[2:], strict=True))
    piece = weight[:, :, :PIECE, :PIECE]
    whole = torch.empty_like(weight)
    for row in _places(weight.shape[2]):
        for column in _places(weight.shape[3]):
            part = padded[:, :, row : row + high, column : column + wide]
            part = part.contiguous(memory_format=torch.channels_last)
            found = _gradient_of(1, gradient, part, piece, stride, (0, 0))
            whole[:, :, row : row + PIECE, column : column + PIECE] = found
    return whole


def _places(size: int) -> list[int]:
    """Where the pieces of a kernel begin; the last ones overlap."""
    return [min(place, size - PIECE) for place in range(0, size, PIECE)]


class _LeanDepthwise(nn.Conv2d):
    """A layer that computes the same and learns so, where mixed precision trains it on a CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not trains_mixed(x) or not self.weight.requires_grad:
            return super().forward(x)
        bias = None if self.bias is None else self.bias.bfloat16()
        answer: torch.Tensor = _Depthwise.apply(
            x.bfloat16(), self.weight.bfloat16(), bias, self.stride, self.padding
        )
        return answer


def use_lean_depthwise(model: nn.Module) -> nn.Module:
    """Have a model's layers of that kind work so; their weights and names stay as they are."""
    for layer in model.modules():
        if type(layer) is nn.Conv2d and _is_large_depthwise(layer):
            layer.__class__ = _LeanDepthwise
    return model


def _is_large_depthwise(layer: nn.Conv2d) -> bool:
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and min(layer.kernel_size) >= PIECE
        and max(layer.kernel_size) > PIECE
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )
