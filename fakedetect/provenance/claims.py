"""What a file's origin comes to: a claim of how the picture came to be, and one clause for the screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from fakedetect.provenance.rules import Claimed, Finding, Kind

WIDTH = 80
"""Characters of a clause: a terminal's line."""

WORDS = {"generated": "AI-generated", "captured": "captured by a camera"}

MOST_TELLING: tuple[Kind, ...] = (
    "edit", "credit", "source type", "manifest", "history", "ingredient", "camera", "software",
)  # fmt: skip
"""Kinds of findings that claim nothing, in the order in which one stands for all on the screen."""

NEVER_CAPTURED = frozenset(("edit", "credit"))
"""Kinds that contradict a capture."""


@dataclass(frozen=True)
class Claim:
    """What a file says of how the picture came to be.

    Attributes:
        says: 'generated' or 'captured'.
        is_proven: by a signature of somebody on the trust list, on a file that is unchanged since.
        finding: what says it.
    """

    says: Claimed
    is_proven: bool
    finding: Finding


def find_claim(findings: Sequence[Finding]) -> Claim | None:
    """What findings come to; None where they say neither.

    That an AI generated the picture counts even if only stated. That a camera captured it counts if it is
    proven and nothing says otherwise.
    """
    generated = [finding for finding in findings if finding.claims == "generated"]
    # What is proven goes first, then what somebody has signed.
    generated.sort(key=lambda finding: (finding.sure != "verified", not finding.by))
    if generated:
        return Claim("generated", generated[0].sure == "verified", generated[0])
    captured = [each for each in findings if each.claims == "captured" and each.sure == "verified"]
    otherwise = any(
        each.kind in NEVER_CAPTURED or (each.kind == "source type" and each.claims != "captured")
        for each in findings
    )
    return Claim("captured", True, captured[0]) if captured and not otherwise else None


def describe_in_a_clause(findings: Sequence[Finding], width: int = WIDTH) -> str:
    """The strongest of the findings in at most `width` characters; '' for none."""
    if claim := find_claim(findings):
        return _describe_claim(claim, findings, width)
    found = sorted(
        (finding for finding in findings if finding.kind in MOST_TELLING),
        key=lambda finding: MOST_TELLING.index(finding.kind),
    )
    return _cut(found[0].says, width) if found else ""


def _describe_claim(claim: Claim, findings: Sequence[Finding], width: int) -> str:
    finding, words = claim.finding, WORDS[claim.says]
    if finding.by:
        if finding.kind == "ingredient":
            words = "AI-generated, then edited"
        signer = next((each.says for each in findings if each.kind == "signer"), "")
        rest = f" says {words}; {_describe_trust(signer)}"
        return f"signed: {_cut(finding.by, width - len('signed: ' + rest))}{rest}"
    said = finding.says.partition(" (")[0]
    whose = "the pixels say" if finding.sure == "found" else "its metadata say"
    start = f"{whose} {words} ("
    return f"{start}{_cut(said, width - len(start) - 1)})"


def _describe_trust(signer: str) -> str:
    """What the finding about a signer ends with, in short."""
    rest = signer.rpartition("; ")[2]
    if rest.startswith("on the C2PA trust list"):
        return "signer on the trust list" if rest.endswith(": yes") else "signer not on the trust list"
    return rest


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(1, most - 1)]}…"
