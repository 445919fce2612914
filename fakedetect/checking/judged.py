"""The record of a checked picture, as an object, a CSV row and JSON."""

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

RESULT_COLUMNS = (
    "path", "verdict", "p_fake", "model_verdict", "p_fake_raw", "stability", "sha256", "width", "height",
    "format", "provenance", "reason",
)  # fmt: skip
"""Columns of the CSV; with several models, theirs come next."""

RUN_COLUMNS = ("bytes", "modified", "model", "checkpoint", "options")
"""The last columns of the CSV: the state of the file, the models, and their options."""

STABLE = "stable"

ResultRow = dict[str, str | int | float | None]


@dataclass(frozen=True)
class FileState:
    """The size of a file in bytes and the time of its last change; None and '' if unknown."""

    bytes: int | None = None
    modified: str = ""


@dataclass(frozen=True)
class Judges:
    """The models of a check, the hashes of their checkpoints, and the options; `calibrations` by model."""

    model: str = ""
    checkpoint: str = ""
    options: str = ""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    @property
    def several(self) -> Sequence[str]:
        """The names of the models; [] for a single model."""
        return list(self.calibrations) if len(self.calibrations) > 1 else []


@dataclass(frozen=True)
class ModelAnswer:
    """One of several models' prediction: the verdict ('' if unknown) and the calibrated probability."""

    model: str
    p_fake: float
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A checked picture.

    Attributes:
        verdict: fake, real or unsure, by the models and the file's origin; '' without a model, or if the
            file cannot be read.
        model_verdict: the models' verdict, without the origin.
        p_fake: the models' calibrated probability; None without a verdict. `p_fake_raw` is uncalibrated.
        stability: 'stable', the degradations that flipped the verdict, or '' if none were tried.
        answers: each model's prediction, if there are several models.
        width: pixels; None if the file cannot be read. Such a file has no hash and no format either.
        provenance: the findings about the origin as text; `origin` is empty if only the text is known.
        own_threshold: from which p_fake on a picture is called fake by the user's own photographs, where
            that has made a fake one unsure.
        least_measured_side: the shorter side in pixels of the smallest picture behind the thresholds, where
            this picture is smaller.
        reason: why there is no verdict; '' otherwise.
        stamp: the state of the file when it was read.
        thumbnail: a WebP file; b'' for none.
        heat_maps: the files of the figures; `heat_map_trust` has a sentence on the reliability of each.
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
    own_threshold: float | None = None
    least_measured_side: int | None = None
    reason: str = ""
    stamp: FileState = FileState()
    judges: Judges = Judges()
    thumbnail: bytes = b""
    heat_maps: tuple[Path, ...] = ()
    heat_map_trust: tuple[str, ...] = ()

    @property
    def unstable(self) -> bool:
        """Whether a degradation flipped the verdict."""
        return self.stability not in ("", STABLE)

    @property
    def claim(self) -> Claim | None:
        """The file's claim about how the picture was made."""
        return find_claim(self.origin)

    @property
    def size(self) -> str:
        """'300x260'; '' if unknown."""
        return f"{self.width}x{self.height}" if self.width and self.height else ""

    @property
    def disagreement(self) -> float:
        """The largest difference between the models' calibrated probabilities, 0 to 1."""
        values = [each.p_fake for each in self.answers]
        return max(values) - min(values) if values else 0.0


def decide_shown_verdict(model_verdict: str, claim: Claim | None) -> str:
    """Combine the models' verdict and the file's claim into the verdict that is shown.

    A proven origin decides. A stated origin does not, because anybody can write it: the picture is fake if
    the models agree, and unsure otherwise.
    """
    if claim is None:
        return model_verdict
    if claim.is_proven:
        return FAKE if claim.says == "generated" else REAL
    return FAKE if model_verdict == FAKE else UNSURE


