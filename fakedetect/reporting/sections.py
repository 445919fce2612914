"""The sections of a report, each from the files that an option has written."""

from collections.abc import Sequence

import pandas as pd

from fakedetect.core.console import plural
from fakedetect.core.evaluation_record import Evaluation
from fakedetect.core.model_folder import checkpoint_file
from fakedetect.core.model_input import Scaling
from fakedetect.core.page import beside, charts, paragraph, preformatted, section, table
from fakedetect.core.recipes import CLASSES, REFERENCE, UNBALANCED
from fakedetect.core.repeats_record import FIGURES, Repeats
from fakedetect.core.settings import Settings
from fakedetect.core.test_record import TestResults
from fakedetect.core.training_record import Epoch, TrainingRecord
from fakedetect.dataset.shortcuts import Audit, describe_audit
from fakedetect.models.calibration import Calibration
from fakedetect.models.detector import Detector
from fakedetect.models.same_shape import tell_shapes
from fakedetect.reporting.answers import draw_answers
from fakedetect.reporting.charts import draw_chart
from fakedetect.reporting.evaluation_sections import measures_table
from fakedetect.training.log import best_of, plot_accuracy, plot_losses

SUMMARY_FILE = "summary.csv"
SUMMARY = ("part", "label", "source", "count", "width_mean", "height_mean", "formats")
"""The columns of summary.csv that a report shows."""


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
    elif not training.known:
        text = "The pictures of this project. Whether the model was trained on them is unknown."
        parts.append(paragraph(text, "soft"))
    listed, audited = "", []
    if summary is not None:
        rows = [
            [f"{v:.0f}" if isinstance(v, float) else v for v in row]
            for row in summary[list(SUMMARY)].fillna("").itertuples(index=False)
        ]
        headings = ["folder", "class", "source", "pictures", "mean width", "mean height", "formats"]
        listed = table(headings, rows)
    if audit:
        text, warning = describe_audit(audit, settings)
        title, *lines = text.splitlines()
        audited.append(paragraph(title, "warning" if warning else ""))
        audited.append(preformatted("\n".join(line.strip() for line in lines)) if lines else "")
    else:
        audited.append(paragraph(f"Not audited for shortcuts yet: {settings.command('explore')}", "soft"))
    return section("Data set", *parts, beside(listed, "".join(audited)))


