"""Faster versions of timm's layers for training on CPUs in bfloat16. They compute the same functions.

- ConvNeXtV2's response normalisation reads and writes its maps fewer times. On large maps it is fused into
  the next layer.
- oneDNN has no fast gradient for depth-wise kernels of 5 x 5 and 7 x 7 (ConvNeXt, EfficientNet). It is
  assembled from the gradients of 3 x 3 pieces.
"""

from typing import Any

import torch
from timm.layers.grn import GlobalResponseNorm
from timm.layers.mlp import GlobalResponseNormMlp
from torch import nn

PIECE = 3
"""Side of a kernel whose gradient oneDNN computes fast; larger ones take tens of times as long."""


def speed_up_layers(model: nn.Module) -> nn.Module:
    """Replace the classes of a model's slow layers; weights and names do not change."""
    for layer in model.modules():
        if type(layer) is nn.Conv2d and _is_large_depthwise(layer):
            layer.__class__ = _LeanDepthwise
        elif type(layer) is GlobalResponseNorm:
            layer.__class__ = _LeanResponseNorm
        elif type(layer) is GlobalResponseNormMlp and _is_linear(layer):
            layer.__class__ = _LeanMlp
    return model


def _is_trained_in_bf16(x: torch.Tensor) -> bool:
    """Whether a layer with this input is trained on a CPU under bfloat16 autocast."""
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def _compute_scale(
    size: torch.Tensor, weight: torch.Tensor, channel: int, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each channel's factor, computed from the channels' sizes, and the mean of the sizes."""
    mean = size.mean(channel, keepdim=True) + eps
    return 1 + weight * size / mean, mean


def _backpropagate_scale(
    of_scale: torch.Tensor, weight: torch.Tensor, size: torch.Tensor, mean: torch.Tensor, channel: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient of the weight for each picture, and the factor of the map in its own gradient.

    The map contributes to its gradient because the channel sizes depend on it.

    Args:
        of_scale: the gradient of the scale.
    """
    of_ratio = weight * of_scale
    of_mean = (of_ratio * size).mean(channel, keepdim=True) / mean**2
    of_size = of_ratio / mean - of_mean
    # The gradient of a size of 0 is 0, as in torch's norm.
    return of_scale * size / mean, torch.where(size > 0, of_size / size, 0.0)


class _ResponseNorm(torch.autograd.Function):
    """x * (1 + weight * ratio) + bias, where a channel's ratio is its size over the mean of all sizes.

    A channel's size is the square root of its sum of squares. Maps are bfloat16 and are read and written
    only a few times; values per channel are float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        channel: int,
        eps: float,
    ) -> torch.Tensor:
        spatial = [2, 3] if channel == 1 else [1, 2]
        size = (x * x).sum(spatial, keepdim=True).float().sqrt()
        whole, mean = _compute_scale(size, weight, channel, eps)
        scale = whole.to(x.dtype)
        ctx.save_for_backward(x, weight, size, mean, scale)
        ctx.spatial, ctx.channel = spatial, channel
        return torch.addcmul(bias.to(x.dtype), x, scale)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, size, mean, scale = ctx.saved_tensors
        of_scale = (gradient * x).sum(ctx.spatial, keepdim=True).float()
        of_bias = gradient.sum(ctx.spatial, keepdim=True).float()
        of_weight, along = _backpropagate_scale(of_scale, weight, size, mean, ctx.channel)
        of_x = torch.addcmul(gradient * scale, x, along.to(x.dtype))
        return of_x, of_weight.sum(0, keepdim=True), of_bias.sum(0, keepdim=True), None, None


class _NormedLinear(torch.autograd.Function):
    """A linear layer after a response norm: x (B, N, K) -> (B, N, C).

    The norm multiplies a picture's channels. Multiplying the columns of the layer's matrix instead, with
    one matrix for each picture, has the same result. For N > C that is fewer values, and the map is not
    written again. The gradient of the scale is a sum over these matrices instead of over the positions of a
    map.

    Args:
        weight, bias: of the norm, (K,).
        matrix, offset: of the layer, (C, K) and (C,).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        matrix: torch.Tensor,
        offset: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        size = (x * x).sum(1, keepdim=True).float().sqrt()
        scale, mean = _compute_scale(size, weight, 2, eps)
        matrices = (matrix * scale).to(x.dtype)
        ctx.save_for_backward(x, weight, bias, matrix, size, mean, scale, matrices)
        return torch.baddbmm((offset + matrix @ bias).to(x.dtype), x, matrices.mT)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        x, weight, bias, matrix, size, mean, scale, matrices = ctx.saved_tensors
        of_matrices = torch.bmm(gradient.mT, x).float()
        of_offset = gradient.sum((0, 1)).float()
        of_weight, along = _backpropagate_scale(
            (of_matrices * matrix).sum(1, keepdim=True), weight, size, mean, 2
        )
        of_x = torch.addcmul(torch.bmm(gradient, matrices), x, along.to(x.dtype))
        of_matrix = (of_matrices * scale).sum(0) + of_offset[:, None] * bias
        return of_x, of_weight.sum((0, 1)), matrix.mT @ of_offset, of_matrix, of_offset, None


class _LeanResponseNorm(GlobalResponseNorm):
    """The same function (Woo et al. 2023, 'ConvNeXt V2', equation 3) with its terms regrouped.

    timm's version multiplies the whole map three times, and mixed precision copies it to float32.
    This one computes everything that depends on the channel alone first, in float32, and multiplies the map
    once. In float32 timm's version runs, so results match the published ones to the bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type) or x.dtype != torch.bfloat16:
            theirs: torch.Tensor = super().forward(x)
            return theirs
        weight, bias = self.weight.view(self.wb_shape), self.bias.view(self.wb_shape)
        output: torch.Tensor = _ResponseNorm.apply(x, weight, bias, self.channel_dim, self.eps)
        return output


class _LeanMlp(GlobalResponseNormMlp):
    """The same function. Mixed precision on a CPU fuses the norm of large maps into the next layer."""

    fc2: nn.Linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, high, wide, _ = x.shape
        output: torch.Tensor
        if not _is_trained_in_bf16(x) or high * wide <= self.fc2.out_features:
            output = super().forward(x)
            return output
        hidden = self.drop1(self.act(self.fc1(x))).flatten(1, 2)
        norm, layer = self.grn, self.fc2
        found: torch.Tensor = _NormedLinear.apply(
            hidden, norm.weight, norm.bias, layer.weight, layer.bias, norm.eps
        )
        output = self.drop2(found.unflatten(1, (high, wide)))
        return output


def _is_linear(layer: GlobalResponseNormMlp) -> bool:
    return isinstance(layer.fc2, nn.Linear) and layer.fc2.bias is not None


class _Depthwise(torch.autograd.Function):
    """Depth-wise conv2d whose kernel gradient is assembled from 3 x 3 pieces.

    Each piece is the gradient of a 3 x 3 kernel on the map, shifted to the position of the piece, so the
    sums are the same.
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
            of_x = _compute_conv_gradient(0, gradient, x, weight, stride, padding)
        if ctx.needs_input_grad[1]:
            of_weight = _compute_kernel_gradient(gradient, x, weight, stride, padding)
        if ctx.needs_input_grad[2]:
            # oneDNN would compute the kernel's gradient as well.
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def _compute_conv_gradient(
    which: int,
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor:
    """Return the gradient of the input (`which` 0) or of the kernels (1)."""
    channels = len(weight)
    sizes = [channels], list(stride), list(padding), [1, 1]
    wanted = [which == 0, which == 1, False]
    found: torch.Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, *sizes, False, [0, 0], channels, wanted
    )[which]
    return found


def _compute_kernel_gradient(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> torch.Tensor:
    """Return the gradient of kernels (C, 1, K, L) of at least 3 x 3, piece by piece."""
    padded = nn.functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    high, wide = (step * (size - 1) + PIECE for step, size in zip(stride, gradient.shape[2:], strict=True))
    piece = weight[:, :, :PIECE, :PIECE]
    whole = torch.empty_like(weight)
    for row in _piece_starts(weight.shape[2]):
        for column in _piece_starts(weight.shape[3]):
            part = padded[:, :, row : row + high, column : column + wide]
            part = part.contiguous(memory_format=torch.channels_last)
            found = _compute_conv_gradient(1, gradient, part, piece, stride, (0, 0))
            whole[:, :, row : row + PIECE, column : column + PIECE] = found
    return whole


def _piece_starts(size: int) -> list[int]:
    """Return where the pieces of a kernel start; the last two may overlap."""
    return [min(place, size - PIECE) for place in range(0, size, PIECE)]


class _LeanDepthwise(nn.Conv2d):
    """The same layer. Under mixed precision on a CPU, its kernel gradient is computed in pieces."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _is_trained_in_bf16(x) or not self.weight.requires_grad:
            return super().forward(x)
        bias = None if self.bias is None else self.bias.bfloat16()
        output: torch.Tensor = _Depthwise.apply(
            x.bfloat16(), self.weight.bfloat16(), bias, self.stride, self.padding
        )
        return output


def _is_large_depthwise(layer: nn.Conv2d) -> bool:
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and min(layer.kernel_size) >= PIECE
        and max(layer.kernel_size) > PIECE
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )
