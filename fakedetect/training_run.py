"""A training run: prepared, then epoch by epoch until the validation loss stops falling."""

import math
import platform
import random
import shutil
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from fakedetect.console import Console, Outcome, plural
from fakedetect.copies import find_kind
from fakedetect.dataset import (
    Dataset,
    Sample,
    hash_names,
)
from fakedetect.decoded import decode_all
from fakedetect.devices import (
    choose_precision,
    to_device,
)
from fakedetect.epochs import (
    Epoch,
    Run,
    epoch_of,
    make_optimizer,
    tell_divergence,
    train_epoch,
    validate,
    write_log,
)
from fakedetect.errors import UserError
from fakedetect.files import hash_file, write_json
from fakedetect.folders import class_folders
from fakedetect.models import build_model, load_checkpoint, save_checkpoint
from fakedetect.processes import Group, share_model
from fakedetect.recipes import CLASSES, ROBUST
from fakedetect.robust import average_of
from fakedetect.robust_fitting import fit_head, fit_vote
from fakedetect.settings import Settings
from fakedetect.texture import FILE, save_vote
from fakedetect.unfinished import (
    Unfinished,
    restore,
    save_unfinished,
    unfinished_file,
)
from fakedetect.workers import count_workers

COMPILERS = ("c++", "g++", "clang++", "cl")
MOST_BAD = 0.25
"""The share of unreadable pictures above which a run stops."""


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def _describe_run(run: Run, dataset: Dataset, best: Epoch, facts: dict) -> dict:
    settings = run.settings
    recipe = asdict(settings.recipe)
    recipe["weights"] = str(recipe["weights"]) if recipe["weights"] else None
    device = next(run.model.parameters()).device
    names = ("torch", "torchvision", "timm", "numpy", "pillow")
    return {
        "model": settings.model,
        "recipe": recipe,
        "pretrained": settings.training.pretrained,
        "classes": {str(number): name for number, name in enumerate(CLASSES)},
        "split": {
            "train": len(run.train_samples),
            "validation": len(run.val_samples),
            "validation_share": settings.training.validation_share,
        },
        "seed": settings.training.seed,
        "max_epochs": settings.training.max_epochs,
        "patience": settings.training.patience,
        "precision": str(run.dtype).split(".")[-1],
        "device": str(device),
        "processes": run.group.size,
        "compiled": settings.training.compile,
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "data": {
            "folder": str(dataset.folder),
            "count": len(dataset.samples),
            "fake": sum(sample.label == 0 for sample in dataset.samples),
            "real": sum(sample.label == 1 for sample in dataset.samples),
            "left_out": dataset.left_out,
            "kind": asdict(find_kind(class_folders(dataset.folder)[0][0])),
            "pictures": hash_names(dataset),
            "leave_out": settings.leave_out,
        },
        "best": asdict(best),
        "run": facts,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
    }


def gather_facts(settings: Settings, dataset: Dataset) -> dict:
    """What has to be the same for an unfinished run to go on as if it had not been stopped."""
    recipe, options = settings.recipe, settings.training
    return {
        "architecture": recipe.architecture,
        "batch_size": recipe.batch_size,
        "optimizer": recipe.optimizer,
        "learning_rate": recipe.learning_rate,
        "recipe": recipe.recipe,
        "weight_decay": recipe.weight_decay,
        "mean": list(recipe.mean),
        "std": list(recipe.std),
        "seed": options.seed,
        "precision": options.precision,
        "validation_share": options.validation_share,
        "pictures": hash_names(dataset),
        "leave_out": settings.leave_out,
    }


def _refuse_too_many(bad: int, dataset: Dataset) -> None:
    if bad > MOST_BAD * len(dataset.samples):
        raise UserError(
            f"{bad:,} of the {len(dataset.samples):,} pictures in {dataset.folder} cannot be read, more "
            f"than {MOST_BAD:.0%}: is the disk in order? Scan and resize again."
        )


