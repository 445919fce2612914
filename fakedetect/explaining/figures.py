"""Explanations of a prediction: heat maps over the picture, a figure, and a test of each map."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import fill

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import nn

from fakedetect.core.files import write_json
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import find_originals
from fakedetect.explaining.heatmaps import (
    COLOUR_MAP,
    Faithfulness,
    attention_rollout,
    choose_layer,
    find_layer,
    grad_cam,
    has_attention,
    measure_faithfulness,
    overlay,
)
from fakedetect.images.sheets import escape_text, save_figure, shorten_name
from fakedetect.images.views import read_thumbnail
from fakedetect.models.detector import Detector
from fakedetect.models.devices import Normaliser
from fakedetect.models.probe.model import Probe

METHOD_NAMES = {"grad-cam": "Grad-CAM", "rollout": "Attention Rollout"}
MAP_VALUES = {"grad-cam": "evidence", "rollout": "attention"}
"""What the values of a map mean."""

LEAST_DROP, LEAST_EXCESS_DROP = 0.05, 0.01
"""A region drives the prediction if the class's probability drops by at least this much when it is blurred
out, on average over the shares, and by at least this much more than for other regions."""

TITLE_CHARACTERS_PER_INCH = 9
"""Characters in a line of the title, per inch of the figure's width."""

LONGEST_NAME_CHARACTERS = 40
PANEL_INCHES, LEAST_PANEL_INCHES = 4.0, 2.2
"""Length of a panel's longer side, and the least length of its shorter side."""


def read_for_overlay(path: Path, copy: np.ndarray) -> np.ndarray:
    """Read a picture (H, W, 3) uint8 in its own shape, to draw a heat map over it.

    Args:
        copy: (S, W, 3) uint8, the model's input; its first square is returned if the picture no longer
            exists.
    """
    shown = read_thumbnail(path)
    return copy[:, : len(copy)] if isinstance(shown, str) else shown


def to_input(detector: Detector, images: np.ndarray) -> torch.Tensor:
    """Convert images (B, S, W, 3) uint8 to the model's input, on its device."""
    device = next(detector.model.parameters()).device
    return Normaliser(detector.settings.recipe, device)(torch.from_numpy(images).permute(0, 3, 1, 2))


def compute_probabilities(detector: Detector, images: np.ndarray) -> np.ndarray:
    """Compute calibrated probabilities (B, 2) of fake and real for images (B, S, W, 3) uint8."""
    p_fake = detector.calibration.probability(detector.margins(images))
    return np.stack([p_fake, 1 - p_fake], axis=1)


def choose_layer_name(
    settings: Settings, model: nn.Module, images: torch.Tensor, requested: str | None
) -> str:
    """Return the layer for Grad-CAM: the requested one, the recipe's, or the model's last one with a map.

    For a probe it is a middle block. A probe reads all blocks, and tokens of the last ones no longer match
    their positions in the picture.
    """
    if requested:
        return requested
    if not isinstance(model, Probe):
        return settings.recipe.layer or choose_layer(model, images)
    middle = model.backbone.middle_layer
    return f"backbone.{middle}" if middle else choose_layer(model, images)


def compute_map(
    detector: Detector, images: torch.Tensor, method: str, layer: str | None, target: int
) -> tuple[str, np.ndarray]:
    """Compute the map (S, W) in 0..1 of the first image; return it with the name of its layer.

    Args:
        images: (B, 3, S, W) normalised.
        method: a key of METHOD_NAMES.
        layer: name of the layer for Grad-CAM; None for the model's default.
        target: index of the class to explain.
    """
    if method == "rollout":
        return "all attention layers", attention_rollout(detector.model, images)[0]
    name = choose_layer_name(detector.settings, detector.model, images, layer)
    targets = torch.tensor([target], device=images.device)
    return name, grad_cam(detector.model, find_layer(detector.model, name), images, targets)[0][0]


