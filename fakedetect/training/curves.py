"""How far more sources help: what a probe makes of unseen sources, by how many it was fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure

from fakedetect.core.records.evaluation import Measure
from fakedetect.core.settings.model_folder import CURVE_FIGURE
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.samples import Sample
from fakedetect.images.sheets import CLASS_COLOURS, literal, save_figure
from fakedetect.metrics.intervals import group_of
from fakedetect.metrics.ranking import measure_auc
from fakedetect.models.probe.fitting import Folds, judge_left_out, standardise, weigh

FEWEST = 3
"""Groups of a class from which on there is something to draw."""

NAMES = ("families of fakes", "sources of real pictures")


@dataclass(frozen=True)
class Curve:
    """The ROC AUC of sources left out, where the lines were fitted on so many groups of a class at most.

    `label` is that class, 0 fake and 1 real; all groups of the other were there.
    """

    label: int
    counts: tuple[int, ...]
    areas: tuple[Measure, ...]


def _choose_counts(most: int) -> list[int]:
    """1, 3, 9 … groups up to half of them, and all."""
    return [*(3**n for n in range(20) if 2 * 3**n <= most), most]


def measure_curves(
    settings: Settings,
    console: Console,
    samples: Sequence[Sample],
    views: np.ndarray,
    strength: float,
    folds: Folds,
) -> tuple[Curve, ...]:
    """Fit lines on fewer groups of one class, all of the other, and judge them on the sources left out.

    Args:
        views: (N, D), the clean view of each picture.
    """
    is_fake = np.array([sample.label == 0 for sample in samples])
    groups = np.array([group_of(sample.source) for sample in samples])
    (standard,), _, _ = standardise([views])
    weights = weigh(samples)
    plans = []
    for label in (0, 1):
        of_class = is_fake == (label == 0)
        # As many as the lines on all groups have had.
        most = min(len(set(groups[of_class & (folds.numbers != fold)])) for fold in range(folds.count))
        if folds.by_source[label] and most >= FEWEST:
            plans.append((label, of_class, most))
    lines = sum(len(_choose_counts(most)) for _, _, most in plans)
    curves = []
    with console.progress(lines * len(samples), "fewer sources") as progress:
        for label, of_class, most in plans:
            areas = []
            for count in _choose_counts(most):
                some = _draw_groups(groups, of_class, folds, count, settings.training.seed)
                (margins,) = judge_left_out(
                    [standard], is_fake, weights, some, [strength], progress.advance
                )
                areas.append(measure_auc(is_fake, margins))
            curves.append(Curve(label, tuple(_choose_counts(most)), tuple(areas)))
    return tuple(curves)


def _draw_groups(groups: np.ndarray, of_class: np.ndarray, folds: Folds, count: int, seed: int) -> Folds:
    """The folds, whose lines learn from so many groups of a class, and from all of the other."""
    drawn = []
    for fold in range(folds.count):
        random = np.random.default_rng((seed, fold, count))
        there = sorted(set(groups[of_class & (folds.numbers != fold)]))
        drawn.append(~of_class | np.isin(groups, random.choice(there, count, replace=False)))
    return replace(folds, learn_from=drawn)


def draw_curves(settings: Settings, curves: Sequence[Curve]) -> None:
    """Draw sources_curve.png into the model's folder; with nothing to draw, an earlier one goes."""
    file = settings.model_folder / CURVE_FIGURE
    if not curves:
        file.unlink(missing_ok=True)
        return
    figure = Figure(figsize=(5.2 * len(curves), 4.2), layout="constrained")
    figure.suptitle(literal(f"{settings.model}: effect of more sources on held-out sources"))
    panels = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    for axes, curve in zip(panels, curves, strict=True):
        colour = CLASS_COLOURS[CLASSES[curve.label]]
        values = [area.value or 0.0 for area in curve.areas]
        reach = [
            [value - (area.low or 0.0) for value, area in zip(values, curve.areas, strict=True)],
            [(area.high or 0.0) - value for value, area in zip(values, curve.areas, strict=True)],
        ]
        axes.errorbar(curve.counts, values, reach, color=colour, marker="o", capsize=3)
        axes.set_xscale("log")
        axes.set_xticks(curve.counts, map(str, curve.counts))
        axes.minorticks_off()
        axes.set_xlabel(f"{NAMES[curve.label][0].upper()}{NAMES[curve.label][1:]} trained on")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("ROC AUC on held-out sources (95 % interval)")
    save_figure(figure, file)
