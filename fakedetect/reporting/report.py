"""Option 3.7: report.html, everything about a model on one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular, hash_file, run_lock, write_text
from fakedetect.core.records.evaluation import Entry, Evaluation, TestResults, VerdictRates, read_evaluation
from fakedetect.core.records.repeats import FIGURES, Repeats, read_repeats_with_spread
from fakedetect.core.records.training import (
    Epoch,
    HeldOutScores,
    TrainingRecord,
    ValidationRecord,
    read_held_out_scores,
)
from fakedetect.core.settings.model_folder import (
    EVALUATION,
    REPORT,
    checkpoint_file,
    foreign_predictions_file,
)
from fakedetect.core.settings.model_input import Scaling
from fakedetect.core.settings.recipes import REFERENCE, UNBALANCED
from fakedetect.core.settings.settings import Settings
from fakedetect.core.templates import load_template
from fakedetect.core.terminal.console import Console, Outcome, open_picture, plural
from fakedetect.core.terminal.progress import format_duration
from fakedetect.core.version import describe_citation, describe_version
from fakedetect.dataset.samples import find_originals
from fakedetect.dataset.shortcuts import Audit, describe_audit, read_audit
from fakedetect.metrics.calibration import uses_calibration
from fakedetect.metrics.held_out import (
    describe_cross_validation,
    describe_needed_sources,
    list_held_out_measures,
)
from fakedetect.metrics.intervals import describe_shape_effect
from fakedetect.metrics.measures import list_measures
from fakedetect.metrics.null import describe_null
from fakedetect.models.detector import Detector, load_detector
from fakedetect.reporting.drawings import (
    Chart,
    ShownPredictions,
    draw_heat_maps,
    draw_learning_curves,
    draw_reliability_charts,
    draw_robustness_charts,
    gather_predictions,
)
from fakedetect.reporting.summary import summarise_model
from fakedetect.testing.results import (
    TestedModel,
    build_confusion_matrix,
    describe_left_out_source,
    describe_one_sided,
    find_mean_and_worst,
    read_predictions,
    read_tested_model,
)
from fakedetect.training.log import find_best_epoch, read_epochs

SUMMARY_FILE = "summary.csv"
SUMMARY_COLUMNS = ("part", "label", "source", "count", "width_mean", "height_mean", "formats")
"""Columns of summary.csv that a report shows."""


@dataclass(frozen=True)
class ModelRecords:
    """Everything that is recorded of a model.

    `foreign` has the predictions for foreign folders by the evaluation's names, if they were saved.
    `held_out` is None for models without held-out scores.
    `summary` and `audit` are None if the dataset was not explored, `repeats` if there is a single run.
    """

    detector: Detector
    results: TestResults
    predictions: pd.DataFrame
    evaluation: Evaluation
    foreign: Mapping[str, pd.DataFrame]
    held_out: HeldOutScores | None
    epochs: tuple[Epoch, ...]
    summary: pd.DataFrame | None
    audit: Audit | None
    repeats: Repeats | None


def _read_results(settings: Settings) -> TestedModel:
    """Read the chosen model's test results.

    Raises:
        UserError: the model has not been tested, or the files cannot be used.
    """
    tested = read_tested_model(settings.model_folder, settings.command("test"))
    if tested is None:
        raise UserError(f"{settings.model} has not been tested yet. Test it: {settings.command('test')}")
    return tested


def _read_summary(settings: Settings, folder: Path) -> pd.DataFrame | None:
    """Read the table of folders and sources that `explore` writes; None if there is none.

    Raises:
        UserError: the table is not valid.
    """
    file = folder / SUMMARY_FILE
    try:
        check_regular(file)
        return pd.read_csv(file, keep_default_na=False, usecols=list(SUMMARY_COLUMNS))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        again = settings.command("explore", "--on", folder.name)
        raise UserError(f"{file} cannot be used: {why}. Explore again: {again}") from None


def _read_foreign_predictions(settings: Settings, evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Read the predictions for foreign folders, by name, that belong to this evaluation.

    Raises:
        UserError: a file of predictions is not valid.
    """
    found = {}
    for name, entry in evaluation.foreign.items():
        file = foreign_predictions_file(settings.model_folder, name)
        if entry.predictions and file.is_file() and hash_file(file) == entry.predictions:
            again = settings.command("evaluate", "--data", entry.folder)
            found[name] = read_predictions(file, again)
    return found


