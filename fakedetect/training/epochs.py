"""One epoch of training, and one pass over the validation pictures."""

import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import StartedEpoch
from fakedetect.core.settings.recipes import UNBALANCED, Recipe
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.batches import Batch, PixelChange, cut_batches, load_batches
from fakedetect.dataset.decoded import DecodedPictures
from fakedetect.dataset.samples import Sample, collect_faults
from fakedetect.images.degradations import degrade_at_random, make_random
from fakedetect.models.cpu_training.speed_up import Gradients
from fakedetect.models.devices import Normaliser, forward, make_torch_engine
from fakedetect.models.predictions import predict_batches
from fakedetect.models.processes import Group
from fakedetect.training.balance import compute_epoch_weights, draw_epoch

STEPS_BETWEEN_LOSS_CHECKS = 50

EPOCHS_PER_SEED = 100_003
"""Keeps the random numbers of different seeds apart."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The parts of a run that stay the same in every epoch.

    `network` is the model as distributed over the processes; `whole_batches` runs batches of full size.
    """

    settings: Settings
    console: Console
    group: Group
    model: nn.Module
    network: nn.Module
    whole_batches: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    dtype: torch.dtype
    gradients: Gradients
    train_samples: list[Sample]
    val_samples: list[Sample]
    decoded: DecodedPictures | None

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return next(self.model.parameters()).device


def diverged(settings: Settings, epoch: int) -> UserError:
    """Return the error for a loss that is infinite or NaN."""
    return UserError(
        f"The loss became infinite or NaN in epoch {epoch}; the best epoch so far is kept. Lower "
        f'learning_rate in {settings.file}, or set precision = "fp32".'
    )


class EpochPass:
    """The progress of this process through an epoch of training."""

    def __init__(self, started: StartedEpoch, of_steps: int, device: torch.device):
        self.steps, self.of_steps = started.steps, of_steps
        self.loss = torch.tensor(started.loss, device=device)
        self.count = started.count
        self.faults = {Path(path): why for path, why in started.faults.items()}
        self.begun = time.monotonic() - started.seconds

    def mean_loss(self) -> float:
        """Return the mean loss of this process's pictures so far."""
        return self.loss.item() / max(self.count, 1)

    def record(self) -> StartedEpoch:
        """Return what a resumed run needs to continue from here."""
        return StartedEpoch(
            steps=self.steps,
            of_steps=self.of_steps,
            loss=self.loss.item(),
            count=self.count,
            seconds=time.monotonic() - self.begun,
            faults={str(path): why for path, why in self.faults.items()},
        )


def train_epoch(
    run: Run, epoch: int, started: StartedEpoch, save: Callable[[EpochPass], None]
) -> tuple[float, dict[Path, str]]:
    """Train on every sample once; return the mean loss and the reasons of the unreadable files.

    Order and flips depend on the seed and the epoch alone: all processes draw the same and take their share
    of every batch, and a resumed epoch continues in the same order.

    Args:
        started: the epoch's progress in an earlier run, or NOT_STARTED.
        save: called in every process after a step; saves the progress if due.

    Raises:
        UserError: the loss has diverged.
    """
    group, options = run.group, run.settings.training
    seed = options.seed * EPOCHS_PER_SEED + epoch
    chunks, flips = _draw(run, seed)
    done = EpochPass(started, len(chunks), run.device)
    whole = len(group.part_of(chunks[0]))
    to_do = list(zip(chunks, flips, strict=True))[done.steps :]
    batches = _load(run, seed, chunks[done.steps :])
    run.model.train()
    before = sum(map(len, chunks[: done.steps]))
    label = f"epoch {epoch}/{options.max_epochs}"
    with run.console.progress(len(run.train_samples), label, before) as progress:
        progress.set_details(f"step {min(done.steps + 1, len(chunks)):,} of {len(chunks):,}")
        for batch, (chunk, flipped) in zip(batches, to_do, strict=True):
            done.faults.update(collect_faults(batch.bad))
            if batch.samples or group.size > 1:
                done.loss += _step(run, batch, flipped, whole=len(batch.samples) == whole)
                done.count += len(batch.samples)
            done.steps += 1
            progress.advance(len(chunk))
            # Reading a value from a GPU synchronises it.
            if run.device.type == "cpu" or done.steps % STEPS_BETWEEN_LOSS_CHECKS == 1:
                if not done.loss.isfinite():
                    raise diverged(run.settings, epoch)
                progress.set_details(f"loss {done.mean_loss():.4f}")
                save(done)
    all_loss, all_count = group.total(done.loss.item(), done.count)
    return all_loss / max(all_count, 1), dict(ChainMap(*group.gather(done.faults)))


def _draw(run: Run, seed: int) -> tuple[list[Sequence[Sample]], list[torch.Tensor]]:
    """Draw an epoch's batches of samples, and for each batch, which of them are mirrored: (B,) bool."""
    random = torch.Generator().manual_seed(seed)
    samples = draw_epoch(run.train_samples, run.settings.training.balance, random)
    flips = torch.rand(len(samples), generator=random) < 0.5
    size = run.settings.recipe.batch_size
    return cut_batches(samples, size), list(flips.split(size))


