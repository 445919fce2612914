"""The rate of a large matrix product, as the machine's limit, and the operations of a model."""

import statistics
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SIDE = 2048
TIMES = 5
STEP_IN_PASSES = 3
"""The cost of a training step, in forward passes."""


def measure_product(bf16: bool) -> float:
    """Measure the operations per second of torch's product of two matrices of 2,048 x 2,048."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(1 + TIMES):
        begun = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return 2 * SIDE**3 / statistics.median(seconds[1:])


def count_operations(model: nn.Module, size: int) -> int:
    """Count the multiplications and additions of a forward pass: matrix products and convolutions.

    Args:
        size: the side of the one picture, in pixels.
    """
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    training = model.training
    model.eval()
    with torch.inference_mode(), counter:
        model(torch.zeros(1, 3, size, size, device=device))
    model.train(training)
    return counter.get_total_flops()
