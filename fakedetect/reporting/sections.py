"""The sections of a report, each from the files that an option has written."""

import shlex
from collections.abc import Sequence

import pandas as pd
from sklearn.metrics import roc_curve

from fakedetect.core.console import plural
from fakedetect.core.evaluation_record import Evaluation
from fakedetect.core.recipes import CLASSES, REFERENCE
from fakedetect.core.settings import Settings
from fakedetect.core.test_record import TestResults
from fakedetect.core.training_record import Epoch, KindRecord, RecipeRecord, TrainingRecord
from fakedetect.dataset.shortcuts import Audit, describe_audit
from fakedetect.reporting.charts import draw_chart
from fakedetect.reporting.evaluation_sections import measures_table
from fakedetect.reporting.page import (
    charts,
    heading,
    paragraph,
    preformatted,
    section,
    table,
    tiles,
)
from fakedetect.testing.figures import plot_roc
from fakedetect.testing.sources import auc_of, tell_gap
from fakedetect.training.log import plot_accuracy, plot_losses

SUMMARY_FILE = "summary.csv"
SUMMARY = ("part", "label", "source", "count", "width_mean", "height_mean", "formats")
"""The columns of summary.csv that a report shows."""


def summarise(settings: Settings, results: TestResults, evaluation: Evaluation) -> str:
    """The figures that matter most, and the warning that goes with them."""
    shown = {"Accuracy": (f"{results.accuracy:.2%}", f"of {results.count:,} test pictures")}
    if results.roc_auc is not None:
        shown["ROC AUC"] = (f"{results.roc_auc:.3f}", "on the test set; 0.5 is chance")
    matrix = results.confusion_matrix
    shown["Fakes taken for real"] = (f"{matrix[0][1]:,}", f"of {sum(matrix[0]):,}, the worse mistake")
    shown["Reals taken for fake"] = (f"{matrix[1][0]:,}", f"of {sum(matrix[1]):,}")
    own = auc_of(evaluation.test)
    gaps = []
    for name, entry in evaluation.foreign.items():
        if (other := auc_of(entry)) is not None:
            shown[f"ROC AUC on {name}"] = (f"{other:.3f}", "pictures from elsewhere")
        gaps += tell_gap(own, other, f"on {name}")
    text = " ".join(gaps)
    if not gaps:
        text = (
            "All of this was measured on pictures like the training ones. Whether the model generalises is "
            f"not known: {settings.command('evaluate', '--data', 'FOLDER')} measures it."
        )
    fine = bool(gaps) and "Warning" not in text
    return tiles(shown) + paragraph(text.replace("Warning: the", "The"), "" if fine else "warning")


