"""CSV files: one reader, and protection against formula injection."""

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

FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
"""Prefixes that a spreadsheet runs as a formula, and the mark itself (OWASP, 'CSV Injection')."""

CSV_SEPARATORS = ",;\t"
"""The separators that spreadsheets write, depending on the country."""


def to_cell(text: str) -> str:
    """Return a text as a CSV cell, with an apostrophe before it if a spreadsheet would run it."""
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text


def from_cell(cell: str) -> str:
    """Return the text of a cell that to_cell() has written."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_PREFIXES) else cell


def decode_utf(content: bytes) -> str:
    """Decode a file saved by an editor or a spreadsheet: UTF-16 with a byte-order mark, else UTF-8;
    file names that are not UTF-8 keep their bytes."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def find_separator(header: str, columns: Collection[str]) -> str | None:
    """Find the separator of a header line; None if one of the columns is missing.

    Raises:
        csv.Error: the line is not CSV.
    """
    cells = {separator: next(csv.reader([header], delimiter=separator), []) for separator in CSV_SEPARATORS}
    return next((separator for separator, names in cells.items() if set(columns) <= set(names)), None)


def frame_to_csv(frame: "pd.DataFrame") -> str:
    """Return a table as CSV, with its texts protected by to_cell()."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    marked = frame.assign(**{name: frame[name].map(_mark) for name in texts})
    return str(marked.to_csv(index=False))


def read_csv(file: Path, columns: Sequence[str], advice: str) -> list[dict[str, str]] | None:
    """Read the rows of a CSV that an option has written, with their original texts; None if the file is
    missing.

    A spreadsheet may have saved it, with semicolons or tabs in some countries.

    Args:
        columns: the required columns.
        advice: what to do about an unusable file, as the last sentence of the message.

    Raises:
        UserError: the file cannot be read, a column is missing, or a row has more or fewer cells than the
            header.
    """
    try:
        check_regular(file)
        rows = _read_rows(decode_utf(file.read_bytes()), columns)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}. {advice}") from None
    except (csv.Error, _DoesNotFit) as error:
        raise UserError(f"{file} cannot be used: {error}. {advice}") from None
    return rows


class _DoesNotFit(Exception):
    """Why a table cannot be used."""


def _read_rows(text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    first = text.partition("\n")[0]
    separator = find_separator(first, columns) or CSV_SEPARATORS[0]
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
