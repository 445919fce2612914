"""A checked picture: what the models and its file say of it, as a row and as JSON."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fakedetect.core.terminal.console import plural
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE, Calibration
from fakedetect.provenance.claims import Claim, find_claim
from fakedetect.provenance.rules import Finding

COLUMNS = (
    "path", "verdict", "p_fake", "model_verdict", "p_fake_raw", "stability", "sha256", "width", "height",
    "format", "provenance", "reason",
)  # fmt: skip
"""Of the CSV; several models add their own behind them."""

JUDGED = ("bytes", "modified", "model", "checkpoint", "options")
"""The last columns of the CSV: the state of the file, who judged it, and how."""

STABLE = "stable"

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Stamp:
    """The size of a file and the time of its last change; None and '' where unknown."""

    bytes: int | None = None
    modified: str = ""


@dataclass(frozen=True)
class Judges:
    """Who judges, and how: the models, their hashes and the options; `calibrations` by model."""

    model: str = ""
    checkpoint: str = ""
    options: str = ""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    @property
    def several(self) -> Sequence[str]:
        """The models' names, if there are several."""
        return list(self.calibrations) if len(self.calibrations) > 1 else []


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
        verdict: what is shown: fake, real or unsure, by the models and the file's origin; '' of a file that
            cannot be read, or where there is no model.
        model_verdict: the models' own.
        p_fake: the models' calibrated probability, None without a verdict; `p_fake_raw` is their own.
        stability: 'stable', what has changed the answer, or '' where that was not tried.
        answers: of each model, if there are several.
        width: of the picture in pixels; None of a file that cannot be read, which has no hash and format.
        provenance: the findings about its origin in words; `origin` is empty where only these are known.
        reason: why it cannot be read, or is not judged; '' where it is.
        thumbnail: a WebP file; b'' for none.
        heat_maps: the files of its figures; `heat_map_trust` has a sentence on each, how far to trust it.
    """

    path: Path
    verdict: str = ""
    model_verdict: str = ""
    p_fake: float | None = None
    p_fake_raw: float | None = None
    stability: str = ""
    answers: tuple[ModelAnswer, ...] = ()
    sha256: str = ""
    width: int | None = None
    height: int | None = None
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
    def claim(self) -> Claim | None:
        """What the file says of how the picture came to be."""
        return find_claim(self.origin)

    @property
    def size(self) -> str:
        """'300x260'; '' where it is not known."""
        return f"{self.width}x{self.height}" if self.width and self.height else ""

    @property
    def disagreement(self) -> float:
        """How far the models' calibrated probabilities lie apart, at most 1."""
        values = [each.p_fake for each in self.answers]
        return max(values) - min(values) if values else 0.0


def weigh(model_verdict: str, claim: Claim | None) -> str:
    """The verdict that is shown, by the models' own and what the file says.

    A proven origin decides. A stated one, which anybody can write, cannot: with it, a picture is fake where
    the models say so too, and unsure otherwise.
    """
    if claim is None:
        return model_verdict
    if claim.is_proven:
        return FAKE if claim.says == "generated" else REAL
    return FAKE if model_verdict == FAKE else UNSURE


def row_of(judged: Judged) -> Row:
    """The picture's row: COLUMNS, those of several models, JUDGED; None for what is unknown."""
    columns: Row = {
        "path": str(judged.path),
        "verdict": judged.verdict,
        "p_fake": judged.p_fake,
        "model_verdict": judged.model_verdict,
        "p_fake_raw": judged.p_fake_raw,
        "stability": judged.stability,
        "sha256": judged.sha256,
        "width": judged.width,
        "height": judged.height,
        "format": judged.format,
        "provenance": "; ".join(judged.provenance),
        "reason": judged.reason,
    }
    if judged.judges.several:
        each: dict[str, float | None] = {by.model: by.p_fake for by in judged.answers}
        columns["disagreement"] = judged.disagreement if judged.answers else None
        columns |= {f"p_fake_{model}": each.get(model) for model in judged.judges.several}
    judges = judged.judges
    of_run = {"model": judges.model, "checkpoint": judges.checkpoint, "options": judges.options}
    row = columns | asdict(judged.stamp) | of_run
    # That a file says nothing of its origin is known.
    known = () if judged.reason else ("provenance",)
    return {key: None if value == "" and key not in known else value for key, value in row.items()}


