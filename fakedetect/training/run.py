"""A whole training run, from the data to the best checkpoint, within the memory that there is."""

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
from fakedetect.dataset.decoded import decode_all
from fakedetect.dataset.folders import check_apart
from fakedetect.dataset.identical import find_exact
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
from fakedetect.training.loop import Trained, refuse_too_many, run_epochs
from fakedetect.training.unfinished import (
    Unfinished,
    can_go_on,
    find_difference,
    gather_conditions,
    read_unfinished,
    restore,
    tell_difference,
)

FEW = 10
"""Pictures of a class below which a run draws a warning."""

COMPILERS = ("c++", "g++", "clang++", "cl")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of a run, beside the settings.

    `resume`: go on with the unfinished run in the model's folder. `leave_out`: a source whose pictures have
    no part in training, '' for none. `group`: the processes that train; those that torchrun has started
    unless given.
    """

    resume: bool = False
    leave_out: str = ""
    group: Group | None = None


def plan_further(settings: Settings, leave_out: str = "") -> Plan | None:
    """What is to be done for a run beside the model's own; None where that is finished under the same
    conditions.

    Raises:
        UserError: the data cannot be used, or a file in its folder does not fit.
    """
    if find_difference(settings, leave_out) is None:
        return None
    return Plan(resume=can_go_on(settings, leave_out), leave_out=leave_out)


def train_in_memory(settings: Settings, console: Console, plan: Plan) -> Trained:
    """Train the chosen model; where the memory does not suffice, in smaller batches if the user agrees.

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
    """The settings with half the batch, where the user wants that.

    Raises:
        UserError: the memory does not suffice and nobody says to go on.
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


def _train_once(settings: Settings, console: Console, plan: Plan) -> Trained:
    """A run from its data to its best checkpoint, which the epochs save as they end."""
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
    if state and (difference := tell_difference(state.conditions, conditions)):
        raise UserError(
            f"The unfinished run cannot continue: {difference}. Change it back, or start over: "
            f"{settings.command('train', '--overwrite')}"
        )
    _refuse_to_compile_without_compiler(settings)
    # A run beside the model's own has the pictures that that one had.
    if is_first() and not settings.folder:
        _check_data(settings, console, dataset)

    # Model, optimiser, epochs
    with nullcontext(plan.group) if plan.group else join_group() as group:
        # Bound to no name here: the shared model has to go before the group that it belongs to.
        return run_epochs(
            _prepare(settings, console, group, dataset, samples, state), dataset, state, conditions
        )


def _check_data(settings: Settings, console: Console, dataset: Dataset) -> None:
    """Warn of what makes a run worth less; what makes it worthless is refused.

    Raises:
        UserError: folders of the data set overlap.
    """
    check_apart(settings)
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
    if min(fakes, count - fakes) < FEW:
        console.warn(
            f"Only {fakes:,} fake and {plural(count - fakes, 'real picture')} to train and validate on: so "
            "few teach a model nothing, and its validation accuracy is a matter of luck. Collect more of "
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
    for pair in find_exact([sample.path for sample in samples], sizes):
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
    """The model, its optimiser and the pictures, ready for the first epoch or where a run was stopped.

    Args:
        samples: those to train on, and those to validate on.
    """
    options, recipe = settings.training, settings.recipe
    for line in _describe_start(settings, group, dataset, samples):
        console.note(line)

    # Model
    _seed(options.seed)
    model = to_device(build_model(recipe, options.pretrained and state is None))
    dtype = _choose_precision(settings, console, group, model)

    # Pictures, decoded once it is known that there is a model
    paths = [sample.path for sample in dataset.samples]
    decoded = decode_all(dataset.folder, paths, console, settings.workers, recipe.input.scaling)
    refuse_too_many(len(decoded.faults) if decoded else 0, dataset)
    group.wait()

    # Optimiser
    optimizer = make_optimizer(recipe, model)
    if state:
        restore(settings, state, model, optimizer, group)

    # Processes, and what makes a step faster
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
    """The arithmetic of the run, which is said beside what it trains on."""
    warn_about_idle_gpu(console)
    dtype = choose_precision(settings, model)
    device = describe_device(next(model.parameters()).device, dtype)
    together = f", {group.size} processes" if group.size > 1 else ""
    console.note(f"{settings.model} trains on {device}{together}")
    return dtype


def _describe_start(
    settings: Settings, group: Group, dataset: Dataset, samples: tuple[list[Sample], list[Sample]]
) -> list[str]:
    """What is trained, and what balancing makes of it."""
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
