"""Findings about a picture's origin, and the rules of rules.toml that derive them from fields.

The rules are read once per process. All patterns match in linear time: every repetition has a bound.
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

RULES_FILE = Path(__file__).with_name("rules.toml")

MOST_QUOTED_CHARACTERS = 60
"""Characters of a file's own text that a finding quotes."""

# fmt: off
FindingKind = Literal[
    "manifest", "signer", "history", "ingredient", "source type", "generator", "label", "credit", "edit",
    "watermark", "camera", "software", "fault",
]
# fmt: on

Certainty = Literal["verified", "stated", "found"]
"""Proven by a signature; stated by the file, which anybody can write; found in the pixels."""

ClaimedOrigin = Literal["", "generated", "captured"]
"""Neither (also for a picture with generated parts); an AI generated the whole picture; a camera captured
it."""

GENERATOR_KINDS = ("generator", "label", "watermark")
"""Kinds of findings that occur only in generated pictures, if they are true."""


@dataclass(frozen=True)
class Finding:
    """A piece of evidence: its kind, a short phrase, and its certainty.

    Attributes:
        claims: how the picture was made, according to the finding.
        by: the organisation that signed it; '' if unsigned.
    """

    kind: FindingKind
    says: str
    sure: Certainty = "stated"
    claims: ClaimedOrigin = ""
    by: str = ""

    def __post_init__(self) -> None:
        if self.kind in GENERATOR_KINDS:
            object.__setattr__(self, "claims", "generated")


def describe_findings(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the phrases of findings, each once."""
    return tuple(dict.fromkeys(finding.says for finding in findings))


def quote(text: str) -> str:
    """Quote a file's own text as one short line without control characters."""
    # Names are short; the rest of a long text is not about the origin.
    text = " ".join(
        "".join(c if c.isprintable() else " " for c in text[: 8 * MOST_QUOTED_CHARACTERS]).split()
    )
    return text if len(text) <= MOST_QUOTED_CHARACTERS else text[: MOST_QUOTED_CHARACTERS - 1] + "…"


class Rule(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """A rule: the finding for a field whose text contains all keys and patterns."""

    says: str
    fields: tuple[str, ...]
    keys: dict[str, str] = {}
    patterns: tuple[str, ...] = ()
    how: str = "parameters"
    kind: FindingKind = "generator"

    @cached_property
    def compiled(self) -> tuple[re.Pattern[str], ...]:
        """The compiled patterns of the keys, then the other patterns; at least one."""
        keys = (rf'"(?:{name})"\s{{0,9}}:\s{{0,9}}{value}' for name, value in self.keys.items())
        return tuple(re.compile(pattern) for pattern in (*keys, *self.patterns))

    def find(self, of: Field) -> Finding | None:
        """Return the rule's finding for a field; None if the field does not match."""
        match = None
        for pattern in self.compiled:
            if not (match := pattern.search(of.text)):
                return None
        how = match.expand(self.how) if match else self.how
        return Finding(self.kind, f"{self.kind}: {self.says} ({how} in {of.where})")


class _Combination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields that are evidence only in combination: their names or full names, and patterns."""

    says: str
    fields: dict[str, str]
    how: str = "parameters"


class Programs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Patterns of programs' names: generators, and tools that add generated parts."""

    generated: str
    edited: str


class Sentences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of statements about who made a picture."""

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


class RuleTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of rules.toml."""

    fields: dict[str, frozenset[str]]
    generators: dict[str, tuple[str, ...]]
    ambiguous: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    together: tuple[_Combination, ...]
    programs: Programs
    sentences: Sentences
    vocabularies: _Vocabularies


@cache
def read_rules() -> RuleTable:
    """Read and validate rules.toml."""
    return msgspec.convert(tomllib.loads(RULES_FILE.read_text(encoding="utf-8")), RuleTable)


@cache
def rules_by_field() -> dict[str, tuple[Rule, ...]]:
    """Return the rules for each field name, in the file's order."""
    found: dict[str, list[Rule]] = {}
    table = read_rules()
    for rule in table.rules:
        for group in rule.fields:
            for name in table.fields.get(group, (group,)):
                found.setdefault(name, []).append(rule)
    return {name: tuple(rules) for name, rules in found.items()}


def find_by_rule(of: Field) -> Finding | None:
    """Return the finding of the first rule that matches a field; None for none."""
    found = (rule.find(of) for rule in rules_by_field().get(of.name, ()))
    return next((finding for finding in found if finding), None)


def find_by_combination(fields: tuple[Field, ...]) -> list[Finding]:
    """Return the findings of fields that are evidence only in combination."""
    known = {name: field for field in fields for name in (field.name, field.where.lower())}
    return [
        Finding("generator", f"generator: {row.says} ({row.how} in {known[next(iter(row.fields))].where})")
        for row in read_rules().together
        if all(
            name in known and re.search(row.fields[name], known[name].text.strip()) for name in row.fields
        )
    ]


def parse_source_type(value: str) -> str | None:
    """Parse a value of IPTC's vocabulary (a URL, a code or a name) into its official spelling; None for
    others."""
    name = re.split("[/:#]", value.strip().rstrip("/"))[-1].lower()
    return next((known for known in read_rules().vocabularies.source_types if known.lower() == name), None)


def parse_claim(name: str | None) -> ClaimedOrigin:
    """Return what a value of the vocabulary, in its official spelling, claims about the whole picture."""
    known = read_rules().vocabularies
    return "generated" if name in known.generated else "captured" if name in known.captured else ""


def find_source_type(value: str) -> Finding | None:
    """Return the finding of a value of the vocabulary; None for others."""
    name = parse_source_type(value)
    phrase = f"IPTC source type: {name}"
    return Finding("source type", phrase, claims=parse_claim(name)) if name else None


def find_source_types_in(manifest: bytes) -> list[Finding]:
    """Return the findings of the source types in a manifest that could not be verified."""
    names = re.findall(rb"digitalsourcetype/([A-Za-z]{1,60})", manifest)
    found = (find_source_type(name.decode("ascii")) for name in dict.fromkeys(names))
    return [finding for finding in found if finding]
