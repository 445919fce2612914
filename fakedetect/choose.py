"""Option 4: choose the model that the other options use, and show its input."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from msgspec.structs import asdict

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.installation import STARTERS
from fakedetect.core.records.training import read_training
from fakedetect.core.settings.architectures import check_architecture, look_up_input
from fakedetect.core.settings.model_folder import checkpoint_file, describe_model, find_unnamed_models
from fakedetect.core.settings.model_input import SIZE
from fakedetect.core.settings.recipes import Input
from fakedetect.core.settings.settings import Settings, load_settings
from fakedetect.core.settings.trained_input import check_size, own_settings
from fakedetect.core.terminal.console import BACK, Console, Outcome
from fakedetect.core.terminal.progress import percent


def choose_model(settings: Settings, console: Console, name: str | None = None) -> Outcome:
    """Write the chosen model into paths.toml and show its input; without a name, let the user choose.

    Raises:
        UserError: there is no such model, timm does not have it, or it does not accept the size.
    """
    if name is None:
        names, unnamed = settings.models, find_unnamed_models(settings)
        width = max(map(len, names))
        states = [
            f"{name:<{width}}  {describe_model(settings, name)}"
            f"{_describe_size(settings.with_model(name), console)}"
            f"{'  <- chosen' if name == settings.model else ''}"
            for name in names
        ]
        states += [f"{name}: a checkpoint that {settings.file.name} does not name yet" for name in unnamed]
        choices = [(str(number), state) for number, state in enumerate(states, start=1)]
        key = console.choose("Choose the model", [*choices, (BACK, "Back")])
        if key in (None, BACK):
            return Outcome(f"The model is still {settings.model}.", left=True)
        name = (*names, *unnamed)[int(key) - 1]
    if name not in settings.models and name in find_unnamed_models(settings):
        settings = _name_model(settings, console, name)
    chosen = settings.with_model(name)
    # The user types the commands in the messages after the choice.
    chosen = replace(chosen, chosen=name)
    lines = [
        f"The model is now {name} ({describe_model(chosen, name)}).",
        *_describe_input(chosen, console),
    ]
    write_model(settings.file, name)
    return Outcome("\n".join(lines))


def _name_model(settings: Settings, console: Console, name: str) -> Settings:
    """Add a section for a checkpoint from elsewhere to the settings file, and return the new settings.

    Raises:
        UserError: the user does not name the timm model, the folder's name cannot be a model's name, or the
            file cannot be changed.
    """
    place = settings.model_folders / name
    recipe = read_training(place).recipe
    known, architecture = (Input.of(recipe), recipe.architecture) if recipe else (Input(), "NAME IN TIMM")
    lines = _format_section(name, architecture, known)
    console.show(
        f"{place} has a checkpoint, but {settings.file.name} has no section for it. It needs:\n{lines}"
    )

    def read(answer: str) -> str:
        console.show_loading("timm")
        check_architecture(answer, "The answer")
        return answer

    example = architecture if recipe else "resnet34, for example"
    found = console.ask_until(f"Its name in timm, to add these lines ({example}; Enter: no)", read)
    if not found:
        raise UserError(f"{settings.file} was not changed. Write these lines into it, and choose {name}.")
    before = settings.file.read_bytes().decode("utf-8")
    end = "\r\n" if "\r\n" in before else "\n"
    section = _format_section(name, found, known).replace("\n", end)
    text = f"{before.rstrip()}{end}{end}{section}{end}"
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / settings.file.name
        write_text(tried, text)
        # This fails if the folder's name cannot be a model's name.
        changed = load_settings(settings.file, content=tried)
    _write(settings.file, text)
    console.show(f"Added [models.{name}] to {settings.file}.")
    return changed


def _format_section(name: str, architecture: str, known: Input) -> str:
    """Return the lines of a settings file for a timm model."""
    values = {key: value for key, value in asdict(known).items() if value is not None}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"timm": architecture, **values}.items()]
    key = name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)
    return "\n".join([f"[models.{key}]", *lines])


def _describe_size(settings: Settings, console: Console) -> str:
    """Return the size of a model's pictures if it is not the reference's; '' if timm does not have the
    model."""
    if settings.model in STARTERS:
        return ""
    if settings.find_known_input() is None:
        console.show_loading("timm")
    try:
        size = settings.recipe.input.size
    except UserError:
        return ""
    return f"; {size} x {size}" if size != SIZE else ""


def _describe_input(settings: Settings, console: Console) -> list[str]:
    """Return the chosen model's input, its sources, and the folders of its copies.

    Raises:
        UserError: timm does not have the model, or it does not accept the size.
    """
    check_size(settings, console)
    lines = [f"Input: {settings.recipe.input}{_describe_sources(settings)}", *_describe_crop(settings)]
    lines += _describe_checkpoint(settings)
    folders = settings.resized.values()
    missing = not all(folder.is_dir() for folder in folders)
    advice = f" (not made yet: {settings.command('resize')})" if missing else ""
    return [*lines, f"Copies: {' and '.join(map(str, folders))}{advice}"]


def _describe_sources(settings: Settings) -> str:
    """Return ' (size from paths.toml, the rest from timm)' for a model of [models.*]."""
    recipe = settings.written[settings.model]
    keys = [key for key, value in asdict(Input.of(recipe)).items() if value is not None]
    if not recipe.section:
        return ""
    if recipe.as_model_input():
        return f" (from {settings.file.name})"
    return f" ({', '.join(keys)} from {settings.file.name}, the rest from timm)" if keys else " (from timm)"


def _describe_crop(settings: Settings) -> list[str]:
    """Return a note that the whole picture is scaled, if the published weights used a centre crop."""
    recipe = settings.recipe
    if not recipe.section:
        return []
    crop = look_up_input(settings.model_folders, recipe.architecture, recipe.section).crop
    if crop >= 1:
        return []
    return [f"The whole picture is scaled; the published weights used a {percent(crop, 0)} centre crop."]


def _describe_checkpoint(settings: Settings) -> list[str]:
    """Return the input with which the checkpoint was trained, if it differs."""
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
    """Write `model = "name"` into a paths.toml and leave every other line unchanged.

    Raises:
        UserError: the file cannot be changed.
    """
    import tomlkit

    raw = path.read_bytes().decode("utf-8")
    mark = "\ufeff" if raw.startswith("\ufeff") else ""
    try:
        document = tomlkit.parse(raw.removeprefix("\ufeff"))
    except tomlkit.exceptions.ParseError as error:
        # For example, tomlkit does not accept lines that end with a carriage return only.
        raise UserError(f'{path} cannot be changed: {error}. Write model = "{name}" into it.') from None
    document["model"] = name
    _write(path, mark + tomlkit.dumps(document))


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"Cannot change {path}: {error.strerror}.") from None
