"""What a model makes of sources that it has never seen: figures and thresholds, source by source.

Pictures of one source resemble one another, so it is sources that are counted, not pictures: intervals draw
whole sources, and a threshold's promise is made for a picture of a source like those, but none of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import Family, HeldOutSources, Measure, RealSource
from fakedetect.core.records.training import CalibrationRecord, HeldOutScores, ValidationRecord
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural, printable
from fakedetect.metrics.calibration import (
    FAKE,
    REAL,
    UNCALIBRATED,
    Calibration,
    calibration_error,
    fit_temperature,
    measure_verdicts,
    smallest_rate,
)
from fakedetect.metrics.intervals import (
    REPEATS,
    SAME_SHAPE,
    BySource,
    Ranking,
    by_group,
    draw,
    measure_auc,
    measure_drawn,
    measure_same_shape,
    measure_share,
    roc_auc_interval,
    share_interval,
    tell_shapes,
)

USUAL_RATE = 0.05
MOST_USUAL = 0.2
"""With so few sources that a promise for others would be worth no more than this, it is made for pictures
of the same sources."""

WORST = 3
"""Sources that are named for what they lack."""

ODD = 0.15
"""False alarms of a real source from which on more sources like it would help."""


T = TypeVar("T")


def by_source(
    is_fake: np.ndarray, sources: Sequence[str], values: Sequence[T]
) -> tuple[dict[str, tuple[T, ...]], dict[str, tuple[T, ...]]]:
    """Values of pictures by source, or by class where they have none: of fakes and of real ones.

    Args:
        is_fake: (N,) bool.
    """
    found: tuple[dict[str, list[T]], dict[str, list[T]]] = ({}, {})
    for fake, source, value in zip(is_fake.tolist(), sources, values, strict=True):
        found[not fake].setdefault(printable(source) or CLASSES[not fake], []).append(value)
    fakes, reals = ({source: tuple(group) for source, group in each.items()} for each in found)
    return fakes, reals


def measure_unseen(
    scores: HeldOutScores, shapes: tuple[BySource[str], BySource[str]] | None = None, seed: int = 0
) -> HeldOutSources:
    """The figures of sources left out, each with its 95 % interval.

    Those of all sources together have a bootstrap over sources (Field and Welsh 2007, 'Bootstrapping
    clustered data'), over pictures in a class of one source; those of one source the usual one over its
    pictures.

    Args:
        shapes: of the fakes and of the real pictures, '' where one is not known; None where none is.
    """
    fakes, reals = by_group(scores.fake), by_group(scores.real)
    units = _draw_units(fakes), _draw_units(reals)
    ranking = Ranking(*units)
    all_reals = np.concatenate(list(reals.values()))
    least = ranking.least_margin()
    auc, recall = ranking.measure(np.ones(len(ranking.fakes)), np.ones(len(ranking.reals)))
    random = np.random.default_rng(seed)
    drawn = len(ranking.fakes), len(ranking.reals)
    areas, recalls = zip(
        *(ranking.measure(*(draw(random, units) for units in drawn)) for _ in range(REPEATS)), strict=True
    )
    return HeldOutSources(
        auc=measure_drawn(auc, areas, min(drawn), roc_auc_interval(auc, *drawn)),
        fake_recall_at_5=measure_drawn(
            recall, recalls, min(drawn), share_interval(recall * drawn[0], drawn[0])
        ),
        families={
            name: Family(auc=_area_of(values, all_reals), n=len(values)) for name, values in fakes.items()
        },
        real_sources={
            name: RealSource(
                false_alarms_at_5=measure_share(int((values > least).sum()), len(values)), n=len(values)
            )
            for name, values in reals.items()
        },
        fakes_by_source=scores.fakes_by_source,
        reals_by_source=scores.reals_by_source,
        auc_same_shape=shapes and measure_same_shape(units, _shape_units(shapes), seed),
    )


def _draw_units(groups: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What a bootstrap draws of a class: its groups, or the pictures of its only one."""
    values = list(groups.values())
    return values if len(values) > 1 else [np.array([value]) for value in values[0]]


def _shape_units(shapes: tuple[BySource[str], BySource[str]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    fakes, reals = (_draw_units(by_group(of_class)) for of_class in shapes)
    return fakes, reals


def _area_of(fakes: np.ndarray, reals: np.ndarray) -> Measure:
    return measure_auc(np.arange(len(fakes) + len(reals)) < len(fakes), np.concatenate([fakes, reals]))


@dataclass(frozen=True)
class Promise:
    """At most the share `most` of a class's pictures gets the wrong verdict.

    `groups` has the margins of the class by what the promise is counted by, with the wrong end up.
    `unseen`: it holds for a source that is drawn as those were and is none of them; else for their own
    pictures.
    """

    label: str
    most: float
    groups: tuple[np.ndarray, ...]
    unseen: bool

    def bound(self) -> float | None:
        """The least margin that a further picture exceeds with a probability of at most `most`; None where
        there are too few groups to say.

        Conformal prediction for groups, averaged over them (Dunn, Wasserman and Ramdas 2022, 'Distribution-
        Free Prediction Sets for Two-Layer Hierarchical Models'; Lee, Barber and Willett 2023,
        'Distribution-Free Inference with Hierarchical Data').
        """
        values = np.concatenate(self.groups)
        weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in self.groups])
        order = np.argsort(values, kind="stable")
        passed = np.cumsum(weights[order]) / (len(self.groups) + 1)
        place = int(np.searchsorted(passed, 1 - self.most - 1e-9))
        return None if place == len(values) else float(values[order[place]])

    def share_called(self, verdict: str, calibration: Calibration, sign: int) -> float:
        """The share of pictures that get a verdict, as the mean of the groups' shares.

        Args:
            sign: -1 where the groups have margins the other way round.
        """
        found = [
            [calibration.verdict(p) == verdict for p in calibration.probability(sign * group)]
            for group in self.groups
        ]
        return float(np.mean([np.mean(of_group) for of_group in found]))


def make_promise(scores: HeldOutScores, label: str, most: float | None) -> Promise:
    """The promise for a class of CLASSES.

    Args:
        most: None for USUAL_RATE, or more where there are few groups.
    """
    sign = 1 if label == "real" else -1
    groups = [sign * values for values in by_group(getattr(scores, label)).values()]
    pictures = np.concatenate(groups)[:, None]
    unseen = bool(getattr(scores, f"{label}s_by_source"))
    # The smallest rate that can be promised takes the most extreme picture of all for its threshold.
    usual = max(USUAL_RATE, 2 * smallest_rate(len(groups)))
    if unseen and (most is not None or usual <= MOST_USUAL):
        return Promise(label=label, most=most or usual, groups=tuple(groups), unseen=True)
    usual = min(0.5, max(USUAL_RATE, smallest_rate(len(pictures))))
    return Promise(label=label, most=most or usual, groups=tuple(pictures), unseen=False)


def _bound(promise: Promise, option: str) -> float:
    bound = promise.bound()
    if bound is None:
        count, needed = len(promise.groups), math.ceil(1 / promise.most - 1e-9) - 1
        of_sources = "families of fakes" if promise.label == "fake" else "sources of real pictures"
        what = of_sources if promise.unseen else f"{promise.label} pictures"
        raise UserError(
            f"{count} {what} are too few to guarantee {promise.most:.1%} for others; that takes {needed}. "
            f"Give {option} {smallest_rate(count):g} or more, or train with more {what}."
        )
    return bound


def calibrate_unseen(
    scores: HeldOutScores, max_false_alarms: float | None = None, max_missed: float | None = None
) -> CalibrationRecord:
    """Temperature and thresholds by the sources left out, and what they give on those.

    Args:
        max_false_alarms: the share of real pictures that may be called fake, of max_missed that of fakes
            that may be called real; None for the usual ones of make_promise().

    Raises:
        UserError: too few sources to promise that much, or the scores are no better than chance.
    """
    alarms, missed = (
        make_promise(scores, label, most)
        for label, most in (("real", max_false_alarms), ("fake", max_missed))
    )
    margins = np.concatenate([*(-group for group in missed.groups), *alarms.groups])
    is_fake = np.arange(len(margins)) < sum(map(len, missed.groups))
    temperature = fit_temperature(margins, is_fake)
    bounds = np.array([_bound(alarms, "--max-false-alarms"), -_bound(missed, "--max-missed")])
    above_real, below_fake = map(float, Calibration(temperature).probability(bounds))
    # The next of the probabilities, not that of the next margin, which may be the same.
    fake_from = min(1.0, max(0.5, float(np.nextafter(above_real, np.inf))))
    calibration = Calibration(temperature, fake_from, min(0.5, below_fake), fitted=True)
    rates = measure_verdicts(calibration, margins, is_fake)
    return CalibrationRecord(
        temperature=temperature,
        fake_from=calibration.fake_from,
        real_below=calibration.real_below,
        checkpoint=scores.checkpoint,
        max_false_alarms=alarms.most,
        max_missed=missed.most,
        validation=ValidationRecord(
            fake=int(is_fake.sum()),
            real=int((~is_fake).sum()),
            real_called_fake=alarms.share_called(FAKE, calibration, 1),
            fake_called_real=missed.share_called(REAL, calibration, -1),
            unsure=rates.unsure,
            ece_before=calibration_error(UNCALIBRATED.probability(margins), is_fake),
            ece_after=rates.ece_calibrated,
        ),
        held_out_real_sources=alarms.unseen,
        held_out_families=missed.unseen,
    )


def describe_left_out(found: HeldOutSources) -> str:
    """What was left out: sources, or where a class has but one, its pictures."""
    if found.is_by_source:
        return "Cross-validation with held-out sources"
    if found.fakes_by_source:
        what, only = "families of fakes", "source of real pictures"
    elif found.reals_by_source:
        what, only = "real sources", "family of fakes"
    else:
        what, only = "pictures", "source of each class"
    return f"Cross-validation with held-out {what} (only one {only}: nothing is known about others)"


def tell_unseen(found: HeldOutSources, folds: int) -> list[str]:
    """The figures of sources left out, as a table."""
    lines = [
        f"{describe_left_out(found)}, {plural(folds, 'fold')} (95 % intervals):",
        f"  {'ROC AUC':<34}{found.auc}",
        f"  {'fake recall at 5 % false alarms':<34}{found.fake_recall_at_5}",
    ]
    if found.auc_same_shape:
        lines.append(f"  {SAME_SHAPE:<34}{found.auc_same_shape}")
    if found.fakes_by_source:
        lines.append(f"  {'family of fakes':<34}{'pictures':>9}  ROC AUC")
        lines += [f"  {name:<34}{family.n:>9,}  {family.auc}" for name, family in found.hardest_families]
        lines.append(f"  {'mean of the families':<34}{'':>9}  {found.mean_family_auc:.3f}")
    if found.reals_by_source:
        lines.append(f"  {'real source':<34}{'pictures':>9}  called fake (5 % overall)")
        lines += [
            f"  {name:<34}{source.n:>9,}  {source.false_alarms_at_5.describe('.1%')}"
            for name, source in found.worst_real_sources
        ]
    return lines


def tell_what_helps(found: HeldOutSources) -> list[str]:
    """Which kinds of sources would help most: those that the others do not stand in for."""
    lines = tell_shapes(found.auc, found.auc_same_shape)
    alarms = [(name, source.false_alarms_at_5.value or 0.0) for name, source in found.worst_real_sources]
    odd = [f"{name} ({rate:.0%} called fake)" for name, rate in alarms[:WORST] if rate >= ODD]
    if found.reals_by_source and odd:
        lines.append(f"More real sources like these would help most: {', '.join(odd)}")
    if found.fakes_by_source:
        areas = [(name, family.auc.value or 0.0) for name, family in found.hardest_families[:WORST]]
        hard = [f"{name} (ROC AUC {area:.2f})" for name, area in areas]
        lines.append(f"Hardest held-out families (collect more like these): {', '.join(hard)}")
    few = [
        name
        for name, whole in (
            ("fakes from more generators", found.fakes_by_source),
            ("real pictures from more sources", found.reals_by_source),
        )
        if not whole
    ]
    if few:
        lines.append(f"To improve it most, add {' and '.join(few)}, each in a sub-folder of its class.")
    return lines
