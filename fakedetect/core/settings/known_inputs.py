"""What timm has said of models' inputs, kept on the disk: the menu and `check` need not load it again."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from fakedetect.core.errors import UserError
from fakedetect.core.records.record import Record, read_record, write_record
from fakedetect.core.settings.architectures import PretrainedInput, find_pretrained_input

KNOWN_INPUTS = ".timm_inputs.json"
"""In the folder of the models' folders; it may be removed at any time."""


class KnownInputs(Record, frozen=True, kw_only=True):
    """What the version `timm` of it says, by architecture."""

    timm: str
    inputs: dict[str, PretrainedInput]


def _read(folder: Path) -> KnownInputs:
    """What is kept, if the timm that is installed has said it."""
    try:
        installed = version("timm")
    except PackageNotFoundError:
        installed = ""
    with suppress(UserError):
        found = read_record(folder / KNOWN_INPUTS, KnownInputs, "Remove it.")
        if found and found.timm == installed:
            return found
    return KnownInputs(timm=installed, inputs={})


def recall_input(folder: Path, architecture: str) -> PretrainedInput | None:
    """What an earlier command has found out of an architecture; None where timm has to be asked.

    Args:
        folder: of the models' folders.
    """
    return _read(folder).inputs.get(architecture)


def look_up_input(folder: Path, architecture: str, place: str) -> PretrainedInput:
    """What timm says of an architecture, as it was kept or by asking it.

    Args:
        folder: of the models' folders.
        place: where the architecture is named, for the message.

    Raises:
        UserError: timm has no such model.
    """
    if known := recall_input(folder, architecture):
        return known
    found = find_pretrained_input(architecture, place)
    kept = _read(folder)
    # Where nothing may be written, timm is asked each time.
    with suppress(UserError):
        inputs = {**kept.inputs, architecture: found}
        write_record(folder / KNOWN_INPUTS, msgspec.structs.replace(kept, inputs=inputs))
    return found
