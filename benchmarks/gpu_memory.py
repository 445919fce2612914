"""`python -m benchmarks.gpu_memory`: the largest batch that training takes on a card, worked out on a CPU.

Not run on a card: the sum of the weights, their gradients, what the optimiser keeps of them, and what a
step keeps of each picture for its way back, as autograd says; all else is an allowance.
"""

import argparse
import sys

import torch
from torch import nn

from fakedetect.core.settings.recipes import RECIPES, Recipe
from fakedetect.models.building import build_model

GB = 1024**3
ALLOWANCE = 1.2 * GB
"""For the driver's context, workspaces of its kernels and memory between blocks."""

BYTES_A_WEIGHT = {"SGD": 12, "Adam": 16, "AdamW": 16}
"""In float32: the weight, its gradient, and one momentum or two moments."""

BATCHES = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)


def bytes_a_picture(model: nn.Module, size: int, dtype: torch.dtype) -> float:
    """What a training step keeps for its way back, for each picture of the batch."""
    model.train()
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}

    def measure(count: int) -> int:
        kept: dict[int, int] = {}

        def keep(value: torch.Tensor) -> torch.Tensor:
            storage = value.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return value

        images = torch.randn(count, 3, size, size).to(memory_format=torch.channels_last)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value),
            torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32),
        ):
            # While the loss is there, so are the tensors, and no address is given out twice.
            loss = model(images).float().sum()
            assert loss.requires_grad  # noqa: S101
        return sum(kept.values())

    # What autocast keeps of the weights is there once, for whatever batch.
    few, more = 1, 2
    return (measure(more) - measure(few)) / (more - few)


def describe_model(recipe: Recipe, card: float) -> str:
    """A row of the table for a card of so many bytes."""
    model = build_model(recipe, pretrained=False).to(memory_format=torch.channels_last)
    weights = sum(value.numel() for value in model.parameters())
    fixed = weights * BYTES_A_WEIGHT[recipe.optimizer] + ALLOWANCE
    cells = []
    for dtype in (torch.float32, torch.bfloat16):
        # Autocast keeps the weights once more, in two bytes.
        kept = fixed + (2 * weights if dtype == torch.bfloat16 else 0)
        each = bytes_a_picture(model, recipe.input.size, dtype)
        fits = next((batch for batch in BATCHES if kept + batch * each <= card), 0)
        cells.append(f"{each / 1024**2:,.0f} MB | {fits or 'none'}")
    size = f"{weights / 1e6:.1f} million | {recipe.batch_size}"
    return f"| {recipe.name} | {size} | {' | '.join(cells)} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_memory", description=__doc__)
    parser.add_argument("--gb", type=float, default=8.0, help="the card's memory (default: 8)")
    given = parser.parse_args()
    print("| model | weights | its batch | float32: a picture | fits | bfloat16: a picture | fits |")
    print("|---|---|---|---|---|---|---|")
    for recipe in RECIPES:
        print(describe_model(recipe, given.gb * GB), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