def to_row(judged: Judged) -> ResultRow:
    """Return the CSV row: RESULT_COLUMNS, those of several models, RUN_COLUMNS; None for unknown values."""
    columns: ResultRow = {
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
    run_columns = {"model": judges.model, "checkpoint": judges.checkpoint, "options": judges.options}
    row = columns | asdict(judged.stamp) | run_columns
    # An empty provenance is a value: the file was read and has no information.
    known = () if judged.reason else ("provenance",)
    return {key: None if value == "" and key not in known else value for key, value in row.items()}


def parse_row(row: Mapping[str, str]) -> Judged:
    """Parse a row of an earlier run, which a spreadsheet may have changed."""
    columns = [name for name in row if name.startswith("p_fake_") and name != "p_fake_raw"]
    each = {name.removeprefix("p_fake_"): _parse_share(row[name]) for name in columns}
    return Judged(
        path=Path(row["path"]),
        verdict=row.get("verdict", ""),
        model_verdict=row.get("model_verdict", ""),
        p_fake=_parse_share(row.get("p_fake", "")),
        p_fake_raw=_parse_share(row.get("p_fake_raw", "")),
        stability=row.get("stability", ""),
        answers=tuple(ModelAnswer(model, p) for model, p in each.items() if p is not None),
        sha256=row.get("sha256", ""),
        width=_parse_pixels(row.get("width", "")),
        height=_parse_pixels(row.get("height", "")),
        format=row.get("format", ""),
        provenance=tuple(filter(None, [row.get("provenance", "")])),
        reason=row.get("reason", ""),
    )


def _parse_share(cell: str) -> float | None:
    """Parse a probability; None if it is none."""
    try:
        share = float(cell)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _parse_pixels(cell: str) -> int | None:
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 10 else None


def to_json(judged: Judged) -> str:
    """Return a JSON object; all pictures of a run have the same keys."""
    row = to_row(judged)
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
class CheckCounts:
    """The progress of a check, in numbers of pictures.

    Attributes:
        total: the pictures of the request.
        verdicts: pictures by verdict; '' counts those that cannot be read.
        model_verdicts: pictures by the models' verdict.
        second_names: further names of files that have several.
        unstable: pictures whose verdict a degradation flipped.
        unchanged: pictures whose rows are still valid.
        checked: pictures that were checked in this run.
        stopped: the user has stopped the check.
        start: seconds of the monotonic clock.
    """

    total: int
    verdicts: Counter[str] = field(default_factory=Counter)
    model_verdicts: Counter[str] = field(default_factory=Counter)
    second_names: int = 0
    unstable: int = 0
    unchanged: int = 0
    checked: int = 0
    stopped: bool = False
    start: float = field(default_factory=time.monotonic)

    def add(self, judged: Judged) -> None:
        """Count a picture that was checked in this run."""
        self.checked += 1
        self._count(judged.verdict, judged.model_verdict, judged.unstable)

    def add_unchanged(self, verdict: str, model_verdict: str, unstable: bool) -> None:
        """Count a picture whose row is still valid."""
        self.unchanged += 1
        self._count(verdict, model_verdict, unstable)

    def _count(self, verdict: str, model_verdict: str, unstable: bool) -> None:
        self.verdicts[verdict] += 1
        self.model_verdicts[model_verdict] += 1
        self.unstable += unstable

    def describe_verdicts(self) -> str:
        """Describe the number of pictures by verdict."""
        counts = self.verdicts
        judged = sum(counts[verdict] for verdict in (FAKE, REAL, UNSURE))
        return (
            f"{plural(judged, 'picture')}: {counts[FAKE]:,} fake, {counts[REAL]:,} real, "
            f"{counts[UNSURE]:,} unsure"
            + (f" ({self.unstable:,} of them not stable)" if self.unstable else "")
            + (f"; {counts['']:,} cannot be read or judged" if counts[""] else "")
            + (f"; {self.second_names:,} under a second name" if self.second_names else "")
        )

    def describe(self) -> str:
        """Describe the number of pictures by verdict, and the speed."""
        seconds = max(time.monotonic() - self.start, 1e-9)
        speed = f"; {self.checked / seconds:.1f} img/s" if self.checked else ""
        return self.describe_verdicts() + speed
