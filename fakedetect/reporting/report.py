"""Option 3.7: all that is known of a model, on one page: report.html."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular, hash_file, run_lock, write_text
from fakedetect.core.records.evaluation import Entry, Evaluation, VerdictRates, read_evaluation
from fakedetect.core.records.repeats import FIGURES, Repeats, read_several
from fakedetect.core.records.test import TestResults
from fakedetect.core.records.training import Epoch, TrainingRecord, ValidationRecord
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
from fakedetect.core.terminal.progress import duration
from fakedetect.core.version import describe_citation, describe_version
from fakedetect.dataset.samples import find_originals
from fakedetect.dataset.shortcuts import Audit, describe_audit, read_audit
from fakedetect.metrics.calibration import uses_calibration
from fakedetect.metrics.held_out import describe_cross_validation, describe_needed_sources
from fakedetect.metrics.intervals import SAME_SHAPE, describe_shape_effect
from fakedetect.metrics.measures import list_measures
from fakedetect.models.detector import Detector, load_detector
from fakedetect.reporting.drawings import (
    Answers,
    Chart,
    draw_curves,
    draw_heat_maps,
    draw_reliability,
    draw_robustness,
    gather_answers,
)
from fakedetect.reporting.summary import summarise
from fakedetect.testing.results import (
    Tested,
    confusion_of,
    mean_and_worst,
    read_predictions,
    read_tested,
    tell_left_out,
    tell_one_sided,
)
from fakedetect.training.log import best_of, read_epochs

SUMMARY_FILE = "summary.csv"
SUMMARY = ("part", "label", "source", "count", "width_mean", "height_mean", "formats")
"""The columns of summary.csv that a report shows."""


@dataclass(frozen=True)
class Known:
    """All that is known of a model; summary and audit are None where the data set is unexplored.

    `answers` has the predictions of foreign folders by the evaluation's names, where they are there;
    `repeats` is None where there is one run alone.
    """

    detector: Detector
    results: TestResults
    predictions: pd.DataFrame
    evaluation: Evaluation
    answers: Mapping[str, pd.DataFrame]
    epochs: tuple[Epoch, ...]
    summary: pd.DataFrame | None
    audit: Audit | None
    repeats: Repeats | None


def _read_results(settings: Settings) -> Tested:
    """The chosen model's test.

    Raises:
        UserError: the model has not been tested, or the files cannot be used.
    """
    tested = read_tested(settings.model_folder, settings.command("test"))
    if tested is None:
        raise UserError(f"{settings.model} has not been tested yet. Test it: {settings.command('test')}")
    return tested


def _read_summary(settings: Settings, folder: Path) -> pd.DataFrame | None:
    """The table of folders and sources that explore has written; None where there is none.

    Raises:
        UserError: it cannot be used.
    """
    file = folder / SUMMARY_FILE
    try:
        check_regular(file)
        return pd.read_csv(file, keep_default_na=False, usecols=list(SUMMARY))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        again = settings.command("explore", "--on", folder.name)
        raise UserError(f"{file} cannot be used: {why}. Explore again: {again}") from None


def _read_answers(settings: Settings, evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """The predictions of foreign folders by name, those that belong to this evaluation.

    Raises:
        UserError: one cannot be used.
    """
    found = {}
    for name, entry in evaluation.foreign.items():
        file = foreign_predictions_file(settings.model_folder, name)
        if entry.predictions and file.is_file() and hash_file(file) == entry.predictions:
            again = settings.command("evaluate", "--data", entry.folder)
            found[name] = read_predictions(file, again)
    return found


def gather(settings: Settings, console: Console) -> Known:
    """Read all that is known of the chosen model.

    Raises:
        UserError: it has not been tested, or a file cannot be used.
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
    return Known(
        detector=detector,
        results=tested.results,
        predictions=tested.predictions,
        evaluation=evaluation,
        answers=_read_answers(settings, evaluation),
        epochs=tuple(read_epochs(folder, detector.checkpoint_hash)),
        summary=_read_summary(settings, explored),
        audit=read_audit(explored, settings),
        repeats=read_several(folder, detector.checkpoint_hash, repeat),
    )


def _answers(known: Known) -> Answers:
    """The answers to the test pictures."""
    settings, predictions = known.detector.settings, known.predictions
    originals = find_originals(settings, "test", [Path(path) for path in predictions["path"]])
    return gather_answers("test dataset", predictions, known.detector, originals)


