"""The training loop: epochs until the validation loss stops falling."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file
from fakedetect.core.processes.memory import return_freed_memory
from fakedetect.core.records.training import (
    Epoch,
    RunConditions,
    SplitRecord,
    StartedEpoch,
    TrainingRecord,
    write_training,
)
from fakedetect.core.settings.model_folder import LOG, LOSS_PLOT, TRAINING, remove_other_checkpoints
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Outcome, plural
from fakedetect.core.terminal.progress import format_duration, percent
from fakedetect.dataset.folders import find_class_folders
from fakedetect.dataset.samples import Dataset, describe_faults
from fakedetect.images.copies import find_copy_kind
from fakedetect.models.building import save_checkpoint
from fakedetect.training.epochs import EpochPass, Run, diverged, train_epoch, validate
from fakedetect.training.log import describe_best_epoch, find_best_epoch, write_log
from fakedetect.training.unfinished import (
    Unfinished,
    make_training_record,
    random_state,
    save_unfinished,
    unfinished_file,
)

MOST_UNREADABLE_SHARE = 0.25
"""The share of unreadable pictures above which a run stops."""

NOT_STARTED = StartedEpoch(steps=0, of_steps=0, loss=0.0, count=0, seconds=0.0, faults={})


def _describe_run(
    run: Run, dataset: Dataset, best: Epoch, conditions: RunConditions, checkpoint: str
) -> TrainingRecord:
    """Return the run's training.json for the best epoch, whose checkpoint has this hash."""
    options = run.settings.training
    return msgspec.structs.replace(
        make_training_record(
            run.settings, dataset, find_copy_kind(find_class_folders(dataset.folder)[0][0]), conditions
        ),
        checkpoint=checkpoint,
        split=SplitRecord(
            train=len(run.train_samples),
            validation=len(run.val_samples),
            validation_share=options.validation_share,
        ),
        max_epochs=options.max_epochs,
        patience=options.patience,
        precision=str(run.dtype).split(".")[-1],
        device=str(run.device),
        processes=run.group.size,
        compiled=options.compile,
        parameters=sum(parameter.numel() for parameter in run.model.parameters()),
        best=best,
    )


def check_unreadable_share(bad: int, dataset: Dataset) -> None:
    """Refuse a dataset with too many unreadable pictures.

    Raises:
        UserError: more than MOST_UNREADABLE_SHARE of them.
    """
    if bad > MOST_UNREADABLE_SHARE * len(dataset.samples):
        raise UserError(
            f"{bad:,} of the {len(dataset.samples):,} pictures in {dataset.folder} cannot be read, more "
            f"than {percent(MOST_UNREADABLE_SHARE, 0)}. Check the disk, then scan and resize again."
        )


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run: its epochs, the reasons of the unreadable pictures, and its duration.

    `stopped`: the user stopped it and lost the last `seconds_lost` of work. `started` is the saved progress
    of the epoch after `epochs`.
    """

    epochs: tuple[Epoch, ...]
    faults: Mapping[Path, str]
    seconds: float
    stopped: bool = False
    started: StartedEpoch | None = None
    seconds_lost: float = 0.0


class _Progress:
    """A run's progress, in memory and on disk."""

    def __init__(self, run: Run, dataset: Dataset, state: Unfinished | None, conditions: RunConditions):
        self.run, self.dataset, self.conditions = run, dataset, conditions
        self.folder = run.settings.model_folder
        self.epochs = list(state.rows) if state else []
        self.started = state.started_by(run.group) if state else None
        self.faults: dict[Path, str] = {}
        self.begun = self.saved = time.monotonic()
        self.earlier = sum(epoch.seconds for epoch in self.epochs)
        self.earlier += self.started.seconds if self.started else 0.0
        if run.group.first and not state:
            unfinished_file(self.folder).unlink(missing_ok=True)
        elif run.group.first and self.epochs and not self.started:
            # The run may have been killed after it saved its state and before its results.
            self._save_results()

    @property
    def is_over(self) -> bool:
        """Whether the validation loss has stopped falling."""
        epochs = self.epochs
        patience = self.run.settings.training.patience
        return bool(epochs) and epochs[-1].epoch - find_best_epoch(epochs).epoch >= patience

    def add_epoch(self, epoch: Epoch, unread: Mapping[Path, str]) -> None:
        """Add a finished epoch and save it; call it in every process.

        Raises:
            UserError: too many pictures are unreadable.
        """
        self.faults |= unread
        check_unreadable_share(len(self.faults), self.dataset)
        self.epochs.append(epoch)
        # Save the state first: a run that is killed before it saves its results counts as unfinished.
        self._save(None)
        if self.run.group.first:
            self._save_results()

    def add_steps(self, done: EpochPass) -> None:
        """Save the current epoch's steps if save_minutes have passed; call it in every process."""
        seconds = 60 * self.run.settings.training.save_minutes
        # The first process's clock decides, so that all save the same step.
        if self.run.group.gather(time.monotonic() - self.saved >= seconds)[0]:
            self._save(done.record())

    def _save_results(self) -> None:
        """Write the log, and the checkpoint if the last epoch is the best one."""
        run, checkpoint, epoch = self.run, self.run.settings.checkpoint, self.epochs[-1]
        if epoch is find_best_epoch(self.epochs):
            save_checkpoint(run.model, checkpoint)
            remove_other_checkpoints(run.settings, checkpoint)
            record = _describe_run(run, self.dataset, epoch, self.conditions, hash_file(checkpoint))
            write_training(self.folder, record)
        write_log(self.folder, self.epochs)

    def _save(self, started: StartedEpoch | None) -> None:
        """Save the state that a resumed run needs."""
        run = self.run
        states = run.group.gather((random_state(), started))
        if run.group.first:
            state = Unfinished(
                model=run.model.state_dict(),
                optimizer=run.optimizer.state_dict(),
                random=[random for random, _ in states],
                rows=self.epochs,
                conditions=self.conditions,
                started=tuple(part for _, part in states if part),
            )
            save_unfinished(self.folder, state)
        self.started, self.saved = started, time.monotonic()

    def result(self, stopped: bool) -> TrainingResult:
        """Return the result so far."""
        now = time.monotonic()
        return TrainingResult(
            epochs=tuple(self.epochs),
            faults=self.faults,
            seconds=self.earlier + now - self.begun,
            stopped=stopped,
            started=self.started,
            seconds_lost=now - self.saved if stopped else 0.0,
        )


