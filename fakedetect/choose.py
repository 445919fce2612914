"""Option 4: choose the model that the other options work on."""

from pathlib import Path

from fakedetect.core.console import BACK, Console, Outcome
from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.model_folder import describe_model
from fakedetect.core.settings import Settings


def choose_model(settings: Settings, console: Console, name: str | None = None) -> Outcome:
    """Write the chosen model into paths.toml; without a name, ask.

    Raises:
        UserError: there is no such model.
    """
    if name is None:
        names = list(settings.recipes)
        width = max(map(len, names))
        states = [
            f"{name:<{width}}  {describe_model(settings, name)}"
            f"{'  <- chosen' if name == settings.model else ''}"
            for name in names
        ]
        choices = [(str(number), state) for number, state in enumerate(states, start=1)]
        key = console.choose("Choose the model", [*choices, (BACK, "Back")])
        if key in (None, BACK):
            return Outcome(f"The model is still {settings.model}.")
        name = names[int(key) - 1]
    chosen = settings.with_model(name)
    try:
        write_model(settings.file, name)
    except OSError as error:
        raise UserError(f"Cannot change {settings.file}: {error.strerror}.") from None
    return Outcome(f"The model is now {name} ({describe_model(chosen, name)}).")


def write_model(path: Path, name: str) -> None:
    """Write `model = "name"` into a paths.toml and leave every other line as it was."""
    import tomlkit

    raw = path.read_bytes().decode("utf-8")
    mark = "\ufeff" if raw.startswith("\ufeff") else ""
    document = tomlkit.parse(raw.removeprefix("\ufeff"))
    document["model"] = name
    write_text(path, mark + tomlkit.dumps(document))
