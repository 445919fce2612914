"""The sections of a report on what evaluate and fit-thresholds have found."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pandas as pd

from fakedetect.core.console import plural
from fakedetect.core.evaluation_record import (
    Entry,
    Evaluation,
    Point,
    SourceEntry,
    VerdictRates,
    say_interval,
)
from fakedetect.core.page import (
    beside,
    charts,
    heading,
    paragraph,
    percent,
    section,
    table,
    with_interval,
)
from fakedetect.core.training_record import CalibrationRecord
from fakedetect.metrics.calibration import is_of_calibration
from fakedetect.metrics.measures import UNCALIBRATED_CURVE, named
from fakedetect.metrics.ranking import SAME_SHAPE, tell_shapes
from fakedetect.metrics.unseen_words import describe_left_out, tell_what_helps
from fakedetect.models.detector import Detector
from fakedetect.reporting.answers import draw_answers, show_mistakes
from fakedetect.reporting.charts import draw_chart
from fakedetect.testing.figures import kind_name, kinds_of, plot_reliability, plot_robustness
from fakedetect.testing.results import confusion_of, tell_one_sided
from fakedetect.testing.sources import mean_and_worst, tell_left_out

NO_THRESHOLDS = "No thresholds are fitted, so every picture is called fake or real: "


def verdicts_section(detector: Detector, evaluation: Evaluation) -> str:
    """Calibration and thresholds, what they promised and what they gave."""
    settings, fitted = detector.settings, detector.training.calibration
    title = "Fake, real or unsure"
    if fitted is None or not detector.calibration.fitted:
        why = "The thresholds in training.json belong to another checkpoint: " if fitted else NO_THRESHOLDS
        return section(title, paragraph(why + settings.command("fit-thresholds"), "soft"))
    between = "and unsure in between" if fitted.fake_from > fitted.real_below else "and none is unsure"
    text = (
        f"Calibrated with a temperature of {fitted.temperature:.3f}; a picture is called fake at "
        f"{fitted.fake_from:.1%} or above, real below {fitted.real_below:.1%}, {between}."
    )
    current, again = _measured_with(detector, evaluation)
    told = [paragraph(text), _verdicts_table(fitted, current)]
    if again:
        names = " and ".join("the test dataset" if name == "test" else name for name in again)
        asked = f"The thresholds were set after the evaluation of {names}, so their effect there is not "
        told.append(paragraph(f"{asked}known. Evaluate again: {'; '.join(again.values())}", "warning"))
    drawn = ""
    if test := evaluation.test:
        ece = f"Expected calibration error on the test dataset: {with_interval(test.measures.ece)}"
        if "test" in current:
            ece += f" uncalibrated, {current['test'].ece_calibrated:.3f} calibrated"
        diagrams = [
            draw_chart(f"Reliability: {name}", partial(plot_reliability, bins=bins, title=""))
            for name, bins in test.reliability.items()
            if name == UNCALIBRATED_CURVE or "test" in current
        ]
        drawn = charts(*diagrams) + paragraph(f"{ece}.", "soft")
    return section(title, beside("".join(told), drawn))


def _measured_with(
    detector: Detector, evaluation: Evaluation
) -> tuple[dict[str, VerdictRates], dict[str, str]]:
    """By the name of a set of pictures: what the present thresholds give there, and of the sets that were
    evaluated before these were fitted, the command that evaluates again."""
    command = detector.settings.command
    entries: dict[str, tuple[Entry, str]] = {
        name: (entry, command("evaluate", "--data", entry.folder))
        for name, entry in evaluation.foreign.items()
    }
    if evaluation.test:
        entries = {"test": (evaluation.test, command("evaluate")), **entries}
    current = {
        name: entry.verdicts
        for name, (entry, _) in entries.items()
        if entry.verdicts and is_of_calibration(entry.verdicts, detector.calibration)
    }
    return current, {name: again for name, (_, again) in entries.items() if name not in current}


def _verdicts_table(fitted: CalibrationRecord, current: Mapping[str, VerdictRates]) -> str:
    """What was promised, and what the thresholds give on each set of pictures."""
    validation = msgspec.to_builtins(fitted.validation) if fitted.validation else {}
    by_source = fitted.unseen_real_sources or fitted.unseen_families
    columns = {"held-out sources" if by_source else "validation": validation} if validation else {}
    columns |= {name: msgspec.structs.asdict(rates) for name, rates in current.items()}
    rows = []
    for said, key, promise in (
        ("real called fake", "real_called_fake", fitted.max_false_alarms),
        ("fake called real", "fake_called_real", fitted.max_missed),
        ("unsure", "unsure", None),
        ("overall accuracy, threshold 0.5", "accuracy", None),
        ("accuracy where not unsure", "accuracy_of_sure", None),
    ):
        values = [values.get(key) for values in columns.values()]
        if any(value is not None for value in values):
            shown = ("" if value is None else percent(value) for value in (promise, *values))
            rows.append((said, *shown))
    return table(("share", "guaranteed at most", *columns), rows)


def _source_rows(entries: Sequence[SourceEntry]) -> list[tuple[str, str, int, str, str]]:
    return [
        (
            entry.source or "(no source)",
            entry.label,
            entry.count,
            with_interval(entry.right, ".1%"),
            with_interval(entry.roc_auc),
        )
        for entry in entries
    ]


SOURCE_HEADINGS = (
    "source",
    "class",
    "pictures",
    "accuracy (95 % interval)",
    "ROC AUC against the other class",
)


def sources_section(evaluation: Evaluation) -> str:
    """Every source of the test pictures, the mean and the worst."""
    entries = evaluation.test.sources if evaluation.test else ()
    if not entries:
        return ""
    mean, worst = mean_and_worst(entries)
    text = f"Mean accuracy of the sources: {mean:.1%}; worst: {worst.name}."
    return section("By source", table(SOURCE_HEADINGS, _source_rows(entries)), paragraph(text, "soft"))


def elsewhere_section(
    detector: Detector, evaluation: Evaluation, answers: Mapping[str, pd.DataFrame]
) -> str:
    """Pictures from elsewhere, and sources that were left out of training.

    Args:
        answers: by the name of a foreign folder the table of its predictions, where there is one.
    """
    settings = detector.settings
    parts = []
    for name, entry in evaluation.foreign.items():
        parts += [heading(f"{name}: {entry.count:,} pictures"), paragraph(entry.folder, "soft")]
        parts += [paragraph(line, "warning") for line in tell_one_sided(confusion_of(entry))]
        parts += [paragraph(line) for line in tell_shapes(entry.measures.roc_auc, entry.auc_same_shape)]
        figures = measures_table(entry)
        sources = table(SOURCE_HEADINGS, _source_rows(entry.sources))
        if (predictions := answers.get(name)) is None:
            again = settings.command("evaluate", "--data", entry.folder)
            parts += [
                figures,
                sources,
                paragraph(f"To see its predictions, evaluate again: {again}", "soft"),
            ]
            continue
        # The table of sources is wide: beside it the charts would stand below one another.
        parts += [beside(figures, draw_answers(name, predictions, detector.calibration)), sources]
        paths = [Path(path) for path in predictions["path"]]
        parts.append(show_mistakes(predictions, paths, settings.workers))
    if evaluation.left_out:
        parts.append(heading("Trained without a source, tested on it"))
        parts += [paragraph(tell_left_out(source, left)) for source, left in evaluation.left_out.items()]
    return section("Pictures from other sources", *parts)


def unseen_section(detector: Detector, evaluation: Evaluation) -> str:
    """What a probe made of the sources left out of it: families, real sources, what would help."""
    found, probe = evaluation.unseen_sources, detector.training.probe
    if found is None:
        return ""
    folds = f", {plural(probe.folds, 'fold')}" if probe else ""
    figures = [
        ("ROC AUC", with_interval(found.auc)),
        ("fake recall at 5 % false alarms", with_interval(found.fake_recall_at_5)),
    ]
    if found.auc_same_shape:
        figures.append((SAME_SHAPE, with_interval(found.auc_same_shape)))
    told = [
        paragraph(f"{describe_left_out(found)}{folds}; intervals over sources.", "soft"),
        table(("measure", "value (95 % interval)"), figures),
        *(paragraph(line) for line in tell_what_helps(found)),
    ]
    listed = []
    if found.fakes_by_source:
        rows = [(name, family.n, with_interval(family.auc)) for name, family in found.hardest_families]
        listed.append(table(("family of fakes", "pictures", "ROC AUC (95 % interval)"), rows))
    if found.reals_by_source:
        rows = [
            (name, source.n, with_interval(source.false_alarms_at_5, ".1%"))
            for name, source in found.worst_real_sources
        ]
        listed.append(table(("real source", "pictures", "called fake (5 % overall)"), rows))
    return section("Held-out sources", *told, beside(*listed) if listed else "")


def measures_table(entry: Entry) -> str:
    """The figures of merit, each with its interval."""
    rows = [(said, with_interval(value)) for said, value in named(entry)]
    return table(("measure", "value (95 % interval)"), rows)


def robustness_section(evaluation: Evaluation) -> str:
    """What is left after re-encoding, scaling, blur, noise and cropping."""
    if evaluation.test is None:
        return ""
    found = evaluation.test.robustness
    drawn = [
        draw_chart(kind_name(kind), partial(plot_robustness, kind=kind, found=found))
        for kind in kinds_of(found)
    ]
    points: list[tuple[str, Point]] = [
        ("not degraded", found.clean),
        *((point.says[:1].upper() + point.says[1:], point) for point in found.points),
    ]
    rows = [
        (
            says,
            say_interval(point.roc_auc, point.low, point.high),
            percent(point.accuracy),
            percent(point.recall_fake),
            percent(point.recall_real),
        )
        for says, point in points
    ]
    text = (
        f"{found.count:,} test pictures, both classes degraded alike. Mean ROC AUC "
        f"{found.mean_auc:.3f}, worst {found.worst_auc:.3f} ({found.worst})."
    )
    headings = ("degraded", "ROC AUC (95 % interval)", "accuracy", "fake recall", "real recall")
    return section("Robustness", paragraph(text), beside(table(headings, rows), charts(*drawn)))
