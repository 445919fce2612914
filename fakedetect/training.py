"""Option 3.1: train the chosen model, and 3.4: show its loss graph."""

import csv
import io
import platform
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fakedetect.console import Console, Outcome, open_picture, plural
from fakedetect.dataset import (
    Dataset,
    Sample,
    cut_batches,
    load_batches,
    load_dataset,
    split_dataset,
)
from fakedetect.decoded import SIZE, DecodedPictures, decode_all
from fakedetect.devices import (
    Normaliser,
    choose_precision,
    forward,
    predict_batches,
    to_device,
)
from fakedetect.errors import UserError
from fakedetect.files import write_json, write_text
from fakedetect.models import build_model, save_checkpoint
from fakedetect.plots import draw_loss_plot
from fakedetect.processes import Group, in_group, join_group, launch, share_model
from fakedetect.recipes import CLASSES, Recipe
from fakedetect.settings import Settings
from fakedetect.workers import count_workers

EPOCHS_A_SEED = 100_003
"""Keeps the random numbers of one seed's epochs apart from those of the next seed's."""


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


@dataclass(frozen=True)
class _Run:
    """What stays the same from epoch to epoch.

    `network` is the model as the processes share it, `whole_batches` takes batches of full size.
    """

    settings: Settings
    console: Console
    group: Group
    model: nn.Module
    network: nn.Module
    whole_batches: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    dtype: torch.dtype
    train_samples: list[Sample]
    val_samples: list[Sample]
    decoded: DecodedPictures | None


def _train_epoch(run: _Run, epoch: int, label: str) -> tuple[float, set[Path]]:
    """One pass over the samples in random order; returns the mean loss and the unreadable files.

    Order and flips depend on the seed and the epoch alone, so that several processes draw the same
    and each takes its share of every batch.
    """
    settings, group = run.settings, run.group
    device = next(run.model.parameters()).device
    normalise = Normaliser(settings.recipe, device)
    random = torch.Generator().manual_seed(settings.training.seed * EPOCHS_A_SEED + epoch)
    order = torch.randperm(len(run.train_samples), generator=random).tolist()
    flips = torch.rand(len(order), generator=random) < 0.5
    chunks = cut_batches([run.train_samples[index] for index in order], settings.recipe.batch_size)
    batches = load_batches(
        [group.share(chunk) for chunk in chunks],
        count_workers(settings.training.workers),
        run.decoded,
        pin=device.type == "cuda",
    )
    run.model.train()
    total = torch.zeros((), device=device)
    count, bad = 0, set()
    own = sum(len(group.share(chunk)) for chunk in chunks)
    tracked = run.console.track(batches, own, label, batch=True)
    for batch, flipped in zip(tracked, flips.split(settings.recipe.batch_size), strict=True):
        bad.update(sample.path for sample in batch.bad)
        if group.size == 1 and not batch.samples:
            continue
        size = group.reduce(torch.tensor(float(len(batch.samples)), device=device)).clamp_min(1)
        run.optimizer.zero_grad(set_to_none=True)
        if batch.samples:
            images = batch.images.to(device, non_blocking=True)
            mirror = group.share(flipped)[list(batch.places)].to(device, non_blocking=True)
            images = torch.where(mirror.view(-1, 1, 1, 1), images.flip(3), images)
            labels = batch.labels.to(device, non_blocking=True)
            # A compiled model would be compiled again for the last, smaller batch.
            whole = len(images) == len(group.share(chunks[0]))
            network = run.whole_batches if whole else run.network
            logits = forward(network, normalise(images), run.dtype)
            loss = functional.cross_entropy(logits, labels, reduction="sum")
            total += loss.detach()
        else:
            # All processes have to take part in a step; this one has no picture left to give.
            empty = torch.zeros(1, 3, SIZE, SIZE, device=device)
            loss = 0 * forward(run.network, empty, run.dtype).sum()
        # The processes' gradients are averaged; the batch's mean is over its pictures.
        (loss * group.size / size).backward()
        run.optimizer.step()
        count += len(batch.samples)
    all_loss, all_count = group.total(total.item(), count)
    return all_loss / max(all_count, 1), set().union(*group.gather(bad))


