"""Metrics and thresholds on held-out sources.

Pictures of one source resemble one another, so the unit is the source, not the picture. Intervals draw
whole sources, and a threshold's guarantee holds for pictures of a new source that is drawn like the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import Family, HeldOutSources, Measure, RealSource
from fakedetect.core.records.training import (
    CalibrationRecord,
    HeldOutScores,
    ProbeRecord,
    ValidationRecord,
)
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.calibration import (
    FAKE,
    REAL,
    UNCALIBRATED,
    Calibration,
    compute_calibration_error,
    fit_temperature,
    measure_verdicts,
    smallest_guaranteed_rate,
)
from fakedetect.metrics.intervals import (
    BOOTSTRAP_SAMPLES,
    SAME_SHAPE,
    BySource,
    Ranking,
    group_values,
    measure_auc,
    measure_bootstrapped,
    measure_same_shape,
    measure_share,
    resample_units,
    roc_auc_interval,
    share_interval,
)
from fakedetect.metrics.null import NULL

USUAL_ERROR_RATE = 0.05
MOST_USUAL_ERROR_RATE = 0.2
"""The highest usual error rate. With so few sources that the rate would be higher, the guarantee covers
pictures of the same sources instead."""

MOST_LISTED_SOURCES = 3
"""Sources of a class that are named for their errors."""

T = TypeVar("T")


def group_by_source(
    is_fake: np.ndarray, sources: Sequence[str], values: Sequence[T]
) -> tuple[dict[str, tuple[T, ...]], dict[str, tuple[T, ...]]]:
    """Group the values of the fakes and of the real pictures by source, or by class without a source.

    Args:
        is_fake: (N,) bool.
    """
    found: tuple[dict[str, list[T]], dict[str, list[T]]] = ({}, {})
    for fake, source, value in zip(is_fake.tolist(), sources, values, strict=True):
        found[not fake].setdefault(printable(source) or CLASSES[not fake], []).append(value)
    fakes, reals = ({source: tuple(group) for source, group in each.items()} for each in found)
    return fakes, reals


def measure_held_out(
    scores: HeldOutScores,
    shapes: tuple[BySource[str], BySource[str]] | None = None,
    null: tuple[BySource[float], BySource[float]] | None = None,
    seed: int = 0,
) -> HeldOutSources:
    """Measure held-out sources, with 95 % intervals.

    The intervals over all sources are a bootstrap over sources (Field and Welsh 2007, 'Bootstrapping
    clustered data'), or over pictures if a class has one source. The intervals of a single source are over
    its pictures.

    Args:
        shapes: the shapes of the fakes and of the real pictures, '' if unknown; None if all are.
        null: the scores of their files alone, by score_files(); None if too few files are known.
    """
    fakes, reals = group_values(scores.fake), group_values(scores.real)
    units = _draw_units(fakes), _draw_units(reals)
    ranking = Ranking(*units)
    all_reals = np.concatenate(list(reals.values()))
    least = ranking.least_margin()
    auc, recall = _measure_ranking(ranking, seed)
    return HeldOutSources(
        auc=auc,
        fake_recall_at_5=recall,
        families={
            name: Family(auc=_measure_area(values, all_reals), n=len(values))
            for name, values in fakes.items()
        },
        real_sources={
            name: RealSource(
                false_alarms_at_5=measure_share(int((values > least).sum()), len(values)), n=len(values)
            )
            for name, values in reals.items()
        },
        fakes_by_source=scores.fakes_by_source,
        reals_by_source=scores.reals_by_source,
        by_collection=scores.by_collection,
        auc_same_shape=shapes and measure_same_shape(units, _shape_units(shapes), seed),
        null_auc=null and _measure_ranking(Ranking(*map(_known_units, null)), seed)[0],
    )


def _measure_ranking(ranking: Ranking, seed: int) -> tuple[Measure, Measure]:
    """Measure the ROC AUC and the fake recall at FALSE_POSITIVE_RATE by a bootstrap over the units."""
    drawn = len(ranking.fakes), len(ranking.reals)
    auc, recall = ranking.measure(*map(np.ones, drawn))
    random = np.random.default_rng(seed)
    areas, recalls = zip(
        *(
            ranking.measure(*(resample_units(random, units) for units in drawn))
            for _ in range(BOOTSTRAP_SAMPLES)
        ),
        strict=True,
    )
    return (
        measure_bootstrapped(auc, areas, min(drawn), roc_auc_interval(auc, *drawn)),
        measure_bootstrapped(recall, recalls, min(drawn), share_interval(recall * drawn[0], drawn[0])),
    )


def _draw_units(groups: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return a class's units for the bootstrap: its groups, or the pictures of its only group."""
    values = list(groups.values())
    return values if len(values) > 1 else [np.array([value]) for value in values[0]]


def _shape_units(shapes: tuple[BySource[str], BySource[str]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    fakes, reals = (_draw_units(group_values(of_class)) for of_class in shapes)
    return fakes, reals


def _known_units(scores: BySource[float]) -> list[np.ndarray]:
    """Return the units of scores without those that are NaN."""
    known = {group: values[~np.isnan(values)] for group, values in group_values(scores).items()}
    return _draw_units({group: values for group, values in known.items() if len(values)})


def _measure_area(fakes: np.ndarray, reals: np.ndarray) -> Measure:
    return measure_auc(np.arange(len(fakes) + len(reals)) < len(fakes), np.concatenate([fakes, reals]))


@dataclass(frozen=True)
class Guarantee:
    """At most the share `most` of a class's pictures gets the wrong verdict.

    `groups` holds the class's margins by unit (source or picture), signed so that wrong verdicts are high.
    With `for_new_sources` the guarantee holds for a new source drawn like these, otherwise for further
    pictures of the same sources.
    """

    label: str
    most: float
    groups: tuple[np.ndarray, ...]
    for_new_sources: bool

    def bound(self) -> float | None:
        """Return the least margin that a further picture exceeds with a probability of at most `most`; None
        if there are too few groups.

        Conformal prediction for groups, averaged over them (Dunn, Wasserman and Ramdas 2022, 'Distribution-
        Free Prediction Sets for Two-Layer Hierarchical Models'; Lee, Barber and Willett 2023,
        'Distribution-Free Inference with Hierarchical Data').
        """
        values = np.concatenate(self.groups)
        weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in self.groups])
        order = np.argsort(values, kind="stable")
        passed = np.cumsum(weights[order]) / (len(self.groups) + 1)
        index = int(np.searchsorted(passed, 1 - self.most - 1e-9))
        return None if index == len(values) else float(values[order[index]])

    def share_called(self, verdict: str, calibration: Calibration, sign: int) -> float:
        """Return the share of pictures with a verdict, as the mean of the groups' shares.

        Args:
            sign: -1 if the groups hold negated margins.
        """
        found = [
            [calibration.verdict(p) == verdict for p in calibration.probability(sign * group)]
            for group in self.groups
        ]
        return float(np.mean([np.mean(of_group) for of_group in found]))


def make_guarantee(scores: HeldOutScores, label: str, most: float | None) -> Guarantee:
    """Make the guarantee for a class of CLASSES.

    Args:
        most: the error rate; None for USUAL_ERROR_RATE, or more if there are few groups.
    """
    sign = 1 if label == "real" else -1
    groups = [sign * values for values in group_values(getattr(scores, label)).values()]
    pictures = np.concatenate(groups)[:, None]
    has_sources = bool(getattr(scores, f"{label}s_by_source"))
    # The smallest rate that can be guaranteed puts the threshold at the most extreme picture of all.
    usual = max(USUAL_ERROR_RATE, 2 * smallest_guaranteed_rate(len(groups)))
    if has_sources and (most is not None or usual <= MOST_USUAL_ERROR_RATE):
        return Guarantee(label=label, most=most or usual, groups=tuple(groups), for_new_sources=True)
    usual = min(0.5, max(USUAL_ERROR_RATE, smallest_guaranteed_rate(len(pictures))))
    return Guarantee(label=label, most=most or usual, groups=tuple(pictures), for_new_sources=False)


def _find_bound(guarantee: Guarantee, option: str) -> float:
    bound = guarantee.bound()
    if bound is None:
        count, needed = len(guarantee.groups), math.ceil(1 / guarantee.most - 1e-9) - 1
        of_sources = "families of fakes" if guarantee.label == "fake" else "sources of real pictures"
        what = of_sources if guarantee.for_new_sources else f"{guarantee.label} pictures"
        raise UserError(
            f"{count} {what} are too few to guarantee {percent(guarantee.most)} for others; that takes "
            f"{needed}. Give {option} {smallest_guaranteed_rate(count):g} or more, or train with more "
            f"{what}."
        )
    return bound


def calibrate_held_out(
    scores: HeldOutScores, max_false_alarms: float | None = None, max_missed: float | None = None
) -> CalibrationRecord:
    """Fit the temperature and the thresholds to held-out sources, and measure their error rates there.

    Args:
        max_false_alarms: the share of real pictures that may be called fake; None for the usual rate of
            make_guarantee().
        max_missed: the same for fakes called real.

    Raises:
        UserError: there are too few sources for the rates, or the scores are no better than chance.
    """
    alarms, missed = (
        make_guarantee(scores, label, most)
        for label, most in (("real", max_false_alarms), ("fake", max_missed))
    )
    margins = np.concatenate([*(-group for group in missed.groups), *alarms.groups])
    is_fake = np.arange(len(margins)) < sum(map(len, missed.groups))
    temperature = fit_temperature(margins, is_fake)
    bounds = np.array([_find_bound(alarms, "--max-false-alarms"), -_find_bound(missed, "--max-missed")])
    above_real, below_fake = map(float, Calibration(temperature).probability(bounds))
    # The next probability: the next margin may have the same probability.
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
            ece_before=compute_calibration_error(UNCALIBRATED.probability(margins), is_fake),
            ece_after=rates.ece_calibrated,
        ),
        held_out_real_sources=alarms.for_new_sources,
        held_out_families=missed.for_new_sources,
    )