def choose_methods(model: nn.Module) -> list[str]:
    """Return the default methods, keys of METHOD_NAMES: Grad-CAM, with Attention Rollout for a ViT."""
    return ["grad-cam", *(["rollout"] if has_attention(model) else [])]


def _next_figure(settings: Settings, image: Path) -> Path:
    """Return the next free Figure_<n>_<model>_<image>.png."""
    pattern = re.compile(rf"Figure_(\d+)_{re.escape(settings.model)}_.*\.png")
    folder = settings.grad_cam
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    stem = re.sub(r"[^\w.-]", "_", image.stem)[:60]
    return folder / f"Figure_{max(taken, default=0) + 1}_{settings.model}_{stem}.png"


def _describe_faithfulness(faithfulness: Faithfulness | None, name: str) -> list[str]:
    """Return the results of the deletion test in lines; none for an empty map."""
    if faithfulness is None:
        return []
    shares = "".join(f"{100 * share:7.0f} %" for share in faithfulness.shares)
    # With 0.0 added, no figure is -0.00.
    hottest, elsewhere = (
        "".join(f"{round(100 * drop, 2) + 0.0:9.2f}" for drop in drops)
        for drops in (faithfulness.drops, faithfulness.random_drops)
    )
    return [
        f"  Blurred out of the picture:       {shares}",
        f"  p({name}) falls, hottest part:    {hottest}  percentage points",
        f"  same size elsewhere, mean:        {elsewhere}",
    ]


@dataclass(frozen=True)
class HeatMap:
    """A drawn map: a method of METHOD_NAMES, a class, and the deletion test (None for an empty map)."""

    method: str
    layer: str
    target: str
    faithfulness: Faithfulness | None
    figure: Path

    def __str__(self) -> str:
        if self.method == "grad-cam":
            return f"Grad-CAM at {self.layer} for the class {self.target}"
        return "Attention Rollout over all layers (the same for both classes): attention, not evidence"

    @property
    def trust(self) -> str:
        """The result of the deletion test in one sentence."""
        found = self.faithfulness
        if found is None:
            return "The map is empty: no activation in this layer supports that class."
        fall, elsewhere = (sum(drops) / len(drops) for drops in (found.drops, found.random_drops))
        points = f"{max(0.0, 100 * fall):.1f} points"
        if fall < LEAST_DROP:
            return (
                f"Blurring out the highlighted region lowers p({self.target}) by {points}: the answer does "
                "not depend on it."
            )
        if fall - elsewhere <= LEAST_EXCESS_DROP:
            return "The highlighted region matters no more than others: do not read much into this map."
        whose = f"p({self.target}) falls by {points}"
        return f"The highlighted region drives the prediction: blurred out, {whose}."


@dataclass(frozen=True)
class Explanation:
    """A picture's prediction, the same as that of `check`, and its heat maps.

    `predicted` is the more probable class; `verdict` is fake, real or unsure.
    """

    path: Path
    predicted: str
    verdict: str
    p_fake_calibrated: float
    maps: tuple[HeatMap, ...]

    @property
    def summary(self) -> str:
        """The verdict and the probability as `check` prints them: 'unsure, p(fake) 70.3 %'."""
        return f"{self.verdict}, p(fake) {percent(self.p_fake_calibrated)}"


@dataclass(frozen=True)
class MapRequest:
    """The requested maps: `methods` are keys of METHOD_NAMES.

    `layer` names the layer for Grad-CAM, None the model's default; `target` is the class to explain, None
    the predicted one.
    """

    methods: Sequence[str]
    layer: str | None = None
    target: str | None = None