def _answers_elsewhere(known: Known) -> dict[str, Answers | None]:
    """The answers to the pictures of foreign folders; None where they are not there."""
    return {
        name: gather_answers(name, found, known.detector, [Path(path) for path in found["path"]])
        if (found := known.answers.get(name)) is not None
        else None
        for name in known.evaluation.foreign
    }


@dataclass(frozen=True)
class Verdicts:
    """What the present thresholds come to.

    Attributes:
        rates: by the name of a set of pictures, the validation pictures first.
        again: of the sets that were evaluated before these thresholds were fitted, the command that
            evaluates again.
        charts: how reliable p(fake) is on the test dataset.
        ece: the expected calibration error there; None where it was not measured.
    """

    rates: Mapping[str, VerdictRates | ValidationRecord]
    again: Mapping[str, str]
    charts: Sequence[Chart]
    ece: float | None


def gather_verdicts(detector: Detector, evaluation: Evaluation) -> Verdicts | None:
    """What the thresholds come to on each set of pictures; None where this checkpoint has none."""
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
        charts=draw_reliability(test, measured) if test else (),
        ece=test.verdicts.ece_calibrated if test and test.verdicts and measured else None,
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


def commands_again(detector: Detector, evaluation: Evaluation, repeats: Repeats | None) -> list[str]:
    """The commands that give this report again; of a checkpoint from elsewhere, without training it."""
    training, kind = detector.training, detector.kind
    commands = [
        ["scan"],
        ["resize", *_given("--align", kind.aligned), *_given("--fast", kind.fast)],
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
    commands += [["train", "--leave-out", source] for source in evaluation.left_out]
    return [detector.settings.lasting_command(*words) for words in [*commands, ["report"]]]


WORDS = {
    "FIGURES": FIGURES,
    "SAME_SHAPE": SAME_SHAPE,
    "Scaling": Scaling,
    "UNBALANCED": UNBALANCED,
    "best_of": best_of,
    "confusion_of": confusion_of,
    "describe_audit": describe_audit,
    "describe_cross_validation": describe_cross_validation,
    "duration": duration,
    "mean_and_worst": mean_and_worst,
    "list_measures": list_measures,
    "plural": plural,
    "tell_left_out": tell_left_out,
    "tell_one_sided": tell_one_sided,
    "describe_shape_effect": describe_shape_effect,
    "describe_needed_sources": describe_needed_sources,
}
"""What the screen says too, in the same words."""


def build(known: Known, today: str) -> str:
    """The report as HTML; `today` is the date that it bears."""
    detector, evaluation, epochs = known.detector, known.evaluation, known.epochs
    settings, training = detector.settings, detector.training
    layer, heat_maps = draw_heat_maps(detector, known.predictions)
    return load_template("report.html").render(
        WORDS,
        title=f"{settings.model} - fakedetect",
        today=today,
        version=describe_version(),
        citation=describe_citation((training.versions or {}).get("fakedetect", describe_version())),
        settings=settings,
        known=known,
        summary=summarise(settings, known.results, known.predictions, evaluation, training.known),
        answers=_answers(known),
        foreign=_answers_elsewhere(known),
        verdicts=gather_verdicts(detector, evaluation),
        robustness=draw_robustness(evaluation.test.robustness) if evaluation.test else (),
        heat_maps=heat_maps,
        layer=layer,
        seeds=[f"seed {run.seed}" for run in known.repeats.runs] if known.repeats else [],
        curves=draw_curves(epochs) if epochs else (),
        checkpoint=checkpoint_file(settings),
        commands=commands_again(detector, evaluation, known.repeats),
    )


def report(settings: Settings, console: Console) -> Outcome:
    """Write the chosen model's report.html into its folder: one file, to open from the disk."""
    # Before the lock, which would make a folder for a model without results.
    _read_results(settings)
    file = settings.model_folder / REPORT
    with run_lock(settings.model_folder):
        known = gather(settings, console)
        console.note("Drawing the heat maps …")
        write_text(file, build(known, datetime.now(UTC).date().isoformat()))
    opened = console.interactive and open_picture(file)
    return Outcome(f"Report: {file}{'' if opened else ' (open it with a browser)'}")
