"""Option 8: is this picture real? A verdict on each of the user's own pictures."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakedetect.calibration import FAKE, REAL, UNSURE
from fakedetect.console import Console, Outcome, plural, printable
from fakedetect.degradations import STABILITY
from fakedetect.detectors import NOT_FITTED, Detector, load_detector
from fakedetect.errors import UserError
from fakedetect.explanation import default_methods, explain_image
from fakedetect.files import read_json
from fakedetect.listing import stream_images
from fakedetect.processes import Group, join_group
from fakedetect.records import Records
from fakedetect.settings import Settings
from fakedetect.shards import parse_shard
from fakedetect.verdicts import Answer, agree, answer, disagreement
from fakedetect.views import Look, View, view_batches
from fakedetect.workers import count_workers

AT_A_TIME = 16
"""Pictures that are judged together."""

COLUMNS = (
    "path", "verdict", "p_fake", "p_fake_calibrated", "stability", "sha256", "size", "format",
    "provenance", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """A row of the CSV, with its line for the screen."""

    row: dict[str, Any]
    line: str
    unstable: bool


def _load_detectors(settings: Settings, all_models: bool) -> list[Detector]:
    if not all_models:
        return [load_detector(settings)]
    names = [name for name in settings.recipes if settings.with_model(name).checkpoint.is_file()]
    if not names:
        raise UserError("No model has been trained yet. Train one: python menu.py train")
    return [load_detector(settings.with_model(name)) for name in names]


def _describe_answers(answers: Sequence[Answer], detectors: Sequence[Detector]) -> str:
    parts = [
        f"{detector.name} {each.verdict} {100 * each.calibrated:.1f} %"
        for detector, each in zip(detectors, answers, strict=True)
    ]
    return f"{', '.join(parts)}; {100 * disagreement(answers):.0f} points apart"


def _check(look: Look, view: View, answers: Sequence[Answer], detectors: Sequence[Detector]) -> Checked:
    together = agree(answers)
    row = {
        "path": str(look.path),
        "verdict": together.verdict,
        "p_fake": f"{together.p_fake:.6f}",
        "p_fake_calibrated": f"{together.calibrated:.6f}",
        "stability": together.stability,
        "sha256": view.sha256,
        "size": f"{view.width}x{view.height}",
        "format": view.format,
        "provenance": "; ".join(view.provenance),
        "reason": "",
    }
    remarks = []
    if len(answers) > 1:
        row["disagreement"] = f"{disagreement(answers):.6f}"
        for detector, each in zip(detectors, answers, strict=True):
            row[f"p_fake_{detector.name}"] = f"{each.calibrated:.6f}"
        remarks.append(_describe_answers(answers, detectors))
    if together.flips:
        said = f"{together.side}, but " if len(answers) == 1 else ""
        remarks.append(f"{said}{', '.join(together.flips)}")
    remarks += view.provenance
    line = f"{together.verdict:<7}{100 * together.calibrated:6.1f} %  {printable(str(look.path))}"
    return Checked(row, line + (f"  [{'; '.join(remarks)}]" if remarks else ""), bool(together.flips))


def _unreadable(look: Look, reason: str) -> Checked:
    row = {**dict.fromkeys(COLUMNS, ""), "path": str(look.path), "reason": reason}
    return Checked(row, f"{'-':<7}{'-':>6}    {printable(str(look.path))}  [{reason}]", False)


class _Checker:
    """The detectors at work on streams of pictures."""

    def __init__(self, detectors: Sequence[Detector], stability: bool, heat_map: bool):
        self.detectors = detectors
        self.kinds = tuple(dict.fromkeys(detector.kind for detector in detectors))
        self.tried = STABILITY if stability else ()
        self.heat_map = heat_map

    def check(self, paths: Iterator[Path], workers: int) -> Iterator[Checked]:
        """Every picture checked, in about their order."""
        looks = (Look(path, self.kinds, self.tried, facts=True) for path in paths)
        for batch in view_batches(looks, workers, AT_A_TIME):
            seen = [(look, view) for look, view in batch if isinstance(view, View)]
            answers = self._answer([view for _, view in seen])
            for (look, view), found in zip(seen, answers, strict=True):
                checked = _check(look, view, found, self.detectors)
                yield self._add_heat_map(checked, look, view) if self.heat_map else checked
            for look, view in batch:
                if not isinstance(view, View):
                    yield _unreadable(look, view)

    def _answer(self, views: Sequence[View]) -> list[list[Answer]]:
        """For each view the answers of all detectors."""
        if not views:
            return []
        by_detector = []
        for detector in self.detectors:
            kind = self.kinds.index(detector.kind)
            images = np.concatenate([view.images[kind] for view in views])
            margins = detector.margins(images).reshape(len(views), -1)
            by_detector.append([answer(detector.calibration, row, self.tried) for row in margins])
        return [list(answers) for answers in zip(*by_detector, strict=True)]

    def _add_heat_map(self, checked: Checked, look: Look, view: View) -> Checked:
        lines = [checked.line]
        for detector in self.detectors:
            image = view.images[self.kinds.index(detector.kind), 0]
            _, figures = explain_image(
                detector.settings,
                detector.model,
                detector.normalise,
                look.path,
                image,
                default_methods(detector.model),
            )
            lines += [f"{'':<17}heat map: {figure}" for figure in figures]
        return Checked(checked.row, "\n".join(lines), checked.unstable)


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


def _caution(detector: Detector) -> list[str]:
    """How the model did on pictures from elsewhere, where that was measured."""
    found = read_json(detector.settings.model_folder / "evaluation.json")
    lines = []
    foreign = found.get("foreign") if isinstance(found, dict) else None
    for name, entry in foreign.items() if isinstance(foreign, dict) else ():
        try:
            value, accuracy = entry["measures"]["roc_auc"]["value"], entry["measures"]["accuracy"]["value"]
            lines.append(
                f"Keep in mind: on the pictures of {name}, {detector.name} was right on {accuracy:.0%} "
                f"(ROC AUC {value:.2f}; 0.5 is chance)."
            )
        except (KeyError, TypeError, ValueError):
            continue
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


def _ask_what(console: Console) -> tuple[list[str], str | None, bool]:
    """The paths, the CSV and whether heat maps are wanted, as the user types them."""
    answer = console.ask("Picture or folder to check")
    if not answer:
        return [], None, False
    paths = [answer.strip("'\"")]
    csv = console.ask("Write the results to a CSV file as well (its name; Enter: no)")
    heat_map = console.confirm("Draw a heat map of each picture?")
    return paths, csv or None, heat_map


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
        no_stability: do not try whether the answer outlives STABILITY; several times as fast.
        heat_map: draw a heat map of each picture.
        shard: 'k/n' to check a share only.
        ask: ask for the paths.
    """
    if ask:
        pictures, csv, heat_map = _ask_what(console)
        if not pictures:
            return Outcome("No picture named.")
    share = parse_shard(shard)
    with join_group() as group:
        detectors = _load_detectors(settings, all_models)
        checker = _Checker(detectors, not no_stability, heat_map)
        found = stream_images([Path(path).expanduser() for path in pictures])
        shared = itertools.islice(found, share.number - 1, None, share.count)
        several = len(detectors) > 1
        extra = ["disagreement", *(f"p_fake_{d.name}" for d in detectors)] if several else []
        records = None
        if csv:
            facts = {**_facts(detectors, not no_stability), "shard": str(share)}
            records = Records(Path(csv).expanduser(), [*COLUMNS, *extra], facts, group)
            if records.resumed:
                console.note(f"Going on: {plural(records.resumed, 'picture')} checked before")
        for detector in detectors if not as_json else ():
            if not detector.calibration.fitted:
                console.note(NOT_FITTED.format(detector.name))
        return _run(console, checker, shared, records, group, as_json, settings)


def _run(
    console: Console,
    checker: _Checker,
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
    own = checker.check(
        itertools.islice(to_do, group.rank, None, group.size), count_workers(settings.training.workers)
    )
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
            f"Stopped; the rows are in {records.partial}. The same command goes on."
            if records
            else "Stopped. With --csv FILE, a stopped run can go on."
        )
    elif records and group.first:
        records.finish()
        lines.append(f"Results: {records.file}")
    for detector in checker.detectors:
        lines += _caution(detector)
    text = "\n".join(lines)
    if as_json:
        console.note(text)
        text = ""
    return Outcome(text, status or (1 if counts[""] else 0))