def explain_image(
    detector: Detector,
    path: Path,
    image: np.ndarray,
    wanted: MapRequest,
    verdict: str = "",
) -> Explanation:
    """Draw a figure for each method into the grad_cam folder, with a .json of the same name.

    Args:
        path: the picture's file, for names and titles.
        image: (S, W, 3) uint8, the copy that `check` predicts on.
        verdict: the final verdict of `check`; '' for that of the thresholds.
    """
    settings = detector.settings
    batch = to_input(detector, image[None])
    p_classes = compute_probabilities(detector, image[None])[0]
    predicted = CLASSES[int(p_classes.argmax())]
    target = CLASSES.index(wanted.target or predicted)
    explanation = Explanation(
        path=path,
        predicted=predicted,
        verdict=verdict or detector.thresholds.verdict(float(p_classes[0])),
        p_fake_calibrated=float(p_classes[0]),
        maps=(),
    )
    shown = read_for_overlay(find_originals(settings, "test", [path])[0], image)
    for method in wanted.methods:
        name, heat = compute_map(detector, batch, method, wanted.layer, target)
        faithfulness = measure_faithfulness(partial(compute_probabilities, detector), image, heat, target)
        heat_map = HeatMap(
            method=method,
            layer=name,
            target=CLASSES[target],
            faithfulness=faithfulness,
            figure=_next_figure(settings, path),
        )
        explanation = replace(explanation, maps=(*explanation.maps, heat_map))
        coloured, mixed = overlay(shown, heat)
        name = shorten_name(path.name, LONGEST_NAME_CHARACTERS)
        title = f"{settings.model}, {name}: {explanation.summary}\n{heat_map}\n{heat_map.trust}"
        images = {"Picture": shown, MAP_VALUES[method].capitalize(): coloured, "Overlay": mixed}
        draw_explanation(images, title, heat_map.figure, f"Share of the strongest {MAP_VALUES[method]}")
        _write_record(detector, explanation, heat_map)
    return explanation


def _write_record(detector: Detector, explanation: Explanation, heat_map: HeatMap) -> None:
    faithfulness = heat_map.faithfulness
    write_json(
        heat_map.figure.with_suffix(".json"),
        {
            "image": str(explanation.path),
            "model": detector.name,
            "layer": heat_map.layer,
            "method": METHOD_NAMES[heat_map.method],
            "class": heat_map.target,
            "predicted": explanation.predicted,
            "p_fake": explanation.p_fake_calibrated,
            "verdict": explanation.verdict,
            "faithfulness": faithfulness
            and {"measure": "fall of the class's probability, part blurred out", **asdict(faithfulness)},
            "trust": heat_map.trust,
        },
    )


def describe_explanation(explanation: Explanation) -> str:
    """Describe a prediction, and for each of its maps what it shows and how far it can be trusted."""
    lines = [f"{printable(explanation.path)}: {explanation.summary}"]
    for heat_map in explanation.maps:
        lines += [
            str(heat_map),
            *_describe_faithfulness(heat_map.faithfulness, heat_map.target),
            f"  {heat_map.trust}",
            f"  Figure: {heat_map.figure}",
        ]
    return "\n".join(lines)


def draw_explanation(images: Mapping[str, np.ndarray], title: str, path: Path, scale: str) -> None:
    """Draw images (H, W, 3) uint8 of one shape side by side, each under its caption.

    Args:
        scale: label of the colour bar.
    """
    sides = next(iter(images.values())).shape[:2]
    height, width = (max(LEAST_PANEL_INCHES, side * PANEL_INCHES / max(sides)) for side in sides)
    inches = width * len(images) + 0.8
    figure = Figure(figsize=(inches, height + 1.2), layout="constrained")
    lines = [fill(line, int(TITLE_CHARACTERS_PER_INCH * inches)) for line in title.splitlines()]
    figure.suptitle(escape_text("\n".join(lines)))
    panels = figure.subplots(1, len(images))
    for axes, (caption, image) in zip(panels, images.items(), strict=True):
        axes.imshow(image)
        axes.set_title(caption)
        axes.set_axis_off()
    colours = ScalarMappable(Normalize(0, 1), COLOUR_MAP)
    figure.colorbar(colours, ax=panels, shrink=0.75, label=scale)
    save_figure(figure, path)