def gather_records(settings: Settings, console: Console) -> ModelRecords:
    """Read all records of the chosen model.

    Raises:
        UserError: the model has not been tested, or a file is not valid.
    """
    tested = _read_results(settings)
    folder = settings.model_folder
    detector = load_detector(settings, console)
    if tested.results.checkpoint not in (None, detector.checkpoint_hash):
        raise UserError(
            f"The test results in {folder} belong to another checkpoint. Test again: "
            + settings.command("test")
        )
    again, repeat = settings.command("evaluate"), settings.command("train", "--repeat", "3")
    evaluation = read_evaluation(folder / EVALUATION, detector.checkpoint_hash, again)
    if evaluation is None:
        console.note(f"The report lacks the evaluation of this checkpoint. Evaluate it: {again}")
        evaluation = Evaluation(model=detector.name, checkpoint=detector.checkpoint_hash)
    explored = settings.explore / "original"
    if not explored.is_dir():
        explored = settings.explore / "resized"
    return ModelRecords(
        detector=detector,
        results=tested.results,
        predictions=tested.predictions,
        evaluation=evaluation,
        foreign=_read_foreign_predictions(settings, evaluation),
        held_out=read_held_out_scores(folder, detector.checkpoint_hash, settings.command("train")),
        epochs=tuple(read_epochs(folder, detector.checkpoint_hash)),
        summary=_read_summary(settings, explored),
        audit=read_audit(explored, settings),
        repeats=read_repeats_with_spread(folder, detector.checkpoint_hash, repeat),
    )


def _gather_test_predictions(records: ModelRecords) -> ShownPredictions:
    """Collect the predictions for the test pictures."""
    settings, predictions = records.detector.settings, records.predictions
    originals = find_originals(settings, "test", [Path(path) for path in predictions["path"]])
    return gather_predictions("test dataset", predictions, records.detector, originals)


def _gather_foreign_predictions(records: ModelRecords) -> dict[str, ShownPredictions | None]:
    """Collect the predictions for foreign folders by name; None for those that were not saved."""
    return {
        name: gather_predictions(name, found, records.detector, [Path(path) for path in found["path"]])
        if (found := records.foreign.get(name)) is not None
        else None
        for name in records.evaluation.foreign
    }


@dataclass(frozen=True)
class Verdicts:
    """Error rates at the current thresholds.

    Attributes:
        rates: by the name of a set of pictures, the validation pictures first.
        again: for sets that were evaluated before these thresholds were fitted, the command that
            evaluates them again.
        charts: reliability of p(fake) on the test dataset.
        ece: the expected calibration error on the test dataset; None if it was not measured.
    """

    rates: Mapping[str, VerdictRates | ValidationRecord]
    again: Mapping[str, str]
    charts: Sequence[Chart]
    ece: float | None


def gather_verdicts(detector: Detector, evaluation: Evaluation) -> Verdicts | None:
    """Collect the error rates on each set of pictures; None if this checkpoint has no thresholds."""
    fitted, test, command = detector.training.calibration, evaluation.test, detector.settings.command
    if fitted is None or not detector.calibration.fitted:
        return None
    entries: dict[str, tuple[Entry, str]] = {"test": (test, command("evaluate"))} if test else {}
    for name, entry in evaluation.foreign.items():
        entries[name] = (entry, command("evaluate", "--data", entry.folder))
    current: dict[str, VerdictRates | ValidationRecord] = {
        name: entry.verdicts
        for name, (entry, _) in entries.items()
        if entry.verdicts and uses_calibration(entry.verdicts, detector.calibration)
    }
    held_out = fitted.held_out_real_sources or fitted.held_out_families
    validated = {"held-out sources" if held_out else "validation": fitted.validation}
    measured = "test" in current
    return Verdicts(
        rates={name: rates for name, rates in (validated | current).items() if rates},
        again={
            "the test dataset" if name == "test" else name: again
            for name, (_, again) in entries.items()
            if name not in current
        },
        charts=draw_reliability_charts(test, measured) if test else (),
        ece=test.verdicts.ece_calibrated if test and test.verdicts and measured else None,
    )


