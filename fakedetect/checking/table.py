"""Reading the CSV of a check row by row, also that of an earlier version, and writing it atomically."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write
from fakedetect.core.records.csv_files import CSV_SEPARATORS, find_separator, from_cell, to_cell

CsvRow = dict[str, str]

KEYS = ("path", "verdict", "p_fake")
"""Columns that the CSV of every version has, the first ones unless a user has moved them."""

NUMBERS = ("p_fake", "disagreement")
"""How columns with numbers between 0 and 1 begin."""

DECIMAL = re.compile(r"\d+,\d+(?:[eE][+-]?\d+)?")

EARLIER_COLUMNS = ("p_fake_calibrated", "size")
"""Columns of versions before 0.6 that were renamed or replaced."""


class Table:
    """A CSV that is read row by row, or a row at a byte offset; UTF-16 is converted to UTF-8.

    Raises:
        csv.Error, UnicodeError: the file is no CSV, or no UTF-16.
    """

    def __init__(self, opened: BinaryIO):
        start = opened.read(len(codecs.BOM_UTF16))
        opened.seek(0)
        wide = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        self.opened = io.BytesIO(opened.read().decode("utf-16").encode()) if wide else opened
        self.separator = find_separator(next(self._lines(), ""), KEYS) or CSV_SEPARATORS[0]
        self.opened.seek(0)
        self.header = next(self._cells(), [])

    def _lines(self) -> Iterator[str]:
        for line in iter(self.opened.readline, b""):
            yield line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")

    def _cells(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self.separator)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's byte offset and its cells."""
        reader = self._cells()
        while True:
            # The reader takes the lines of one row and no more, so tell() is the offset of the next.
            start = self.opened.tell()
            cells = next(reader, None)
            if cells is None:
                return
            if cells:
                yield start, cells

    def read_row(self, start: int) -> CsvRow:
        """Return the row at a byte offset."""
        self.opened.seek(start)
        return self.to_row(next(self._cells()))

    def to_row(self, cells: Sequence[str]) -> CsvRow:
        """Convert cells to a row of this version; missing cells are ''."""
        texts = itertools.chain(map(from_cell, cells), itertools.repeat(""))
        row = {name: _with_point(name, text) for name, text in zip(self.header, texts, strict=False)}
        if "p_fake_calibrated" not in row:
            return row
        width, _, height = row["size"].partition("x") if "size" in row else ("", "", "")
        kept = {name: cell for name, cell in row.items() if name not in EARLIER_COLUMNS}
        return {
            **kept,
            "p_fake": row["p_fake_calibrated"],
            "p_fake_raw": row.get("p_fake", ""),
            "width": width,
            "height": height,
        }


def _with_point(column: str, cell: str) -> str:
    """A cell with a decimal point, where it is one of our numbers and a spreadsheet wrote a comma."""
    return cell.replace(",", ".") if column.startswith(NUMBERS) and DECIMAL.fullmatch(cell) else cell


def read_partial(file: Path) -> Iterator[tuple[int, CsvRow]]:
    """Yield the byte offsets and rows of a run in progress or stopped; none without such a file."""
    try:
        with file.open("rb") as opened:
            table = Table(opened)
            for start, cells in table.rows():
                # The last row of a killed run may be incomplete.
                if len(cells) == len(table.header):
                    yield start, table.to_row(cells)
    except (OSError, csv.Error, UnicodeError):
        return


def read_finished(file: Path) -> Iterator[tuple[int, CsvRow]]:
    """Yield the byte offsets and rows of a CSV, which a spreadsheet may have changed; none without a file.

    Raises:
        UserError: it cannot be read to its end, so that rewriting it would lose rows.
    """
    try:
        with file.open("rb") as opened:
            table = Table(opened)
            for start, cells in table.rows():
                yield start, table.to_row(cells)
    except FileNotFoundError:
        return
    except (OSError, csv.Error, UnicodeError) as error:
        raise UserError(f"{file} cannot be read: {error}. Name another file.") from None


def read_columns(file: Path) -> list[str]:
    """Read the column names of a CSV; [] if there is no such file."""
    try:
        with file.open("rb") as opened:
            return Table(opened).header
    except (OSError, csv.Error, UnicodeError):
        return []


def is_of_earlier_version(header: Sequence[str]) -> bool:
    """Whether a CSV is of a version without model_verdict, or one in which p_fake was uncalibrated."""
    return bool(header) and ("model_verdict" not in header or "p_fake_calibrated" in header)


def write_rows(file: Path, columns: Sequence[str], rows: Iterable[CsvRow]) -> None:
    """Write a CSV atomically."""
    with atomic_write(file) as target:
        # Spreadsheets on Windows expect a byte-order mark in front of UTF-8.
        target.write(codecs.BOM_UTF8)
        text = io.TextIOWrapper(target, "utf-8", errors="surrogateescape", newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(map(to_cells, rows))
        text.flush()
        text.detach()


def to_cells(row: Mapping[str, Any]) -> CsvRow:
    """Format a row's values as cells of the file."""
    texts = {key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()}
    return {key: to_cell("" if value is None else str(value)) for key, value in texts.items()}
