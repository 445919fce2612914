"""A file's claim of how the picture was made, and its origin in one clause for the screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from fakedetect.provenance.rules import ClaimedOrigin, Finding, FindingKind

CLAUSE_WIDTH = 80
"""Characters of a clause: the width of a terminal."""

CLAIM_PHRASES = {"generated": "AI-generated", "captured": "captured by a camera"}

CLAUSE_KINDS: tuple[FindingKind, ...] = (
    "edit", "credit", "source type", "manifest", "history", "ingredient", "camera", "software",
)  # fmt: skip
"""Kinds of findings without a claim, the most informative first; the first one found is shown."""

NEVER_CAPTURED = frozenset(("edit", "credit"))
"""Kinds that contradict a capture."""


@dataclass(frozen=True)
class Claim:
    """A file's claim of how the picture was made.

    Attributes:
        says: 'generated' or 'captured'.
        is_proven: a signer on the trust list signed it, and the file is unchanged since.
        finding: the finding that makes the claim.
    """

    says: ClaimedOrigin
    is_proven: bool
    finding: Finding


def find_claim(findings: Sequence[Finding]) -> Claim | None:
    """Return the claim that follows from all findings; None for no claim.

    A statement that an AI generated the picture suffices. That a camera captured it must be proven, and no
    finding may contradict it.
    """
    generated = [finding for finding in findings if finding.claims == "generated"]
    # Proven findings first, then signed ones.
    generated.sort(key=lambda finding: (finding.sure != "verified", not finding.by))
    if generated:
        return Claim("generated", generated[0].sure == "verified", generated[0])
    captured = [each for each in findings if each.claims == "captured" and each.sure == "verified"]
    otherwise = any(
        each.kind in NEVER_CAPTURED or (each.kind == "source type" and each.claims != "captured")
        for each in findings
    )
    return Claim("captured", True, captured[0]) if captured and not otherwise else None


def format_origin(findings: Sequence[Finding], width: int = CLAUSE_WIDTH) -> str:
    """Format the strongest finding in at most `width` characters; '' for none."""
    if claim := find_claim(findings):
        return _format_claim(claim, findings, width)
    found = sorted(
        (finding for finding in findings if finding.kind in CLAUSE_KINDS),
        key=lambda finding: CLAUSE_KINDS.index(finding.kind),
    )
    return _truncate(found[0].says, width) if found else ""


def _format_claim(claim: Claim, findings: Sequence[Finding], width: int) -> str:
    finding, words = claim.finding, CLAIM_PHRASES[claim.says]
    if finding.by:
        if finding.kind == "ingredient":
            words = "AI-generated, then edited"
        signer = next((each.says for each in findings if each.kind == "signer"), "")
        rest = f" says {words}; {_format_trust(signer)}"
        return f"signed: {_truncate(finding.by, width - len('signed: ' + rest))}{rest}"
    phrase = finding.says.partition(" (")[0]
    whose = "the pixels say" if finding.sure == "found" else "its metadata say"
    start = f"{whose} {words} ("
    return f"{start}{_truncate(phrase, width - len(start) - 1)})"


def _format_trust(signer: str) -> str:
    """Shorten the end of a finding on the signer, which is about trust."""
    rest = signer.rpartition("; ")[2]
    if rest.startswith("on the C2PA trust list"):
        return "signer on the trust list" if rest.endswith(": yes") else "signer not on the trust list"
    return rest


def _truncate(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(1, most - 1)]}…"