def judged_of(row: Mapping[str, str]) -> Judged:
    """The picture of an earlier run's row, which may have been through a spreadsheet."""
    columns = [name for name in row if name.startswith("p_fake_") and name != "p_fake_raw"]
    each = {name.removeprefix("p_fake_"): _share_of(row[name]) for name in columns}
    return Judged(
        path=Path(row["path"]),
        verdict=row.get("verdict", ""),
        model_verdict=row.get("model_verdict", ""),
        p_fake=_share_of(row.get("p_fake", "")),
        p_fake_raw=_share_of(row.get("p_fake_raw", "")),
        stability=row.get("stability", ""),
        answers=tuple(ModelAnswer(model, p) for model, p in each.items() if p is not None),
        sha256=row.get("sha256", ""),
        width=_pixels_of(row.get("width", "")),
        height=_pixels_of(row.get("height", "")),
        format=row.get("format", ""),
        provenance=tuple(filter(None, [row.get("provenance", "")])),
        reason=row.get("reason", ""),
    )


def _share_of(cell: str) -> float | None:
    """The probability in a cell; None for none."""
    try:
        share = float(cell)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _pixels_of(cell: str) -> int | None:
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 10 else None


def to_json(judged: Judged) -> str:
    """The picture as a JSON object; those of a run all have the same keys."""
    row = row_of(judged)
    rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}
    thresholds = {
        model: {
            "fake_from": found.fake_from,
            "real_below": found.real_below,
            "temperature": found.temperature,
        }
        for model, found in judged.judges.calibrations.items()
    }
    origin = [{key: value or None for key, value in asdict(finding).items()} for finding in judged.origin]
    return json.dumps({**rounded, "thresholds": thresholds or None, "origin": origin})


@dataclass
class Counts:
    """What a check has come to so far.

    Attributes:
        total: how many pictures there are.
        verdicts: how many are shown with each verdict, '' those that cannot be read.
        model_verdicts: the models' own likewise.
        again: how many are names of a file that has another name too.
        passed: how many of them had rows that still hold.
        checked: how many were judged now.
    """

    total: int
    verdicts: Counter[str] = field(default_factory=Counter)
    model_verdicts: Counter[str] = field(default_factory=Counter)
    again: int = 0
    unstable: int = 0
    passed: int = 0
    checked: int = 0
    stopped: bool = False
    start: float = field(default_factory=time.monotonic)

    def add(self, judged: Judged) -> None:
        """A picture that was judged now."""
        self.checked += 1
        self._count(judged.verdict, judged.model_verdict, judged.unstable)

    def add_passed(self, verdict: str, model_verdict: str, unstable: bool) -> None:
        """A picture whose row still holds."""
        self.passed += 1
        self._count(verdict, model_verdict, unstable)

    def _count(self, verdict: str, model_verdict: str, unstable: bool) -> None:
        self.verdicts[verdict] += 1
        self.model_verdicts[model_verdict] += 1
        self.unstable += unstable

    def describe_verdicts(self) -> str:
        """The verdicts in numbers."""
        counts = self.verdicts
        judged = sum(counts[verdict] for verdict in (FAKE, REAL, UNSURE))
        return (
            f"{plural(judged, 'picture')}: {counts[FAKE]:,} fake, {counts[REAL]:,} real, "
            f"{counts[UNSURE]:,} unsure"
            + (f" ({self.unstable:,} of them not stable)" if self.unstable else "")
            + (f"; {counts['']:,} cannot be read or judged" if counts[""] else "")
            + (f"; {self.again:,} under a second name" if self.again else "")
        )

    def describe(self) -> str:
        """The verdicts in numbers, and how fast they came."""
        seconds = max(time.monotonic() - self.start, 1e-9)
        speed = f"; {self.checked / seconds:.1f} img/s" if self.checked else ""
        return self.describe_verdicts() + speed
