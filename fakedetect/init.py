"""The command `init`: write a paths.toml with every key explained."""

from fakedetect.core.errors import UserError
from fakedetect.core.files import copy_file
from fakedetect.core.installation import TEMPLATE
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome


def write_paths(settings: Settings, console: Console) -> Outcome:
    """Copy the program's own paths.toml to the path of the settings file.

    Raises:
        UserError: the file exists, or the folder cannot be written to.
    """
    if settings.file.exists():
        raise UserError(
            f"{settings.file} already exists and was not changed. Remove it to write a new one."
        )
    copy_file(TEMPLATE, settings.file)
    return Outcome(
        f"Wrote {settings.file} with every key explained. Enter the folders of your pictures there."
    )
