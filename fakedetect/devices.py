"""Where the models run and in which arithmetic; the forward pass that all options share."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fakedetect.console import Console
from fakedetect.dataset import Batch, Sample, load_batches
from fakedetect.errors import UserError
from fakedetect.images import count_workers
from fakedetect.recipes import Recipe
from fakedetect.settings import Settings


def choose_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def to_device(model: nn.Module) -> nn.Module:
    """The model on the device of choice, laid out as the decoded pictures are: channels last."""
    return model.to(choose_device(), memory_format=torch.channels_last)


def choose_precision(setting: str, device: torch.device) -> torch.dtype:
    """float32 or bfloat16; 'auto' takes bfloat16 only where the hardware multiplies it.

    Raises:
        UserError: bf16 was asked for on a device that cannot do it.
    """
    if setting == "fp32":
        return torch.float32
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        has_bf16 = _cpu_has_bf16()
    else:
        has_bf16 = False
    if setting == "bf16" and device.type == "mps":
        raise UserError('precision = "bf16" is not available on this device. Use "auto" or "fp32".')
    return torch.bfloat16 if has_bf16 or setting == "bf16" else torch.float32


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


class Normaliser:
    """Turns images (B, 3, H, W) uint8 into the model's floats on its device."""

    def __init__(self, recipe: Recipe, device: torch.device):
        self.device = device
        self.mean = torch.tensor(recipe.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(recipe.std, device=device).view(1, 3, 1, 1)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        moved = images.to(self.device, non_blocking=True).float().div_(255)
        return moved.sub_(self.mean).div_(self.std)


def forward(model: nn.Module, images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Logits (B, 2) float32 of normalised images."""
    with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        return model(images).float()


def predict_batches(
    settings: Settings, console: Console, model: nn.Module, samples: Sequence[Sample], label: str
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield each batch with its logits (B, 2) on the CPU; no augmentation, no shuffling."""
    device = next(model.parameters()).device
    dtype = choose_precision(settings.training.precision, device)
    normalise = Normaliser(settings.recipe, device)
    workers = count_workers(settings.training.workers)
    model.eval()
    batches = load_batches(samples, settings.recipe.batch_size, workers)
    for batch in console.track(batches, len(samples), label, batch=True):
        with torch.inference_mode():
            if not batch.samples:
                yield batch, torch.empty(0, 2)
                continue
            logits = forward(model, normalise(batch.images), dtype).cpu()
        yield batch, logits


def softmax_fake(logits: torch.Tensor) -> np.ndarray:
    """p_fake (B,) float64 of logits (B, 2)."""
    return torch.softmax(logits.double(), dim=1)[:, 0].numpy()