def _load(run: Run, seed: int, chunks: Sequence[Sequence[Sample]]) -> Iterator[Batch]:
    """Load this process's shares of the batches, degraded if the settings ask for it."""
    settings = run.settings
    return load_batches(
        [run.group.part_of(chunk) for chunk in chunks],
        settings.workers,
        settings.recipe.input.scaling,
        run.decoded,
        pin=run.device.type == "cuda",
        change=make_random_degradation(seed) if settings.training.degrade else None,
    )


def make_random_degradation(seed: int) -> PixelChange:
    """Return a change that degrades every picture at random, decided by the seed and the picture's name.

    Both classes are degraded alike, so that neither sharpness nor compression reveals the class. A picture
    that an epoch shows several times is degraded differently each time.
    """

    def change(pixels: np.ndarray, sample: Sample) -> np.ndarray:
        name = f"{sample.path.name} {sample.turn}" if sample.turn else sample.path.name
        return degrade_at_random(pixels, make_random(seed, name))

    return change


def _step(run: Run, batch: Batch, flipped: torch.Tensor, whole: bool) -> torch.Tensor:
    """Take one optimiser step on this process's share of a batch; return the sum of its losses.

    Args:
        flipped: (N,) bool, which pictures of the whole batch of all processes are mirrored.
        whole: the share has full size; a compiled model would be compiled again for a smaller one.
    """
    group, device = run.group, run.device
    size = group.reduce(torch.tensor(float(len(batch.samples)), device=device)).clamp_min(1)
    run.optimizer.zero_grad(set_to_none=True)
    if batch.samples:
        images = batch.images.to(device, non_blocking=True)
        mirror = flipped[group.rank :: group.size][list(batch.places)].to(device, non_blocking=True)
        images = torch.where(mirror.view(-1, 1, 1, 1), images.flip(3), images)
        labels = batch.labels.to(device, non_blocking=True)
        normalised = Normaliser(run.settings.recipe, device)(images)
        network = run.whole_batches if whole else run.network
        # Processes average their gradients; the loss is averaged over the batch's pictures.
        loss = run.gradients.add(network, normalised, labels, group.size / size)
    else:
        # Every process must take part in the step; this one has no pictures in it.
        side = run.settings.recipe.input.size
        empty = torch.zeros(1, 3, side, side, device=device)
        nothing = 0 * forward(run.network, empty, run.dtype).sum()
        nothing.backward()
        loss = nothing.detach()
    run.optimizer.step()
    return loss


def validate(run: Run, label: str) -> tuple[float, float, dict[Path, str]]:
    """Return the validation samples' mean loss and accuracy, and the reasons of the unreadable files.

    Samples are weighted as training is balanced.
    """
    bad: dict[Path, str] = {}
    loss, right, count = 0.0, 0.0, 0.0
    own = run.group.part_of(run.val_samples)
    weights = _weights_of(run.val_samples, run.settings.training.balance)
    engine = make_torch_engine(run.settings.recipe, run.model, run.dtype)
    for batch, logits in predict_batches(run.settings, run.console, engine, own, label, run.decoded):
        bad.update(collect_faults(batch.bad))
        if batch.samples:
            sums = _sum_results(logits, batch, weights)
            loss, right, count = loss + sums[0], right + sums[1], count + sums[2]
    loss, right, count = run.group.total(loss, right, count)
    if not count:
        raise UserError("None of the validation pictures can be read. Scan and resize again.")
    # Floating-point sums of the same weights differ slightly with their order.
    return loss / count, min(1.0, right / count), dict(ChainMap(*run.group.gather(bad)))


def _weights_of(samples: Sequence[Sample], balance: str) -> Mapping[Path, float] | None:
    """Return each sample's weight by its path; None if all weights are equal."""
    if balance == UNBALANCED:
        return None
    paths = [sample.path for sample in samples]
    return dict(zip(paths, compute_epoch_weights(samples, balance).tolist(), strict=True))


def _sum_results(
    logits: torch.Tensor, batch: Batch, weights: Mapping[Path, float] | None
) -> tuple[float, float, float]:
    """Return a batch's sums of losses, of correct predictions and of pictures, each weighted."""
    right = logits.argmax(1) == batch.labels
    if weights is None:
        loss = functional.cross_entropy(logits, batch.labels, reduction="sum")
        return loss.item(), float(right.sum()), len(batch.samples)
    weight = torch.tensor([weights[sample.path] for sample in batch.samples], dtype=torch.float64)
    losses = functional.cross_entropy(logits, batch.labels, reduction="none")
    return float(losses.double() @ weight), float(right.double() @ weight), float(weight.sum())


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over all layers, fused if the device supports it."""
    kind: type[torch.optim.Adam] = getattr(torch.optim, recipe.optimizer)
    return kind(
        model.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=next(model.parameters()).device.type in ("cpu", "cuda"),
    )
