"""The sections of a report, each from the files that an option has written."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from fakedetect.audit import Audit, Feature, describe_audit
from fakedetect.console import plural
from fakedetect.epochs import Epoch
from fakedetect.held_out import auc_of, tell_gap, tell_left_out
from fakedetect.measures import NAMES
from fakedetect.recipes import CLASSES
from fakedetect.report_page import charts, heading, paragraph, preformatted, section, table, tiles
from fakedetect.svg_charts import Axis, Line, draw_chart

SHARES = Axis("", 0, 1)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(measure: Mapping[str, float | None], form: str = ".3f") -> str:
    if measure["value"] is None:
        return "-"
    text = format(measure["value"], form)
    if measure["low"] is None or measure["high"] is None:
        return text
    return f"{text} ({format(measure['low'], form)} to {format(measure['high'], form)})"


def summarise(results: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """The figures that matter most, and the warning that goes with them."""
    shown = {"Right": (f"{results['accuracy']:.2%}", f"of {results['count']:,} test pictures")}
    if results.get("roc_auc") is not None:
        shown["ROC AUC"] = (f"{results['roc_auc']:.3f}", "own test dataset; 0.5 is chance")
    matrix = results["confusion_matrix"]
    shown["Fakes taken for real"] = (f"{matrix[0][1]:,}", f"of {sum(matrix[0]):,}, the worse mistake")
    shown["Reals taken for fake"] = (f"{matrix[1][0]:,}", f"of {sum(matrix[1]):,}")
    own = auc_of(evaluation.get("test"))
    gaps = []
    for name, entry in evaluation.get("foreign", {}).items():
        if (other := auc_of(entry)) is not None:
            shown[f"ROC AUC on {name}"] = (f"{other:.3f}", "pictures from elsewhere")
        gaps += tell_gap(own, other, name)
    text = " ".join(gaps)
    if not gaps:
        text = (
            "All of this was measured on pictures like the training ones. What it says of pictures from "
            "elsewhere is not known: python menu.py evaluate --data FOLDER measures it."
        )
    fine = bool(gaps) and "Warning" not in text
    return tiles(shown) + paragraph(text.replace("Warning: ", ""), "" if fine else "warning")


def data_section(
    facts: Mapping[str, Any], summary: pd.DataFrame | None, audit: Mapping[str, Any] | None
) -> str:
    """The data set: how many pictures, from where, and whether the classes give themselves away."""
    data, split = facts.get("data", {}), facts.get("split", {})
    parts = []
    if data:
        parts.append(
            paragraph(
                f"{data['count']:,} training pictures ({data['fake']:,} fake, {data['real']:,} real), "
                f"{split.get('validation', 0):,} of them for validation; "
                f"{data.get('left_out', 0):,} bad ones left out. Folder: {data['folder']}"
            )
        )
    if summary is not None:
        names = ["part", "label", "source", "count", "width_mean", "height_mean", "formats"]
        rows = [
            [f"{v:.0f}" if isinstance(v, float) else v for v in row]
            for row in summary[names].fillna("").itertuples(index=False)
        ]
        headings = ["folder", "class", "source", "pictures", "mean width", "mean height", "formats"]
        parts.append(table(headings, rows))
    if audit:
        known = {field.name for field in fields(Audit)}
        values = {key: value for key, value in audit.items() if key in known}
        features = tuple(Feature(**feature) for feature in values.pop("features"))
        text, warning = describe_audit(Audit(**values, features=features), audit["on"])
        title, *lines = text.splitlines()
        parts.append(paragraph(title, "warning" if warning else ""))
        parts.append(preformatted("\n".join(line.strip() for line in lines)) if lines else "")
    else:
        parts.append(paragraph("Not audited for shortcuts yet: python menu.py explore", "soft"))
    return section("Data set", *parts)


def training_section(facts: Mapping[str, Any], epochs: Sequence[Epoch]) -> str:
    """The recipe and the learning curves."""
    recipe = facts.get("recipe", {})
    rows = [
        (name.replace("_", " "), str(value))
        for name, value in {
            "architecture": f"{recipe.get('architecture', '?')} ({recipe.get('library', '?')})",
            "recipe": recipe.get("recipe", "reference"),
            "parameters": f"{facts['parameters']:,}" if "parameters" in facts else None,
            "pretrained": facts.get("pretrained"),
            "optimizer": recipe.get("optimizer"),
            "learning_rate": recipe.get("learning_rate"),
            "weight_decay": recipe.get("weight_decay"),
            "batch_size": recipe.get("batch_size"),
            "seed": facts.get("seed"),
            "precision": facts.get("precision"),
            "device": facts.get("device"),
            "finished": facts.get("finished"),
        }.items()
        if value is not None
    ]
    parts = [table(("recipe", "value"), rows) if recipe else ""]
    if epochs:
        numbers = [float(epoch.epoch) for epoch in epochs]
        x = Axis("Epoch", 1, max(2.0, numbers[-1]))
        if len(numbers) <= 12:
            numbers = [float(place) for place in range(len(numbers))]
            x = Axis("Epoch", 0, max(1, len(numbers) - 1), [str(epoch.epoch) for epoch in epochs])
        losses = [[epoch.train_loss for epoch in epochs], [epoch.val_loss for epoch in epochs]]
        y = Axis("Loss", 0, max(map(max, losses)) * 1.05)
        lines = [
            Line(name, list(zip(numbers, values, strict=True)), colour)
            for name, values, colour in zip(("training", "validation"), losses, (0, 1), strict=True)
        ]
        accuracy = list(zip(numbers, (epoch.val_accuracy for epoch in epochs), strict=True))
        parts.append(
            charts(
                draw_chart("Training vs. Validation Loss", lines, x, y),
                draw_chart("Validation accuracy", [Line("validation", accuracy, 1)], x, SHARES),
            )
        )
        best = min(epochs, key=lambda epoch: epoch.val_loss)
        parts.append(
            paragraph(
                f"{plural(len(epochs), 'epoch')}, {sum(epoch.seconds for epoch in epochs):,.0f} s; the "
                f"best one is {best.epoch}, with a validation loss of {best.val_loss:.4f}.",
                "soft",
            )
        )
    return section("Recipe and learning curves", *parts)


def results_section(
    results: Mapping[str, Any], predictions: pd.DataFrame, evaluation: Mapping[str, Any]
) -> str:
    """Measures with intervals, confusion matrix, ROC curve."""
    parts = []
    test = evaluation.get("test")
    if test:
        rows = [(said, _interval(test["measures"][name])) for name, said in NAMES.items()]
        parts.append(table(("measure", "value (95 % interval)"), rows))
    else:
        parts.append(paragraph("Not evaluated with intervals yet: python menu.py evaluate", "soft"))
    matrix = results["confusion_matrix"]
    rows = [
        (
            f"is {name}",
            *row,
            *(f"{results['classes'][name][key]:.3f}" for key in ("precision", "recall", "f1")),
        )
        for name, row in zip(CLASSES, matrix, strict=True)
    ]
    headings = ["", *(f"taken for {name}" for name in CLASSES), "precision", "recall", "F1"]
    parts += [heading("Confusion matrix"), table(headings, rows)]
    fake = predictions["label"] == "fake"
    if 0 < fake.sum() < len(fake):
        false_rate, true_rate, _ = roc_curve(fake, predictions["p_fake"])
        # A curve of thousands of steps looks the same with a few hundred.
        kept = np.unique(np.linspace(0, len(false_rate) - 1, 300).astype(int))
        curve = list(zip(false_rate[kept].tolist(), true_rate[kept].tolist(), strict=True))
        lines = [
            Line(f"test (AUC {results['roc_auc']:.3f})", curve, 0, marks=False),
            Line("chance", [(0, 0), (1, 1)], 3, marks=False, dashed=True),
        ]
        chart = draw_chart(
            "ROC curve: fakes found, by false alarms", lines, Axis("Reals called fake", 0, 1), SHARES
        )
        parts.append(charts(chart))
    return section("Results on the test dataset", *parts)


def verdicts_section(facts: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Calibration and thresholds, what they promised and what they gave."""
    fitted = facts.get("calibration")
    if not fitted:
        advice = "No thresholds are fitted, so every picture is called fake or real: "
        return section("Fake, real or unsure", paragraph(advice + "python menu.py fit-thresholds", "soft"))
    text = (
        f"Calibrated with the temperature {fitted['temperature']:.3f}; a picture is called fake from "
        f"{fitted['fake_from']:.1%} on, real below {fitted['real_below']:.1%}, and unsure between them."
    )
    validation = fitted["validation"]
    test = (evaluation.get("test") or {}).get("verdicts") or {}
    foreign = {name: entry.get("verdicts") or {} for name, entry in evaluation.get("foreign", {}).items()}
    columns = {"validation": validation, "test": test, **foreign}
    rows = [
        (said, _percent(promise), *(_percent(values.get(key)) for values in columns.values()))
        for said, key, promise in (
            ("real called fake", "real_called_fake", fitted["max_false_alarms"]),
            ("fake called real", "fake_called_real", fitted["max_missed"]),
            ("unsure", "unsure", None),
            ("right of all, at one half", "accuracy", None),
            ("right where not unsure", "accuracy_of_sure", None),
        )
    ]
    parts = [paragraph(text), table(("share", "promised at most", *columns), rows)]
    curves = (evaluation.get("test") or {}).get("reliability") or {}
    drawn = []
    for name, bins in curves.items():
        total = sum(count for _, _, count in bins)
        lines = [
            Line("perfect", [(0, 0), (1, 1)], 3, marks=False, dashed=True),
            Line(
                "pictures (area: how many)",
                [(said, found) for said, found, _ in bins],
                0,
                sizes=[count / total for _, _, count in bins],
            ),
        ]
        x, y = Axis("p(fake) that is said", 0, 1), Axis("", 0, 1)
        drawn.append(draw_chart(f"Share that is fake: {name}", lines, x, y))
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
            _interval(entry["right"], ".1%"),
            _interval(entry["roc_auc"]),
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
        rows = [(said, _interval(entry["measures"][key])) for key, said in NAMES.items()]
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
    drawn = []
    for kind in dict.fromkeys(point["kind"] for point in found["points"]):
        of_kind = [found["clean"], *(point for point in found["points"] if point["kind"] == kind)]
        names = ["none", *(f"{p['strength']:g}" for p in of_kind[1:])]
        places = range(len(of_kind))
        lines = [
            Line(
                "ROC AUC (95 %)",
                [(n, point["roc_auc"]) for n, point in enumerate(of_kind)],
                0,
                band=[(n, point["low"], point["high"]) for n, point in enumerate(of_kind)],
            ),
            Line("right", [(n, point["accuracy"]) for n, point in enumerate(of_kind)], 1),
        ]
        low = min(0.4, *(point["low"] for point in of_kind))
        x = Axis("strength", 0, len(places) - 1, names)
        drawn.append(draw_chart(kind, lines, x, Axis("", round(low, 1), 1)))
    rows = [
        (
            says,
            f"{point['roc_auc']:.3f} ({point['low']:.3f} to {point['high']:.3f})",
            _percent(point["accuracy"]),
            _percent(point["recall_fake"]),
            _percent(point["recall_real"]),
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


def repeat_section(facts: Mapping[str, Any], evaluation: Mapping[str, Any], model: str, paths: str) -> str:
    """Versions, and the commands that give this report again."""
    start = f"python menu.py --paths {shlex.quote(paths)} --model {shlex.quote(model)}"
    kind = facts.get("data", {}).get("kind", {})
    marks = "".join(
        f" {flag}"
        for flag, wanted in (("--align", kind.get("aligned")), ("--fast", kind.get("fast")))
        if wanted
    )
    recipe = facts.get("recipe", {}).get("recipe", "reference")
    lines = [f"{start} scan", f"{start} resize{marks}"]
    lines.append(f"{start} train{'' if recipe == 'reference' else f' --recipe {recipe}'}")
    lines.append(f"{start} test")
    if fitted := facts.get("calibration"):
        lines.append(
            f"{start} fit-thresholds --max-false-alarms {fitted['max_false_alarms']:g} "
            f"--max-missed {fitted['max_missed']:g}"
        )
    if evaluation.get("test"):
        lines.append(f"{start} evaluate")
    lines += [
        f"{start} evaluate --data {shlex.quote(entry['folder'])}"
        for entry in evaluation.get("foreign", {}).values()
    ]
    lines += [f"{start} evaluate --leave-out {shlex.quote(s)}" for s in evaluation.get("left_out", {})]
    lines.append(f"{start} report")
    versions = facts.get("versions", {})
    rows = [(name, f"version {version}") for name, version in versions.items()]
    return section("To repeat it", preformatted("\n".join(lines)), table(("made with", ""), rows))
