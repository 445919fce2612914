"""What a row has to agree with to hold still: the state of the picture's file, and who judged it how."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fakedetect.images.degradations import STABILITY
from fakedetect.models.detector import Detector


@dataclass(frozen=True)
class Stamp:
    """The size of a file and the time of its last change, as they stand in a CSV; '' where unknown."""

    bytes: str = ""
    modified: str = ""


def stamp_of(path: Path) -> Stamp:
    """A file's stamp."""
    try:
        state = path.stat()
    except OSError:
        return Stamp()
    return Stamp(str(state.st_size), _in_words(state.st_mtime_ns))


def _in_words(nanoseconds: int) -> str:
    """'2026-09-24T12:00:00.123456789Z'; the bare number for a time that no calendar has."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
    except (OverflowError, OSError, ValueError):
        return str(nanoseconds)


@dataclass(frozen=True)
class Judges:
    """Who judges, and how: the columns of a row that name the models, their hashes and the options."""

    model: str
    checkpoint: str
    options: str

    def columns(self) -> dict[str, str]:
        """Themselves as cells."""
        return asdict(self)


def judges_of(detectors: Sequence[Detector], stability: bool) -> Judges:
    """The models as a row names them.

    What else a verdict depends on is an option: thresholds, and the input of a checkpoint whose training is
    not known.
    """
    options = []
    for detector in detectors:
        found, unknown = detector.calibration, detector.input_by_settings
        bounds = f"fake from {found.fake_from:.6g}, real below {found.real_below:.6g}"
        options.append(f"temperature {found.temperature:.6g}, {bounds}")
        options += [str(detector.settings.recipe.input)] if unknown else []
    tried = ", ".join(map(str, STABILITY)) if stability else "not tried"
    return Judges(
        model="; ".join(detector.name for detector in detectors),
        checkpoint="; ".join(detector.checkpoint_hash for detector in detectors),
        options="; ".join([*options, f"stability: {tried}"]),
    )
