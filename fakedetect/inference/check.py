"""Option 8: is this picture real? A verdict on each of the user's own pictures."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.evaluation_record import read_evaluation
from fakedetect.core.model_folder import EVALUATION, checkpoint_file
from fakedetect.core.settings import Settings
from fakedetect.core.shards import parse_shard
from fakedetect.images.degradations import STABILITY
from fakedetect.images.listing import Skipped, stream_images
from fakedetect.inference.resumable_csv import Records
from fakedetect.inference.rows import AT_A_TIME, COLUMNS, Checked, Checker
from fakedetect.models.calibration import FAKE, REAL, UNSURE
from fakedetect.models.detector import Detector, load_detector, tell_not_fitted
from fakedetect.models.processes import Group, join_group


def _trained(settings: Settings) -> list[Settings]:
    """The settings of every model that has a checkpoint."""
    found = [settings.with_model(name) for name in settings.recipes]
    return [each for each in found if checkpoint_file(each).is_file()]


def _load_detectors(settings: Settings, all_models: bool) -> list[Detector]:
    if not all_models:
        return [load_detector(settings)]
    trained = _trained(settings)
    if not trained:
        raise UserError(f"No model has been trained yet. Train one: {settings.command('train')}")
    return [load_detector(each) for each in trained]


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
    return json.dumps(row)


def _caution(detector: Detector, console: Console) -> list[str]:
    """How the model did on pictures from elsewhere, where that was measured.

    The verdicts do without it, so a file that cannot be used is a warning.
    """
    settings = detector.settings
    try:
        found = read_evaluation(
            settings.model_folder / EVALUATION, detector.checkpoint_hash, settings.command("evaluate")
        )
    except UserError as error:
        console.warn(str(error))
        return []
    lines = []
    for name, entry in found.foreign.items() if found else ():
        accuracy, auc = entry.measures.accuracy.value, entry.measures.roc_auc.value
        if accuracy is not None and auc is not None:
            lines.append(
                f"Keep in mind: on the pictures of {name}, {detector.name} had an accuracy of "
                f"{accuracy:.0%} (ROC AUC {auc:.2f}; 0.5 is chance)."
            )
    return lines


@dataclass(frozen=True)
class Request:
    """What is to be checked, and how.

    Attributes:
        pictures: files and folders; folders are read with all that lies below.
        csv: also write a row for each picture into this file; a stopped run goes on where it was.
        as_json: print JSON lines instead.
        all_models: ask every trained model; the chosen one otherwise.
        no_stability: do not try whether the answer survives STABILITY; several times as fast.
        heat_map: draw a heat map of each picture.
        shard: 'k/n' to check a share only.
    """

    pictures: Sequence[str] = ()
    csv: str | None = None
    as_json: bool = False
    all_models: bool = False
    no_stability: bool = False
    heat_map: bool = False
    shard: str | None = None


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


def _ask_what(settings: Settings, console: Console) -> Request:
    """The request as the user types it; without pictures where nothing was named."""
    answer = console.ask("Picture or folder to check")
    if not answer:
        return Request()
    csv = console.ask("Write the results to a CSV file as well (its name; Enter: no)")
    count = len(_trained(settings))
    return Request(
        pictures=[answer.strip("'\"")],
        csv=csv or None,
        all_models=count > 1 and console.confirm(f"Ask all {count} trained models?"),
        heat_map=console.confirm("Draw a heat map of each picture?"),
    )


def check(settings: Settings, console: Console, ask: bool = False, **request: Any) -> Outcome:
    """Give a verdict on each picture: fake, real or unsure, as a line on the screen.

    Args:
        ask: ask for what to check.
        request: the fields of Request otherwise.
    """
    wanted = _ask_what(settings, console) if ask else Request(**request)
    if ask and not wanted.pictures:
        return Outcome("No picture named.")
    parse_shard(wanted.shard)
    with join_group() as group:
        detectors = _load_detectors(settings, wanted.all_models)
        checker = Checker(detectors, not wanted.no_stability, wanted.heat_map)
        records = _open_records(wanted, detectors, console, group) if wanted.csv else None
        for detector in detectors if not wanted.as_json else ():
            if not detector.calibration.fitted:
                console.note(tell_not_fitted(detector))
        passed_over: list[str] = []
        skipped = Skipped()
        paths = _list(wanted, passed_over, skipped)
        try:
            tally = _run(settings, console, checker, paths, records, group, wanted.as_json)
        finally:
            if records and group.first:
                records.close()
            for line in passed_over:
                console.warn(line)
            if line := str(skipped):
                console.note(line[:1].upper() + line[1:])
    return _finish(console, checker, tally, records if group.first else None, wanted, bool(passed_over))


def _list(wanted: Request, passed_over: list[str], skipped: Skipped) -> Iterator[Path]:
    """The pictures of this share; folders that cannot be read are told in `passed_over`, what is
    no picture is counted."""
    shard = parse_shard(wanted.shard)
    found = stream_images(
        [Path(path).expanduser() for path in wanted.pictures], passed_over.append, skipped
    )
    return itertools.islice(found, shard.number - 1, None, shard.count)


def _open_records(
    wanted: Request, detectors: Sequence[Detector], console: Console, group: Group
) -> Records:
    """The CSV, with the rows of a stopped run of the same kind in it."""
    several = len(detectors) > 1
    extra = ["disagreement", *(f"p_fake_{d.name}" for d in detectors)] if several else []
    made_with = {**_made_with(detectors, not wanted.no_stability), "shard": str(parse_shard(wanted.shard))}
    records = Records(Path(wanted.csv or "").expanduser(), [*COLUMNS, *extra], made_with, group)
    if records.resumed:
        console.note(f"Continuing: {plural(records.resumed, 'picture')} checked before")
    if records.replaced:
        console.warn(f"{records.partial} was made with another model or options: starting over")
    return records


def _run(
    settings: Settings,
    console: Console,
    checker: Checker,
    paths: Iterator[Path],
    records: Records | None,
    group: Group,
    as_json: bool,
) -> _Tally:
    """Check the pictures, printing and keeping each row as it comes."""
    tally = _Tally(Counter(records.verdicts) if records else Counter())
    to_do = (path for path in paths if not (records and records.is_done(path)))
    own = checker.check(itertools.islice(to_do, group.rank, None, group.size), settings.workers)
    try:
        # The processes' rows come together round by round.
        while rows := list(itertools.chain(*group.gather(list(itertools.islice(own, AT_A_TIME))))):
            for row in rows:
                console.show(_as_json(row) if as_json else row.line)
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
    checker: Checker,
    tally: _Tally,
    records: Records | None,
    wanted: Request,
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
    for detector in checker.detectors:
        lines += _caution(detector, console)
    text = "\n".join(lines)
    if wanted.as_json:
        console.note(text)
        text = ""
    partly = bool(tally.verdicts[""]) or passed_over
    return Outcome(text, 130 if tally.stopped else 1 if partly else 0)
