"""Compute the gradients of a batch; on a CPU in bfloat16, those of its two halves at the same time.

Halves are for models whose pictures do not affect one another. With them, the layers of lean_layers.py and
bfloat16, ConvNeXtV2-Tiny trains 2.92 times as fast as the reference code in batches of 16, and 4.77 times
in the recipe's batches of 64 (docs/speed.md), which `python -m benchmarks --quick --model convnext_v2_tiny
train` measures. In float32 nothing changes.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from fakedetect.models.devices import forward

LEAST_PICTURES_PER_HALF = 4
"""In smaller halves, reading the weights takes too large a share of the time."""


class SplitBatch:
    """Computes the gradients of two halves of a batch at the same time.

    Cores that share a layer wait for one another at its end, and all of them wait for memory between matrix
    products. With half of the batch each, some cores multiply while the others wait.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype):
        self.model, self.dtype = model, dtype
        # One thread for the whole run: OpenMP starts a pool of threads for each thread that computes.
        self._thread = ThreadPoolExecutor(1)

    def add_gradients(
        self, images: torch.Tensor, labels: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """Add the gradients, as Gradients.add() does."""
        parameters = [each for each in self.model.parameters() if each.requires_grad]
        threads, middle = torch.get_num_threads(), len(labels) // 2

        def of_second() -> tuple[torch.Tensor, tuple[torch.Tensor | None, ...]]:
            torch.set_num_threads(threads - max(1, threads // 2))
            loss = self._loss(images[middle:], labels[middle:])
            return loss.detach(), torch.autograd.grad(loss * scale, parameters, allow_unused=True)

        second = self._thread.submit(of_second)
        try:
            torch.set_num_threads(max(1, threads // 2))
            loss = self._loss(images[:middle], labels[:middle])
            (loss * scale).backward()
        finally:
            # Also after Ctrl-C: the weights that are saved then must not change any more.
            wait([second])
            torch.set_num_threads(threads)
        other, gradients = second.result()
        for parameter, added in zip(parameters, gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = added
            elif added is not None:
                parameter.grad += added
        return loss.detach() + other

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(forward(self.model, images, self.dtype), labels, reduction="sum")


@dataclass(frozen=True)
class Gradients:
    """Computes the gradients of a batch; `split` does so in halves, where that is faster."""

    dtype: torch.dtype
    split: SplitBatch | None

    def add(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        images: torch.Tensor,
        labels: torch.Tensor,
        scale: torch.Tensor,
    ) -> torch.Tensor:
        """Add the gradients of the summed loss, times a scale, to those of the parameters.

        Args:
            network: the model, or its distributed or compiled version.
            images: (B, 3, H, W) float, normalised.
            labels: (B,).

        Returns:
            The sum of the losses, a scalar.
        """
        if self.split and len(labels) >= 2 * LEAST_PICTURES_PER_HALF:
            return self.split.add_gradients(images, labels, scale)
        loss = functional.cross_entropy(forward(network, images, self.dtype), labels, reduction="sum")
        (loss * scale).backward()
        return loss.detach()


def speed_up(model: nn.Module, dtype: torch.dtype, size: int, alone: bool = True) -> Gradients:
    """Choose the fastest way to compute the gradients of a model on its device.

    Args:
        size: of the images (3, S, S) that the model takes.
        alone: the model is neither distributed nor compiled.
    """
    return Gradients(dtype, _choose_split(model, dtype, size) if alone else None)


def _choose_split(model: nn.Module, dtype: torch.dtype, size: int) -> SplitBatch | None:
    """Return a SplitBatch for mixed precision on a CPU with more than one core; otherwise None.

    Float32 would be faster in halves too, but keeps the order of its sums, so results match to the bit.

    Args:
        size: of the images (3, S, S) that the model takes.
    """
    mixed = dtype == torch.bfloat16 and next(model.parameters()).device.type == "cpu"
    if not mixed or torch.get_num_threads() < 2 or not _has_independent_pictures(model, size):
        return None
    return SplitBatch(model, dtype)


def _has_independent_pictures(model: nn.Module, size: int) -> bool:
    """Whether a picture's logits in training depend neither on other pictures nor on random numbers."""
    if any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        return False
    training = model.training
    model.train()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            images = torch.rand(2, 3, size, size)
            before = torch.get_rng_state()
            both, alone = model(images), model(images[:1])
            return torch.equal(before, torch.get_rng_state()) and torch.allclose(
                both[:1], alone, rtol=1e-3, atol=1e-4
            )
    finally:
        model.train(training)
