"""ConvNeXtV2's global response normalisation with less traffic through the memory in bfloat16."""

from typing import Any

import torch
from timm.layers.grn import GlobalResponseNorm
from torch import nn


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
        mean = size.mean(channel, keepdim=True) + eps
        scale = (1 + weight * size / mean).to(x.dtype)
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
        of_ratio = weight * of_scale
        of_mean = (of_ratio * size).mean(ctx.channel, keepdim=True) / mean**2
        of_size = of_ratio / mean - of_mean
        # A size of 0 has no direction to grow in, as torch's norm has it.
        along = torch.where(size > 0, of_size / size, 0.0).to(x.dtype)
        of_x = torch.addcmul(gradient * scale, x, along)
        of_weight = (of_scale * size / mean).sum(0, keepdim=True)
        return of_x, of_weight, of_bias.sum(0, keepdim=True), None, None, None


class _LeanResponseNorm(GlobalResponseNorm):
    """The same function (Woo et al. 2023, 'ConvNeXt V2', equation 3), its terms put together differently.

    timm's own multiplies the whole map three times, and mixed precision makes float32 copies of it.
    Here all that depends on the channel alone is worked out first, in float32, and the map is multiplied
    once. In float32 timm's own is used, whose results are the published ones to the bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type) or x.dtype != torch.bfloat16:
            return super().forward(x)
        weight, bias = self.weight.view(self.wb_shape), self.bias.view(self.wb_shape)
        answer: torch.Tensor = _ResponseNorm.apply(
            x, weight, bias, list(self.spatial_dim), self.channel_dim, self.eps
        )
        return answer


def use_lean_response_norm(model: nn.Module) -> nn.Module:
    """Have a timm model's layers of that kind work so; their weights and names stay as they are."""
    for layer in model.modules():
        if type(layer) is GlobalResponseNorm:
            layer.__class__ = _LeanResponseNorm
    return model
