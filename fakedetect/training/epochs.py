"""One pass over the training pictures, and one over the validation pictures."""

import math
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from fakedetect.core.console import Console
from fakedetect.core.errors import UserError
from fakedetect.core.recipes import ROBUST, SIZE, Recipe
from fakedetect.core.settings import Settings
from fakedetect.dataset.batches import Batch, cut_batches, load_batches
from fakedetect.dataset.decoded import DecodedPictures
from fakedetect.dataset.samples import Sample, faults_of
from fakedetect.models.devices import Normaliser, forward, predict_batches
from fakedetect.models.processes import Group
from fakedetect.training.augmentation import degrade_with

WARM_UP = 0.1

STEPS_BETWEEN_LOOKS = 50
EPOCHS_A_SEED = 100_003
"""Keeps the random numbers of one seed's epochs apart from those of the next seed's."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What stays the same from epoch to epoch.

    `network` is the model as the processes share it, `whole_batches` takes batches of full size;
    `average` is there in the robust recipe only.
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
    average: AveragedModel | None = None

    @property
    def judged(self) -> nn.Module:
        """The model that is validated and saved: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.module


def tell_divergence(settings: Settings, epoch: int) -> UserError:
    return UserError(
        f"The loss became infinite or NaN in epoch {epoch}; the best epoch so far is kept. Lower "
        f'learning_rate in {settings.file}, or set precision = "fp32".'
    )


def train_epoch(run: Run, epoch: int, label: str) -> tuple[float, dict[Path, str]]:
    """One pass over the samples in random order; returns the mean loss and the unreadable files' reasons.

    Order and flips depend on the seed and the epoch alone, so that several processes draw the same
    and each takes its share of every batch.
    """
    settings, group = run.settings, run.group
    device = next(run.model.parameters()).device
    robust = settings.recipe.method == ROBUST
    seed = settings.training.seed * EPOCHS_A_SEED + epoch
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(run.train_samples), generator=random).tolist()
    flips = torch.rand(len(order), generator=random) < 0.5
    chunks = cut_batches([run.train_samples[index] for index in order], settings.recipe.batch_size)
    shares = [group.part_of(chunk) for chunk in chunks]
    batches = load_batches(
        shares,
        settings.workers,
        run.decoded,
        pin=device.type == "cuda",
        change=degrade_with(seed) if robust else None,
    )
    schedule = _schedule(run, epoch, len(chunks)) if robust else None
    run.model.train()
    total = torch.zeros((), device=device)
    bad: dict[Path, str] = {}
    count = 0
    tracked = run.console.track(batches, sum(map(len, shares)), label, len)
    flips_by_batch = flips.split(settings.recipe.batch_size)
    for number, (batch, flipped) in enumerate(zip(tracked, flips_by_batch, strict=True)):
        bad.update(faults_of(batch.bad))
        if batch.samples or group.size > 1:
            total += _step(run, batch, flipped, whole=len(batch.samples) == len(shares[0]))
            count += len(batch.samples)
        if schedule:
            schedule.step()
        # Asking a GPU for a figure makes it wait.
        if (device.type == "cpu" or number % STEPS_BETWEEN_LOOKS == 0) and not total.isfinite():
            raise tell_divergence(settings, epoch)
    all_loss, all_count = group.total(total.item(), count)
    return all_loss / max(all_count, 1), dict(ChainMap(*group.gather(bad)))


def _step(run: Run, batch: Batch, flipped: torch.Tensor, whole: bool) -> torch.Tensor:
    """One step of the optimiser on this process's share of a batch; returns the sum of its losses.

    Args:
        flipped: (N,) bool for the whole batch of all processes: which pictures are mirrored.
        whole: the share is of full size; a compiled model would be compiled again for a smaller one.
    """
    group, device = run.group, next(run.model.parameters()).device
    size = group.reduce(torch.tensor(float(len(batch.samples)), device=device)).clamp_min(1)
    run.optimizer.zero_grad(set_to_none=True)
    if batch.samples:
        images = batch.images.to(device, non_blocking=True)
        mirror = flipped[group.rank :: group.size][list(batch.places)].to(device, non_blocking=True)
        images = torch.where(mirror.view(-1, 1, 1, 1), images.flip(3), images)
        labels = batch.labels.to(device, non_blocking=True)
        normalised = Normaliser(run.settings.recipe, device)(images)
        logits = forward(run.whole_batches if whole else run.network, normalised, run.dtype)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
    else:
        # All processes have to take part in a step; this one has no picture left to give.
        empty = torch.zeros(1, 3, SIZE, SIZE, device=device)
        loss = 0 * forward(run.network, empty, run.dtype).sum()
    # The processes' gradients are averaged; the batch's mean is over its pictures.
    (loss * group.size / size).backward()
    run.optimizer.step()
    if run.average is not None:
        run.average.update_parameters(run.model)
    return loss.detach()


def validate(run: Run, label: str) -> tuple[float, float, dict[Path, str]]:
    """Mean loss and accuracy on the validation samples, and the unreadable files with the reasons."""
    bad: dict[Path, str] = {}
    loss, right, count = 0.0, 0.0, 0.0
    own = run.group.part_of(run.val_samples)
    for batch, logits in predict_batches(
        run.settings, run.console, run.judged, run.dtype, own, label, run.decoded
    ):
        bad.update(faults_of(batch.bad))
        if batch.samples:
            loss += functional.cross_entropy(logits, batch.labels, reduction="sum").item()
            right += float((logits.argmax(1) == batch.labels).sum())
            count += len(batch.samples)
    loss, right, count = run.group.total(loss, right, count)
    if not count:
        raise UserError("None of the validation pictures can be read. Scan and resize again.")
    return loss / count, right / count, dict(ChainMap(*run.group.gather(bad)))


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over all layers, each step in one kernel where the device has it."""
    return getattr(torch.optim, recipe.optimizer)(
        model.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=next(model.parameters()).device.type in ("cpu", "cuda"),
    )


def _schedule(run: Run, epoch: int, steps_an_epoch: int) -> LambdaLR:
    """The robust recipe's learning rate from an epoch's first step on; the first epoch is the head's."""
    done = steps_an_epoch * (epoch - 2)
    steps = steps_an_epoch * (run.settings.training.max_epochs - 1)
    for parameters in run.optimizer.param_groups:
        parameters["initial_lr"] = run.settings.recipe.learning_rate
    return LambdaLR(run.optimizer, lambda step: rate_factor(step, steps), last_epoch=done - 1)


def rate_factor(step: int, steps: int) -> float:
    """What the learning rate is multiplied by in a step (from 0) of so many."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
