"""The sections of a report on what evaluate and fit-thresholds have found."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from fakedetect.core.settings import Settings
from fakedetect.core.training_record import TrainingRecord
from fakedetect.reporting.charts import draw_chart
from fakedetect.reporting.page import charts, heading, paragraph, percent, section, table, with_interval
from fakedetect.testing.figures import plot_reliability, plot_robustness
from fakedetect.testing.measures import NAMES
from fakedetect.testing.sources import tell_left_out


def verdicts_section(settings: Settings, facts: TrainingRecord, evaluation: Mapping[str, Any]) -> str:
    """Calibration and thresholds, what they promised and what they gave."""
    fitted = facts.calibration
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
    test = (evaluation.get("test") or {}).get("verdicts") or {}
    foreign = {name: entry.get("verdicts") or {} for name, entry in evaluation.get("foreign", {}).items()}
    columns = {"validation": validation, "test": test, **foreign}
    rows = [
        (said, percent(promise), *(percent(values.get(key)) for values in columns.values()))
        for said, key, promise in (
            ("real called fake", "real_called_fake", fitted.max_false_alarms),
            ("fake called real", "fake_called_real", fitted.max_missed),
            ("unsure", "unsure", None),
            ("right of all, at one half", "accuracy", None),
            ("right where not unsure", "accuracy_of_sure", None),
        )
    ]
    parts = [paragraph(text), table(("share", "promised at most", *columns), rows)]
    curves = (evaluation.get("test") or {}).get("reliability") or {}
    drawn = [
        draw_chart(f"Reliability: {name}", partial(plot_reliability, bins=bins, title=""))
        for name, bins in curves.items()
    ]
    if drawn:
        ece = evaluation["test"]["measures"]["ece"]["value"]
        after = test.get("ece_calibrated")
        parts += [heading("Reliability"), charts(*drawn)]
        parts.append(
            paragraph(
                f"Expected calibration error on the test dataset: {ece:.3f} as the model says"
                + (f", {after:.3f} calibrated." if after is not None else "."),
                "soft",
            )
        )
    return section("Fake, real or unsure", *parts)


def _source_rows(entries: Sequence[Mapping[str, Any]]) -> list[tuple]:
    return [
        (
            entry["source"] or "(no source)",
            entry["class"],
            entry["count"],
            with_interval(entry["right"], ".1%"),
            with_interval(entry["roc_auc"]),
        )
        for entry in entries
    ]


SOURCE_HEADINGS = (
    "source",
    "class",
    "pictures",
    "right (95 % interval)",
    "ROC AUC against the other class",
)


def sources_section(evaluation: Mapping[str, Any]) -> str:
    """Every source of the test pictures, the mean and the worst."""
    entries = (evaluation.get("test") or {}).get("sources") or []
    if not entries:
        return ""
    worst = min(entries, key=lambda entry: entry["right"]["value"])
    mean = float(np.mean([entry["right"]["value"] for entry in entries]))
    text = f"Mean of the sources: {mean:.1%} right; worst: {worst['source'] or worst['class']}."
    return section("By source", table(SOURCE_HEADINGS, _source_rows(entries)), paragraph(text, "soft"))


def elsewhere_section(evaluation: Mapping[str, Any]) -> str:
    """Pictures from elsewhere, and sources that were left out of training."""
    parts = []
    for name, entry in evaluation.get("foreign", {}).items():
        parts += [heading(f"{name}: {entry['count']:,} pictures"), paragraph(entry["folder"], "soft")]
        rows = [(said, with_interval(entry["measures"][key])) for key, said in NAMES.items()]
        parts.append(table(("measure", "value (95 % interval)"), rows))
        parts.append(table(SOURCE_HEADINGS, _source_rows(entry["sources"])))
    left_out = evaluation.get("left_out", {})
    if left_out:
        parts.append(heading("Trained without a source, tested on it"))
        parts += [paragraph(tell_left_out(source, entry)) for source, entry in left_out.items()]
    return section("Pictures from elsewhere", *parts)


def robustness_section(evaluation: Mapping[str, Any]) -> str:
    """What is left after re-encoding, scaling, blur, noise and cropping."""
    found = (evaluation.get("test") or {}).get("robustness")
    if not found:
        return ""
    drawn = [
        draw_chart(kind, partial(plot_robustness, kind=kind, points=found["points"], clean=found["clean"]))
        for kind in dict.fromkeys(point["kind"] for point in found["points"])
    ]
    rows = [
        (
            says,
            f"{point['roc_auc']:.3f} ({point['low']:.3f} to {point['high']:.3f})",
            percent(point["accuracy"]),
            percent(point["recall_fake"]),
            percent(point["recall_real"]),
        )
        for says, point in (
            ("as they are", found["clean"]),
            *((p["says"][:1].upper() + p["says"][1:], p) for p in found["points"]),
        )
    ]
    text = (
        f"{found['count']:,} test pictures, both classes degraded alike. Mean ROC AUC "
        f"{found['mean_auc']:.3f}, worst {found['worst_auc']:.3f} ({found['worst']})."
    )
    headings = ("degraded", "ROC AUC (95 % interval)", "right", "fakes found", "reals found")
    return section("Robustness", paragraph(text), charts(*drawn), table(headings, rows))
