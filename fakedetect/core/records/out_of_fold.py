"""What a probe said of each training picture while the picture's source was left out: out_of_fold.json."""

from pathlib import Path
from typing import Annotated

import msgspec

from fakedetect.core.records.record import Record, read_record, write_record
from fakedetect.core.settings.model_folder import OUT_OF_FOLD

Margins = Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]


class OutOfFold(Record, frozen=True, kw_only=True):
    """Margins by source, of the probe with the hash `checkpoint`.

    `fakes_by_source` and `reals_by_source`: whole groups of sources of that class were left out; else only
    pictures were, and nothing is known of other sources.
    """

    checkpoint: str
    fakes_by_source: bool
    reals_by_source: bool
    fake: dict[str, Margins]
    real: dict[str, Margins]

    def __post_init__(self) -> None:
        if not self.fake or not self.real:
            raise ValueError("both classes need a source")


def read_out_of_fold(folder: Path, checkpoint: str, again: str) -> OutOfFold | None:
    """The margins in a model's folder; None where there are none of this checkpoint, by its hash.

    Args:
        again: the command that trains again, for the message.

    Raises:
        UserError: the file does not fit.
    """
    found = read_record(folder / OUT_OF_FOLD, OutOfFold, f"Remove it, or train again: {again}")
    return found if found and found.checkpoint == checkpoint else None


def write_out_of_fold(folder: Path, record: OutOfFold) -> None:
    """Write a model folder's out_of_fold.json."""
    write_record(folder / OUT_OF_FOLD, record)
