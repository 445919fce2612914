"""A prediction explained: heat maps over the picture, a figure, and how far to believe them."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import nn

from fakedetect.core.files import write_json
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.images.sheets import Tile, save_figure
from fakedetect.inference.heatmaps import (
    Faithfulness,
    attention_rollout,
    choose_layer,
    find_layer,
    grad_cam,
    has_attention,
    measure_faithfulness,
    overlay,
)
from fakedetect.models.devices import Normaliser

METHODS = {"grad-cam": "Grad-CAM", "rollout": "Attention Rollout"}
AT_A_TIME = 8


def to_input(normalise: Normaliser, images: np.ndarray) -> torch.Tensor:
    """Images (B, 224, 224, 3) uint8 as the model's input."""
    return normalise(torch.from_numpy(images).permute(0, 3, 1, 2))


def predict(model: nn.Module, normalise: Normaliser, images: np.ndarray) -> np.ndarray:
    """Probabilities (B, 2) of images (B, 224, 224, 3) uint8."""
    with torch.inference_mode():
        logits = [
            model(to_input(normalise, images[start : start + AT_A_TIME])).cpu()
            for start in range(0, len(images), AT_A_TIME)
        ]
    return torch.softmax(torch.cat(logits).double(), 1).numpy()


def layer_name(settings: Settings, model: nn.Module, images: torch.Tensor, asked: str | None) -> str:
    """The layer for Grad-CAM: the asked-for one, the recipe's, or the model's last map."""
    return asked or settings.recipe.layer or choose_layer(model, images)


def default_methods(model: nn.Module) -> list[str]:
    """Grad-CAM, and for a ViT Attention Rollout too: keys of METHODS."""
    return ["grad-cam", *(["rollout"] if has_attention(model) else [])]


def _next_figure(settings: Settings, image: Path) -> Path:
    """The next free Figure_<n>_<model>_<image>.png."""
    pattern = re.compile(rf"Figure_(\d+)_{re.escape(settings.model)}_.*\.png")
    folder = settings.grad_cam
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    stem = re.sub(r"[^\w.-]", "_", image.stem)[:60]
    return folder / f"Figure_{max(taken, default=0) + 1}_{settings.model}_{stem}.png"


def _describe(faithfulness: Faithfulness | None, name: str) -> list[str]:
    if faithfulness is None:
        return ["  The map is empty: nothing in this layer speaks for that class."]
    shares = "".join(f"{100 * share:7.0f} %" for share in faithfulness.shares)
    hottest = "".join(f"{100 * drop:9.2f}" for drop in faithfulness.drops)
    elsewhere = "".join(f"{100 * drop:9.2f}" for drop in faithfulness.random_drops)
    gains = [a - b for a, b in zip(faithfulness.drops, faithfulness.random_drops, strict=True)]
    better = sum(gains) / len(gains) > 0.01
    return [
        f"  Blurred out of the picture:       {shares}",
        f"  p({name}) falls, hottest part:    {hottest}  percentage points",
        f"  same size elsewhere, mean:        {elsewhere}",
        "  The map points at what the answer rests on."
        if better
        else "  The marked part matters no more than others: do not read much into this map.",
    ]


def explain_image(
    settings: Settings,
    model: nn.Module,
    normalise: Normaliser,
    path: Path,
    image: np.ndarray,
    methods: Sequence[str],
    layer: str | None = None,
    target: str | None = None,
) -> tuple[str, list[Path]]:
    """Draw a figure for each method into the grad_cam folder, with a .json beside it.

    Args:
        path: the picture's file, for names and titles.
        image: (224, 224, 3) uint8.
        methods: keys of METHODS.
        layer: the layer for Grad-CAM by its name; the model's own otherwise.
        target: the class to explain; the predicted one otherwise.

    Returns:
        What the figures show, in words, and their paths.
    """
    figures = []
    batch = to_input(normalise, image[None])
    probabilities = predict(model, normalise, image[None])[0]
    predicted = int(probabilities.argmax())
    asked = CLASSES.index(target) if target else predicted
    lines = [f"{path}: {CLASSES[predicted]}, probability {100 * probabilities[predicted]:.2f} %"]
    for method in methods:
        if method == "grad-cam":
            name = layer_name(settings, model, batch, layer)
            found = find_layer(model, name)
            heat = grad_cam(model, found, batch, torch.tensor([asked], device=batch.device))[0][0]
            what = f"Grad-CAM at {name} for the class {CLASSES[asked]}"
        else:
            name = "all attention layers"
            heat = attention_rollout(model, batch)[0]
            what = "Attention Rollout over all layers (the same for both classes)"
        faithfulness = measure_faithfulness(partial(predict, model, normalise), image, heat, asked)
        coloured, mixed = overlay(image, heat)
        figure = _next_figure(settings, path)
        title = (
            f"{settings.model}, {path.name}: {CLASSES[predicted]} "
            f"({100 * probabilities[predicted]:.1f} %)\n{what}"
        )
        tiles = [Tile(image, "picture"), Tile(coloured, "heat map"), Tile(mixed, "overlay")]
        draw_explanation(tiles, title, figure)
        write_json(
            figure.with_suffix(".json"),
            {
                "image": str(path),
                "model": settings.model,
                "layer": name,
                "method": METHODS[method],
                "class": CLASSES[asked],
                "predicted": CLASSES[predicted],
                "p_fake": float(probabilities[0]),
                "faithfulness": faithfulness
                and {
                    "measure": "fall of the class's probability, part blurred out",
                    **asdict(faithfulness),
                },
            },
        )
        lines += [what, *_describe(faithfulness, CLASSES[asked]), f"  Figure: {figure}"]
        figures.append(figure)
    return "\n".join(lines), figures


def draw_explanation(tiles: Sequence[Tile], title: str, path: Path) -> None:
    """Original, heat map and overlay side by side, with the heat map's scale."""
    figure = Figure(figsize=(4 * len(tiles) + 0.8, 4.9), layout="constrained")
    figure.suptitle(title.replace("$", r"\$"))
    panels = figure.subplots(1, len(tiles))
    for axes, tile in zip(panels, tiles, strict=True):
        axes.imshow(tile.image)
        axes.set_title(tile.caption)
        axes.set_axis_off()
    scale = ScalarMappable(Normalize(0, 1), "jet")
    figure.colorbar(scale, ax=panels, shrink=0.75, label="share of the strongest evidence")
    save_figure(figure, path)