def _validate(run: _Run, label: str) -> tuple[float, float, set[Path]]:
    """Mean loss and accuracy on the validation samples, and the unreadable files."""
    loss, right, count, bad = 0.0, 0, 0, set()
    own = run.group.share(run.val_samples)
    for batch, logits in predict_batches(
        run.settings, run.console, run.model, run.dtype, own, label, run.decoded
    ):
        bad.update(sample.path for sample in batch.bad)
        if batch.samples:
            loss += functional.cross_entropy(logits, batch.labels, reduction="sum").item()
            right += int((logits.argmax(1) == batch.labels).sum())
            count += len(batch.samples)
    loss, right, count = run.group.total(loss, right, count)
    if not count:
        raise UserError("None of the validation pictures can be read. Scan and resize again.")
    return loss / count, right / count, set().union(*run.group.gather(bad))


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


def _describe_run(run: _Run, dataset: Dataset, best: Epoch) -> dict:
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
    if settings.checkpoint.exists() and not overwrite:
        question = f"{settings.checkpoint} is there already. Train anew and replace it?"
        if not console.confirm(question):
            raise UserError(
                f"{settings.checkpoint} was left as it is. To replace it: python menu.py train --overwrite"
            )
    gpus = torch.cuda.device_count()
    if gpus > 1 and not in_group() and console.confirm(f"Train on all {gpus} GPUs?"):
        command = ["--paths", str(settings.file), "--model", settings.model, "train", "--overwrite"]
        return Outcome("", launch(gpus, command))
    dataset = load_dataset(settings, "train")
    options = settings.training
    samples = split_dataset(dataset, options.validation_share, options.seed)
    with join_group() as group:
        # Bound to no name here: the shared model has to go before the group that it belongs to.
        return _train(_prepare(settings, console, group, dataset, *samples), dataset)


def _prepare(
    settings: Settings,
    console: Console,
    group: Group,
    dataset: Dataset,
    train_samples: list[Sample],
    val_samples: list[Sample],
) -> _Run:
    options, recipe = settings.training, settings.recipe
    _seed(options.seed)
    console.note(
        f"Training {settings.model} on {plural(len(train_samples), 'picture')}, validating on "
        f"{len(val_samples):,}"
        + (f"; {dataset.left_out:,} bad left out" if dataset.left_out else "")
        + (f"; {group.size} processes" if group.size > 1 else "")
    )
    model = to_device(build_model(recipe, options.pretrained))
    dtype = choose_precision(options.precision, model)
    paths = [sample.path for sample in dataset.samples]
    decoded = decode_all(dataset.folder, paths, console, count_workers(options.workers))
    group.wait()
    network = share_model(model, group)
    return _Run(
        settings,
        console,
        group,
        model,
        network,
        torch.compile(network) if options.compile else network,
        make_optimizer(recipe, model),
        dtype,
        train_samples,
        val_samples,
        decoded,
    )


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over all layers, each step in one kernel where the device has it."""
    return getattr(torch.optim, recipe.optimizer)(
        model.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=next(model.parameters()).device.type in ("cpu", "cuda"),
    )


def _train(run: _Run, dataset: Dataset) -> Outcome:
    """The loop over the epochs."""
    settings, console, options = run.settings, run.console, run.settings.training
    folder = settings.model_folder
    epochs: list[Epoch] = []
    best: Epoch | None = None
    bad: set[Path] = set()
    status = 0
    try:
        for number in range(1, options.max_epochs + 1):
            start = time.monotonic()
            train_loss, unread = _train_epoch(run, number, f"epoch {number}/{options.max_epochs}")
            seconds = time.monotonic() - start
            val_loss, accuracy, unread_too = _validate(run, "validation")
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
                round(len(run.train_samples) / seconds, 2),
            )
            epochs.append(epoch)
            is_best = best is None or val_loss < best.val_loss
            if is_best:
                best = epoch
            if run.group.first:
                if is_best:
                    save_checkpoint(run.model, settings.checkpoint)
                    write_json(folder / "training.json", _describe_run(run, dataset, best))
                _write_log(folder, epochs)
            console.show(
                f"Epoch {number}: training loss {train_loss:.4f}, validation loss {val_loss:.4f}, "
                f"validation accuracy {accuracy:.2%}{' (best so far)' if is_best else ''}"
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
