"""Findings about a picture's origin, and those that the rules of rules.toml make of a field.

The rules are read once in a process, and all patterns in linear time: between the fixed parts nothing
repeats without a bound.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import msgspec

from fakedetect.provenance.texts import Field

TABLE = Path(__file__).with_name("rules.toml")

LONGEST = 60
"""Characters of a file's own words that are repeated."""

# fmt: off
Kind = Literal[
    "manifest", "signer", "history", "ingredient", "source type", "generator", "label", "credit", "edit",
    "watermark", "camera", "software", "fault",
]
# fmt: on

Certainty = Literal["verified", "stated", "found"]
"""Proven by a signature; said by the file, which anybody can write; read from the pixels."""

Claimed = Literal["", "generated", "captured"]
"""That an AI generated the whole picture; that a camera captured it; neither, as of one with generated
parts."""

OF_GENERATORS = ("generator", "label", "watermark")
"""Kinds that are only found in generated pictures, if what they say is true."""


@dataclass(frozen=True)
class Finding:
    """A piece of evidence: its kind, what it says in a short phrase, and how sure that is.

    Attributes:
        claims: what it says of how the picture came to be.
        by: the organisation that signed it; '' where nobody did.
    """

    kind: Kind
    says: str
    sure: Certainty = "stated"
    claims: Claimed = ""
    by: str = ""

    def __post_init__(self) -> None:
        if self.kind in OF_GENERATORS:
            object.__setattr__(self, "claims", "generated")


def in_words(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The phrases of findings, each once."""
    return tuple(dict.fromkeys(finding.says for finding in findings))


def shorten(text: str) -> str:
    """A file's own words as one short line without control characters."""
    # A name is short; the rest of a long text says no more of the origin.
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * LONGEST]).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


class Rule(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """What a field means whose text has all of the keys and patterns in it."""

    says: str
    fields: tuple[str, ...]
    keys: dict[str, str] = {}
    patterns: tuple[str, ...] = ()
    how: str = "parameters"
    kind: Kind = "generator"

    @cached_property
    def compiled(self) -> tuple[re.Pattern[str], ...]:
        """The patterns of the keys and of the rest, at least one."""
        keys = (rf'"(?:{name})"\s{{0,9}}:\s{{0,9}}{value}' for name, value in self.keys.items())
        return tuple(re.compile(pattern) for pattern in (*keys, *self.patterns))

    def find(self, of: Field) -> Finding | None:
        """What the field means by this rule, None for nothing."""
        match = None
        for pattern in self.compiled:
            if not (match := pattern.search(of.text)):
                return None
        how = match.expand(self.how) if match else self.how
        return Finding(self.kind, f"{self.kind}: {self.says} ({how} in {of.where})")


class _Together(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields that only together say something: their names or places, and patterns."""

    says: str
    fields: dict[str, str]
    how: str = "parameters"


class Programs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Patterns of programs' names: of those that generate, and of tools that put generated parts in."""

    generated: str
    edited: str


class Sentences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of sentences that say who made a picture."""

    verbs: tuple[str, ...]
    edits: tuple[str, ...]
    sure: frozenset[str]
    things: tuple[str, ...]
    vendors: tuple[str, ...]
    models: tuple[str, ...]
    goes_on: tuple[str, ...]
    refusals: tuple[str, ...]
    credits: tuple[str, ...]
    credits_of_edits: tuple[str, ...]


class _Vocabularies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source_types: tuple[str, ...]
    generated: frozenset[str]
    captured: frozenset[str]
    aigc: dict[str, str]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """rules.toml as it is."""

    fields: dict[str, frozenset[str]]
    generators: dict[str, tuple[str, ...]]
    ambiguous: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    together: tuple[_Together, ...]
    programs: Programs
    sentences: Sentences
    vocabularies: _Vocabularies


@cache
def read_table() -> Table:
    """rules.toml, with every field checked."""
    return msgspec.convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), Table)


@cache
def rules_by_field() -> dict[str, tuple[Rule, ...]]:
    """The rules for each name of a field, in the table's order."""
    found: dict[str, list[Rule]] = {}
    table = read_table()
    for rule in table.rules:
        for group in rule.fields:
            for name in table.fields.get(group, (group,)):
                found.setdefault(name, []).append(rule)
    return {name: tuple(rules) for name, rules in found.items()}


def find_by_rule(of: Field) -> Finding | None:
    """What the first rule that fits a field says, None for none."""
    found = (rule.find(of) for rule in rules_by_field().get(of.name, ()))
    return next((finding for finding in found if finding), None)


def find_together(fields: tuple[Field, ...]) -> list[Finding]:
    """What fields say that belong together."""
    known = {name: field for field in fields for name in (field.name, field.where.lower())}
    return [
        Finding("generator", f"generator: {row.says} ({row.how} in {known[next(iter(row.fields))].where})")
        for row in read_table().together
        if all(
            name in known and re.search(row.fields[name], known[name].text.strip()) for name in row.fields
        )
    ]


def spell_source_type(value: str) -> str | None:
    """A value of IPTC's vocabulary (an address, a code or a name) in its own spelling; None for others."""
    name = re.split("[/:#]", value.strip().rstrip("/"))[-1].lower()
    return next((known for known in read_table().vocabularies.source_types if known.lower() == name), None)


def claim_of_type(name: str | None) -> Claimed:
    """What a value of the vocabulary, in its own spelling, says of the whole picture."""
    known = read_table().vocabularies
    return "generated" if name in known.generated else "captured" if name in known.captured else ""


def find_source_type(value: str) -> Finding | None:
    """What a value of the vocabulary says; None for others."""
    name = spell_source_type(value)
    said = f"IPTC source type: {name}"
    return Finding("source type", said, claims=claim_of_type(name)) if name else None


def find_source_types_in(manifest: bytes) -> list[Finding]:
    """The source types that a manifest names which could not be verified."""
    names = re.findall(rb"digitalsourcetype/([A-Za-z]{1,60})", manifest)
    found = (find_source_type(name.decode("ascii")) for name in dict.fromkeys(names))
    return [finding for finding in found if finding]
