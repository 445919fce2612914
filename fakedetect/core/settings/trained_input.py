"""The input of a model that has been trained: that of its training, whatever timm says today."""

from msgspec.structs import asdict

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import TrainingRecord, read_training
from fakedetect.core.settings.model_folder import checkpoint_file, model_hash
from fakedetect.core.settings.model_input import Scaling
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console


def read_own_training(settings: Settings, checkpoint_hash: str) -> TrainingRecord:
    """The chosen model's training.json; an empty one where it is not of this checkpoint, by model_hash().

    Raises:
        UserError: the file does not fit.
    """
    found = read_training(settings.model_folder)
    return found if found.is_of(checkpoint_hash) else TrainingRecord()


def as_trained(settings: Settings, training: TrainingRecord) -> Settings:
    """The settings under which the chosen model is asked: with the input that it was trained with.

    Args:
        training: of its checkpoint; where it does not say the input, the settings do.

    Raises:
        UserError: paths.toml says another one.
    """
    recipe, recorded = settings.written[settings.model], training.input
    if not recipe.section:
        return settings
    for key, then in asdict(recorded).items():
        now = getattr(recipe, key)
        if None not in (then, now) and then != now:
            there = f"{recipe.section} in {settings.file}"
            raise UserError(
                f"{settings.model} was trained with {key} = {_show(then)}, and {there} says {_show(now)}. "
                f"Write {key} = {_show(then)}, or train again: {settings.command('train', '--overwrite')}"
            )
    return settings.with_recipe(**asdict(recorded.or_else(recipe)))


def _show(value: object) -> str:
    """A value as paths.toml has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def own_settings(settings: Settings) -> Settings:
    """as_trained() by the checkpoint that the chosen model has.

    Raises:
        UserError: it has none, its training.json does not fit, or paths.toml says another input.
    """
    return as_trained(settings, read_own_training(settings, model_hash(settings)))


def find_scalings(settings: Settings) -> tuple[Scaling, ...]:
    """How the chosen model's pictures are scaled: for training it now, and for the checkpoint that it has
    where that was trained otherwise.

    Raises:
        UserError: timm does not have the model, or its training.json does not fit.
    """
    now = settings.recipe.input.scaling
    if not settings.recipe.section or not checkpoint_file(settings).is_file():
        return (now,)
    recorded = read_own_training(settings, model_hash(settings)).input
    then = settings.with_recipe(**asdict(recorded.or_else(settings.recipe))).recipe.input.scaling
    return tuple(dict.fromkeys((now, then)))


def check_size(settings: Settings, console: Console) -> None:
    """Refuse a size that the chosen model does not take; what timm says of its weights is not tried.

    On a terminal it says that timm is being loaded, where it has to be asked.

    Raises:
        UserError: timm does not have the model, or it takes no pictures of that size.
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
