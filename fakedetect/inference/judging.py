"""The pictures of a request judged by the models: rows as they come, and what they add up to."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.model_folder import trained_models
from fakedetect.core.settings import Settings
from fakedetect.core.shards import parse_shard
from fakedetect.images.degradations import STABILITY
from fakedetect.images.listing import Skipped
from fakedetect.inference.known import Known, read_known, remind, tell_base_rates
from fakedetect.inference.request import COLUMNS, Request, count_pictures, list_pictures, tell_passed_over
from fakedetect.inference.resumable_csv import Records
from fakedetect.inference.rows import AT_A_TIME, Checked, Checker
from fakedetect.models.calibration import FAKE, REAL, UNSURE
from fakedetect.models.detector import Detector, load_detector, tell_not_fitted
from fakedetect.models.processes import Group, join_group

NO_PROOF = (
    "A verdict is an estimate from the pixels, no proof: real does not mean that a picture shows what "
    "happened, nor fake that it did not."
)


def _load_detectors(settings: Settings, all_models: bool) -> list[Detector]:
    """The chosen model's detector, or those of all trained models."""
    return [load_detector(each) for each in (trained_models(settings) if all_models else [settings])]


def _made_with(detectors: Sequence[Detector], stability: bool) -> dict[str, Any]:
    """What has to be the same for rows to stand in one CSV."""
    return {
        "stability": [str(how) for how in STABILITY] if stability else [],
        "models": {
            detector.name: [
                detector.checkpoint_hash,
                detector.calibration.temperature,
                detector.calibration.fake_from,
                detector.calibration.real_below,
            ]
            for detector in detectors
        },
    }


def _as_json(checked: Checked) -> str:
    row = {key: value for key, value in checked.row.items() if key != "reason" or value}
    for key, value in row.items():
        if key.startswith("p_fake") or key == "disagreement":
            row[key] = float(value) if value else None
    row["verdict"] = row["verdict"] or None
    row["origin"] = [asdict(finding) for finding in checked.origin]
    return json.dumps(row)


def _head(detectors: Sequence[Detector], weak: bool) -> str:
    """What the columns of the verdicts are."""
    fitted = all(detector.calibration.fitted for detector in detectors)
    whose = f"{detectors[0].name}'s" if len(detectors) == 1 else f"the mean of {len(detectors)} models'"
    return (
        f"p(fake) is {whose} {'' if fitted else 'uncalibrated '}probability that the picture is "
        "AI-generated: near 0 % speaks for real, near 100 % for fake."
        + (" A question mark: the verdict is a hint only, see above." if weak else "")
    )


@dataclass
class _Tally:
    """What a check has come to so far."""

    verdicts: Counter[str]
    unstable: int = 0
    checked: int = 0
    stopped: bool = False
    start: float = field(default_factory=time.monotonic)


def _summarise(tally: _Tally) -> str:
    counts = tally.verdicts
    judged = sum(counts[verdict] for verdict in (FAKE, REAL, UNSURE))
    line = (
        f"{plural(judged, 'picture')}: {counts[FAKE]:,} fake, {counts[REAL]:,} real, "
        f"{counts[UNSURE]:,} unsure"
        + (f" ({tally.unstable:,} of them not stable)" if tally.unstable else "")
        + (f"; {counts['']:,} cannot be read" if counts[""] else "")
    )
    seconds = max(time.monotonic() - tally.start, 1e-9)
    return f"{line}; {tally.checked / seconds:.1f} img/s" if tally.checked else line


def _open_records(
    target: Path, wanted: Request, detectors: Sequence[Detector], console: Console, group: Group
) -> Records:
    """The CSV, with the rows of a stopped run of the same kind in it."""
    several = len(detectors) > 1
    extra = ["disagreement", *(f"p_fake_{d.name}" for d in detectors)] if several else []
    made_with = {**_made_with(detectors, not wanted.no_stability), "shard": str(parse_shard(wanted.shard))}
    records = Records(target, [*COLUMNS, *extra], made_with, group)
    if records.resumed:
        console.note(f"Continuing: {plural(records.resumed, 'picture')} checked before")
    if records.replaced:
        console.warn(f"{records.partial} was made with another model or options: starting over")
    return records


