"""What a probe makes of sources left out of it, in words."""

from fakedetect.core.records.evaluation import UnseenSources
from fakedetect.core.records.training import CalibrationRecord
from fakedetect.core.terminal.console import plural
from fakedetect.metrics.intervals import SAME_SHAPE, tell_shapes

WORST = 3
"""Sources that are named for what they lack."""

ODD = 0.15
"""False alarms of a real source from which on more sources like it would help."""


def describe_left_out(found: UnseenSources) -> str:
    """What was left out: sources, or where a class has but one, its pictures."""
    if found.of_sources:
        return "Cross-validation with held-out sources"
    if found.fakes_by_source:
        return (
            "Cross-validation with held-out families of fakes (only one source of real pictures: "
            "nothing is known about others)"
        )
    if found.reals_by_source:
        return (
            "Cross-validation with held-out real sources (only one family of fakes: nothing is known "
            "about others)"
        )
    return (
        "Cross-validation with held-out pictures (only one source of each class: nothing is known "
        "about others)"
    )


def tell_unseen(found: UnseenSources, folds: int) -> list[str]:
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


def tell_what_helps(found: UnseenSources) -> list[str]:
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


def tell_thresholds(model: str, saved: CalibrationRecord) -> list[str]:
    """A probe's temperature and thresholds, and what they promise."""
    found = saved.validation
    lines = [
        f"{model}: temperature {saved.temperature:.3f}; fake from {100 * saved.fake_from:.2f} %, real "
        f"below {100 * saved.real_below:.2f} %, unsure in between",
    ]
    if found is None or saved.max_false_alarms is None or saved.max_missed is None:
        return lines
    lines += [
        _tell_promise(
            "Real pictures called fake",
            "unseen real sources" if saved.unseen_real_sources else "",
            saved.max_false_alarms,
            found.real_called_fake,
        ),
        _tell_promise(
            "Fakes called real",
            "unseen families of generators" if saved.unseen_families else "",
            saved.max_missed,
            found.fake_called_real,
        ),
        f"  unsure: {found.unsure:.1%} of held-out pictures",
    ]
    return lines


def _tell_promise(what: str, of: str, most: float, rate: float) -> str:
    whose = f"on average over {of}" if of else "for pictures from these sources (no guarantee for others)"
    return f"  {what}: {rate:.1%} of held-out pictures; guaranteed: at most {most:.1%} {whose}"
