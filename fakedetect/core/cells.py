"""Cells of CSV files: a text that a spreadsheet would take for a formula is marked as text."""

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
"""How texts begin that spreadsheets run, or that this module has marked (OWASP, 'CSV Injection')."""


def to_cell(text: str) -> str:
    """A text as it stands in a cell: behind an apostrophe where a spreadsheet would run it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def from_cell(cell: str) -> str:
    """The text of such a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def frame_to_csv(frame: "pd.DataFrame") -> str:
    """A table as CSV, its texts marked where they have to be."""
    texts = frame.select_dtypes(include=["object", "string"]).columns
    marked = frame.assign(**{name: frame[name].map(_mark) for name in texts})
    return str(marked.to_csv(index=False))


def _mark(value: object) -> object:
    return to_cell(str(value)) if isinstance(value, str | PurePath) else value