def _shown(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def data_section(
    settings: Settings, training: TrainingRecord, summary: pd.DataFrame | None, audit: Audit | None
) -> str:
    """The data set: how many pictures, from where, and whether the classes give themselves away."""
    data, split = training.data, training.split
    parts = []
    if data:
        parts.append(
            paragraph(
                f"{_shown(data.count)} training pictures ({_shown(data.fake)} fake, "
                f"{_shown(data.real)} real), {_shown(split.validation if split else None)} of them for "
                f"validation; {data.left_out or 0:,} bad ones skipped. Folder: {data.folder or '?'}"
            )
        )
    if summary is not None:
        rows = [
            [f"{v:.0f}" if isinstance(v, float) else v for v in row]
            for row in summary[list(SUMMARY)].fillna("").itertuples(index=False)
        ]
        headings = ["folder", "class", "source", "pictures", "mean width", "mean height", "formats"]
        parts.append(table(headings, rows))
    if audit:
        text, warning = describe_audit(audit, settings)
        title, *lines = text.splitlines()
        parts.append(paragraph(title, "warning" if warning else ""))
        parts.append(preformatted("\n".join(line.strip() for line in lines)) if lines else "")
    else:
        parts.append(paragraph(f"Not audited for shortcuts yet: {settings.command('explore')}", "soft"))
    return section("Data set", *parts)


def training_section(training: TrainingRecord, epochs: Sequence[Epoch]) -> str:
    """The recipe and the learning curves."""
    recipe = training.recipe or RecipeRecord()
    rows = [
        (name.replace("_", " "), str(value))
        for name, value in {
            "architecture": f"{recipe.architecture or '?'} ({recipe.library or '?'})",
            "recipe": recipe.recipe,
            "parameters": None if training.parameters is None else f"{training.parameters:,}",
            "pretrained": training.pretrained,
            "optimizer": recipe.optimizer,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "batch_size": recipe.batch_size,
            "seed": training.seed,
            "precision": training.precision,
            "device": training.device,
            "finished": training.finished,
        }.items()
        if value is not None
    ]
    parts = [table(("recipe", "value"), rows) if training.recipe else ""]
    if epochs:
        parts.append(
            charts(
                draw_chart("Training vs. Validation Loss", lambda axes: plot_losses(axes, epochs, "")),
                draw_chart("Validation accuracy", lambda axes: plot_accuracy(axes, epochs, "")),
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
    settings: Settings, results: TestResults, predictions: pd.DataFrame, evaluation: Evaluation
) -> str:
    """Measures with intervals, confusion matrix, ROC curve."""
    parts = []
    if evaluation.test:
        parts.append(measures_table(evaluation.test.measures))
    else:
        advice = f"Not evaluated with intervals yet: {settings.command('evaluate')}"
        parts.append(paragraph(advice, "soft"))
    matrix = results.confusion_matrix
    rows = [
        (
            f"is {name}",
            *row,
            f"{of_class.precision:.3f}",
            f"{of_class.recall:.3f}",
            f"{of_class.f1:.3f}",
        )
        for name, row, of_class in zip(CLASSES, matrix, results.classes.both(), strict=True)
    ]
    headings = ["", *(f"taken for {name}" for name in CLASSES), "precision", "recall", "F1"]
    parts += [heading("Confusion matrix"), table(headings, rows)]
    fake = predictions["label"] == "fake"
    if 0 < fake.sum() < len(fake):
        false_rate, true_rate, _ = roc_curve(fake, predictions["p_fake"])
        label = "test" if results.roc_auc is None else f"test (AUC {results.roc_auc:.3f})"
        curves = {label: (false_rate, true_rate)}
        chart = draw_chart("ROC curve", lambda axes: plot_roc(axes, curves, ""))
        parts.append(charts(chart))
    return section("Results on the test dataset", *parts)


def repeat_section(training: TrainingRecord, evaluation: Evaluation, model: str, paths: str) -> str:
    """Versions, and the commands that give this report again."""
    start = f"python menu.py --paths {shlex.quote(paths)} --model {shlex.quote(model)}"
    kind = (training.data and training.data.kind) or KindRecord()
    marks = "".join(
        f" {flag}" for flag, wanted in (("--align", kind.aligned), ("--fast", kind.fast)) if wanted
    )
    recipe = training.recipe.recipe if training.recipe else REFERENCE
    lines = [f"{start} scan", f"{start} resize{marks}"]
    lines.append(f"{start} train{'' if recipe == REFERENCE else f' --recipe {recipe}'}")
    lines.append(f"{start} test")
    if fitted := training.calibration:
        lines.append(
            f"{start} fit-thresholds"
            + (f" --max-false-alarms {fitted.max_false_alarms:g}" if fitted.max_false_alarms else "")
            + (f" --max-missed {fitted.max_missed:g}" if fitted.max_missed else "")
        )
    if evaluation.test:
        lines.append(f"{start} evaluate")
    lines += [
        f"{start} evaluate --data {shlex.quote(entry.folder)}" for entry in evaluation.foreign.values()
    ]
    lines += [f"{start} evaluate --leave-out {shlex.quote(s)}" for s in evaluation.left_out]
    lines.append(f"{start} report")
    versions = training.versions or {}
    rows = [(name, f"version {version}") for name, version in versions.items()]
    return section("To repeat it", preformatted("\n".join(lines)), table(("made with", ""), rows))
