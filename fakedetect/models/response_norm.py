"""ConvNeXtV2's global response normalisation with less traffic through the memory in bfloat16."""

import torch
from timm.layers.grn import GlobalResponseNorm
from torch import nn


class _LeanResponseNorm(GlobalResponseNorm):
    """The same function (Woo et al. 2023, 'ConvNeXt V2', equation 3), its terms put together differently.

    timm's own multiplies the whole map three times, and mixed precision makes float32 copies of it.
    Here all that depends on the channel alone is worked out first, in float32, and the map is multiplied
    once. In float32 timm's own is used, whose results are the published ones to the bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        size = x.norm(p=2, dim=self.spatial_dim, keepdim=True)
        ratio = size / (size.mean(dim=self.channel_dim, keepdim=True) + self.eps)
        scale = 1 + self.weight.view(self.wb_shape) * ratio
        return torch.addcmul(self.bias.view(self.wb_shape).to(x.dtype), x, scale.to(x.dtype))


def use_lean_response_norm(model: nn.Module) -> nn.Module:
    """Have a timm model's layers of that kind work so; their weights and names stay as they are."""
    for layer in model.modules():
        if type(layer) is GlobalResponseNorm:
            layer.__class__ = _LeanResponseNorm
    return model
