"""The pictures of a request judged by the models: rows as they come, and what they add up to."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.model_folder import trained_models
from fakedetect.core.progress import Progress
from fakedetect.core.settings import Settings
from fakedetect.core.shards import parse_shard
from fakedetect.images.degradations import STABILITY
from fakedetect.images.listing import Skipped
from fakedetect.inference.check_page import CheckPage, tell_page
from fakedetect.inference.judged_page import NO_PROOF, add_passed, card_of, write_page
from fakedetect.inference.known import Known, explain_p_fake, read_known, remind, tell_base_rates
from fakedetect.inference.request import (
    COLUMNS,
    JUDGED,
    Request,
    count_pictures,
    list_pictures,
    tell_passed_over,
)
from fakedetect.inference.resumable_csv import MadeWith, Records
from fakedetect.inference.rows import AT_A_TIME, Checked, Checker
from fakedetect.inference.tally import Tally, summarise, tell_update
from fakedetect.models.detector import Detector, load_detector, tell_not_fitted
from fakedetect.models.processes import Group, join_group


def _load_detectors(settings: Settings, console: Console, all_models: bool) -> list[Detector]:
    """The chosen model's detector, or those of all trained models."""
    chosen = trained_models(settings) if all_models else [settings]
    return [load_detector(each, console) for each in chosen]


def _made_with(detectors: Sequence[Detector], stability: bool, shard: str | None) -> MadeWith:
    return MadeWith(
        stability=tuple(str(how) for how in STABILITY) if stability else (),
        models={
            detector.name: (
                detector.checkpoint_hash,
                detector.calibration.temperature,
                detector.calibration.fake_from,
                detector.calibration.real_below,
                *([str(detector.settings.recipe.input)] if detector.input_by_settings else []),
            )
            for detector in detectors
        },
        shard=str(parse_shard(shard)),
    )


def _as_json(checked: Checked) -> str:
    row: dict[str, Any] = {key: value for key, value in checked.row.items() if key != "reason" or value}
    for key, value in row.items():
        if key.startswith("p_fake") or key == "disagreement":
            row[key] = float(value) if value else None
    row["verdict"] = row["verdict"] or None
    row["bytes"] = int(row["bytes"]) if row["bytes"] else None
    row["origin"] = [asdict(finding) for finding in checked.origin]
    return json.dumps(row)


def _open_records(
    target: Path, wanted: Request, checker: Checker, console: Console, group: Group
) -> Records:
    """The CSV, with what it and a stopped run of the same kind hold already."""
    detectors, judges = checker.detectors, checker.judges
    several = len(detectors) > 1
    extra = ["disagreement", *(f"p_fake_{d.name}" for d in detectors)] if several else []
    made_with = _made_with(detectors, not wanted.no_stability, wanted.shard)
    columns = [*COLUMNS, *extra, *JUDGED]
    # A heat map is drawn as a picture is judged.
    records = Records(
        file=target,
        columns=columns,
        made_with=made_with,
        group=group,
        judges=judges,
        afresh=wanted.heat_map,
    )
    if records.resumed:
        console.note(f"Continuing: {plural(records.resumed, 'picture')} checked before")
    if records.replaced:
        console.warn(
            f"{records.partial} was made by another model, other options or another version: starting over"
        )
    if records.unsigned:
        console.warn(f"{target} does not record which model produced its verdicts; rechecking all pictures")
    return records


