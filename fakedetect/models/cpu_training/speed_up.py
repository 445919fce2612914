"""How the gradients of a batch are worked out, on a CPU in bfloat16 in two halves of it at a time.

That is for models whose pictures do not affect one another. With it, the layers of lean_layers.py and
bfloat16 itself, ConvNeXtV2-Tiny trains 2.92 times as fast as the reference's way in batches of 16 and 4.77
times in the recipe's of 64 (docs/speed.md); the latter is what
`python -m benchmarks --quick --model convnext_v2_tiny train` measures. In float32 nothing changes.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from fakedetect.models.devices import forward

LEAST = 4
"""Pictures in a half below which reading the weights takes too large a share of the time."""


class Halves:
    """A model whose gradients are worked out for two halves of a batch at once.

    Cores that share every layer wait for one another at its end, and all of them for memory between the
    matrix products. With a half of the batch each, some multiply while the others wait.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype):
        self.model, self.dtype = model, dtype
        # One thread for the whole run: OpenMP starts threads of its own for each that computes.
        self._thread = ThreadPoolExecutor(1)

    def add_gradients(
        self, images: torch.Tensor, labels: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """As Gradients.add() does."""
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
            # Also when the user has stopped the run: what is saved then must not change any more.
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


def speed_up(model: nn.Module, dtype: torch.dtype, size: int, alone: bool = True) -> Gradients:
    """The fastest way to the gradients of a model on its device.

    Args:
        size: of the images (3, S, S) that the model takes.
        alone: the model is neither shared with other processes nor compiled.
    """
    return Gradients(dtype, _find_halves(model, dtype, size) if alone else None)


def _find_halves(model: nn.Module, dtype: torch.dtype, size: int) -> Halves | None:
    """A model's Halves, in mixed precision on more than one core of a CPU.

    Float32 is faster in halves too, but its sums keep their order, and so its results every bit.

    Args:
        size: of the images (3, S, S) that the model takes.
    """
    mixed = dtype == torch.bfloat16 and next(model.parameters()).device.type == "cpu"
    if not mixed or torch.get_num_threads() < 2 or not _is_alone(model, size):
        return None
    return Halves(model, dtype)


def _is_alone(model: nn.Module, size: int) -> bool:
    """Whether a picture's logits depend, in training too, on that picture alone and on no random number."""
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