def _duration(seconds: float) -> str:
    """'1 h 05 min', '3 min 20 s' or '12 s'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _tell_balance(training: TrainingRecord) -> str | None:
    """What was shown equally often, where anything was."""
    balance = training.run.balance if training.run else UNBALANCED
    return (
        None
        if balance == UNBALANCED
        else f"{balance} shown equally often and weighted equally in validation"
    )


def _tell_scaling(training: TrainingRecord) -> str | None:
    """How the pictures were scaled; None where the record does not say."""
    said = training.input
    return str(Scaling(said.size, said.interpolation)) if said.size and said.interpolation else None


def training_section(training: TrainingRecord, epochs: Sequence[Epoch]) -> str:
    """The recipe and the learning curves; of a checkpoint from elsewhere, that they are not known."""
    title = "Recipe and learning curves"
    recipe = training.recipe
    if recipe is None:
        text = "How this checkpoint was trained is unknown: it has no training.json."
        return section(title, paragraph(text))
    rows = [
        (name.replace("_", " "), str(value))
        for name, value in {
            "architecture": f"{recipe.architecture} ({recipe.library})",
            "pictures": _tell_scaling(training),
            "recipe": recipe.method,
            "balance": _tell_balance(training),
            "parameters": None if training.parameters is None else f"{training.parameters:,}",
            "pretrained": training.pretrained,
            "optimizer": recipe.optimizer,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "batch_size": recipe.batch_size,
            "seed": training.seed,
            "precision": training.precision,
            "device": training.device,
            "training_time": _duration(sum(epoch.seconds for epoch in epochs)) if epochs else None,
            "finished": training.finished,
        }.items()
        if value is not None
    ]
    if not epochs:
        return section(title, table(("recipe", "value"), rows))
    drawn = charts(
        draw_chart("Training vs. Validation Loss", lambda axes: plot_losses(axes, epochs, "")),
        draw_chart("Validation accuracy", lambda axes: plot_accuracy(axes, epochs, "")),
    )
    best = best_of(epochs)
    text = f"{plural(len(epochs), 'epoch')}; the best one is {best.epoch}, with a validation loss of "
    text += f"{best.val_loss:.4f}."
    return section(title, beside(table(("recipe", "value"), rows), drawn + paragraph(text, "soft")))


def results_section(
    settings: Settings,
    results: TestResults,
    predictions: pd.DataFrame,
    evaluation: Evaluation,
    calibration: Calibration,
) -> str:
    """Measures with intervals, confusion matrix, ROC curve, p(fake) by class."""
    told = []
    again = settings.command("evaluate")
    if evaluation.test is None:
        told.append(paragraph(f"Not evaluated with intervals yet: {again}", "soft"))
    elif (evaluation.test.fake, evaluation.test.real) != tuple(map(sum, results.confusion_matrix)):
        text = f"The test dataset has changed since it was evaluated. Evaluate again: {again}"
        told.append(paragraph(text, "warning"))
    else:
        tested = evaluation.test
        told += map(paragraph, tell_shapes(tested.measures.roc_auc, tested.auc_same_shape))
        told.append(measures_table(tested))
    rows = [
        (name, f"{found.precision:.3f}", f"{found.recall:.3f}", f"{found.f1:.3f}", found.support)
        for name, found in zip(CLASSES, results.classes.both(), strict=True)
    ]
    told.append(table(("class", "precision", "recall", "F1", "pictures"), rows))
    drawn = draw_answers("test dataset", predictions, calibration)
    return section("Results on the test dataset", beside("".join(told), drawn))


def seeds_section(settings: Settings, repeats: Repeats | None) -> str:
    """The figures of several runs, with mean and spread; that there is one run alone."""
    title = "Runs with several seeds"
    if repeats is None:
        command = settings.command("train", "--repeat", "3")
        text = f"It was trained once. To measure the variation between runs: {command}"
        return section(title, paragraph(text, "soft"))
    rows = [
        (
            words,
            found.say(form),
            found.say_range(form),
            *(
                "-" if (value := getattr(run.figures, name)) is None else f"{value:{form}}"
                for run in repeats.runs
            ),
        )
        for name, (words, form) in FIGURES.items()
        if (found := repeats.spread.get(name))
    ]
    seeds = [f"seed {run.seed}" for run in repeats.runs]
    text = "Only the seed differed. The deviation is that of single runs from their mean."
    return section(
        title,
        table(("figure", "mean ± standard deviation", "lowest to highest", *seeds), rows),
        paragraph(text, "soft"),
    )


def _given(flag: str, value: float | None) -> list[str]:
    """An option as words of a command; none where it was not given. Of a flag alone the value is a bool."""
    if not value:
        return []
    return [flag] if value is True else [flag, f"{value:g}"]


def _train_again(training: TrainingRecord, repeats: Repeats | None) -> list[str]:
    recipe = training.recipe.method if training.recipe else REFERENCE
    of_recipe = [] if recipe == REFERENCE else ["--recipe", recipe]
    return ["train", *of_recipe, *_given("--repeat", len(repeats) if repeats else None)]


def repeat_section(detector: Detector, evaluation: Evaluation, repeats: Repeats | None) -> str:
    """Versions, and the commands that give this report again; of a checkpoint from elsewhere, without
    training it."""
    settings, training = detector.settings, detector.training
    parts = []
    if not training.known:
        where = checkpoint_file(settings)
        parts.append(paragraph(f"These commands do not make the checkpoint again; keep it: {where}"))
    commands = [
        ["scan"],
        ["resize", *_given("--align", detector.kind.aligned), *_given("--fast", detector.kind.fast)],
        *([_train_again(training, repeats)] if training.known else []),
        ["test"],
    ]
    if (fitted := training.calibration) and detector.calibration.fitted:
        alarms, missed = fitted.max_false_alarms, fitted.max_missed
        bounds = [*_given("--max-false-alarms", alarms), *_given("--max-missed", missed)]
        commands.append(["fit-thresholds", *bounds])
    if evaluation.test:
        commands.append(["evaluate"])
    commands += [["evaluate", "--data", entry.folder] for entry in evaluation.foreign.values()]
    commands += [["evaluate", "--leave-out", source] for source in evaluation.left_out]
    lines = [settings.call.lasting_command(*words) for words in [*commands, ["report"]]]
    versions = training.versions or {}
    rows = [(name, f"version {version}") for name, version in versions.items()]
    return section(
        "To repeat it", *parts, preformatted("\n".join(lines)), table(("trained with", ""), rows)
    )
