"""Option 3.1: train the chosen model, and 3.4: show its loss graph."""

import gc
from contextlib import nullcontext
from dataclasses import replace

import torch

from fakedetect.console import Console, Outcome, open_picture
from fakedetect.dataset import (
    load_dataset,
    split_dataset,
)
from fakedetect.epochs import read_log, write_log
from fakedetect.errors import UserError
from fakedetect.files import run_lock
from fakedetect.precautions import check_data
from fakedetect.processes import in_group, is_first, join_group, launch
from fakedetect.settings import Settings
from fakedetect.training_run import gather_facts, prepare_run, run_epochs
from fakedetect.unfinished import (
    read_unfinished,
    tell_difference,
    unfinished_file,
)


def train(settings: Settings, console: Console, overwrite: bool = False, resume: bool = False) -> Outcome:
    """Train by the recipe until the validation loss stops falling; the best epoch is kept.

    Args:
        overwrite: replace a checkpoint, and forget an unfinished run.
        resume: go on with an unfinished run from its last finished epoch.

    Raises:
        UserError: a checkpoint is there and may not be replaced, or the data cannot be used.
    """
    if overwrite and resume:
        raise UserError("--overwrite starts afresh and --resume goes on: give one of them.")
    if not resume:
        resume = _may_start(settings, console, overwrite)
    gpus = torch.cuda.device_count()
    if gpus > 1 and not in_group() and console.confirm(f"Train on all {gpus} GPUs?"):
        command = ["--paths", str(settings.file), "--model", settings.model, "train"]
        return Outcome("", launch(gpus, [*command, "--resume" if resume else "--overwrite"]))
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        while True:
            try:
                return _train_once(settings, console, resume)
            except RuntimeError as error:
                if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                    raise
            settings = _with_smaller_batch(settings, console)


def _may_start(settings: Settings, console: Console, overwrite: bool) -> bool:
    """Whether to go on with an unfinished run, True, or to start anew.

    Raises:
        UserError: neither may be done without being asked for.
    """
    if overwrite:
        return False
    if unfinished_file(settings.model_folder).is_file():
        if console.confirm(f"{settings.model_folder} holds an unfinished run. Go on with it?"):
            return True
        if not console.confirm("Forget it and train anew?"):
            raise UserError(
                f"{settings.model_folder} holds an unfinished run. To go on with it: python menu.py train "
                "--resume; to start afresh: python menu.py train --overwrite"
            )
    elif settings.checkpoint.exists() and not console.confirm(
        f"{settings.checkpoint} is there already. Train anew and replace it?"
    ):
        raise UserError(
            f"{settings.checkpoint} was left as it is. To replace it: python menu.py train --overwrite"
        )
    return False


def _with_smaller_batch(settings: Settings, console: Console) -> Settings:
    """The settings with half the batch, where the user wants that.

    Raises:
        UserError: the memory does not suffice and nobody says to go on.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    size = settings.recipe.batch_size
    what = f"The memory does not suffice for {settings.model} in batches of {size}"
    if size == 1:
        raise UserError(f"{what}. Choose a smaller model.")
    if not console.confirm(f"{what}. Try {size // 2}?"):
        raise UserError(f"{what}. Set batch_size = {size // 2} in {settings.file}.")
    recipe = replace(settings.recipe, batch_size=size // 2)
    return replace(settings, recipes={**settings.recipes, settings.model: recipe})


def _train_once(settings: Settings, console: Console, resume: bool) -> Outcome:
    state = read_unfinished(settings.model_folder) if resume else None
    dataset = load_dataset(settings, "train")
    options = settings.training
    samples = split_dataset(dataset, options.validation_share, options.seed)
    facts = gather_facts(settings, dataset)
    if state and (difference := tell_difference(state.facts, facts)):
        raise UserError(
            f"The unfinished run cannot go on: {difference}. Set it back, or start afresh: "
            "python menu.py train --overwrite"
        )
    if is_first():
        check_data(settings, console, dataset)
    with join_group() as group:
        # Bound to no name here: the shared model has to go before the group that it belongs to.
        return run_epochs(
            prepare_run(settings, console, group, dataset, *samples, state), dataset, state, facts
        )


def show_loss_graph(settings: Settings, console: Console) -> Outcome:
    """Draw loss_plot.jpg from an earlier run's log, print its epochs and open the picture."""
    epochs = read_log(settings.model_folder / "training_log.csv")
    write_log(settings.model_folder, epochs)
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
