"""Option 3.1: train the chosen model, and 3.4: show its loss graph."""

import csv
import io
import platform
import random
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fakedetect.console import Console, Outcome, open_picture, plural
from fakedetect.dataset import Dataset, Sample, load_batches, load_dataset, split_dataset
from fakedetect.devices import (
    Normaliser,
    choose_precision,
    forward,
    predict_batches,
    to_device,
)
from fakedetect.errors import UserError
from fakedetect.files import write_json, write_text
from fakedetect.images import count_workers
from fakedetect.models import build_model, save_checkpoint
from fakedetect.plots import draw_loss_plot
from fakedetect.recipes import CLASSES
from fakedetect.settings import Settings


@dataclass(frozen=True)
class Epoch:
    """A row of training_log.csv."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    seconds: float
    images_per_second: float


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def _train_epoch(
    settings: Settings,
    console: Console,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    samples: list[Sample],
    label: str,
) -> tuple[float, set[Path]]:
    """One pass over the samples in random order; returns the mean loss and the unreadable files."""
    device = next(model.parameters()).device
    dtype = choose_precision(settings.training.precision, device)
    normalise = Normaliser(settings.recipe, device)
    order = torch.randperm(len(samples)).tolist()
    batches = load_batches(
        [samples[index] for index in order],
        settings.recipe.batch_size,
        count_workers(settings.training.workers),
    )
    model.train()
    total, count, bad = 0.0, 0, set()
    for batch in console.track(batches, len(samples), label, batch=True):
        bad.update(sample.path for sample in batch.bad)
        if not batch.samples:
            continue
        images = normalise(batch.images)
        flips = torch.rand(len(images)) < 0.5
        images = torch.where(flips.to(device).view(-1, 1, 1, 1), images.flip(3), images)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(forward(model, images, dtype), batch.labels.to(device))
        loss.backward()
        optimizer.step()
        total += loss.item() * len(images)
        count += len(images)
    return total / max(count, 1), bad


def _validate(
    settings: Settings, console: Console, model: nn.Module, samples: list[Sample], label: str
) -> tuple[float, float, set[Path]]:
    """Mean loss and accuracy on the samples, and the unreadable files."""
    loss, right, count, bad = 0.0, 0, 0, set()
    for batch, logits in predict_batches(settings, console, model, samples, label):
        bad.update(sample.path for sample in batch.bad)
        if batch.samples:
            loss += functional.cross_entropy(logits, batch.labels, reduction="sum").item()
            right += int((logits.argmax(1) == batch.labels).sum())
            count += len(batch.samples)
    if not count:
        raise UserError("None of the validation pictures can be read. Scan and resize again.")
    return loss / count, right / count, bad


def _write_log(folder: Path, epochs: list[Epoch]) -> None:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(Epoch.__dataclass_fields__))
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in epochs)
    write_text(folder / "training_log.csv", table.getvalue())
    draw_loss_plot(
        [epoch.epoch for epoch in epochs],
        [epoch.train_loss for epoch in epochs],
        [epoch.val_loss for epoch in epochs],
        folder / "loss_plot.jpg",
    )


def _describe_run(
    settings: Settings, dataset: Dataset, lengths: tuple[int, int], model: nn.Module, best: Epoch
) -> dict:
    recipe = asdict(settings.recipe)
    recipe["weights"] = str(recipe["weights"]) if recipe["weights"] else None
    device = next(model.parameters()).device
    names = ("torch", "torchvision", "timm", "numpy", "pillow")
    return {
        "model": settings.model,
        "recipe": recipe,
        "pretrained": settings.training.pretrained,
        "classes": {str(number): name for number, name in enumerate(CLASSES)},
        "split": {
            "train": lengths[0],
            "validation": lengths[1],
            "validation_share": settings.training.validation_share,
        },
        "seed": settings.training.seed,
        "max_epochs": settings.training.max_epochs,
        "patience": settings.training.patience,
        "precision": str(choose_precision(settings.training.precision, device)).split(".")[-1],
        "device": str(device),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "data": {
            "folder": str(dataset.folder),
            "count": len(dataset.samples),
            "fake": sum(sample.label == 0 for sample in dataset.samples),
            "real": sum(sample.label == 1 for sample in dataset.samples),
            "left_out": dataset.left_out,
        },
        "best": asdict(best),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
    }


def train(settings: Settings, console: Console, overwrite: bool = False) -> Outcome:
    """Train by the recipe until the validation loss stops falling; the best epoch is kept.

    Raises:
        UserError: a checkpoint is there and may not be replaced, or the data cannot be used.
    """
    folder, options = settings.model_folder, settings.training
    if settings.checkpoint.exists() and not overwrite:
        question = f"{settings.checkpoint} is there already. Train anew and replace it?"
        if not console.confirm(question):
            raise UserError(
                f"{settings.checkpoint} was left as it is. To replace it: python menu.py train --overwrite"
            )
    dataset = load_dataset(settings, "train")
    train_samples, val_samples = split_dataset(dataset, options.validation_share, options.seed)
    _seed(options.seed)
    console.note(
        f"Training {settings.model} on {plural(len(train_samples), 'picture')}, validating on "
        f"{len(val_samples):,}" + (f"; {dataset.left_out:,} bad left out" if dataset.left_out else "")
    )
    model = to_device(build_model(settings.recipe, options.pretrained))
    optimizer = getattr(torch.optim, settings.recipe.optimizer)(
        model.parameters(),
        lr=settings.recipe.learning_rate,
        weight_decay=settings.recipe.weight_decay,
    )
    epochs: list[Epoch] = []
    best: Epoch | None = None
    bad: set[Path] = set()
    status = 0
    try:
        for number in range(1, options.max_epochs + 1):
            start = time.monotonic()
            label = f"epoch {number}/{options.max_epochs}"
            train_loss, unread = _train_epoch(settings, console, model, optimizer, train_samples, label)
            seconds = time.monotonic() - start
            val_loss, accuracy, unread_too = _validate(settings, console, model, val_samples, "validation")
            bad |= unread | unread_too
            if not np.isfinite((train_loss, val_loss)).all():
                raise UserError(
                    f"The loss of epoch {number} is not a number. Lower learning_rate in "
                    f'{settings.file}, or set precision = "fp32".'
                )
            epoch = Epoch(
                number,
                train_loss,
                val_loss,
                accuracy,
                round(time.monotonic() - start, 3),
                round(len(train_samples) / seconds, 2),
            )
            epochs.append(epoch)
            if best is None or val_loss < best.val_loss:
                best = epoch
                save_checkpoint(model, settings.checkpoint)
                lengths = (len(train_samples), len(val_samples))
                write_json(
                    folder / "training.json",
                    _describe_run(settings, dataset, lengths, model, best),
                )
            _write_log(folder, epochs)
            console.show(
                f"Epoch {number}: training loss {train_loss:.4f}, validation loss {val_loss:.4f}, "
                f"validation accuracy {accuracy:.2%}{' (best so far)' if best is epoch else ''}"
            )
            if number - best.epoch >= options.patience:
                console.show(f"Stopped early: no lower validation loss for {options.patience} epochs")
                break
    except KeyboardInterrupt:
        status = 130
        if best is None:
            return Outcome("Stopped before the first epoch ended; nothing was saved.", status)
    lines = ["Stopped; the best epoch so far is kept."] if status else []
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


def read_log(path: Path) -> list[Epoch]:
    """The rows of a training_log.csv.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        epochs = [replace(Epoch(**row), epoch=int(row["epoch"])) for row in rows]
    except FileNotFoundError:
        raise UserError(f"There is no {path}. Train the model first: python menu.py train") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}). Train again to renew it.") from None
    if not epochs:
        raise UserError(f"{path} holds no epochs. Train again to renew it.")
    return epochs


def show_loss_graph(settings: Settings, console: Console) -> Outcome:
    """Draw loss_plot.jpg from an earlier run's log, print its epochs and open the picture."""
    epochs = read_log(settings.model_folder / "training_log.csv")
    _write_log(settings.model_folder, epochs)
    best = min(epochs, key=lambda epoch: epoch.val_loss)
    lines = ["epoch  train loss  val loss  val accuracy  seconds  img/s"]
    for epoch in epochs:
        lines.append(
            f"{epoch.epoch:5}  {epoch.train_loss:10.4f}  {epoch.val_loss:8.4f}  "
            f"{epoch.val_accuracy:12.2%}  {epoch.seconds:7.1f}  {epoch.images_per_second:5.1f}"
            f"{'  best' if epoch is best else ''}"
        )
    plot = settings.model_folder / "loss_plot.jpg"
    opened = console.interactive and open_picture(plot)
    lines.append(f"Loss graph: {plot}{'' if opened else ' (open it with a picture viewer)'}")
    return Outcome("\n".join(lines))
