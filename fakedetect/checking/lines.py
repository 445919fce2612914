"""Lines about a checked picture: its verdict and the reasons."""

from collections.abc import Sequence

from fakedetect.checking.judged import Judged
from fakedetect.core.terminal.console import printable
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE
from fakedetect.provenance.claims import CLAUSE_WIDTH, format_origin


def describe_verdict(judged: Judged, weak: bool, details: bool = False) -> str:
    """Describe a checked picture in a line, and each of its heat maps in another.

    Args:
        weak: the verdict is a hint only.
        details: include all findings about the origin.
    """
    line, remarks = _format_verdict_line(judged, weak), describe_remarks(judged, details)
    if remarks:
        line += f"  [{'; '.join(remarks)}]"
    return "\n".join([line, *_describe_heat_maps(judged)])


def describe_single(judged: Judged, weak: bool, details: bool = False) -> str:
    """Describe the only picture of a check; its verdict is the last line."""
    if judged.reason:
        return describe_verdict(judged, weak)
    why = describe_remarks(judged, details)
    return "\n".join([*_describe_heat_maps(judged), *why, _format_verdict_line(judged, weak)])


def _format_verdict_line(judged: Judged, weak: bool) -> str:
    name = printable(judged.path)
    if judged.reason:
        return f"{'-':<8}{'-':>15}  {name}"
    p_fake = f"p(fake) {percent(judged.p_fake or 0.0):>7}"
    if judged.claim and judged.claim.is_proven:
        said = f"by its signed origin (the model: {judged.model_verdict}, {p_fake})"
        return f"{judged.verdict:<8}{said}  {name}"
    mark = "?" if weak and judged.verdict != UNSURE else ""
    return f"{judged.verdict + mark:<8}{p_fake}  {name}"


def _describe_heat_maps(judged: Judged) -> list[str]:
    pairs = zip(judged.heat_maps, judged.heat_map_trust, strict=True)
    return [f"{'':<25}{line}" for figure, trust in pairs for line in (f"heat map: {figure}", trust)]


def describe_remarks(judged: Judged, details: bool = False) -> Sequence[str]:
    """Describe why a picture has no verdict, or each model's prediction, the flips and the origin.

    Args:
        details: include all findings about the origin.
    """
    if judged.reason:
        return [judged.reason, *judged.provenance]
    lines = []
    if judged.answers:
        each = [
            f"{by.model}{f' {by.verdict},' if by.verdict else ''} p(fake) {percent(by.p_fake)}"
            for by in judged.answers
        ]
        lines.append(f"{'; '.join(each)}; {100 * judged.disagreement:.0f} points apart")
    if judged.unstable:
        flips = judged.stability.replace("; ", ", ")
        side = FAKE if (judged.p_fake or 0.0) >= 0.5 else REAL
        lines.append(flips if judged.answers else f"{side}, but {flips}")
    if judged.own_threshold is not None:
        lines.append(f"fake only from {percent(judged.own_threshold)} on, by your own photographs")
    if judged.least_measured_side is not None:
        lines.append(f"smaller than all measured pictures ({judged.least_measured_side:,} pixels a side)")
    return [*lines, *_describe_origin_effect(judged), *(judged.provenance if details else ())]


def _describe_origin_effect(judged: Judged) -> Sequence[str]:
    """Describe the origin in a clause, and its effect on the verdict."""
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
    """Describe a picture without a verdict in a line.

    Args:
        details: include all findings about the origin.
    """
    name = printable(judged.path)
    if judged.reason:
        return f"{'-':<17}  {name}  [{judged.reason}]"
    clause = "; ".join(judged.provenance) if details else format_origin(judged.origin)
    said = clause or "no information about its origin"
    return f"{judged.format:<6}{judged.size:>11}  {name}  [{said}]"
