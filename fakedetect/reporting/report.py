"""Option 3.7: all that is known of a model, on one page: report.html."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fakedetect.core.console import Console, Outcome, open_picture, printable
from fakedetect.core.errors import UserError
from fakedetect.core.files import read_json, run_lock, write_text
from fakedetect.core.model_folder import EVALUATION, REPORT
from fakedetect.core.pool import map_images
from fakedetect.core.settings import Settings
from fakedetect.images.sheets import read_thumbnail
from fakedetect.images.views import Look, View, view_batches
from fakedetect.inference.figures import layer_name, to_input
from fakedetect.inference.heatmaps import find_layer, grad_cam, overlay
from fakedetect.models.detector import Detector, load_detector
from fakedetect.reporting.evaluation_sections import (
    elsewhere_section,
    robustness_section,
    sources_section,
    verdicts_section,
)
from fakedetect.reporting.page import page, paragraph, pictures, section
from fakedetect.reporting.sections import (
    data_section,
    repeat_section,
    results_section,
    summarise,
    training_section,
)
from fakedetect.testing.results import Tested, find_mistakes, read_tested
from fakedetect.training.log import read_epochs

MISTAKES = 12
HEAT_MAPS = 8
SEED = 42


def _read_results(settings: Settings) -> Tested:
    """The chosen model's test.

    Raises:
        UserError: the model has not been tested, or the files cannot be used.
    """
    tested = read_tested(settings.model_folder, settings.command("test"))
    if tested is None:
        raise UserError(f"{settings.model} has not been tested yet. Test it: {settings.command('test')}")
    return tested


def _read_summary(folder: Path) -> pd.DataFrame | None:
    try:
        return pd.read_csv(folder / "summary.csv", keep_default_na=False)
    except (OSError, ValueError):
        return None


def _section(build: Callable[..., str], *arguments: Any) -> str:
    """A section, or a line instead where a file of another version lacks what it needs."""
    try:
        return build(*arguments)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        name = build.__name__.removesuffix("_section").replace("_", " ")
        text = f"This part could not be made: its file lacks something ({error}). Run its option again."
        return section(name.capitalize(), paragraph(text, "warning"))


def _gallery(settings: Settings, predictions: pd.DataFrame) -> str:
    wrong = find_mistakes(predictions)
    if wrong.empty:
        return section("Wrong answers", paragraph("None on the test dataset."))
    shown = pd.concat([rows.head(MISTAKES // 2) for _, rows in wrong.groupby("label")])
    paths = [Path(path) for path in shown["path"]]
    images = dict(map_images(read_thumbnail, paths, settings.workers))
    tiles = []
    for row, path in zip(shown.itertuples(), paths, strict=True):
        caption = f"{printable(path.name)}: {row.label}, taken for {row.predicted} ({row.confidence:.1%})"
        if isinstance(images[path], str):
            tiles.append((np.full((2, 2, 3), 128, np.uint8), f"{caption}; gone or unreadable now"))
        else:
            tiles.append((images[path], caption))
    text = f"{len(wrong):,} of {len(predictions):,}; the most confident of each class, fakes first."
    return section("Wrong answers", paragraph(text), pictures(tiles))


def _heat_maps(detector: Detector, predictions: pd.DataFrame) -> str:
    """Grad-CAM of the predicted class on the same few pictures every time, half of them fake."""
    settings = detector.settings
    random = np.random.default_rng(SEED)
    rows = {}
    for _, of_class in predictions.groupby("label"):
        chosen = sorted(random.permutation(len(of_class))[: HEAT_MAPS // 2])
        rows.update({Path(row.path): row for row in of_class.iloc[chosen].itertuples()})
    looks = [Look(path, (detector.kind,)) for path in rows]
    tiles, name = [], ""
    for batch in view_batches(looks, 1, len(looks)):
        for look, view in sorted(batch, key=lambda pair: list(rows).index(pair[0].path)):
            if not isinstance(view, View):
                continue
            image = view.images[0, 0]
            tensor = to_input(detector.normalise, image[None])
            name = name or layer_name(settings, detector.model, tensor, None)
            target = torch.tensor([-1], device=tensor.device)
            maps, _ = grad_cam(detector.model, find_layer(detector.model, name), tensor, target)
            row = rows[look.path]
            caption = f"{printable(look.path.name)}: {row.label}, taken for {row.predicted}"
            tiles.append((overlay(image, maps[0])[1], caption))
    text = (
        f"Grad-CAM of the predicted class at {name}; red is where the model finds most of its evidence. "
        "How far to believe such a map, picture by picture: " + settings.command("explain", "IMAGE")
    )
    return section("Heat maps", paragraph(text), pictures(tiles)) if tiles else ""


def report(settings: Settings, console: Console) -> Outcome:
    """Write the chosen model's report.html into its folder: one file, to open from the disk."""
    tested = _read_results(settings)
    results, predictions = tested.results, tested.predictions
    folder = settings.model_folder
    with run_lock(folder):
        detector = load_detector(settings)
        if results.checkpoint not in (None, detector.checkpoint_hash):
            raise UserError(
                f"The test results in {folder} are of another checkpoint. Test again: "
                + settings.command("test")
            )
        evaluation = read_json(folder / EVALUATION)
        if not isinstance(evaluation, dict) or evaluation.get("checkpoint") != detector.checkpoint_hash:
            console.note(
                f"The report lacks the evaluation of this checkpoint. Evaluate it: "
                f"{settings.command('evaluate')}"
            )
            evaluation = {}
        explored = next(
            (p for p in (settings.explore / "original", settings.explore / "resized") if p.is_dir()),
            settings.explore,
        )
        console.note("Drawing the heat maps …")
        facts = detector.facts
        today = datetime.now(UTC).date().isoformat()
        parts = [
            f"<h1>{settings.model}: real photograph or AI-generated?</h1>",
            paragraph(f"Report of {today}, by fakedetect", "soft"),
            _section(summarise, settings, results, evaluation),
            _section(results_section, settings, results, predictions, evaluation),
            _section(elsewhere_section, evaluation),
            _section(verdicts_section, settings, facts, evaluation),
            _section(sources_section, evaluation),
            _section(robustness_section, evaluation),
            _gallery(settings, predictions),
            _heat_maps(detector, predictions),
            _section(
                data_section,
                settings,
                facts,
                _read_summary(explored),
                read_json(explored / "audit.json"),
            ),
            _section(training_section, facts, read_epochs(folder)),
            _section(repeat_section, facts, evaluation, settings.model, str(settings.file)),
        ]
        file = folder / REPORT
        write_text(file, page(f"{settings.model} - fakedetect", *parts))
    opened = console.interactive and open_picture(file)
    return Outcome(f"Report: {file}{'' if opened else ' (open it with a browser)'}")
