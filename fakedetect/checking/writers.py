"""Where checked pictures go as they come: a line on the screen, or JSON; the CSV and the page are others.

A writer has add() for each picture and finish(), which returns lines for the end of the screen.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from fakedetect.checking.judged import Counts, Judged, row_of
from fakedetect.core.terminal.console import Console, printable
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE

WITHOUT_MODEL = ("path", "verdict", "sha256", "size", "format", "provenance")
"""What JSON has of a picture that no model has judged."""


class Writer(Protocol):
    """What takes pictures as they are judged."""

    def add(self, judged: Judged) -> None:
        """A picture more."""

    def finish(self, counts: Counts) -> list[str]:
        """The end of the check; what to say of it."""


@dataclass(frozen=True)
class Screen:
    """A line for each picture, by describe_verdict or describe_origin."""

    console: Console
    describe: Callable[[Judged], str]

    def add(self, judged: Judged) -> None:
        """Show the picture's line."""
        self.console.show(self.describe(judged))

    def finish(self, _: Counts) -> list[str]:
        """Nothing is left to do."""
        return []


@dataclass(frozen=True)
class JsonLines:
    """An object for each picture.

    `by_model`: with the columns of a verdict.
    """

    console: Console
    by_model: bool = True

    def add(self, judged: Judged) -> None:
        """Print the picture's object."""
        row = row_of(judged)
        if not judged.reason:
            del row["reason"]
        if not self.by_model:
            kept = ("path", "verdict", "reason") if judged.reason else WITHOUT_MODEL
            row = {key: row[key] for key in kept}
        row["verdict"] = row["verdict"] or None
        rounded = {
            key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()
        }
        found = {**rounded, "origin": [asdict(finding) for finding in judged.origin]}
        self.console.show(json.dumps(found))

    def finish(self, _: Counts) -> list[str]:
        """Nothing is left to do."""
        return []


def describe_verdict(judged: Judged, weak: bool) -> str:
    """A judged picture's line, with one for each heat map.

    Args:
        weak: the verdict is a hint only.
    """
    name = printable(judged.path)
    if judged.reason:
        return f"{'-':<8}{'-':>15}  {name}  [{judged.reason}]"
    mark = "?" if weak and judged.verdict != UNSURE else ""
    line = f"{judged.verdict + mark:<8}p(fake) {100 * (judged.p_fake_calibrated or 0.0):5.1f} %  {name}"
    if remarks := _remarks(judged):
        line += f"  [{'; '.join(remarks)}]"
    return "\n".join([line, *(f"{'':<25}heat map: {figure}" for figure in judged.heat_maps)])


def _remarks(judged: Judged) -> Sequence[str]:
    """What each model said, whether the answer is stable, the origin."""
    lines = []
    if judged.answers:
        each = [f"{by.model} {by.verdict}, p(fake) {100 * by.p_fake:.1f} %" for by in judged.answers]
        lines.append(f"{'; '.join(each)}; {100 * judged.disagreement:.0f} points apart")
    if judged.unstable:
        flips = judged.stability.replace("; ", ", ")
        side = FAKE if (judged.p_fake or 0.0) >= 0.5 else REAL
        lines.append(flips if judged.answers else f"{side}, but {flips}")
    return [*lines, *judged.provenance]


def describe_origin(judged: Judged) -> str:
    """The line of a picture that no model has judged."""
    name = printable(judged.path)
    if judged.reason:
        return f"{'-':<17}  {name}  [{judged.reason}]"
    said = "; ".join(judged.provenance) or "no information about its origin"
    return f"{judged.format:<6}{judged.size:>11}  {name}  [{said}]"
