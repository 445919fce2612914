"""The epochs of a run, one after the other, until the validation loss stops falling."""

import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fakedetect.core.console import Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, write_json
from fakedetect.core.model_folder import FILE
from fakedetect.core.recipes import CLASSES, ROBUST
from fakedetect.dataset.folders import class_folders
from fakedetect.dataset.samples import Dataset, hash_names
from fakedetect.images.copies import find_kind
from fakedetect.models.building import load_checkpoint, save_checkpoint
from fakedetect.models.devices import to_device
from fakedetect.models.texture import save_vote
from fakedetect.training.epochs import Run, tell_divergence, train_epoch, validate
from fakedetect.training.log import Epoch, epoch_of, write_log
from fakedetect.training.robust import fit_head, fit_vote
from fakedetect.training.unfinished import Unfinished, save_unfinished, unfinished_file

MOST_BAD = 0.25
"""The share of unreadable pictures above which a run stops."""


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


def refuse_too_many(bad: int, dataset: Dataset) -> None:
    if bad > MOST_BAD * len(dataset.samples):
        raise UserError(
            f"{bad:,} of the {len(dataset.samples):,} pictures in {dataset.folder} cannot be read, more "
            f"than {MOST_BAD:.0%}: is the disk in order? Scan and resize again."
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
            refuse_too_many(len(bad), dataset)
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