def _format_option(flag: str, value: float | None) -> list[str]:
    """Format an option as words of a command; none if it has no value. A flag's value is True."""
    if not value:
        return []
    return [flag] if value is True else [flag, f"{value:g}"]


def _train_command(training: TrainingRecord, repeats: Repeats | None) -> list[str]:
    recipe = training.recipe.method if training.recipe else REFERENCE
    of_recipe = [] if recipe == REFERENCE else ["--recipe", recipe]
    return ["train", *of_recipe, *_format_option("--repeat", len(repeats) if repeats else None)]


def list_repeat_commands(detector: Detector, evaluation: Evaluation, repeats: Repeats | None) -> list[str]:
    """List the commands that reproduce this report; without training for a checkpoint from elsewhere."""
    training, kind = detector.training, detector.kind
    commands = [
        ["scan"],
        ["resize", *_format_option("--align", kind.aligned), *_format_option("--fast", kind.fast)],
        *([_train_command(training, repeats)] if training.has_recipe else []),
        ["test"],
    ]
    if (fitted := training.calibration) and detector.calibration.fitted:
        alarms, missed = fitted.max_false_alarms, fitted.max_missed
        bounds = [*_format_option("--max-false-alarms", alarms), *_format_option("--max-missed", missed)]
        commands.append(["fit-thresholds", *bounds])
    if evaluation.test:
        commands.append(["evaluate"])
    commands += [["evaluate", "--data", entry.folder] for entry in evaluation.foreign.values()]
    commands += [["train", "--leave-out", source] for source in evaluation.left_out]
    return [detector.settings.lasting_command(*words) for words in [*commands, ["report"]]]


TEMPLATE_NAMES = {
    "FIGURES": FIGURES,
    "Scaling": Scaling,
    "UNBALANCED": UNBALANCED,
    "find_best_epoch": find_best_epoch,
    "build_confusion_matrix": build_confusion_matrix,
    "describe_audit": describe_audit,
    "describe_cross_validation": describe_cross_validation,
    "format_duration": format_duration,
    "find_mean_and_worst": find_mean_and_worst,
    "list_measures": list_measures,
    "plural": plural,
    "describe_left_out_source": describe_left_out_source,
    "describe_one_sided": describe_one_sided,
    "describe_null": describe_null,
    "describe_shape_effect": describe_shape_effect,
    "describe_needed_sources": describe_needed_sources,
    "list_held_out_measures": list_held_out_measures,
}
"""Names that the template uses. Screens use the same functions, so their words are the same."""


def render_report(records: ModelRecords, today: str) -> str:
    """Render the report as HTML; `today` is its date."""
    detector, evaluation, epochs = records.detector, records.evaluation, records.epochs
    settings, training = detector.settings, detector.training
    layer, heat_maps = draw_heat_maps(detector, records.predictions)
    return load_template("report.html").render(
        TEMPLATE_NAMES,
        title=f"{settings.model} - fakedetect",
        today=today,
        version=describe_version(),
        citation=describe_citation((training.versions or {}).get("fakedetect", describe_version())),
        settings=settings,
        records=records,
        summary=summarise_model(
            settings, records.results, records.predictions, evaluation, training.has_recipe
        ),
        predictions=_gather_test_predictions(records),
        foreign=_gather_foreign_predictions(records),
        verdicts=gather_verdicts(detector, evaluation),
        robustness=draw_robustness_charts(evaluation.test.robustness) if evaluation.test else (),
        heat_maps=heat_maps,
        layer=layer,
        seeds=[f"seed {run.seed}" for run in records.repeats.runs] if records.repeats else [],
        curves=draw_learning_curves(epochs) if epochs else (),
        checkpoint=checkpoint_file(settings),
        commands=list_repeat_commands(detector, evaluation, records.repeats),
    )


def report(settings: Settings, console: Console) -> Outcome:
    """Write the chosen model's report.html into its folder, a single self-contained file."""
    # Before the lock, which would create a folder for a model without results.
    _read_results(settings)
    file = settings.model_folder / REPORT
    with run_lock(settings.model_folder):
        records = gather_records(settings, console)
        console.note("Drawing the heat maps …")
        write_text(file, render_report(records, datetime.now(UTC).date().isoformat()))
    opened = console.interactive and open_picture(file)
    return Outcome(f"Report: {file}{'' if opened else ' (open it with a browser)'}")