def judge(settings: Settings, console: Console, wanted: Request) -> Outcome:
    """Show, and keep where that is wanted, a verdict on each picture of the request.

    Raises:
        UserError: a model cannot be loaded, there are no pictures, or the CSV cannot be written.
    """
    with join_group() as group:
        detectors = _load_detectors(settings, wanted.all_models)
        known = [read_known(detector, console) for detector in detectors]
        weak = all(each.is_weak for each in known)
        checker = Checker(detectors, not wanted.no_stability, wanted.heat_map, weak)
        records = _open_records(wanted.csv, wanted, detectors, console, group) if wanted.csv else None
        if not wanted.as_json:
            for each in known:
                if not each.detector.calibration.fitted:
                    console.warn(tell_not_fitted(each.detector))
                console.show("\n".join(remind(each)))
            console.show(_head(detectors, weak))
        passed_over: list[str] = []
        skipped = Skipped()
        paths = list_pictures(wanted, passed_over, skipped)
        try:
            tally = _run(settings, console, checker, paths, records, group, wanted)
        finally:
            if records and group.first:
                records.close()
            tell_passed_over(console, passed_over, skipped)
    return _finish(console, tally, records if group.first else None, wanted, known, bool(passed_over))


def _run(
    settings: Settings,
    console: Console,
    checker: Checker,
    paths: Iterator[Path],
    records: Records | None,
    group: Group,
    wanted: Request,
) -> _Tally:
    """Check the pictures, showing and keeping each row as it comes."""
    tally = _Tally(Counter(records.verdicts) if records else Counter())
    to_do = (path for path in paths if not (records and records.is_done(path)))
    own = checker.check(itertools.islice(to_do, group.rank, None, group.size), settings.workers)
    total = count_pictures(wanted) - (records.resumed if records else 0)
    # The rows of several processes come together round by round.
    at_a_time = 1 if group.size == 1 else AT_A_TIME
    rounds = iter(lambda: list(itertools.chain(*group.gather(list(itertools.islice(own, at_a_time))))), [])
    try:
        for rows in console.track(rounds, total, "check", len) if total > 1 else rounds:
            for row in rows:
                console.show(_as_json(row) if wanted.as_json else row.line, whole=wanted.as_json)
                tally.verdicts[row.row["verdict"]] += 1
                tally.unstable += row.unstable
            if records:
                records.add([row.row for row in rows])
            tally.checked += len(rows)
    except KeyboardInterrupt:
        tally.stopped = True
    finally:
        own.close()
    return tally


def _finish(
    console: Console,
    tally: _Tally,
    records: Records | None,
    wanted: Request,
    known: list[Known],
    passed_over: bool,
) -> Outcome:
    """Put the CSV into place and word what came out."""
    if not tally.verdicts:
        if tally.stopped:
            return Outcome("Stopped before the first picture was checked.", 130)
        raise UserError("No pictures there. Name a picture, or a folder that holds some.")
    lines = [_summarise(tally)]
    if tally.stopped:
        lines.append(
            f"Stopped; the rows are in {records.partial}. Run the same command to continue."
            if records
            else "Stopped. With --csv FILE, a stopped run can continue."
        )
    elif records:
        records.finish()
        lines.append(f"Results: {records.file}")
    lines += [*tell_base_rates(known, wanted.prevalence, "--prevalence"), NO_PROOF]
    text = "\n".join(lines)
    if wanted.as_json:
        console.note(text)
        text = ""
    partly = bool(tally.verdicts[""]) or passed_over
    return Outcome(text, 130 if tally.stopped else 1 if partly else 0)
