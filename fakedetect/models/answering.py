"""A detector as one network: from a picture's pixels to its calibrated probability of being fake."""

import torch
from torch import nn

from fakedetect.core.settings.recipes import Recipe


class Answering(nn.Module):
    """images (B, S, S, 3) uint8 -> p_fake (B,) float32, normalised and calibrated within.

    Args:
        model: images (B, 3, S, S) float -> logits (B, 2), on the CPU, in evaluation mode.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, recipe: Recipe, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature
        self.register_buffer("mean", torch.tensor(recipe.input.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(recipe.input.std).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float() / 255
        logits = self.model((pixels - self.mean) / self.std)
        return torch.sigmoid((logits[:, 0] - logits[:, 1]) / self.temperature)
