"""`python -m benchmarks coverage`: how often each kind of 95 % interval covers the truth.

Margins are drawn from a simulated model whose true figures are known: they are normal, so shares above a
margin and areas under ROC curves have closed forms.
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

MEANS_APART = 2.0
"""The distance between the classes' mean margins, in standard deviations; 0 is in the middle."""

SOURCES, PICTURES_PER_SOURCE = 12, 20
"""Sources of each class, and pictures of each source."""

SOURCE_DEVIATION = 0.7
"""The standard deviation of the sources' means; that of a source's margins is 1."""

OVERCONFIDENCE = (1.0, 2.0)
"""Factors by which a model exaggerates its margins: a calibrated and an overconfident one."""

NORMAL = NormalDist()
Case = tuple[Measure, float]
"""An interval, and the true value that it should cover."""


def _compute_auc(apart: float, spread: float = 1.0) -> float:
    return NORMAL.cdf(apart / spread / sqrt(2))


def _compute_average_precision(apart: float) -> float:
    """Compute the average precision of as many fakes as real pictures, with fakes at all quantiles."""
    at = np.array([NORMAL.inv_cdf((k + 0.5) / 20_000) for k in range(20_000)])
    of_reals = np.array([1 - NORMAL.cdf(margin + apart) for margin in at])
    of_fakes = 1 - (np.arange(20_000) + 0.5) / 20_000
    return float((of_fakes / (of_fakes + of_reals)).mean())


TRUTH = {
    "accuracy": NORMAL.cdf(MEANS_APART / 2),
    "balanced_accuracy": NORMAL.cdf(MEANS_APART / 2),
    "recall_fake": NORMAL.cdf(MEANS_APART / 2),
    "roc_auc": _compute_auc(MEANS_APART),
    "average_precision": _compute_average_precision(MEANS_APART),
    **{
        name: NORMAL.cdf(MEANS_APART - NORMAL.inv_cdf(1 - rate))
        for name, rate in FALSE_POSITIVE_RATES.items()
    },
}


def _draw_figures(random: np.random.Generator, size: int) -> Iterator[tuple[str, Case]]:
    """Draw one set and yield its figures by compute_measures()."""
    is_fake = np.arange(2 * size) < size
    margins = random.normal(np.where(is_fake, MEANS_APART / 2, -MEANS_APART / 2))
    found = compute_measures(margins, UNCALIBRATED.probability(margins), is_fake)
    yield from ((name, (found[name], truth)) for name, truth in TRUTH.items())
    shapes = random.choice(["square", "wide"], 2 * size)
    both = [list(values[:, None]) for values in (margins[:size], margins[size:])]
    theirs = [list(values[:, None]) for values in (shapes[:size], shapes[size:])]
    same = measure_same_shape((both[0], both[1]), (theirs[0], theirs[1]))
    if same:
        yield "roc_auc, same shape", (same, TRUTH["roc_auc"])


def draw_calibration(random: np.random.Generator, count: int, overconfidence: float) -> Case:
    """Draw the calibration error of a model with `overconfidence` times its calibrated margins."""
    margins = random.normal(0, 2.5, count)
    true, stated = (UNCALIBRATED.probability(times * margins) for times in (1.0, overconfidence))
    gaps = np.bincount(assign_bins(stated), stated - true, CALIBRATION_BINS)
    return measure_calibration(stated, random.random(count) < true), float(np.abs(gaps).sum() / count)


def _draw_held_out(random: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """Draw the figures of held-out sources, whose means are also drawn."""
    classes = []
    for mean in (MEANS_APART / 2, -MEANS_APART / 2):
        means = random.normal(mean, SOURCE_DEVIATION, SOURCES)
        classes.append(
            {
                f"{k}/": tuple(random.normal(at, 1, PICTURES_PER_SOURCE).tolist())
                for k, at in enumerate(means)
            }
        )
    scores = HeldOutScores(
        checkpoint="", fakes_by_source=True, reals_by_source=True, fake=classes[0], real=classes[1]
    )
    found, spread = measure_held_out(scores), sqrt(1 + SOURCE_DEVIATION**2)
    yield "roc_auc, held-out sources", (found.auc, _compute_auc(MEANS_APART, spread))
    caught = NORMAL.cdf(MEANS_APART / spread - NORMAL.inv_cdf(1 - FALSE_POSITIVE_RATES["tpr_at_5"]))
    yield "recall_fake at 5 %, held-out sources", (found.fake_recall_at_5, caught)


def _draw_calibrations(random: np.random.Generator, size: int) -> Iterator[tuple[str, Case]]:
    for overconfidence in OVERCONFIDENCE:
        yield (
            f"calibration error, margins x {overconfidence:g}",
            draw_calibration(random, 2 * size, overconfidence),
        )


def _draw(random: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """Yield a case of each kind with its name."""
    for size in SIZES:
        for name, case in (*_draw_figures(random, size), *_draw_calibrations(random, size)):
            yield f"{name}, {2 * size} pictures", case
    for name, case in _draw_held_out(random):
        yield f"{name}, {SOURCES} a class", case


def _describe(cases: Sequence[Case]) -> tuple[float, float, float, float]:
    """Return the share of intervals that cover the truth, and the mean truth, value and width."""
    covered = np.mean([(found.low or 0) <= truth <= (found.high or 0) for found, truth in cases])
    truth = np.mean([truth for _, truth in cases])
    value = np.mean([found.value or 0 for found, _ in cases])
    width = np.mean([(found.high or 0) - (found.low or 0) for found, _ in cases])
    return float(covered), float(truth), float(value), float(width)


def measure_coverage(quick: bool) -> dict[str, float]:
    """Print the table; return the share of intervals that cover the truth, by kind."""
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
