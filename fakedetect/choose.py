"""Option 4: choose the model that the other options work on, and see what pictures it takes."""

from dataclasses import replace
from pathlib import Path

from msgspec.structs import asdict

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.installation import STARTERS
from fakedetect.core.settings.architectures import look_up_input
from fakedetect.core.settings.model_folder import checkpoint_file, describe_model
from fakedetect.core.settings.model_input import SIZE
from fakedetect.core.settings.recipes import Input
from fakedetect.core.settings.settings import Settings
from fakedetect.core.settings.trained_input import check_size, own_settings
from fakedetect.core.terminal.console import BACK, Console, Outcome


def choose_model(settings: Settings, console: Console, name: str | None = None) -> Outcome:
    """Write the chosen model into paths.toml and tell what it takes; without a name, ask.

    Raises:
        UserError: there is no such model, timm has none of that name, or it takes no pictures of that size.
    """
    if name is None:
        names = settings.models
        width = max(map(len, names))
        states = [
            f"{name:<{width}}  {describe_model(settings, name)}"
            f"{_tell_size(settings.with_model(name), console)}"
            f"{'  <- chosen' if name == settings.model else ''}"
            for name in names
        ]
        choices = [(str(number), state) for number, state in enumerate(states, start=1)]
        key = console.choose("Choose the model", [*choices, (BACK, "Back")])
        if key in (None, BACK):
            return Outcome(f"The model is still {settings.model}.", left=True)
        name = names[int(key) - 1]
    chosen = settings.with_model(name)
    # What is told to be typed is typed after the choice.
    chosen = replace(chosen, chosen=name)
    lines = [f"The model is now {name} ({describe_model(chosen, name)}).", *_tell_input(chosen, console)]
    try:
        write_model(settings.file, name)
    except OSError as error:
        raise UserError(f"Cannot change {settings.file}: {error.strerror}.") from None
    return Outcome("\n".join(lines))


def _tell_size(settings: Settings, console: Console) -> str:
    """The size of a model's pictures where it is not the reference's; '' where timm does not have it."""
    if settings.model in STARTERS:
        return ""
    if settings.recall_input() is None:
        console.loading("timm")
    try:
        size = settings.recipe.input.size
    except UserError:
        return ""
    return f"; {size} x {size}" if size != SIZE else ""


def _tell_input(settings: Settings, console: Console) -> list[str]:
    """What the chosen model takes, who says so, and where its copies are.

    Raises:
        UserError: timm has no such model, or it takes no pictures of that size.
    """
    check_size(settings, console)
    lines = [f"Input: {settings.recipe.input}{_tell_sources(settings)}", *_tell_crop(settings)]
    lines += _tell_checkpoint(settings)
    folders = settings.resized.values()
    missing = not all(folder.is_dir() for folder in folders)
    advice = f" (not made yet: {settings.command('resize')})" if missing else ""
    return [*lines, f"Copies: {' and '.join(map(str, folders))}{advice}"]


def _tell_sources(settings: Settings) -> str:
    """' (size from paths.toml, the rest from timm)' for a model of [models.*]."""
    recipe = settings.written[settings.model]
    keys = [key for key, value in asdict(Input.of(recipe)).items() if value is not None]
    if not recipe.section:
        return ""
    if recipe.known():
        return f" (from {settings.file.name})"
    return f" ({', '.join(keys)} from {settings.file.name}, the rest from timm)" if keys else " (from timm)"


def _tell_crop(settings: Settings) -> list[str]:
    """That the whole picture is scaled, where the makers of the weights left its edges out."""
    recipe = settings.recipe
    if not recipe.section:
        return []
    crop = look_up_input(settings.model_folders, recipe.architecture, recipe.section).crop
    if crop >= 1:
        return []
    return [f"The whole picture is scaled; the published weights used a {crop:.0%} centre crop."]


def _tell_checkpoint(settings: Settings) -> list[str]:
    """What its checkpoint was trained with, where that is something else."""
    if not checkpoint_file(settings).is_file():
        return []
    try:
        then = own_settings(settings).recipe.input
    except UserError as error:
        return [str(error)]
    if then == settings.recipe.input:
        return []
    return [f"Its checkpoint was trained with {then}; inference uses that."]


def write_model(path: Path, name: str) -> None:
    """Write `model = "name"` into a paths.toml and leave every other line as it was."""
    import tomlkit

    raw = path.read_bytes().decode("utf-8")
    mark = "\ufeff" if raw.startswith("\ufeff") else ""
    try:
        document = tomlkit.parse(raw.removeprefix("\ufeff"))
    except tomlkit.exceptions.ParseError as error:
        # Of lines that end as on a Macintosh of old, say.
        raise UserError(f'{path} cannot be changed: {error}. Write model = "{name}" into it.') from None
    document["model"] = name
    write_text(path, mark + tomlkit.dumps(document))
