"""The sections of a report on what evaluate and fit-thresholds have found."""

from collections.abc import Sequence
from functools import partial

import msgspec

from fakedetect.core.evaluation_record import Entry, Evaluation, Measures, Point, SourceEntry
from fakedetect.core.settings import Settings
from fakedetect.core.training_record import TrainingRecord
from fakedetect.reporting.charts import draw_chart
from fakedetect.reporting.page import charts, heading, paragraph, percent, section, table, with_interval
from fakedetect.testing.figures import kind_name, kinds_of, plot_reliability, plot_robustness
from fakedetect.testing.measures import named
from fakedetect.testing.sources import mean_and_worst, tell_left_out


def verdicts_section(settings: Settings, training: TrainingRecord, evaluation: Evaluation) -> str:
    """Calibration and thresholds, what they promised and what they gave."""
    fitted = training.calibration
    if not fitted:
        advice = "No thresholds are fitted, so every picture is called fake or real: " + settings.command(
            "fit-thresholds"
        )
        return section("Fake, real or unsure", paragraph(advice, "soft"))
    text = (
        f"Calibrated with the temperature {fitted.temperature:.3f}; a picture is called fake from "
        f"{fitted.fake_from:.1%} on, real below {fitted.real_below:.1%}, and unsure between them."
    )
    validation = msgspec.to_builtins(fitted.validation) if fitted.validation else {}
    test = evaluation.test
    foreign = {name: _rates(entry) for name, entry in evaluation.foreign.items()}
    columns = {"validation": validation, "test": _rates(test), **foreign}
    rows = [
        (said, percent(promise), *(percent(values.get(key)) for values in columns.values()))
        for said, key, promise in (
            ("real called fake", "real_called_fake", fitted.max_false_alarms),
            ("fake called real", "fake_called_real", fitted.max_missed),
            ("unsure", "unsure", None),
            ("accuracy of all, threshold 0.5", "accuracy", None),
            ("accuracy where not unsure", "accuracy_of_sure", None),
        )
    ]
    parts = [paragraph(text), table(("share", "promised at most", *columns), rows)]
    if test:
        drawn = [
            draw_chart(f"Reliability: {name}", partial(plot_reliability, bins=bins, title=""))
            for name, bins in test.reliability.items()
        ]
        parts += [heading("Reliability"), charts(*drawn)]
        ece = with_interval(test.measures.ece)
        text = f"Expected calibration error on the test dataset: {ece} as the model says"
        after = f", {test.verdicts.ece_calibrated:.3f} calibrated." if test.verdicts else "."
        parts.append(paragraph(text + after, "soft"))
    return section("Fake, real or unsure", *parts)


def _rates(entry: Entry | None) -> dict[str, float]:
    """What the verdicts come to on a set of pictures, by name; nothing where that is not known."""
    return msgspec.structs.asdict(entry.verdicts) if entry and entry.verdicts else {}


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


def elsewhere_section(evaluation: Evaluation) -> str:
    """Pictures from elsewhere, and sources that were left out of training."""
    parts = []
    for name, entry in evaluation.foreign.items():
        parts += [heading(f"{name}: {entry.count:,} pictures"), paragraph(entry.folder, "soft")]
        parts.append(measures_table(entry.measures))
        parts.append(table(SOURCE_HEADINGS, _source_rows(entry.sources)))
    if evaluation.left_out:
        parts.append(heading("Trained without a source, tested on it"))
        parts += [paragraph(tell_left_out(source, left)) for source, left in evaluation.left_out.items()]
    return section("Pictures from elsewhere", *parts)


def measures_table(measures: Measures) -> str:
    """The figures of merit, each with its interval."""
    rows = [(said, with_interval(value)) for said, value in named(measures)]
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
        ("as they are", found.clean),
        *((point.says[:1].upper() + point.says[1:], point) for point in found.points),
    ]
    rows = [
        (
            says,
            f"{point.roc_auc:.3f} ({point.low:.3f} to {point.high:.3f})",
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
    return section("Robustness", paragraph(text), charts(*drawn), table(headings, rows))