def prepare_run(
    settings: Settings,
    console: Console,
    group: Group,
    dataset: Dataset,
    train_samples: list[Sample],
    val_samples: list[Sample],
    state: Unfinished | None,
) -> Run:
    options, recipe = settings.training, settings.recipe
    if options.compile and not any(shutil.which(name) for name in COMPILERS):
        raise UserError(
            f"compile = true in {settings.file} needs a C++ compiler, and there is none. Install one "
            "(g++, say), or set compile = false."
        )
    _seed(options.seed)
    console.note(
        f"Training {settings.model} on {plural(len(train_samples), 'picture')}, validating on "
        f"{len(val_samples):,}"
        + ("; robust recipe" if recipe.recipe == ROBUST else "")
        + (f"; {dataset.left_out:,} bad left out" if dataset.left_out else "")
        + (f"; {group.size} processes" if group.size > 1 else "")
    )
    model = to_device(build_model(recipe, options.pretrained and state is None))
    dtype = choose_precision(options.precision, model)
    paths = [sample.path for sample in dataset.samples]
    decoded = decode_all(dataset.folder, paths, console, count_workers(options.workers))
    _refuse_too_many(len(decoded.faults) if decoded else 0, dataset)
    group.wait()
    optimizer = make_optimizer(recipe, model)
    steps = math.ceil(len(train_samples) / recipe.batch_size)
    average = average_of(model, steps) if recipe.recipe == ROBUST else None
    if state:
        restore(state, model, optimizer, average)
    network = share_model(model, group)
    return Run(
        settings,
        console,
        group,
        model,
        network,
        torch.compile(network) if options.compile else network,
        optimizer,
        dtype,
        train_samples,
        val_samples,
        decoded,
        average,
    )


def _save_vote(run: Run) -> None:
    """Fit the texture's vote for the best epoch's model and write it beside its checkpoint."""
    settings = run.settings
    (settings.model_folder / FILE).unlink(missing_ok=True)
    model = to_device(load_checkpoint(settings.recipe, settings.checkpoint))
    save_vote(fit_vote(run, model), settings.model_folder, hash_file(settings.checkpoint))


def run_epochs(run: Run, dataset: Dataset, state: Unfinished | None, facts: dict) -> Outcome:
    """The loop over the epochs, from the first or from where an unfinished run was stopped."""
    settings, console, options = run.settings, run.console, run.settings.training
    folder = settings.model_folder
    epochs = [epoch_of(row) for row in state.rows] if state else []
    best = min(epochs, key=lambda epoch: epoch.val_loss, default=None)
    bad: set[Path] = set()
    robust = settings.recipe.recipe == ROBUST
    status = 0
    if run.group.first and not state:
        unfinished_file(folder).unlink(missing_ok=True)
        (folder / FILE).unlink(missing_ok=True)
    try:
        for number in range(len(epochs) + 1, options.max_epochs + 1):
            if best and epochs[-1].epoch - best.epoch >= options.patience:
                break
            start = time.monotonic()
            label = f"epoch {number}/{options.max_epochs}"
            if robust and number == 1:
                train_loss, unread = fit_head(run, label)
            else:
                train_loss, unread = train_epoch(run, number, label)
            seconds = time.monotonic() - start
            val_loss, accuracy, unread_too = validate(run, "validation")
            bad |= unread | unread_too
            _refuse_too_many(len(bad), dataset)
            if not np.isfinite((train_loss, val_loss)).all():
                raise tell_divergence(settings, number)
            epoch = Epoch(
                number,
                train_loss,
                val_loss,
                accuracy,
                round(time.monotonic() - start, 3),
                round(len(run.train_samples) / seconds, 2),
            )
            epochs.append(epoch)
            is_best = best is None or val_loss < best.val_loss
            if is_best:
                best = epoch
            if run.group.first:
                if is_best:
                    save_checkpoint(run.judged, settings.checkpoint)
                    write_json(folder / "training.json", _describe_run(run, dataset, best, facts))
                write_log(folder, epochs)
                rows = [asdict(epoch) for epoch in epochs]
                save_unfinished(folder, run.model, run.optimizer, rows, facts, run.average)
            console.show(
                f"Epoch {number}: training loss {train_loss:.4f}, validation loss {val_loss:.4f}, "
                f"validation accuracy {accuracy:.2%}{' (best so far)' if is_best else ''}"
            )
            if number - best.epoch >= options.patience:
                console.show(f"Stopped early: no lower validation loss for {options.patience} epochs")
                break
        if robust and run.group.first:
            _save_vote(run)
    except KeyboardInterrupt:
        status = 130
        if best is None:
            return Outcome("Stopped before the first epoch ended; nothing was saved.", status)
    if status:
        lines = ["Stopped; the best epoch so far is kept. To go on: python menu.py train --resume"]
    else:
        lines = []
        if run.group.first:
            unfinished_file(folder).unlink(missing_ok=True)
    if bad:
        status = status or 1
        lines.append(f"{plural(len(bad), 'picture')} could not be read and had no part in it:")
        lines += [f"  {path}" for path in sorted(bad)]
    lines.append(
        f"Best epoch: {best.epoch} (validation loss {best.val_loss:.4f}, accuracy "
        f"{best.val_accuracy:.2%}), saved as {settings.checkpoint}"
    )
    lines.append(f"Loss graph: {folder / 'loss_plot.jpg'}")
    return Outcome("\n".join(lines), status)
