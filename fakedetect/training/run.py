"""A training run, from the data to the best checkpoint; batches shrink if memory runs out."""

import gc
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import ROBUST, ROBUST_REMOVED
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.dataset.decoded import decode_pictures
from fakedetect.dataset.folders import check_folders_apart
from fakedetect.dataset.identical import find_exact_duplicates
from fakedetect.dataset.samples import Dataset, Sample, load_dataset, split_dataset, warn_about_skipped
from fakedetect.models.building import build_model
from fakedetect.models.cpu_training.speed_up import speed_up
from fakedetect.models.devices import (
    choose_precision,
    describe_device,
    to_device,
    warn_about_idle_gpu,
)
from fakedetect.models.processes import Group, distribute_model, is_first, join_group
from fakedetect.training.balance import advise_balance, describe_balance
from fakedetect.training.epochs import Run, make_optimizer
from fakedetect.training.loop import TrainingResult, check_unreadable_share, run_epochs
from fakedetect.training.unfinished import (
    Unfinished,
    can_resume,
    describe_difference,
    find_difference,
    gather_conditions,
    read_unfinished,
    restore_run,
)

FEW_PICTURES_PER_CLASS = 10
"""Warn if a class has fewer pictures than this."""

COMPILERS = ("c++", "g++", "clang++", "cl")


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Parameters of a run in addition to the settings.

    `resume`: continue the unfinished run in the model's folder. `leave_out`: a source to exclude from
    training, '' for none. `group`: the processes that train; by default those that torchrun started.
    """

    resume: bool = False
    leave_out: str = ""
    group: Group | None = None


def plan_further_run(settings: Settings, leave_out: str = "") -> RunPlan | None:
    """Plan a run in addition to the model's own; return None if it is finished under the same conditions.

    Raises:
        UserError: the data cannot be used, or a file in its folder does not fit.
    """
    if find_difference(settings, leave_out) is None:
        return None
    return RunPlan(resume=can_resume(settings, leave_out), leave_out=leave_out)


def train_model(settings: Settings, console: Console, plan: RunPlan) -> TrainingResult:
    """Train the chosen model; if memory runs out, retry in smaller batches if the user agrees.

    Raises:
        UserError: the data, the settings or the memory do not allow it.
    """
    while True:
        try:
            return _train_once(settings, console, plan)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
        settings = _with_smaller_batch(settings, console)


def _with_smaller_batch(settings: Settings, console: Console) -> Settings:
    """Return the settings with half the batch size, if the user agrees.

    Raises:
        UserError: the user does not agree, or the batch is a single picture.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    size = settings.recipe.batch_size
    what = f"Not enough memory for {settings.model} in batches of {size}"
    if size == 1:
        raise UserError(f"{what}. Choose a smaller model.")
    if not console.confirm(f"{what}. Try {size // 2}?"):
        raise UserError(f"{what}. Set batch_size = {size // 2} in {settings.file}.")
    return settings.with_recipe(batch_size=size // 2)


def _train_once(settings: Settings, console: Console, plan: RunPlan) -> TrainingResult:
    """Run once, from the data to the best checkpoint, which is saved after each epoch."""
    # Resume
    state = read_unfinished(settings) if plan.resume else None
    if state and state.conditions.recipe == ROBUST:
        over = settings.command("train", "--overwrite")
        raise UserError(f"The unfinished run cannot continue. {ROBUST_REMOVED} To start over: {over}")

    # Data
    dataset = load_dataset(settings, "train", plan.leave_out)
    warn_about_skipped(dataset, console)
    samples = split_dataset(dataset, settings.training.validation_share, settings.training.seed)
    conditions = gather_conditions(settings, dataset)
    if state and (difference := describe_difference(state.conditions, conditions)):
        raise UserError(
            f"The unfinished run cannot continue: {difference}. Change it back, or start over: "
            f"{settings.command('train', '--overwrite')}"
        )
    _refuse_to_compile_without_compiler(settings)
    # Further runs use the pictures of the model's own run, which are checked.
    if is_first() and not settings.folder:
        _check_data(settings, console, dataset)

    # Model, optimiser, epochs
    with nullcontext(plan.group) if plan.group else join_group() as group:
        # No name here refers to the run: its distributed model must be freed before its group.
        return run_epochs(
            _prepare(settings, console, group, dataset, samples, state), dataset, state, conditions
        )


def _check_data(settings: Settings, console: Console, dataset: Dataset) -> None:
    """Check the data before the first epoch: refuse overlapping folders, warn about the rest.

    Raises:
        UserError: folders of the dataset overlap.
    """
    check_folders_apart(settings)
    for line in advise_balance(dataset.samples, settings.training.balance):
        console.warn(line)
    count = len(dataset.samples)
    if count < settings.recipe.batch_size:
        console.warn(
            f"The training set ({plural(count, 'picture')}) is smaller than one batch "
            f"({settings.recipe.batch_size}): each epoch is a single step. Set a smaller batch_size in "
            f"{settings.file}."
        )
    fakes = sum(sample.label == 0 for sample in dataset.samples)
    if min(fakes, count - fakes) < FEW_PICTURES_PER_CLASS:
        console.warn(
            f"Only {fakes:,} fake and {plural(count - fakes, 'real picture')} to train and validate on: "
            "too few to train a model, and its validation accuracy is a matter of chance. Collect more of "
            "both classes."
        )
    _check_copies(settings, dataset, _test_samples(settings), console)


def _test_samples(settings: Settings) -> Sequence[Sample]:
    try:
        return load_dataset(settings, "test").samples
    except UserError:
        return ()


def _check_copies(settings: Settings, dataset: Dataset, test: Sequence[Sample], console: Console) -> None:
    samples = [*dataset.samples, *test]
    places = {sample.path for sample in test}
    sizes = []
    for sample in samples:
        try:
            sizes.append(sample.path.stat().st_size)
        except OSError:
            sizes.append(-1)
    counts: Counter[str] = Counter()
    for pair in find_exact_duplicates([sample.path for sample in samples], sizes):
        first, second = samples[pair.first], samples[pair.second]
        if (first.path in places) != (second.path in places):
            counts["leak"] += 1
        if first.label != second.label:
            counts["both"] += 1
    listing = settings.command("explore", "--on", "resized")
    if leaks := counts["leak"]:
        be = "is an exact duplicate" if leaks == 1 else "are exact duplicates"
        console.warn(
            f"{plural(leaks, 'picture')} of the test folder {be} of training pictures: testing on them "
            f"inflates the accuracy. {listing} lists them."
        )
    if both := counts["both"]:
        be = "is" if both == 1 else "are"
        console.warn(
            f"{plural(both, 'picture')} {be} labelled both fake and real (exact duplicates). "
            f"{listing} lists them."
        )


def _prepare(
    settings: Settings,
    console: Console,
    group: Group,
    dataset: Dataset,
    samples: tuple[list[Sample], list[Sample]],
    state: Unfinished | None,
) -> Run:
    """Prepare model, optimiser and pictures for the first epoch, or restore those of a stopped run.

    Args:
        samples: the training samples and the validation samples.
    """
    options, recipe = settings.training, settings.recipe
    for line in _describe_start(settings, group, dataset, samples):
        console.note(line)

    # Model
    _seed(options.seed)
    model = to_device(build_model(recipe, options.pretrained and state is None))
    dtype = _choose_precision(settings, console, group, model)

    # Pictures, decoded only after the model is loaded
    paths = [sample.path for sample in dataset.samples]
    decoded = decode_pictures(dataset.folder, paths, console, settings.workers, recipe.input.scaling)
    check_unreadable_share(len(decoded.faults) if decoded else 0, dataset)
    group.wait()

    # Optimiser
    optimizer = make_optimizer(recipe, model)
    if state:
        restore_run(settings, state, model, optimizer, group)

    # Processes and faster training steps
    network = distribute_model(model, group)
    alone = group.size == 1 and not options.compile
    return Run(
        settings=settings,
        console=console,
        group=group,
        model=model,
        network=network,
        whole_batches=torch.compile(network) if options.compile else network,
        optimizer=optimizer,
        dtype=dtype,
        gradients=speed_up(model, dtype, recipe.input.size, alone),
        train_samples=samples[0],
        val_samples=samples[1],
        decoded=decoded,
    )


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def _refuse_to_compile_without_compiler(settings: Settings) -> None:
    if settings.training.compile and not any(shutil.which(name) for name in COMPILERS):
        raise UserError(
            f"compile = true in {settings.file} needs a C++ compiler, but none was found. Install one "
            "(for example g++), or set compile = false."
        )


def _choose_precision(
    settings: Settings, console: Console, group: Group, model: torch.nn.Module
) -> torch.dtype:
    """Choose the floating-point type of the run; print it and the device."""
    warn_about_idle_gpu(console)
    dtype = choose_precision(settings, model)
    device = describe_device(next(model.parameters()).device, dtype)
    together = f", {group.size} processes" if group.size > 1 else ""
    console.note(f"{settings.model} trains on {device}{together}")
    return dtype


def _describe_start(
    settings: Settings, group: Group, dataset: Dataset, samples: tuple[list[Sample], list[Sample]]
) -> list[str]:
    """Describe the run, and how it is balanced."""
    training, validation = samples
    options = settings.training
    return [
        f"Training {settings.model} on {plural(len(training), 'picture')}"
        + (f" without {printable(dataset.without)}" if dataset.without else "")
        + f", validating on {len(validation):,}"
        + ("; every picture degraded at random" if options.degrade else "")
        + (f"; {plural(dataset.left_out, 'bad picture')} skipped" if dataset.left_out else "")
        + (f"; {group.size} processes" if group.size > 1 else "")
        + f"; at most {plural(options.max_epochs, 'epoch')}",
        *describe_balance(training, options.balance),
    ]
