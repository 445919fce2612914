"""What a check has come to: counts, and what they are in words."""

import time
from collections import Counter
from dataclasses import dataclass, field

from fakedetect.core.console import plural
from fakedetect.inference.resumable_csv import Records
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE


@dataclass
class Tally:
    """What a check has come to so far.

    Attributes:
        verdicts: how many pictures have each verdict, '' those that cannot be read.
        passed: how many of them had rows that hold still.
        checked: how many were judged now.
        total: how many there are.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    unstable: int = 0
    passed: int = 0
    checked: int = 0
    total: int = 0
    stopped: bool = False
    start: float = field(default_factory=time.monotonic)

    def count(self, verdict: str, unstable: bool) -> None:
        """A picture more."""
        self.verdicts[verdict] += 1
        self.unstable += unstable


def count_verdicts(tally: Tally) -> str:
    """The verdicts in numbers."""
    counts = tally.verdicts
    judged = sum(counts[verdict] for verdict in (FAKE, REAL, UNSURE))
    return (
        f"{plural(judged, 'picture')}: {counts[FAKE]:,} fake, {counts[REAL]:,} real, "
        f"{counts[UNSURE]:,} unsure"
        + (f" ({tally.unstable:,} of them not stable)" if tally.unstable else "")
        + (f"; {counts['']:,} cannot be read" if counts[""] else "")
    )


def summarise(tally: Tally) -> str:
    """The verdicts in numbers, and how fast they came."""
    line = count_verdicts(tally)
    seconds = max(time.monotonic() - tally.start, 1e-9)
    return f"{line}; {tally.checked / seconds:.1f} img/s" if tally.checked else line


def tell_update(tally: Tally, records: Records) -> list[str]:
    """What of the CSV held still, what did not and why, and what else stands in it."""
    known, kept = records.known, records.kept
    lines = []
    if tally.passed:
        lines.append(
            f"Skipped {plural(tally.passed, 'unchanged picture')} already checked by this model; "
            f"checked {tally.checked:,}"
        )
    anew = [
        (known.other_model, "by another model"),
        (known.other_options, "with other thresholds or options"),
    ]
    if any(count for count, _ in anew) and not records.unsigned:
        said = ", ".join(f"{count:,} {how}" for count, how in anew if count)
        lines.append(f"Rechecked old verdicts: {said}")
    if kept.rows:
        gone = f" ({kept.gone:,} of files that no longer exist)" if kept.gone else ""
        lines.append(f"Kept {plural(kept.rows, 'row')} for other pictures{gone}")
    return lines