def run_epochs(
    run: Run, dataset: Dataset, state: Unfinished | None, conditions: RunConditions
) -> TrainingResult:
    """Train and validate until the validation loss stops falling.

    The best checkpoint, the log and the state are saved after each epoch.

    Args:
        state: an unfinished run to continue; None starts from the first epoch.

    Raises:
        UserError: the loss has diverged, or too many pictures are unreadable.
    """
    settings, console = run.settings, run.console
    options = settings.training
    progress = _Progress(run=run, dataset=dataset, state=state, conditions=conditions)
    try:
        while len(progress.epochs) < options.max_epochs and not progress.is_over:
            number, started = len(progress.epochs) + 1, progress.started or NOT_STARTED
            start = time.monotonic() - started.seconds
            train_loss, unread = train_epoch(run, number, started, progress.add_steps)
            seconds = time.monotonic() - start
            return_freed_memory()
            val_loss, accuracy, unread_too = validate(run, "validation")
            return_freed_memory()
            if not np.isfinite((train_loss, val_loss)).all():
                raise diverged(settings, number)
            epoch = Epoch(
                epoch=number,
                train_loss=train_loss,
                val_loss=val_loss,
                val_accuracy=accuracy,
                seconds=round(time.monotonic() - start, 3),
                images_per_second=round(len(run.train_samples) / seconds, 2),
            )
            progress.add_epoch(epoch, unread | unread_too)
            console.show(_describe_epoch(epoch, epoch is find_best_epoch(progress.epochs)))
            if progress.is_over:
                console.show(f"Stopped early: no lower validation loss for {options.patience} epochs")
    except KeyboardInterrupt:
        return progress.result(stopped=True)
    if run.group.first:
        unfinished_file(settings.model_folder).unlink(missing_ok=True)
    return progress.result(stopped=False)


def _describe_epoch(epoch: Epoch, is_best: bool) -> str:
    """Describe an epoch in one line."""
    return (
        f"Epoch {epoch.epoch}: training loss {epoch.train_loss:.4f}, "
        f"validation loss {epoch.val_loss:.4f}, "
        f"validation accuracy {percent(epoch.val_accuracy, 2)}{' (best so far)' if is_best else ''}"
    )


def describe_trained(settings: Settings, trained: TrainingResult, again: str) -> Outcome:
    """Describe the result of a run.

    Args:
        again: the command that continues a stopped run.
    """
    lines = describe_faults(trained.faults)
    if trained.stopped:
        more = [f"To continue: {again}"] if trained.epochs or trained.started else []
        lines = [*describe_stop(settings, trained), *more, *lines]
    else:
        epochs = plural(len(trained.epochs), "epoch")
        lines.append(f"Trained {settings.model}: {epochs} in {format_duration(trained.seconds)}")
    if trained.epochs:
        lines += [
            f"Loss graph: {settings.model_folder / LOSS_PLOT}",
            f"Log and settings of the run: {LOG} and {TRAINING} in the same folder",
            f"Saved as {settings.checkpoint}",
        ]
        if not trained.stopped:
            lines.append(f"Next, test it: {settings.command('test')}")
        lines.append(describe_best_epoch(trained.epochs))
    return Outcome("\n".join(lines), 130 if trained.stopped else 1 if trained.faults else 0)


def describe_stop(settings: Settings, trained: TrainingResult) -> list[str]:
    """Describe what of a stopped run is saved and what is lost."""
    epochs, started = len(trained.epochs), trained.started
    lost = f"the last {format_duration(trained.seconds_lost)} of work"
    if not epochs and not started:
        lines = [f"Stopped in the first epoch: only this epoch is lost ({lost})."]
        if settings.checkpoint.is_file():
            lines.append(f"{settings.checkpoint} is still the model from an earlier run.")
        return lines
    saved = [plural(epochs, "epoch")] if epochs else []
    if started:
        saved.append(f"{started.steps:,} of {started.of_steps:,} steps of epoch {epochs + 1}")
    return [f"Stopped. Saved: {' and '.join(saved)}; lost: {lost}."]
