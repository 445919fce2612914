"""The command `init`: a paths.toml in which every key is explained, to begin with."""

from fakedetect.core.errors import UserError
from fakedetect.core.files import copy_file
from fakedetect.core.installation import TEMPLATE
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome


def write_paths(settings: Settings, console: Console) -> Outcome:
    """Write the program's own paths.toml to the place of the settings file.

    Raises:
        UserError: there is one already, or the folder cannot be written to.
    """
    if settings.file.exists():
        raise UserError(f"{settings.file} already exists. It was left as it is; remove it for a new one.")
    copy_file(TEMPLATE, settings.file)
    return Outcome(
        f"{settings.file} written, with every key explained. Name the folders of your pictures in it."
    )