def describe_cross_validation(found: HeldOutSources, probe: ProbeRecord | None) -> str:
    """Describe what was held out: collections, sources, or pictures if a class has one source only."""
    unknown = "nothing is known about others"
    if found.is_by_source:
        what = found.condition
    elif found.fakes_by_source:
        what = f"held-out families of fakes (only one source of real pictures: {unknown})"
    elif found.reals_by_source:
        what = f"held-out real sources (only one family of fakes: {unknown})"
    else:
        what = f"held-out pictures (only one source of each class: {unknown})"
    folds = 0 if probe is None else probe.collection_folds if found.by_collection else probe.folds
    counted = f", {plural(folds, 'fold')}" if folds else ""
    return f"Cross-validation with {what}{counted}"


def list_held_out_measures(lowest: HeldOutSources, *others: HeldOutSources) -> list[tuple[str, Measure]]:
    """Return the names and values of the metrics, with the ROC AUC of the others.

    Args:
        lowest: the first of Evaluation.held_out; `others` are those after it.
    """
    found = [("ROC AUC", lowest.auc), ("fake recall at 5 % false positives", lowest.fake_recall_at_5)]
    more = ((SAME_SHAPE, lowest.auc_same_shape), (NULL, lowest.null_auc))
    found += [(name, value) for name, value in more if value]
    return [*found, *((f"ROC AUC, {other.condition}", other.auc) for other in others)]


