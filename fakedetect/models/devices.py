"""Devices and precision, and the forward pass that all options share."""

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console
from fakedetect.models.openvino.engine import Engine, cpu_has_bf16, describe_cpu

LEAST_INTENSITY = 60.0
"""Below it, training in bfloat16 was between 0.7 and 1.5 times as fast as in float32 (EfficientNets,
MobileNets, ConvNeXtV2-Atto, RegNetY-800MF); above it, 1.4 to 2.6 times (the reference's five, Swin,
DenseNet121, ViT-Tiny): two cores with AMX, batches of 8, both with channels last."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia")

GPU_INSTALL = (
    *("-m", "pip", "install", "--upgrade", "--force-reinstall", "torch", "torchvision", "--index-url"),
    "https://download.pytorch.org/whl/cu126",
)
"""Arguments of the Python interpreter that install PyTorch for NVIDIA cards, from pytorch.org."""


def choose_device() -> torch.device:
    """Return CUDA if it is available, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def describe_device(device: torch.device, dtype: torch.dtype) -> str:
    """Return 'the CPU (2 cores, bfloat16)' or 'NVIDIA GeForce RTX 3070, 8 GB (bfloat16)'."""
    arithmetic = str(dtype).removeprefix("torch.")
    if device.type == "cpu":
        return describe_cpu(arithmetic)
    if device.type == "mps":
        return f"this Mac's GPU ({arithmetic})"
    card = torch.cuda.get_device_properties(device)
    return f"{card.name}, {card.total_memory / 1024**3:.0f} GB ({arithmetic})"


def warn_about_idle_gpu(console: Console) -> None:
    """Warn about an NVIDIA card that the installed PyTorch cannot use, with how to fix it."""
    if torch.cuda.is_available() or not (shutil.which("nvidia-smi") or NVIDIA_DRIVER.exists()):
        return
    has = "This computer has an NVIDIA card, but the installed PyTorch"
    if torch.version.cuda is None:
        command = shlex.join([sys.executable, *GPU_INSTALL])
        console.warn(f"{has} computes on the CPU only. For the card: {command}")
    else:
        console.warn(
            f"{has} (for CUDA {torch.version.cuda}) cannot use it. Install a newer driver from "
            "https://www.nvidia.com/drivers, or correct CUDA_VISIBLE_DEVICES if it is set."
        )


def to_device(model: nn.Module) -> nn.Module:
    """Move a model to the chosen device, in the memory layout of decoded pictures: channels last."""
    return model.to(choose_device()).to(memory_format=torch.channels_last)


def choose_precision(settings: Settings, model: nn.Module) -> torch.dtype:
    """Return float32 or bfloat16 for the chosen model on its device.

    'auto' selects bfloat16 if the hardware multiplies it. On a CPU bfloat16 is faster in matrix products
    only, so the model must also reach LEAST_INTENSITY there.

    Raises:
        UserError: bf16 is set, but the device does not support it.
    """
    device, setting = next(model.parameters()).device, settings.training.precision
    if setting == "bf16" and device.type == "mps":
        raise UserError('precision = "bf16" is not available on this device. Use "auto" or "fp32".')
    if setting == "auto":
        if device.type == "cuda":
            faster = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            size = settings.recipe.input.size
            faster = (
                device.type == "cpu"
                and cpu_has_bf16()
                and _measure_intensity(model, size) >= LEAST_INTENSITY
            )
        setting = "bf16" if faster else "fp32"
    return torch.bfloat16 if setting == "bf16" else torch.float32


def _measure_intensity(model: nn.Module, size: int) -> float:
    """Return the multiplications in matrix products and full convolutions, per output value of a layer."""
    products = values = 0

    def count(layer: nn.Module, _: object, output: object) -> None:
        nonlocal products, values
        if not isinstance(output, torch.Tensor):
            return
        values += output.numel()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            products += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            products += output.numel() * layer.in_features

    leaves = [layer for layer in model.modules() if not any(True for _ in layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, size, size))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return products / max(values, 1)


class Normaliser:
    """Normalises images (B, 3, H, W) uint8 to the model's float input on its device."""

    def __init__(self, recipe: Recipe, device: torch.device):
        self.device = device
        self.mean = torch.tensor(recipe.input.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(recipe.input.std, device=device).view(1, 3, 1, 1)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        moved = images.to(self.device, non_blocking=True).float().div_(255)
        return moved.sub_(self.mean).div_(self.std)


def forward(
    model: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Return logits (B, 2) float32 of normalised images."""
    with torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        return model(images).float()


def make_torch_engine(recipe: Recipe, model: nn.Module, dtype: torch.dtype) -> Engine:
    """Return torch's engine for a model on its device; the model is set to evaluation mode."""
    device = next(model.parameters()).device
    normalise = Normaliser(recipe, device)
    model.eval()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = torch.from_numpy(images).permute(0, 3, 1, 2)
            return forward(model, normalise(batch), dtype).cpu().numpy()

    return Engine(
        name=f"torch {str(dtype).removeprefix('torch.')}",
        run=run,
        device=describe_device(device, dtype),
        pin=device.type == "cuda",
    )
