"""The input of a trained model: the one it was trained with, even if timm has changed since."""

from msgspec.structs import asdict

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import TrainingRecord, read_training
from fakedetect.core.settings.model_folder import checkpoint_file, model_hash
from fakedetect.core.settings.model_input import Scaling
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console


def read_own_training(settings: Settings, checkpoint_hash: str) -> TrainingRecord:
    """Read the chosen model's training.json; an empty record if it is for another checkpoint.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_training(settings.model_folder)
    return found if found.is_of(checkpoint_hash) else TrainingRecord()


def as_trained(settings: Settings, training: TrainingRecord) -> Settings:
    """Return the settings for predictions with the chosen model: with the input of its training.

    Args:
        training: the record of its checkpoint; input that it lacks is taken from the settings.

    Raises:
        UserError: paths.toml sets another input.
    """
    recipe, recorded = settings.written[settings.model], training.input
    if not recipe.section:
        return settings
    for key, then in asdict(recorded).items():
        now = getattr(recipe, key)
        if None not in (then, now) and then != now:
            there = f"{recipe.section} in {settings.file}"
            raise UserError(
                f"{settings.model} was trained with {key} = {_show(then)}, and {there} sets {_show(now)}. "
                f"Write {key} = {_show(then)}, or train again: {settings.command('train', '--overwrite')}"
            )
    return settings.with_recipe(**asdict(recorded.or_else(recipe)))


def _show(value: object) -> str:
    """Format a value as in paths.toml."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def own_settings(settings: Settings) -> Settings:
    """Return as_trained() for the checkpoint of the chosen model.

    Raises:
        UserError: it has no checkpoint, its training.json cannot be used, or paths.toml sets another input.
    """
    return as_trained(settings, read_own_training(settings, model_hash(settings)))


def find_scalings(settings: Settings) -> tuple[Scaling, ...]:
    """Return how the chosen model's pictures are scaled: for training now, and for its checkpoint if
    that differs.

    Raises:
        UserError: timm does not have the model, or its training.json cannot be used.
    """
    now = settings.recipe.input.scaling
    if not settings.recipe.section or not checkpoint_file(settings).is_file():
        return (now,)
    recorded = read_own_training(settings, model_hash(settings)).input
    then = settings.with_recipe(**asdict(recorded.or_else(settings.recipe))).recipe.input.scaling
    return tuple(dict.fromkeys((now, then)))


def check_size(settings: Settings, console: Console) -> None:
    """Raise an error for a size that the chosen model does not accept; the size of its weights is not
    tried.

    On a terminal it shows that timm is being imported.

    Raises:
        UserError: timm does not have the model, or it does not accept that size.
    """
    recipe = settings.written[settings.model]
    if not recipe.section:
        return
    from fakedetect.core.settings.architectures import (
        find_known_input,
        find_size_arguments,
        look_up_input,
    )

    if find_known_input(settings.model_folders, recipe.architecture) is None:
        console.show_loading("timm")
    own = look_up_input(settings.model_folders, recipe.architecture, recipe.section).size
    if recipe.size not in (None, own):
        console.show_loading("timm")
        find_size_arguments(recipe.architecture, recipe.size, recipe.section)
