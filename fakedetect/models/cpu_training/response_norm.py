"""ConvNeXtV2's global response normalisation with less traffic through the memory in bfloat16."""

from typing import Any

import torch
from timm.layers.grn import GlobalResponseNorm
from timm.layers.mlp import GlobalResponseNormMlp
from torch import nn

from fakedetect.models.cpu_training.mixed_precision import trains_mixed


def _find_scale(
    size: torch.Tensor, weight: torch.Tensor, channel: int, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each channel is multiplied with, from the channels' sizes, and the mean of these."""
    mean = size.mean(channel, keepdim=True) + eps
    return 1 + weight * size / mean, mean


def _go_back(
    of_scale: torch.Tensor, weight: torch.Tensor, size: torch.Tensor, mean: torch.Tensor, channel: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """From the gradient of the scale to that of the weight, for each picture, and to the share of a map
    that its own gradient has, since its sizes depend on it."""
    of_ratio = weight * of_scale
    of_mean = (of_ratio * size).mean(channel, keepdim=True) / mean**2
    of_size = of_ratio / mean - of_mean
    # A size of 0 has no direction to grow in, as torch's norm has it.
    return of_scale * size / mean, torch.where(size > 0, of_size / size, 0.0)


class _ResponseNorm(torch.autograd.Function):
    """x * (1 + weight * ratio) + bias, where a channel's ratio is its size over the mean of all sizes.

    A channel's size is the square root of its sum of squares. Maps are read and written in bfloat16, a few
    times each; all that has one value a channel is float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        spatial: list[int],
        channel: int,
        eps: float,
    ) -> torch.Tensor:
        size = (x * x).sum(spatial, keepdim=True).float().sqrt()
        whole, mean = _find_scale(size, weight, channel, eps)
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
        of_weight, along = _go_back(of_scale, weight, size, mean, ctx.channel)
        of_x = torch.addcmul(gradient * scale, x, along.to(x.dtype))
        return of_x, of_weight.sum(0, keepdim=True), of_bias.sum(0, keepdim=True), None, None, None


class _NormedLinear(torch.autograd.Function):
    """A linear layer behind a response norm: x (B, N, K) -> (B, N, C).

    The norm multiplies a picture's channels, and so might as well multiply the columns of the layer's
    matrix, a matrix for each picture: while N > C that is fewer values, and the map itself is not written
    again. The gradient of the scale, a sum over the places of a map, is then one over those matrices'.

    Args:
        weight: the norm's, (K,), as is bias; matrix (C, K) and offset (C,) are the layer's.
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
        scale, mean = _find_scale(size, weight, 2, eps)
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
        of_weight, along = _go_back((of_matrices * matrix).sum(1, keepdim=True), weight, size, mean, 2)
        of_x = torch.addcmul(torch.bmm(gradient, matrices), x, along.to(x.dtype))
        of_matrix = (of_matrices * scale).sum(0) + of_offset[:, None] * bias
        return of_x, of_weight.sum((0, 1)), matrix.mT @ of_offset, of_matrix, of_offset, None


class _LeanResponseNorm(GlobalResponseNorm):
    """The same function (Woo et al. 2023, 'ConvNeXt V2', equation 3), its terms put together differently.

    timm's own multiplies the whole map three times, and mixed precision makes float32 copies of it.
    Here all that depends on the channel alone is worked out first, in float32, and the map is multiplied
    once. In float32 timm's own is used, whose results are the published ones to the bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type) or x.dtype != torch.bfloat16:
            theirs: torch.Tensor = super().forward(x)
            return theirs
        weight, bias = self.weight.view(self.wb_shape), self.bias.view(self.wb_shape)
        answer: torch.Tensor = _ResponseNorm.apply(
            x, weight, bias, list(self.spatial_dim), self.channel_dim, self.eps
        )
        return answer


class _LeanMlp(GlobalResponseNormMlp):
    """The same function, the norm put into the layer behind it where mixed precision trains large maps on a
    CPU."""

    fc2: nn.Linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, high, wide, _ = x.shape
        answer: torch.Tensor
        if not trains_mixed(x) or high * wide <= self.fc2.out_features:
            answer = super().forward(x)
            return answer
        hidden = self.drop1(self.act(self.fc1(x))).flatten(1, 2)
        norm, layer = self.grn, self.fc2
        found: torch.Tensor = _NormedLinear.apply(
            hidden, norm.weight, norm.bias, layer.weight, layer.bias, norm.eps
        )
        answer = self.drop2(found.unflatten(1, (high, wide)))
        return answer


def use_lean_response_norm(model: nn.Module) -> nn.Module:
    """Have a timm model's layers of that kind work so; their weights and names stay as they are."""
    for layer in model.modules():
        if type(layer) is GlobalResponseNorm:
            layer.__class__ = _LeanResponseNorm
        if type(layer) is GlobalResponseNormMlp and _is_linear(layer):
            layer.__class__ = _LeanMlp
    return model


def _is_linear(layer: GlobalResponseNormMlp) -> bool:
    return isinstance(layer.fc2, nn.Linear) and layer.fc2.bias is not None
