"""Text wrapped at words to the width of a terminal; paths and commands stay whole, to be copied."""

import itertools
import os
import re
import unicodedata
from typing import Any

USUAL = 80
"""Columns of a terminal that does not tell."""

_OPTION = r" --?[a-z][\w-]*(?: (?!-)(?:'[^']*'|[^\s;,]+))?"
_COMMAND = rf"python menu\.py(?:{_OPTION})*(?: [a-z][\w-]*(?:{_OPTION}| [A-Z]+\b| '[^']*')*)?"

# A blank belongs to a path where it follows no punctuation and begins no other path, and a separator or
# an ending still comes.
_BLANK = r"(?<![.,;:)]) (?![/~])"
_FOLDERS = rf"(?:~|[A-Za-z]:)?[/\\](?:(?:[^\s/\\]|{_BLANK})*[/\\])*"
_NAME = rf"(?:[^\s/\\]*\.\w{{1,5}}\b|(?:[^\s/\\]|{_BLANK}){{0,40}}\.\w{{2,5}}\b|\S*)"
_PATH = rf"(?<!\S){_FOLDERS}{_NAME}"

_WHOLE = re.compile(f"{_COMMAND}|{_PATH}")


def columns_of(stream: Any) -> int | None:
    """The width of a stream's terminal in columns; None where it is none."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL
    except (OSError, ValueError):
        return USUAL


def wrap(text: str, columns: int | None) -> str:
    """Text with its long lines broken between words; further lines are indented as their first one is.

    A word, a path or a command that is wider than the terminal gets lines of its own and is not broken:
    the terminal folds it, and copies it whole.

    Args:
        columns: the terminal's width; None leaves the text as it is.
    """
    if columns is None:
        return text
    return "\n".join(_wrap_line(line, columns) for line in text.split("\n"))


def _wrap_line(line: str, columns: int) -> str:
    if _width(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines: list[str] = []
    current = ""
    for piece in _pieces(line):
        if current.strip(" ") and _width(current + piece.rstrip(" ")) > columns:
            lines.append(current.rstrip(" "))
            current = indent + piece.lstrip(" ")
        else:
            current += piece
    return "\n".join([*lines, current])


def _pieces(line: str) -> list[str]:
    """The words of a line, each with the blanks before it; what has to stay whole is one word."""
    whole = {place for match in _WHOLE.finditer(line) for place in range(match.start(), match.end())}
    ends = [place for place in range(1, len(line)) if line[place] == " " != line[place - 1]]
    cuts = [0, *(place for place in ends if place not in whole), len(line)]
    return [line[start:end] for start, end in itertools.pairwise(cuts) if end > start]


def _width(text: str) -> int:
    """The columns that a text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    # Noncharacters mark what is bold, combining characters stand on the one before.
    if "\ufdd0" <= character <= "\ufdef" or unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
