"""A whole training run, from the data to the best checkpoint, within the memory that there is."""

import gc

import torch

from fakedetect.console import Console, Outcome
from fakedetect.dataset import load_dataset, split_dataset
from fakedetect.errors import UserError
from fakedetect.precautions import check_data
from fakedetect.processes import is_first, join_group
from fakedetect.settings import Settings
from fakedetect.training_run import gather_facts, prepare_run, run_epochs
from fakedetect.unfinished import read_unfinished, tell_difference


def train_in_memory(
    settings: Settings, console: Console, resume: bool, recipe: str | None = None
) -> Outcome:
    """Train the chosen model; where the memory does not suffice, in smaller batches if the user agrees.

    Args:
        resume: go on with the unfinished run in the model's folder.
        recipe: the way of training; otherwise that of the unfinished run, or as the settings say.

    Raises:
        UserError: the data, the settings or the memory do not allow it.
    """
    while True:
        try:
            return _train_once(settings, console, resume, recipe)
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
    what = f"The memory does not suffice for {settings.model} in batches of {size}"
    if size == 1:
        raise UserError(f"{what}. Choose a smaller model.")
    if not console.confirm(f"{what}. Try {size // 2}?"):
        raise UserError(f"{what}. Set batch_size = {size // 2} in {settings.file}.")
    return settings.with_recipe(batch_size=size // 2)


def _train_once(settings: Settings, console: Console, resume: bool, recipe: str | None) -> Outcome:
    state = read_unfinished(settings.model_folder) if resume else None
    recipe = recipe or (state and state.facts.get("recipe"))
    if recipe:
        settings = settings.with_recipe(recipe=recipe)
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