def describe_held_out(probe: ProbeRecord, found: HeldOutSources, *others: HeldOutSources) -> list[str]:
    """Describe the metrics of Evaluation.held_out as the lines of a table."""
    lines = [
        f"{describe_cross_validation(found, probe)} (95 % intervals):",
        *(f"  {name:<36}{value}" for name, value in list_held_out_measures(found, *others)),
    ]
    if found.fakes_by_source:
        lines.append(f"  {'family of fakes':<36}{'pictures':>9}  ROC AUC")
        lines += [f"  {name:<36}{family.n:>9,}  {family.auc}" for name, family in found.hardest_families]
        lines.append(f"  {'mean of the families':<36}{'':>9}  {found.mean_family_auc:.3f}")
    if found.reals_by_source:
        lines.append(f"  {'real source':<36}{'pictures':>9}  called fake (5 % overall)")
        lines += [
            f"  {name:<36}{source.n:>9,}  {source.false_alarms_at_5.describe('.1%')}"
            for name, source in found.worst_real_sources
        ]
    return lines


def describe_needed_sources(scores: HeldOutScores) -> list[str]:
    """Describe which sources would help most: more like those with most errors, at 5 % false positives."""
    fakes, reals = group_values(scores.fake), group_values(scores.real)
    least = Ranking(list(fakes.values()), list(reals.values())).least_margin()
    lines = []
    if scores.reals_by_source:
        alarms = {name: margins > least for name, margins in reals.items()}
        lines += _describe_most_errors("false positives (5 %)", alarms, "real pictures")
    if scores.fakes_by_source:
        missed = {name: margins <= least for name, margins in fakes.items()}
        lines += _describe_most_errors("missed fakes (at 5 % false positives)", missed, "fakes")
    few = [
        name
        for name, whole in (
            ("fakes from more generators", scores.fakes_by_source),
            ("real pictures from more sources", scores.reals_by_source),
        )
        if not whole
    ]
    if few:
        lines.append(f"To improve it most, add {' and '.join(few)}, each in a sub-folder of its class.")
    return lines


def _describe_most_errors(errors: str, wrong: Mapping[str, np.ndarray], what: str) -> list[str]:
    """Name the groups that hold most errors of a class, of those with a higher rate than all together.

    Args:
        wrong: for each group, whether each picture is an error (N,).
        what: the pictures to add.
    """
    every = np.concatenate(list(wrong.values()))
    above = [(int(group.sum()), name) for name, group in wrong.items() if group.mean() > every.mean()]
    most = sorted(above, key=lambda each: (-each[0], each[1]))[:MOST_LISTED_SOURCES]
    named = [
        f"{count:,} from {name} ({percent(count / len(wrong[name]), 0)} of its {len(wrong[name]):,})"
        for count, name in most
    ]
    return [f"Of {every.sum():,} {errors}: {', '.join(named)}. Add {what} like these."] if named else []
