"""A section of a settings file, whose values are checked as they are taken."""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakedetect.core.errors import UserError, find_nearest
from fakedetect.core.toml_faults import LONGEST, name_place, quote, repair_value
from fakedetect.core.toml_file import TomlFile

KINDS = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
BEYOND = 2**63
"""The first whole number that 64 bits do not hold."""

LARGEST_FLOAT = 1e300
"""Whole numbers from there on are not taken for floats."""

ESCAPES = {
    "\t": "\\t is a tab",
    "\n": "\\n is a line end",
    "\r": "\\r is a line end",
    "\b": "\\b is a backspace",
}


class Section:
    """The keys of one section; the file itself is the section with no name.

    Raises:
        UserError: it is not written as a section.
    """

    def __init__(self, file: TomlFile, values: Any, *place: str):
        self.file = file
        self.place = place
        self.title = name_place(place, section=True)
        if isinstance(values, list) and values and all(isinstance(value, dict) for value in values):
            raise file.wrong(f"a section needs single brackets. Write {self.title}", *place)
        if not isinstance(values, dict):
            raise file.wrong(f"{place[-1]} must be a section. Write {self.title}", *place)
        self.values: Mapping[str, Any] = values

    def section(self, name: str) -> "Section":
        """A section in this one, empty where the file has none."""
        return Section(self.file, self.values.get(name, {}), *self.place, name)

    def wrong(self, key: str, what: str) -> UserError:
        """The error that says `what` of a key, with file, line, key and section."""
        return self.file.wrong(f"{name_place((*self.place, key))} {what}", *self.place, key)

    def wrong_whole(self, what: str) -> UserError:
        """The error that says `what` of the section itself."""
        return self.file.wrong(f"{self.title}: {what}", *self.place)

    def check_keys(self, known: Iterable[str], elsewhere: Mapping[str, Iterable[str]]) -> None:
        """Let no key pass that nobody reads.

        Args:
            known: the keys of this section.
            elsewhere: those of every section by its title, to say where a key belongs.

        Raises:
            UserError: the file sets another key here.
        """
        known = tuple(known)
        for key, value in self.values.items():
            if key not in known:
                place = (*self.place, key)
                what = "section" if isinstance(value, dict) else "key"
                name = name_place(place, section=True) if what == "section" else repr(key)
                advice = self._advise(key, value, known, elsewhere)
                raise self.file.wrong(f"unknown {what} {name}{advice}", *place)

    def _advise(
        self, key: str, value: Any, known: Sequence[str], elsewhere: Mapping[str, Iterable[str]]
    ) -> str:
        here = f" in {self.title}" if self.place else ""
        homes = [title for title, keys in elsewhere.items() if key in keys and title != self.title]
        if homes and not isinstance(value, dict):
            home = "above the first [section]" if homes[0] == "[]" else f"under {' or '.join(homes)}"
            return f"{here}. It belongs {home}."
        listed = ", ".join(name if f"[{name}]" not in elsewhere else f"[{name}]" for name in known)
        meant = ""
        if near := find_nearest(key, known):
            shown = name_place((*self.place, near), section=True) if isinstance(value, dict) else repr(near)
            meant = f" (did you mean {shown}?)"
        return f"{meant}{here if not isinstance(value, dict) else ''}. Known here: {listed}."

    def take(self, key: str, kind: type, default: Any) -> Any:
        """A key's value, or the default where the file does not set it.

        Raises:
            UserError: it is of another kind, or an empty text.
        """
        if key not in self.values:
            return default
        value = self.values[key]
        if kind is float and type(value) is int and abs(value) < LARGEST_FLOAT:
            value = float(value)
        if type(value) is not kind:
            shown = _shorten(_show(value))
            example = _convert(value, kind, default)
            advice = f" Write {key} = {example}" if example else ""
            raise self.wrong(key, f"must be {KINDS[kind]}, not {shown}.{advice}")
        if isinstance(value, str) and not value.strip():
            raise self.wrong(key, "is empty. Write a value between the quotes, or remove the line.")
        return value

    def take_word(self, key: str, words: Sequence[str], default: Any) -> Any:
        """A key's value, which is one of the words.

        Raises:
            UserError: it is another word.
        """
        value = self.take(key, str, default)
        if key in self.values and value not in words:
            near = find_nearest(value, words)
            advice = f' Write {key} = "{near}"' if near else ""
            listed = " or ".join(", ".join(f'"{word}"' for word in words).rsplit(", ", 1))
            raise self.wrong(key, f"must be {listed}, not {_shorten(quote(value))}.{advice}")
        return value

    def take_number(self, key: str, kind: type, default: Any, least: float, above: bool = False) -> Any:
        """A key's number, at least `least`, or `above` it.

        Raises:
            UserError: it is smaller, or no finite number, or a whole one beyond 64 bits.
        """
        value = self.take(key, kind, default)
        if value is None:
            return None
        if not (value > least if above else value >= least):
            bound = f"{'more than' if above else 'at least'} {least:g}"
            raise self.wrong(key, f"must be {bound}, not {_shorten(_show(value))}.")
        # A whole number of hundreds of digits would overflow on its way to a float.
        if value >= BEYOND if kind is int else not math.isfinite(value):
            raise self.wrong(
                key, f"is too large ({_shorten(_show(value))}). Write a number like {default}."
            )
        return value

    def take_path(self, key: str, default: str | None) -> Path | None:
        """A key's path; relative ones start at the file's folder, ~ and $NAME are put in.

        Raises:
            UserError: it is empty, holds an escape by mistake, or names an unknown user or variable.
        """
        text: str | None = self.take(key, str, default)
        if text is None:
            return None
        if odd := next((character for character in text if ord(character) < 32), None):
            meaning = f" ({ESCAPES[odd]})" if odd in ESCAPES else ""
            better = repair_value(self.file.find_text((*self.place, key)))[1] or "'…'"
            raise self.wrong(
                key, f"contains an escape: \\ in double quotes starts one{meaning}. Write {key} = {better}"
            )
        try:
            expanded = os.path.expandvars(Path(text).expanduser())
        except RuntimeError:
            raise self.wrong(key, f"names a home folder that does not exist: {text!r}.") from None
        path = Path(os.path.abspath(self.file.path.parent / expanded))
        unset = re.search(r"\$\{?([A-Za-z_]\w*)", expanded)
        if unset and not os.path.exists(path):
            raise self.wrong(
                key, f"names the environment variable {unset[1]}, which is not set; there is no {path}."
            )
        return path


def _show(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        return "a section"
    try:
        return str(value)
    except ValueError:
        # Python does not write out what a file may have in hexadecimal.
        return "a number with thousands of digits"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _convert(value: Any, kind: type, default: Any) -> str:
    """A value of another kind as it was probably meant, or the default; '' for neither."""
    if kind is str:
        return f'"{value}"' if type(value) in (int, float) and abs(value) < BEYOND else ""
    if kind is bool:
        return str(_show(value).strip('"').lower() in ("true", "yes", "on", "1")).lower()
    try:
        number = float(value.replace(",", ".")) if isinstance(value, str) else float(value)
        if kind is float and not isinstance(value, bool):
            return f"{number:.12g}"
        if kind is int and abs(number) < BEYOND and number == int(number) and not isinstance(value, bool):
            return str(int(number))
    except (TypeError, ValueError, OverflowError):
        pass
    return "" if default is None else str(default)