def judge(settings: Settings, console: Console, wanted: Request) -> Outcome:
    """Show, and keep where that is wanted, a verdict on each picture of the request.

    Raises:
        UserError: a model cannot be loaded, there are no pictures, or a file cannot be written.
    """
    with join_group() as group, ExitStack() as opened:
        detectors = _load_detectors(settings, console, wanted.all_models)
        known = [read_known(detector, console) for detector in detectors]
        weak = all(each.is_weak for each in known)
        page = opened.enter_context(closing(CheckPage(wanted.html, weak))) if wanted.html else None
        checker = Checker(
            detectors=detectors,
            stability=not wanted.no_stability,
            heat_map=wanted.heat_map,
            weak=weak,
            thumbnails=bool(page),
        )
        records = _open_records(wanted.csv, wanted, checker, console, group) if wanted.csv else None
        if not wanted.as_json:
            _show_reminders(console, known, weak)
        left_out: list[str] = []
        skipped = Skipped()
        paths = list_pictures(wanted, left_out, skipped)
        try:
            tally = _run(settings, console, checker, paths, records, page, group, wanted)
            if records and group.first and tally.verdicts and not tally.stopped:
                records.finish()
        finally:
            if records and group.first:
                records.close()
            tell_passed_over(console, left_out, skipped)
        if page and group.first and tally.verdicts:
            add_passed(page, records, tally, settings.workers, console)
            write_page(page, known, tally, wanted, left_out)
    return _finish(tally, records, wanted, known, bool(left_out), console)


def _show_reminders(console: Console, known: Sequence[Known], weak: bool) -> None:
    for each in known:
        if not each.detector.calibration.fitted:
            console.warn(tell_not_fitted(each.detector))
        console.show("\n".join(remind(each, advise=True)))
    console.show(explain_p_fake(known, weak))


def _run(
    settings: Settings,
    console: Console,
    checker: Checker,
    paths: Iterator[Path],
    records: Records | None,
    page: CheckPage | None,
    group: Group,
    wanted: Request,
) -> Tally:
    """Check the pictures, showing and keeping each row as it comes."""
    tally = Tally(total=count_pictures(wanted))
    # The rows of several processes come together round by round.
    at_a_time = 1 if group.size == 1 else AT_A_TIME
    with console.progress(tally.total, "check") if tally.total > 1 else nullcontext() as progress:
        own = checker.check(_unjudged(paths, records, group, tally, progress), settings.workers)
        rounds = iter(lambda: list(chain(*group.gather(list(islice(own, at_a_time))))), [])
        try:
            for rows in rounds:
                for row in rows:
                    console.show(_as_json(row) if wanted.as_json else row.line, whole=wanted.as_json)
                    tally.count(row.row["verdict"], row.unstable)
                    if page and group.first:
                        page.add(card_of(row))
                if records:
                    records.add([row.row for row in rows])
                tally.checked += len(rows)
                if progress:
                    progress.advance(len(rows))
        except KeyboardInterrupt:
            tally.stopped = True
        finally:
            own.close()
    return tally


def _unjudged(
    paths: Iterator[Path], records: Records | None, group: Group, tally: Tally, progress: Progress | None
) -> Iterator[Path]:
    """This process's share of the pictures that have no row which still holds; the others are counted."""
    for number, path in enumerate(paths):
        if passed := records.find(path) if records else None:
            tally.count(passed.verdict, passed.unstable)
            tally.passed += 1
            if progress:
                progress.pass_over()
        # By its place among all pictures: one that changes now may pass in one process and not in another.
        elif number % group.size == group.rank:
            yield path


def _finish(
    tally: Tally,
    records: Records | None,
    wanted: Request,
    known: Sequence[Known],
    partly: bool,
    console: Console,
) -> Outcome:
    """Word what came out."""
    if not tally.verdicts:
        if tally.stopped:
            return Outcome("Stopped before the first picture was checked.", 130)
        raise UserError("No pictures found. Give a picture or a folder that contains some.")
    lines = [summarise(tally)]
    if tally.stopped:
        lines.append(
            f"Stopped; the rows are in {records.partial}. Run the same command to continue."
            if records
            else "Stopped. With --csv FILE, a stopped run can continue."
        )
    elif records:
        lines += [*tell_update(tally, records), f"Results: {records.file}"]
    if wanted.html:
        lines.append(tell_page(wanted.html, console))
    lines += [*tell_base_rates(known, wanted.prevalence, advise=True), NO_PROOF]
    text = "\n".join(lines)
    if wanted.as_json:
        console.note(text)
        text = ""
    partly = bool(tally.verdicts[""]) or partly
    return Outcome(text, 130 if tally.stopped else 1 if partly else 0)
