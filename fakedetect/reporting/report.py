"""Option 3.7: all that is known of a model, on one page: report.html."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular, hash_file, run_lock, write_text
from fakedetect.core.records.evaluation import Evaluation, read_evaluation
from fakedetect.core.records.repeats import FIGURES, Repeats, read_several
from fakedetect.core.records.test import TestResults
from fakedetect.core.records.training import Epoch
from fakedetect.core.settings.model_folder import (
    EVALUATION,
    REPORT,
    checkpoint_file,
    foreign_predictions_file,
)
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.templates import load_template
from fakedetect.core.terminal.console import Console, Outcome, open_picture, plural, printable
from fakedetect.core.version import describe_version
from fakedetect.dataset.originals import find_originals
from fakedetect.dataset.shortcuts import Audit, describe_audit, read_audit
from fakedetect.explaining.figures import layer_name, read_in_shape, to_input
from fakedetect.explaining.heatmaps import find_layer, grad_cam, overlay
from fakedetect.metrics.intervals import SAME_SHAPE, tell_shapes
from fakedetect.metrics.measures import named
from fakedetect.metrics.unseen import describe_left_out, tell_what_helps
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import judged_copies
from fakedetect.reporting.answers import Answers, Picture, encode_picture, gather_answers
from fakedetect.reporting.sections import (
    commands_again,
    describe_training,
    draw_curves,
    draw_robustness,
    gather_verdicts,
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

HEAT_MAPS = 8
SEED = 42


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


def _heat_maps(detector: Detector, predictions: pd.DataFrame) -> tuple[str, list[Picture]]:
    """Grad-CAM of the predicted class on the same few pictures every time, half of them fake; and its
    layer."""
    settings = detector.settings
    random = np.random.default_rng(SEED)
    rows = {}
    for _, of_class in predictions.groupby("label"):
        chosen = sorted(random.permutation(len(of_class))[: HEAT_MAPS // 2])
        rows.update({Path(row.path): row for row in of_class.iloc[chosen].itertuples()})
    originals = dict(zip(rows, find_originals(settings, "test", list(rows)), strict=True))
    copies = judged_copies(detector, list(rows))
    drawn, name = [], ""
    for path, row in rows.items():
        image = copies[path]
        if isinstance(image, str):
            continue
        tensor = to_input(detector.normalise, image[None])
        name = name or layer_name(settings, detector.model, tensor, None)
        target = torch.tensor([CLASSES.index(row.predicted)], device=tensor.device)
        maps, _ = grad_cam(detector.model, find_layer(detector.model, name), tensor, target)
        caption = f"{printable(path.name)}: {row.label}, classified as {row.predicted}"
        shown = read_in_shape(originals[path], image)
        drawn.append(encode_picture(overlay(shown, maps[0])[1], caption))
    return name, drawn


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


WORDS = {
    "FIGURES": FIGURES,
    "SAME_SHAPE": SAME_SHAPE,
    "best_of": best_of,
    "confusion_of": confusion_of,
    "describe_audit": describe_audit,
    "describe_left_out": describe_left_out,
    "mean_and_worst": mean_and_worst,
    "named": named,
    "plural": plural,
    "tell_left_out": tell_left_out,
    "tell_one_sided": tell_one_sided,
    "tell_shapes": tell_shapes,
    "tell_what_helps": tell_what_helps,
}
"""What the screen says too, in the same words."""


def build(known: Known, today: str) -> str:
    """The report as HTML; `today` is the date that it bears."""
    detector, evaluation, epochs = known.detector, known.evaluation, known.epochs
    settings, training = detector.settings, detector.training
    layer, heat_maps = _heat_maps(detector, known.predictions)
    return load_template("report.html").render(
        WORDS,
        title=f"{settings.model} - fakedetect",
        today=today,
        version=describe_version(),
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
        recipe=describe_training(training, epochs),
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
