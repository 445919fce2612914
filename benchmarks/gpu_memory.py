"""`python -m benchmarks.gpu_memory`: the largest training batch for a GPU's memory, estimated on a CPU.

The estimate is the sum of the weights, their gradients, the optimiser's state, the tensors that autograd
saves for each picture, and an allowance for the rest.
"""

import argparse
import sys

import torch
from torch import nn

from fakedetect.core.settings.recipes import RECIPES, Recipe
from fakedetect.models.building import build_model

GB = 1024**3
ALLOWANCE = 1.2 * GB
"""For the driver's context, kernel workspaces and fragmentation."""

BYTES_PER_WEIGHT = {"SGD": 12, "Adam": 16, "AdamW": 16}
"""In float32: the weight, its gradient, and one momentum or two moments."""

BATCHES = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)


def measure_bytes_per_picture(model: nn.Module, size: int, dtype: torch.dtype) -> float:
    """Return the bytes per picture that a training step saves for the backward pass."""
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
            # The loss keeps all saved tensors alive, so no address is reused.
            loss = model(images).float().sum()
            assert loss.requires_grad  # noqa: S101
        return sum(kept.values())

    # Autocast copies the weights once, independently of the batch size.
    few, more = 1, 2
    return (measure(more) - measure(few)) / (more - few)


def describe_model(recipe: Recipe, card: float) -> str:
    """Return a table row for a card with the given memory in bytes."""
    model = build_model(recipe, pretrained=False).to(memory_format=torch.channels_last)
    weights = sum(value.numel() for value in model.parameters())
    fixed = weights * BYTES_PER_WEIGHT[recipe.optimizer] + ALLOWANCE
    cells = []
    for dtype in (torch.float32, torch.bfloat16):
        # Autocast keeps a copy of the weights in two bytes each.
        kept = fixed + (2 * weights if dtype == torch.bfloat16 else 0)
        each = measure_bytes_per_picture(model, recipe.input.size, dtype)
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
