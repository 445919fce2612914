"""Trained without a source and tested on it: what a model does with pictures it has never met."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fakedetect.core.console import Console, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock
from fakedetect.core.model_folder import TRAINING
from fakedetect.core.recipes import CLASSES, METHODS, ROBUST
from fakedetect.core.records import Record
from fakedetect.core.settings import OPTIMIZERS, RECIPE_KEYS, Settings
from fakedetect.core.training_record import RunFacts, TrainingRecord, read_training
from fakedetect.dataset.samples import Sample, describe_faults, load_dataset
from fakedetect.models.detector import Detector, load_detector, predict_samples
from fakedetect.testing.sources import measure_sources, tell_gap, tell_left_out
from fakedetect.training.log import read_log
from fakedetect.training.run import gather_facts, train_in_memory
from fakedetect.training.unfinished import read_unfinished, tell_difference, unfinished_file


def _without(settings: Settings, facts: TrainingRecord, source: str) -> Settings:
    """Settings under which the model is trained as it was, by its training.json, without a source.

    Its folder lies inside the model's.
    """
    name = f"without_{re.sub(r'[^A-Za-z0-9_.-]', '_', source)}"
    then = _given(facts.recipe, RECIPE_KEYS) if facts.recipe else {}
    if then.get("optimizer", OPTIMIZERS[0]) not in OPTIMIZERS or then.get("recipe", ROBUST) not in METHODS:
        raise UserError(
            f"{settings.model_folder / TRAINING} names the optimizer {then.get('optimizer')!r} and the "
            f"recipe {then.get('recipe')!r}, of which one is unknown here. Correct it, or train again."
        )
    options = _given(facts, ("seed", "max_epochs", "patience"))
    return replace(
        settings,
        model=name,
        model_folders=settings.model_folder,
        recipes={name: replace(settings.recipe, name=name, **then)},
        training=replace(settings.training, **options),
    )


def _given(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Those of the named fields that a record has a value for."""
    values = ((name, getattr(record, name)) for name in names)
    return {name: value for name, value in values if value is not None}


def _train_without(settings: Settings, console: Console, source: str) -> None:
    """Train without the source, unless that was done with the same data and recipe."""
    facts = read_training(settings.model_folder)
    now = gather_facts(settings, load_dataset(settings, "train", source))
    stopped = unfinished_file(settings.model_folder).is_file()
    if not stopped and settings.checkpoint.is_file() and facts.run == now:
        epochs = len(read_log(settings.model_folder / "training_log.csv"))
        console.note(f"Trained without {source} before ({plural(epochs, 'epoch')})")
        return
    outcome = train_in_memory(
        settings, console, stopped and _can_go_on(settings, now), leave_out=source, alone=True
    )
    if outcome.status == 130:
        raise KeyboardInterrupt


def _can_go_on(settings: Settings, now: RunFacts) -> bool:
    try:
        return tell_difference(read_unfinished(settings).facts, now) is None
    except UserError:
        return False


def evaluate_without(
    detector: Detector, console: Console, results: dict[str, Any], source: str
) -> tuple[list[str], int]:
    """Train once more without a source, and test on it."""
    settings = detector.settings
    test = load_dataset(settings, "test").samples
    of_source = [sample for sample in test if sample.source == source]
    train = load_dataset(settings, "train").samples
    known = sorted({sample.source for sample in train if sample.source})
    if source not in known or not of_source:
        raise UserError(
            f"No source {source!r} in both the training and the test pictures. The sources are the "
            f"sub-folders of the class folders: {', '.join(known) or 'there are none'}."
        )
    label = of_source[0].label
    if any(sample.source == source and sample.label != label for sample in (*train, *test)):
        raise UserError(f"{source} is a source of both classes. Rename one of its two folders.")
    if all(sample.source == source for sample in train if sample.label == label):
        raise UserError(
            f"{source} is the only source of {CLASSES[label]} pictures: without it there is nothing to "
            "learn from. Leave out another."
        )
    others = [sample for sample in test if sample.label != label]
    reduced = _without(settings, detector.facts, source)
    with run_lock(reduced.model_folder):
        _train_without(reduced, console, source)
    pictures = [*of_source, *others]
    left = load_detector(reduced)
    read, margins, bad = predict_samples(left, console, pictures, f"test without {source}")
    mine, whole, _ = predict_samples(detector, console, pictures, "test with it")
    entry = _compare_sources(read, margins, mine, whole, source)
    results.setdefault("left_out", {})[source] = {"class": CLASSES[label], **entry}
    lines = [
        f"{settings.model}, trained without {source}, on its test pictures (ROC AUC: against all "
        f"{CLASSES[1 - label]} ones)",
        tell_left_out(source, results["left_out"][source]),
    ]
    lines += tell_gap(
        entry["roc_auc_with"],
        entry["roc_auc"]["value"],
        "when it was never seen",
        f"on {source} after training on it",
    )
    return [*lines, *describe_faults(bad)], len(bad)


def _compare_sources(
    read: Sequence[Sample],
    margins: np.ndarray,
    read_with: Sequence[Sample],
    margins_with: np.ndarray,
    source: str,
) -> dict[str, Any]:
    """The source's figures without it in training, and with it."""
    entries = []
    for samples, values in ((read, margins), (read_with, margins_with)):
        entries.append(next(e for e in measure_sources(samples, values) if e["source"] == source))
    without, with_it = entries
    return {
        "count": without["count"],
        "right": without["right"],
        "roc_auc": without["roc_auc"],
        "right_with": with_it["right"]["value"],
        "roc_auc_with": with_it["roc_auc"]["value"],
    }
