"""A checked picture: what the models and its file say of it, as a row, as JSON and on the screen."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fakedetect.core.terminal.console import plural, printable
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE
from fakedetect.provenance.rules import Finding

COLUMNS = (
    "path", "verdict", "p_fake", "p_fake_calibrated", "stability", "sha256", "size", "format",
    "provenance", "reason",
)  # fmt: skip
"""Of the CSV; several models add their own behind them."""

JUDGED = ("bytes", "modified", "model", "checkpoint", "options")
"""The last columns of the CSV: the state of the file, who judged it, and how."""

WITHOUT_MODEL = ("path", "verdict", "sha256", "size", "format", "provenance")
"""What JSON has of a picture that no model has judged."""

STABLE = "stable"


@dataclass(frozen=True)
class Stamp:
    """The size of a file and the time of its last change; None and '' where unknown."""

    bytes: int | None = None
    modified: str = ""


@dataclass(frozen=True)
class Judges:
    """Who judges, and how: the models, their hashes and the options."""

    model: str = ""
    checkpoint: str = ""
    options: str = ""


@dataclass(frozen=True)
class ModelAnswer:
    """What one of several models says of a picture: its verdict, '' where unknown, and its calibrated
    probability."""

    model: str
    p_fake: float
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A picture after its check.

    Attributes:
        verdict: fake, real or unsure; '' of a file that cannot be read, or where there is no model.
        p_fake: the models' own probability, None without a verdict; `p_fake_calibrated` likewise.
        stability: 'stable', what has changed the answer, or '' where that was not tried.
        answers: of each model, if there are several.
        size: of the picture as in '300x260'; '' of a file that cannot be read, like its hash and format.
        provenance: the findings about its origin in words; `origin` is empty where only these are known.
        reason: why it cannot be read; '' if it can.
        thumbnail: a WebP file; b'' for none.
        heat_maps: the files of its figures; `heat_map_trust` has a sentence on each, how far to trust it.
    """

    path: Path
    verdict: str = ""
    p_fake: float | None = None
    p_fake_calibrated: float | None = None
    stability: str = ""
    answers: tuple[ModelAnswer, ...] = ()
    sha256: str = ""
    size: str = ""
    format: str = ""
    provenance: tuple[str, ...] = ()
    origin: tuple[Finding, ...] = ()
    reason: str = ""
    stamp: Stamp = Stamp()
    judges: Judges = Judges()
    thumbnail: bytes = b""
    heat_maps: tuple[Path, ...] = ()
    heat_map_trust: tuple[str, ...] = ()

    @property
    def unstable(self) -> bool:
        """Whether a small change has turned the answer."""
        return self.stability not in ("", STABLE)

    @property
    def disagreement(self) -> float:
        """How far the models' calibrated probabilities lie apart, at most 1."""
        values = [each.p_fake for each in self.answers]
        return max(values) - min(values) if values else 0.0


def row_of(judged: Judged) -> dict[str, str | int | float | None]:
    """The picture's row by its columns: COLUMNS, those of several models, JUDGED."""
    row: dict[str, str | int | float | None] = {
        "path": str(judged.path),
        "verdict": judged.verdict,
        "p_fake": judged.p_fake,
        "p_fake_calibrated": judged.p_fake_calibrated,
        "stability": judged.stability,
        "sha256": judged.sha256,
        "size": judged.size,
        "format": judged.format,
        "provenance": "; ".join(judged.provenance),
        "reason": judged.reason,
    }
    if judged.answers:
        row["disagreement"] = judged.disagreement
        row |= {f"p_fake_{each.model}": each.p_fake for each in judged.answers}
    return row | asdict(judged.stamp) | asdict(judged.judges)


def judged_of(row: Mapping[str, str]) -> Judged:
    """The picture of an earlier run's row, which may have been through a spreadsheet."""
    columns = [name for name in row if name.startswith("p_fake_") and name != "p_fake_calibrated"]
    each = {name.removeprefix("p_fake_"): _share_of(row[name]) for name in columns}
    return Judged(
        path=Path(row["path"]),
        verdict=row.get("verdict", ""),
        p_fake=_share_of(row.get("p_fake", "")),
        p_fake_calibrated=_share_of(row.get("p_fake_calibrated", "")),
        stability=row.get("stability", ""),
        answers=tuple(ModelAnswer(model, p) for model, p in each.items() if p is not None),
        sha256=row.get("sha256", ""),
        size=row.get("size", ""),
        format=row.get("format", ""),
        provenance=tuple(filter(None, [row.get("provenance", "")])),
        reason=row.get("reason", ""),
    )


def _share_of(cell: str) -> float | None:
    """The probability in a cell, which a spreadsheet may have given a decimal comma; None for none."""
    try:
        share = float(cell.replace(",", "."))
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def to_json(judged: Judged, by_model: bool = True) -> str:
    """The picture as a JSON object.

    Args:
        by_model: with the columns of a verdict.
    """
    row = row_of(judged)
    if not judged.reason:
        del row["reason"]
    if not by_model:
        kept = ("path", "verdict", "reason") if judged.reason else WITHOUT_MODEL
        row = {key: row[key] for key in kept}
    row["verdict"] = row["verdict"] or None
    rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}
    return json.dumps({**rounded, "origin": [asdict(finding) for finding in judged.origin]})


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
    for figure, trust in zip(judged.heat_maps, judged.heat_map_trust, strict=True):
        line += f"\n{'':<25}heat map: {figure}\n{'':<25}{trust}"
    return line


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


@dataclass
class Counts:
    """What a check has come to so far.

    Attributes:
        total: how many pictures there are.
        verdicts: how many have each verdict, '' those that cannot be read.
        passed: how many of them had rows that still hold.
        checked: how many were judged now.
    """

    total: int
    verdicts: Counter[str] = field(default_factory=Counter)
    unstable: int = 0
    passed: int = 0
    checked: int = 0
    stopped: bool = False
    start: float = field(default_factory=time.monotonic)

    def add(self, judged: Judged) -> None:
        """A picture that was judged now."""
        self.checked += 1
        self._count(judged.verdict, judged.unstable)

    def add_passed(self, verdict: str, unstable: bool) -> None:
        """A picture whose row still holds."""
        self.passed += 1
        self._count(verdict, unstable)

    def _count(self, verdict: str, unstable: bool) -> None:
        self.verdicts[verdict] += 1
        self.unstable += unstable

    def describe_verdicts(self) -> str:
        """The verdicts in numbers."""
        counts = self.verdicts
        judged = sum(counts[verdict] for verdict in (FAKE, REAL, UNSURE))
        return (
            f"{plural(judged, 'picture')}: {counts[FAKE]:,} fake, {counts[REAL]:,} real, "
            f"{counts[UNSURE]:,} unsure"
            + (f" ({self.unstable:,} of them not stable)" if self.unstable else "")
            + (f"; {counts['']:,} cannot be read" if counts[""] else "")
        )

    def describe(self) -> str:
        """The verdicts in numbers, and how fast they came."""
        seconds = max(time.monotonic() - self.start, 1e-9)
        speed = f"; {self.checked / seconds:.1f} img/s" if self.checked else ""
        return self.describe_verdicts() + speed
