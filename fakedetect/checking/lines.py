"""A checked picture on the screen: its verdict, and what makes it so."""

from collections.abc import Sequence

from fakedetect.checking.judged import Judged
from fakedetect.core.terminal.console import printable
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE
from fakedetect.provenance.claims import CLAUSE_WIDTH, format_origin


def describe_verdict(judged: Judged, weak: bool, details: bool = False) -> str:
    """A judged picture's line, with one for each heat map.

    Args:
        weak: the verdict is a hint only.
        details: with all that is said of its origin.
    """
    line, remarks = _verdict_line(judged, weak), describe_remarks(judged, details)
    if remarks:
        line += f"  [{'; '.join(remarks)}]"
    return "\n".join([line, *_heat_map_lines(judged)])


def describe_alone(judged: Judged, weak: bool, details: bool = False) -> str:
    """The same of a picture that is the only one: its verdict is the last line."""
    if judged.reason:
        return describe_verdict(judged, weak)
    why = describe_remarks(judged, details)
    return "\n".join([*_heat_map_lines(judged), *why, _verdict_line(judged, weak)])


def _verdict_line(judged: Judged, weak: bool) -> str:
    name = printable(judged.path)
    if judged.reason:
        return f"{'-':<8}{'-':>15}  {name}"
    percent = f"p(fake) {100 * (judged.p_fake or 0.0):5.1f} %"
    if judged.claim and judged.claim.is_proven:
        said = f"by its signed origin (the model: {judged.model_verdict}, {percent})"
        return f"{judged.verdict:<8}{said}  {name}"
    mark = "?" if weak and judged.verdict != UNSURE else ""
    return f"{judged.verdict + mark:<8}{percent}  {name}"


def _heat_map_lines(judged: Judged) -> list[str]:
    pairs = zip(judged.heat_maps, judged.heat_map_trust, strict=True)
    return [f"{'':<25}{line}" for figure, trust in pairs for line in (f"heat map: {figure}", trust)]


def describe_remarks(judged: Judged, details: bool = False) -> Sequence[str]:
    """Why a picture has no verdict; otherwise what each model said, what a small change has turned, and the
    origin in a clause.

    Args:
        details: with all that is said of its origin.
    """
    if judged.reason:
        return [judged.reason, *judged.provenance]
    lines = []
    if judged.answers:
        each = [
            f"{by.model}{f' {by.verdict},' if by.verdict else ''} p(fake) {100 * by.p_fake:.1f} %"
            for by in judged.answers
        ]
        lines.append(f"{'; '.join(each)}; {100 * judged.disagreement:.0f} points apart")
    if judged.unstable:
        flips = judged.stability.replace("; ", ", ")
        side = FAKE if (judged.p_fake or 0.0) >= 0.5 else REAL
        lines.append(flips if judged.answers else f"{side}, but {flips}")
    if judged.own_threshold is not None:
        lines.append(f"fake only from {100 * judged.own_threshold:.1f} % on, by your own photographs")
    return [*lines, *_origin_remarks(judged), *(judged.provenance if details else ())]


def _origin_remarks(judged: Judged) -> Sequence[str]:
    """The origin in a clause, and how it has changed the verdict."""
    claim, clause = judged.claim, format_origin(judged.origin)
    if claim is None or claim.is_proven:
        return [clause] if clause else []
    if judged.model_verdict == FAKE:
        if claim.finding.by:
            return ["and its metadata say so", clause]
        return [f"and {clause.replace(' AI-generated', ' so', 1)}"]
    says = {REAL: "the model says real", UNSURE: "the model is unsure"}.get(judged.model_verdict, "")
    if claim.finding.by:
        return [clause, says]
    return [f"{format_origin(judged.origin, CLAUSE_WIDTH - len(says) - 2)}, {says}"]


def describe_origin(judged: Judged, details: bool = False) -> str:
    """The line of a picture that no model has judged.

    Args:
        details: with all that is said of its origin.
    """
    name = printable(judged.path)
    if judged.reason:
        return f"{'-':<17}  {name}  [{judged.reason}]"
    clause = "; ".join(judged.provenance) if details else format_origin(judged.origin)
    said = clause or "no information about its origin"
    return f"{judged.format:<6}{judged.size:>11}  {name}  [{said}]"
