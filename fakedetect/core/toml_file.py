"""A TOML file that knows where in its text each key stands, for messages about it."""

import tomllib
from errno import EINVAL
from functools import cached_property
from pathlib import Path
from typing import Any

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular
from fakedetect.core.toml_faults import Place, Statement, explain_syntax, find_statements

LARGEST = 1024**2
"""Bytes; no settings file comes near it, and what `--paths` names may be a picture or a disk."""


class TomlFile:
    """The text of a TOML file.

    Args:
        content: the file that holds it, where that is not `path` itself.

    Raises:
        UserError: there is no such file, or it is no UTF-8 text.
    """

    def __init__(self, path: Path, content: Path | None = None):
        self.path = path
        self.text = _decode(path, _read(content or path)).replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def statements(self) -> list[Statement]:
        """Its sections and keys with their lines."""
        return list(find_statements(self.text))

    def wrong(self, what: str, *place: str) -> UserError:
        """The error that says `what` of a place, with the line where that stands."""
        line = self.find_line(place)
        return UserError(f"{self.path}{f', line {line}' if line else ''}: {what}")

    def find_line(self, place: Place) -> int | None:
        """The line of a key or a section; of what holds it where it stands in no line of its own."""
        for length in range(len(place), 0, -1):
            for statement in self.statements:
                if statement.place[:length] == place[:length]:
                    return statement.line
        return None

    def find_text(self, place: Place) -> str:
        """A key's value as it stands in the file, '' where it has no line of its own."""
        values = (statement.value for statement in self.statements if statement.place == place)
        return next((value for value in values if value), "")

    def parse(self) -> dict[str, Any]:
        """What the file says.

        Raises:
            UserError: it is not TOML.
        """
        try:
            return tomllib.loads(self.text)
        except (ValueError, RecursionError) as error:
            line, what = explain_syntax(self.text, self.statements, error)
            raise UserError(f"{self.path}, line {line}: {what}") from None


def _read(path: Path) -> bytes:
    try:
        check_regular(path)
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"There is no settings file {path}. Give one with --paths FILE.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Give a file: --paths {path / 'paths.toml'}.") from None
    except OSError as error:
        advice = "Check its permissions." if error.errno != EINVAL else "Give a file with --paths FILE."
        raise UserError(f"Cannot read {path}: {error.strerror}. {advice}") from None
    if len(raw) > LARGEST:
        raise UserError(f"{path} is too large to be a settings file. Give one with --paths FILE.")
    return raw


def _decode(path: Path, raw: bytes) -> str:
    how = "Save it as UTF-8 (in Notepad: Save as, Encoding: UTF-8)."
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw[1:2] == b"\0" or raw[:1] == b"\0" != raw[1:2]:
        raise UserError(f"{path} is UTF-16 text; settings must be UTF-8. {how}")
    if b"\0" in raw:
        raise UserError(f"{path} is not text. Give a settings file with --paths FILE.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}, line {line}: a character that is not UTF-8 (byte 0x{raw[error.start]:02x}). {how}"
        ) from None
