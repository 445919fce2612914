"""A prediction explained: heat maps over the picture, a figure, and how far to believe them."""

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
from fakedetect.images.sheets import literal, save_figure, shorten
from fakedetect.images.views import read_thumbnail
from fakedetect.models.detector import Detector
from fakedetect.models.devices import Normaliser
from fakedetect.models.probe.model import Probe

HEAT_MAPS = {"grad-cam": "Grad-CAM", "rollout": "Attention Rollout"}
SHOWS = {"grad-cam": "evidence", "rollout": "attention"}
"""What the values of a map are."""

LEAST_FALL, LEAST_GAIN = 0.05, 0.01
"""By how much the class's probability has to fall, on average over the shares, before a region is said to
drive the prediction, and by how much more than for regions elsewhere."""

TITLE = 9
"""Characters of a title's line in each inch of the figure's width."""

LONGEST_NAME = 40
PANEL, LEAST_PANEL = 4.0, 2.2
"""Inches of a panel's longer side, and of its shorter one at least."""


def read_in_shape(path: Path, copy: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 in its own shape, to draw a heat map over.

    Args:
        copy: (S, S, 3) uint8, what the model saw; it stands in for a picture that is gone by now.
    """
    shown = read_thumbnail(path)
    return copy if isinstance(shown, str) else shown


def to_input(detector: Detector, images: np.ndarray) -> torch.Tensor:
    """Images (B, S, S, 3) uint8 as the model's input, on its device."""
    device = next(detector.model.parameters()).device
    return Normaliser(detector.settings.recipe, device)(torch.from_numpy(images).permute(0, 3, 1, 2))


def probabilities(detector: Detector, images: np.ndarray) -> np.ndarray:
    """Calibrated probabilities (B, 2) of fake and real for images (B, S, S, 3) uint8."""
    p_fake = detector.calibration.probability(detector.margins(images))
    return np.stack([p_fake, 1 - p_fake], axis=1)


def layer_name(settings: Settings, model: nn.Module, images: torch.Tensor, asked: str | None) -> str:
    """The layer for Grad-CAM: the asked-for one, the recipe's, or the model's last map.

    Of a probe's blocks a middle one: it reads them all, and the last ones' tokens have left their places.
    """
    if asked:
        return asked
    if not isinstance(model, Probe):
        return settings.recipe.layer or choose_layer(model, images)
    middle = model.backbone.middle_layer
    return f"backbone.{middle}" if middle else choose_layer(model, images)


def map_evidence(
    detector: Detector, images: torch.Tensor, method: str, layer: str | None, target: int
) -> tuple[str, np.ndarray]:
    """The layer that was looked at, and the map (S, S) in 0..1 of the first image.

    Args:
        images: (B, 3, S, S) normalised.
        method: a key of HEAT_MAPS.
        layer: the layer for Grad-CAM by its name; the model's own otherwise.
        target: the class that is explained, by its number.
    """
    if method == "rollout":
        return "all attention layers", attention_rollout(detector.model, images)[0]
    name = layer_name(detector.settings, detector.model, images, layer)
    targets = torch.tensor([target], device=images.device)
    return name, grad_cam(detector.model, find_layer(detector.model, name), images, targets)[0][0]


def default_methods(model: nn.Module) -> list[str]:
    """Grad-CAM, and for a ViT Attention Rollout too: keys of HEAT_MAPS."""
    return ["grad-cam", *(["rollout"] if has_attention(model) else [])]


def _next_figure(settings: Settings, image: Path) -> Path:
    """The next free Figure_<n>_<model>_<image>.png."""
    pattern = re.compile(rf"Figure_(\d+)_{re.escape(settings.model)}_.*\.png")
    folder = settings.grad_cam
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    stem = re.sub(r"[^\w.-]", "_", image.stem)[:60]
    return folder / f"Figure_{max(taken, default=0) + 1}_{settings.model}_{stem}.png"


def _describe_test(faithfulness: Faithfulness | None, name: str) -> list[str]:
    """The figures of the trust test, a line each; none of an empty map."""
    if faithfulness is None:
        return []
    shares = "".join(f"{100 * share:7.0f} %" for share in faithfulness.shares)
    hottest = "".join(f"{100 * drop:9.2f}" for drop in faithfulness.drops)
    elsewhere = "".join(f"{100 * drop:9.2f}" for drop in faithfulness.random_drops)
    return [
        f"  Blurred out of the picture:       {shares}",
        f"  p({name}) falls, hottest part:    {hottest}  percentage points",
        f"  same size elsewhere, mean:        {elsewhere}",
    ]


@dataclass(frozen=True)
class HeatMap:
    """One map that was drawn: of HEAT_MAPS, for a class, and how far to believe it (None: empty)."""

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
        """What the trust test says of the map, in one sentence."""
        found = self.faithfulness
        if found is None:
            return "The map is empty: no activation in this layer supports that class."
        fall, elsewhere = (sum(drops) / len(drops) for drops in (found.drops, found.random_drops))
        points = f"{max(0.0, 100 * fall):.1f} points"
        if fall < LEAST_FALL:
            return (
                f"Blurring out the highlighted region lowers p({self.target}) by {points}: the answer does "
                "not depend on it."
            )
        if fall - elsewhere <= LEAST_GAIN:
            return "The highlighted region matters no more than others: do not read much into this map."
        whose = f"p({self.target}) falls by {points}"
        return f"The highlighted region drives the prediction: blurred out, {whose}."


@dataclass(frozen=True)
class Explanation:
    """A picture's answer, the same as `check` gives, and the maps drawn of it.

    `predicted` is the class that is more probable, `verdict` fake, real or unsure.
    """

    path: Path
    predicted: str
    verdict: str
    p_fake_calibrated: float
    maps: tuple[HeatMap, ...]

    @property
    def answer(self) -> str:
        """The verdict and the probability in the words of `check`: 'unsure, p(fake) 70.3 %'."""
        return f"{self.verdict}, p(fake) {100 * self.p_fake_calibrated:.1f} %"


@dataclass(frozen=True)
class Wanted:
    """The maps that are wanted: keys of HEAT_MAPS; the layer for Grad-CAM by its name, None for the
    model's own; the class to explain, None for the predicted one."""

    methods: Sequence[str]
    layer: str | None = None
    target: str | None = None


def explain_image(
    detector: Detector,
    path: Path,
    image: np.ndarray,
    wanted: Wanted,
    verdict: str = "",
) -> Explanation:
    """Draw a figure for each method into the grad_cam folder, with a .json beside it.

    Args:
        path: the picture's file, for names and titles.
        image: (S, S, 3) uint8, the copy that `check` judges.
        verdict: what `check` has said after its other tests; what the thresholds say otherwise.
    """
    settings = detector.settings
    batch = to_input(detector, image[None])
    answer = probabilities(detector, image[None])[0]
    predicted = CLASSES[int(answer.argmax())]
    asked = CLASSES.index(wanted.target or predicted)
    explanation = Explanation(
        path=path,
        predicted=predicted,
        verdict=verdict or detector.thresholds.verdict(float(answer[0])),
        p_fake_calibrated=float(answer[0]),
        maps=(),
    )
    shown = read_in_shape(find_originals(settings, "test", [path])[0], image)
    for method in wanted.methods:
        name, heat = map_evidence(detector, batch, method, wanted.layer, asked)
        faithfulness = measure_faithfulness(partial(probabilities, detector), image, heat, asked)
        heat_map = HeatMap(
            method=method,
            layer=name,
            target=CLASSES[asked],
            faithfulness=faithfulness,
            figure=_next_figure(settings, path),
        )
        explanation = replace(explanation, maps=(*explanation.maps, heat_map))
        coloured, mixed = overlay(shown, heat)
        name = shorten(path.name, LONGEST_NAME)
        title = f"{settings.model}, {name}: {explanation.answer}\n{heat_map}\n{heat_map.trust}"
        images = {"Picture": shown, SHOWS[method].capitalize(): coloured, "Overlay": mixed}
        draw_explanation(images, title, heat_map.figure, f"Share of the strongest {SHOWS[method]}")
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
            "method": HEAT_MAPS[heat_map.method],
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
    """An explanation in words: the answer, and for each map what it shows and how far to believe it."""
    lines = [f"{printable(explanation.path)}: {explanation.answer}"]
    for heat_map in explanation.maps:
        lines += [
            str(heat_map),
            *_describe_test(heat_map.faithfulness, heat_map.target),
            f"  {heat_map.trust}",
            f"  Figure: {heat_map.figure}",
        ]
    return "\n".join(lines)


def draw_explanation(images: Mapping[str, np.ndarray], title: str, path: Path, scale: str) -> None:
    """Images (H, W, 3) uint8 of one shape side by side under their captions, with the heat map's scale, by
    its name."""
    sides = next(iter(images.values())).shape[:2]
    height, width = (max(LEAST_PANEL, side * PANEL / max(sides)) for side in sides)
    inches = width * len(images) + 0.8
    figure = Figure(figsize=(inches, height + 1.2), layout="constrained")
    lines = [fill(line, int(TITLE * inches)) for line in title.splitlines()]
    figure.suptitle(literal("\n".join(lines)))
    panels = figure.subplots(1, len(images))
    for axes, (caption, image) in zip(panels, images.items(), strict=True):
        axes.imshow(image)
        axes.set_title(caption)
        axes.set_axis_off()
    colours = ScalarMappable(Normalize(0, 1), COLOUR_MAP)
    figure.colorbar(colours, ax=panels, shrink=0.75, label=scale)
    save_figure(figure, path)
