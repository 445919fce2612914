"""Trained without a source and tested on it: what a model does with pictures it has never met."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fakedetect.console import Console, plural
from fakedetect.dataset import Sample, load_dataset
from fakedetect.detectors import Detector, load_detector, predict_samples, read_facts
from fakedetect.epochs import read_log
from fakedetect.errors import UserError
from fakedetect.files import run_lock
from fakedetect.recipes import CLASSES
from fakedetect.settings import RECIPE_KEYS, Settings
from fakedetect.sources import measure_sources
from fakedetect.training_run import gather_facts
from fakedetect.unfinished import read_unfinished, tell_difference, unfinished_file
from fakedetect.whole_run import train_in_memory

OWN = "on the own test dataset"
WORTH_A_WARNING = 0.05
"""A loss of ROC AUC between the own and other pictures that is told as a warning."""


def auc_of(entry: Any) -> float | None:
    """The ROC AUC in an entry of evaluation.json, if there is one."""
    try:
        return float(entry["measures"]["roc_auc"]["value"])
    except (KeyError, TypeError, ValueError):
        return None


def tell_gap(own: float | None, other: float | None, where: str, at_home: str = OWN) -> list[str]:
    """The difference in ROC AUC between pictures like the training ones and others, in words."""
    if own is None or other is None:
        return []
    line = f"ROC AUC {own:.3f} {at_home}, {other:.3f} {where}"
    if other >= own - WORTH_A_WARNING:
        return [f"{line}: it carries over."]
    return [
        f"{line}.",
        f"Warning: {own - other:.3f} of it does not carry over. On pictures from elsewhere, expect the "
        "second figure, not the first.",
    ]


def tell_left_out(source: str, entry: dict[str, Any]) -> str:
    """A left-out source's entry in words."""
    return (
        f"{source} ({entry['class']}, {plural(entry['count'], 'picture')}): "
        f"{entry['right']['value']:.1%} right when left out of training, {entry['right_with']:.1%} "
        f"when not; ROC AUC {entry['roc_auc']['value']:.3f} and {entry['roc_auc_with']:.3f}"
    )


def _without(settings: Settings, facts: dict[str, Any], source: str) -> Settings:
    """Settings under which the model is trained as it was, by its training.json, without a source.

    Its folder lies inside the model's.
    """
    name = f"without_{re.sub(r'[^A-Za-z0-9_.-]', '_', source)}"
    then = {key: value for key, value in facts.get("recipe", {}).items() if key in RECIPE_KEYS}
    options = {key: facts[key] for key in ("seed", "max_epochs", "patience") if key in facts}
    return replace(
        settings,
        model=name,
        model_folders=settings.model_folder,
        recipes={name: replace(settings.recipe, name=name, **then)},
        training=replace(settings.training, **options),
        leave_out=source,
    )


def _train_without(settings: Settings, console: Console) -> None:
    """Train without the source, unless that was done with the same data and recipe."""
    facts = read_facts(settings)
    now = gather_facts(settings, load_dataset(settings, "train"))
    stopped = unfinished_file(settings.model_folder).is_file()
    if not stopped and settings.checkpoint.is_file() and facts.get("run") == now:
        epochs = len(read_log(settings.model_folder / "training_log.csv"))
        console.note(f"Trained without {settings.leave_out} before ({plural(epochs, 'epoch')})")
        return
    outcome = train_in_memory(settings, console, resume=stopped and _can_go_on(settings, now))
    if outcome.status == 130:
        raise KeyboardInterrupt


def _can_go_on(settings: Settings, now: dict[str, Any]) -> bool:
    try:
        return tell_difference(read_unfinished(settings.model_folder).facts, now) is None
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
        _train_without(reduced, console)
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
    return lines, len(bad)


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
