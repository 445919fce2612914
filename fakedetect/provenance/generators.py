"""Where names of generators stand in a text as names: not within a word, and words with a version only."""

import re
from dataclasses import dataclass
from functools import cache

from fakedetect.provenance.rules import read_table

VERSION = r"[\s_.-]?v?\d{1,4}(?:\.\d{1,3}){0,3}[a-z]{0,2}"
START, END = r"(?<![^\W_])", r"(?![^\W_])"
"""Where a name begins and ends: not within a word."""

SEPARATORS = {" ": r"[\s_.·•∙‐-]?", "-": r"[\s_.·•∙‐-]"}
"""What may, and what has to, stand between the parts of a name: ComfyUI, Comfy UI; DALL-E, DALL·E."""


@dataclass(frozen=True)
class Named:
    """A generator's name in a text: whose, where it ends, and whether it can be nothing else."""

    generator: str
    end: int
    certain: bool
    has_version: bool


def _choose(names: dict[str, tuple[str, ...]]) -> str:
    """A pattern for any of the spellings, the longest first."""
    ordered = sorted((each for spellings in names.values() for each in spellings), key=len, reverse=True)
    return "|".join("".join(SEPARATORS.get(c, re.escape(c)) for c in spelling) for spelling in ordered)


@cache
def _name() -> re.Pattern[str]:
    """A generator's name, or a word that may be one, with its version."""
    table = read_table()
    either = f"(?P<name>{_choose(table.generators)})|(?P<word>{_choose(table.ambiguous)})"
    return re.compile(rf"{START}(?:{either})(?P<version>{VERSION})?{END}", re.IGNORECASE)


def _squeeze(spelling: str) -> str:
    return re.sub(r"[\W_]", "", spelling.lower())


@cache
def _by_spelling() -> dict[str, str]:
    table = read_table()
    rows = (*table.generators.items(), *table.ambiguous.items())
    return {_squeeze(spelling): name for name, spellings in rows for spelling in spellings}


def _read(match: re.Match[str]) -> Named:
    return Named(
        generator=_by_spelling()[_squeeze(match["name"] or match["word"])],
        end=match.end(),
        certain=bool(match["name"]),
        has_version=bool(match["version"]),
    )


def name_at(text: str, place: int) -> Named | None:
    """The generator whose name begins at a place of a text, None for none."""
    match = _name().match(text, place)
    return _read(match) if match else None


def names_generator(text: str, *, camera: bool = False) -> bool:
    """Whether a program's name has a generator's in it, or is a word that is a generator's name.

    Args:
        camera: it is the name of a camera or its maker, which may be any word with any number.
    """
    found = [_read(match) for match in _name().finditer(text)]
    if any(each.certain for each in found):
        return True
    return not camera and (any(each.has_version for each in found) or bool(_name().fullmatch(text)))


def is_generator(text: str) -> bool:
    """Whether a person's or a company's name is a generator's or two ('OpenAI DALL-E 3')."""
    place = 0
    while named := name_at(text, place):
        if not (named.certain or named.has_version):
            return False
        if named.end == len(text):
            return True
        place = named.end + 1
    return False
