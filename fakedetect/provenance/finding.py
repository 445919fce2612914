"""What was found out about a picture's origin: one record for every kind of evidence."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class Finding:
    """A piece of evidence: its kind, what it says in a short phrase, and how sure that is."""

    kind: Kind
    says: str
    sure: Certainty = "stated"


def in_words(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The phrases of findings, each once."""
    return tuple(dict.fromkeys(finding.says for finding in findings))


def shorten(text: str) -> str:
    """A file's own words as one short line without control characters."""
    # A name is short; the rest of a long text says no more of the origin.
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * LONGEST]).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
