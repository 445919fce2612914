"""`python -m benchmarks coverage`: how often each kind of 95 % interval covers the truth.

Pictures are drawn from a made-up model whose true figures are known: margins are normal, and so the shares
above a margin and the areas under ROC curves have closed forms.
"""

from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np

from fakedetect.core.records.evaluation import Measure
from fakedetect.core.records.training import HeldOutScores
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.calibration import CALIBRATION_BINS, UNCALIBRATED, assign_bins, measure_calibration
from fakedetect.metrics.held_out import measure_held_out
from fakedetect.metrics.intervals import measure_same_shape
from fakedetect.metrics.measures import FALSE_POSITIVE_RATES, compute_measures

SETS, QUICK_SETS = 400, 60
"""Simulated sets of pictures of each kind."""

SIZES = (30, 300)
"""Pictures of each class in a set."""

APART = 2.0
"""Standard deviations between the means of both classes' margins; the fakes lie half as far above 0."""

SOURCES, OF_SOURCE = 12, 20
"""Sources of each class, and their pictures."""

BETWEEN = 0.7
"""The standard deviation of the sources' means, where that of a source's margins is 1."""

SHARPNESS = (1.0, 2.0)
"""By how much a model overstates its margins: a calibrated one, and one that is too sure."""

NORMAL = NormalDist()
Case = tuple[Measure, float]
"""An interval, and the truth that it should cover."""


def _area(apart: float, spread: float = 1.0) -> float:
    return NORMAL.cdf(apart / spread / sqrt(2))


def _precision(apart: float) -> float:
    """The average precision of as many fakes as real pictures: of fakes at all quantiles."""
    at = np.array([NORMAL.inv_cdf((k + 0.5) / 20_000) for k in range(20_000)])
    of_reals = np.array([1 - NORMAL.cdf(margin + apart) for margin in at])
    of_fakes = 1 - (np.arange(20_000) + 0.5) / 20_000
    return float((of_fakes / (of_fakes + of_reals)).mean())


TRUTH = {
    "accuracy": NORMAL.cdf(APART / 2),
    "balanced_accuracy": NORMAL.cdf(APART / 2),
    "recall_fake": NORMAL.cdf(APART / 2),
    "roc_auc": _area(APART),
    "average_precision": _precision(APART),
    **{name: NORMAL.cdf(APART - NORMAL.inv_cdf(1 - rate)) for name, rate in FALSE_POSITIVE_RATES.items()},
}


def _draw_figures(random: np.random.Generator, size: int) -> Iterator[tuple[str, Case]]:
    """The figures of one set, by measure()."""
    is_fake = np.arange(2 * size) < size
    margins = random.normal(np.where(is_fake, APART / 2, -APART / 2))
    found = compute_measures(margins, UNCALIBRATED.probability(margins), is_fake)
    yield from ((name, (found[name], truth)) for name, truth in TRUTH.items())
    shapes = random.choice(["square", "wide"], 2 * size)
    both = [list(values[:, None]) for values in (margins[:size], margins[size:])]
    theirs = [list(values[:, None]) for values in (shapes[:size], shapes[size:])]
    same = measure_same_shape((both[0], both[1]), (theirs[0], theirs[1]))
    if same:
        yield "roc_auc, same shape", (same, TRUTH["roc_auc"])


def draw_calibration(random: np.random.Generator, count: int, sharpness: float) -> Case:
    """The calibration error of a model that says `sharpness` times its calibrated margins."""
    margins = random.normal(0, 2.5, count)
    true, said = (UNCALIBRATED.probability(times * margins) for times in (1.0, sharpness))
    gaps = np.bincount(assign_bins(said), said - true, CALIBRATION_BINS)
    return measure_calibration(said, random.random(count) < true), float(np.abs(gaps).sum() / count)


def _draw_held_out(random: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """The figures of held-out sources, whose means are drawn too."""
    classes = []
    for mean in (APART / 2, -APART / 2):
        means = random.normal(mean, BETWEEN, SOURCES)
        classes.append(
            {f"{k}/": tuple(random.normal(at, 1, OF_SOURCE).tolist()) for k, at in enumerate(means)}
        )
    scores = HeldOutScores(
        checkpoint="", fakes_by_source=True, reals_by_source=True, fake=classes[0], real=classes[1]
    )
    found, spread = measure_held_out(scores), sqrt(1 + BETWEEN**2)
    yield "roc_auc, held-out sources", (found.auc, _area(APART, spread))
    caught = NORMAL.cdf(APART / spread - NORMAL.inv_cdf(1 - FALSE_POSITIVE_RATES["tpr_at_5"]))
    yield "recall_fake at 5 %, held-out sources", (found.fake_recall_at_5, caught)


def _draw_calibrations(random: np.random.Generator, size: int) -> Iterator[tuple[str, Case]]:
    for sharpness in SHARPNESS:
        yield f"calibration error, margins x {sharpness:g}", draw_calibration(random, 2 * size, sharpness)


def _draw(random: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """A case of each kind, under its name."""
    for size in SIZES:
        for name, case in (*_draw_figures(random, size), *_draw_calibrations(random, size)):
            yield f"{name}, {2 * size} pictures", case
    for name, case in _draw_held_out(random):
        yield f"{name}, {SOURCES} a class", case


def _describe(cases: Sequence[Case]) -> tuple[float, float, float, float]:
    """The share that covers its truth; the mean truth, value and width."""
    covered = np.mean([(found.low or 0) <= truth <= (found.high or 0) for found, truth in cases])
    truth = np.mean([truth for _, truth in cases])
    value = np.mean([found.value or 0 for found, _ in cases])
    width = np.mean([(found.high or 0) - (found.low or 0) for found, _ in cases])
    return float(covered), float(truth), float(value), float(width)


def measure_coverage(quick: bool) -> dict[str, float]:
    """Print the table; returns the share of intervals that cover, by their kind."""
    cases: dict[str, list[Case]] = {}
    for seed in range(QUICK_SETS if quick else SETS):
        for name, case in _draw(np.random.default_rng(seed)):
            cases.setdefault(name, []).append(case)
    print("\n| figure | covers | truth | mean value | mean width |\n|---|---|---|---|---|")
    shares = {}
    for name, drawn in cases.items():
        covered, truth, value, width = _describe(drawn)
        shares[name] = round(covered, 3)
        print(f"| {name} | {percent(covered)} | {truth:.3f} | {value:.3f} | {width:.3f} |")
    return shares
