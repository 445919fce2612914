"""CSV files: cells that a spreadsheet would take for a formula are marked as text, and one reader."""

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
"""How texts begin that spreadsheets run, or that this module has marked (OWASP, 'CSV Injection')."""

SEPARATORS = ",;\t"
"""What spreadsheets write between cells, by the country."""


def to_cell(text: str) -> str:
    """A text as it stands in a cell: behind an apostrophe where a spreadsheet would run it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def from_cell(cell: str) -> str:
    """The text of such a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def decode_text(content: bytes) -> str:
    """The text of a file that an editor or a spreadsheet may have saved: UTF-8 or UTF-16, by its first
    bytes; names that are not UTF-8 keep their bytes."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def find_separator(header: str, columns: Collection[str]) -> str | None:
    """What stands between the cells of a table's first line; None where it lacks one of the columns.

    Raises:
        csv.Error: it is no line of a CSV.
    """
    cells = {separator: next(csv.reader([header], delimiter=separator), []) for separator in SEPARATORS}
    return next((separator for separator, names in cells.items() if set(columns) <= set(names)), None)


def frame_to_csv(frame: "pd.DataFrame") -> str:
    """A table as CSV, its texts marked where they have to be."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    marked = frame.assign(**{name: frame[name].map(_mark) for name in texts})
    return str(marked.to_csv(index=False))


def read_table(file: Path, columns: Sequence[str], advice: str) -> list[dict[str, str]] | None:
    """The rows of a CSV that an option has written, their texts as they were; None where there is no file.

    It may have been through a spreadsheet, which writes semicolons or tabs in some countries.

    Args:
        columns: those that it has to have.
        advice: what to do about a file that does not fit, as the last sentence of the message.

    Raises:
        UserError: it cannot be read, lacks a column, or a row has more or fewer cells than the header.
    """
    try:
        check_regular(file)
        rows = _read_rows(decode_text(file.read_bytes()), columns)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}. {advice}") from None
    except (csv.Error, _DoesNotFit) as error:
        raise UserError(f"{file} cannot be used: {error}. {advice}") from None
    return rows


class _DoesNotFit(Exception):
    """A table that is none of ours, and why."""


def _read_rows(text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    first = text.partition("\n")[0]
    separator = find_separator(first, columns) or SEPARATORS[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    if missing := set(columns) - set(reader.fieldnames or ()):
        raise _DoesNotFit(f"a column is missing: {', '.join(sorted(missing))}")
    rows = []
    for row in reader:
        if None in row or None in row.values():
            what = "more" if None in row else "fewer"
            raise _DoesNotFit(f"line {reader.line_num} has {what} cells than the header")
        rows.append({name: from_cell(cell) for name, cell in row.items()})
    return rows


def _mark(value: object) -> object:
    return to_cell(str(value)) if isinstance(value, str | PurePath) else value
