"""Option 8: is this picture real? A verdict on each of the user's own pictures."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.evaluation_record import read_evaluation
from fakedetect.core.model_folder import EVALUATION, checkpoint_file
from fakedetect.core.settings import Settings
from fakedetect.core.shards import parse_shard
from fakedetect.images.degradations import STABILITY
from fakedetect.images.listing import stream_images
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


def _facts(detectors: Sequence[Detector], stability: bool) -> dict[str, Any]:
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


def _summarise(counts: Counter[str], unstable: int, seconds: float, checked: int) -> str:
    judged = sum(counts[verdict] for verdict in (FAKE, REAL, UNSURE))
    line = (
        f"{plural(judged, 'picture')}: {counts[FAKE]:,} fake, {counts[REAL]:,} real, "
        f"{counts[UNSURE]:,} unsure"
        + (f" ({unstable:,} of them not stable)" if unstable else "")
        + (f"; {counts['']:,} cannot be read" if counts[""] else "")
    )
    return f"{line}; {checked / max(seconds, 1e-9):.1f} img/s" if checked else line


def _ask_what(settings: Settings, console: Console) -> tuple[list[str], str | None, bool, bool]:
    """The paths, the CSV, and whether all models and heat maps are wanted, as the user types them."""
    answer = console.ask("Picture or folder to check")
    if not answer:
        return [], None, False, False
    paths = [answer.strip("'\"")]
    csv = console.ask("Write the results to a CSV file as well (its name; Enter: no)")
    count = len(_trained(settings))
    all_models = count > 1 and console.confirm(f"Ask all {count} trained models?")
    return paths, csv or None, all_models, console.confirm("Draw a heat map of each picture?")


def check(
    settings: Settings,
    console: Console,
    pictures: Sequence[str] = (),
    csv: str | None = None,
    as_json: bool = False,
    all_models: bool = False,
    no_stability: bool = False,
    heat_map: bool = False,
    shard: str | None = None,
    ask: bool = False,
) -> Outcome:
    """Give a verdict on each picture: fake, real or unsure, as a line on the screen.

    Args:
        pictures: files and folders; folders are read with all that lies below.
        csv: also write a row for each picture into this file; a stopped run goes on where it was.
        as_json: print JSON lines instead.
        all_models: ask every trained model; the chosen one otherwise.
        no_stability: do not try whether the answer survives STABILITY; several times as fast.
        heat_map: draw a heat map of each picture.
        shard: 'k/n' to check a share only.
        ask: ask for the paths.
    """
    if ask:
        pictures, csv, all_models, heat_map = _ask_what(settings, console)
        if not pictures:
            return Outcome("No picture named.")
    share = parse_shard(shard)
    with join_group() as group:
        detectors = _load_detectors(settings, all_models)
        checker = Checker(detectors, not no_stability, heat_map)
        passed_over: list[str] = []
        found = stream_images([Path(path).expanduser() for path in pictures], passed_over.append)
        shared = itertools.islice(found, share.number - 1, None, share.count)
        several = len(detectors) > 1
        extra = ["disagreement", *(f"p_fake_{d.name}" for d in detectors)] if several else []
        records = None
        if csv:
            facts = {**_facts(detectors, not no_stability), "shard": str(share)}
            records = Records(Path(csv).expanduser(), [*COLUMNS, *extra], facts, group)
            if records.resumed:
                console.note(f"Continuing: {plural(records.resumed, 'picture')} checked before")
            if records.replaced:
                console.warn(f"{records.partial} was made with another model or options: starting over")
        for detector in detectors if not as_json else ():
            if not detector.calibration.fitted:
                console.note(tell_not_fitted(detector))
        try:
            outcome = _run(console, checker, shared, records, group, as_json, settings)
        finally:
            for line in passed_over:
                console.warn(line)
        return replace(outcome, status=1) if passed_over and not outcome.status else outcome


def _run(
    console: Console,
    checker: Checker,
    paths: Iterator[Path],
    records: Records | None,
    group: Group,
    as_json: bool,
    settings: Settings,
) -> Outcome:
    counts = Counter(records.verdicts) if records else Counter()
    unstable = checked = status = 0
    start = time.monotonic()
    to_do = (path for path in paths if not (records and records.is_done(path)))
    own = checker.check(itertools.islice(to_do, group.rank, None, group.size), settings.workers)
    try:
        # The processes' rows come together round by round.
        while rows := list(itertools.chain(*group.gather(list(itertools.islice(own, AT_A_TIME))))):
            for row in rows:
                console.show(_as_json(row) if as_json else row.line)
                counts[row.row["verdict"]] += 1
                unstable += row.unstable
            if records:
                records.add([row.row for row in rows])
            checked += len(rows)
    except KeyboardInterrupt:
        status = 130
    finally:
        own.close()
        if records and group.first:
            records.close()
    if not counts:
        if status:
            return Outcome("Stopped before the first picture was checked.", status)
        raise UserError("No pictures there. Name a picture, or a folder that holds some.")
    lines = [_summarise(counts, unstable, time.monotonic() - start, checked)]
    if status:
        lines.append(
            f"Stopped; the rows are in {records.partial}. Run the same command to continue."
            if records
            else "Stopped. With --csv FILE, a stopped run can continue."
        )
    elif records and group.first:
        records.finish()
        lines.append(f"Results: {records.file}")
    for detector in checker.detectors:
        lines += _caution(detector, console)
    text = "\n".join(lines)
    if as_json:
        console.note(text)
        text = ""
    return Outcome(text, status or (1 if counts[""] else 0))
