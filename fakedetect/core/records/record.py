"""Records in JSON files: one reader that checks every field, and one writer."""

import sys
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular, write_text

LARGEST_RECORD_BYTES = 256 * 1024**2
"""No file of fakedetect is nearly that large; larger ones are not read."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-3, 1e3
Temperature = Annotated[float, msgspec.Meta(ge=LEAST_TEMPERATURE, le=MOST_TEMPERATURE)]
"""Divides the margins; outside this range every probability is 0, 0.5 or 1."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max, description="a number above 0")]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max, description="a number from 0")]
"""Both are finite: JSON has no infinity, but a CSV or a checkpoint may."""

Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
"""Table columns hold 64 bits; larger numbers are no valid count."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON file that one option writes and another reads.

    Unknown fields are ignored, so that an older version can read the files of a newer one.
    """


R = TypeVar("R", bound=Record)


def read_record(path: Path, kind: type[R], advice: str) -> R | None:
    """Read the record in a JSON file; None if the file is missing.

    Args:
        advice: what to do about an unusable file, as the last sentence of the message.

    Raises:
        UserError: the file cannot be read or is not JSON, or a field is missing, of the wrong type or
            out of range; the message names the file and the field.
    """
    try:
        check_regular(path)
        if path.stat().st_size > LARGEST_RECORD_BYTES:
            raise UserError(f"{path} is too large to be one of fakedetect's files. {advice}")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}. {advice}") from None
    except RecursionError:
        raise UserError(f"{path} cannot be used: brackets nested too deeply. {advice}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be used: {error}. {advice}") from None


def write_record(path: Path, record: Record) -> None:
    """Write a record as indented JSON, whole or not at all.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    text = msgspec.json.format(msgspec.json.encode(record), indent=2).decode("utf-8")
    write_text(path, f"{text}\n")
