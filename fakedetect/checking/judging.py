"""The pictures of a request, judged by the models or read without one, shown and kept as they come."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fakedetect.checking.check_page import NO_PROOF, CheckPage
from fakedetect.checking.checker import Checker, read_origins
from fakedetect.checking.judged import Counts, Judged, to_json
from fakedetect.checking.known import Known, read_known
from fakedetect.checking.lines import describe_alone, describe_origin, describe_remarks, describe_verdict
from fakedetect.checking.request import (
    COMPANION_MARK,
    Listing,
    Request,
    companion_of,
    list_pictures,
    survey_pictures,
    warn_about_passed_over,
)
from fakedetect.checking.results_csv import ResultsCsv
from fakedetect.checking.trust import (
    describe_base_rates,
    describe_chances,
    describe_reminders,
    explain_p_fake,
)
from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.installation import HOME, shorten_path
from fakedetect.core.settings.model_folder import find_trained_models
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.terminal.progress import Progress
from fakedetect.images.listing import Skipped
from fakedetect.metrics.calibration import FAKE, UNSURE
from fakedetect.models.detector import describe_missing_thresholds, load_detector


@dataclass
class _Run:
    """Pictures on their way to whatever takes them; on the screen in the order in which they were listed.

    Attributes:
        takers: get each picture as it comes.
        show: gets each when it is its turn.
        results: a CSV with rows that may still hold.
        settled: whether the file is judged now, by the first of several names.
    """

    listing: Listing
    takers: Sequence[Callable[[Judged], None]]
    show: Callable[[Judged], None]
    results: ResultsCsv | None = None
    turns: deque[Path] = field(default_factory=deque)
    early: dict[Path, Judged] = field(default_factory=dict)
    settled: dict[Path, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = Counts(total=self.listing.total)

    def begin(self, paths: Iterator[Path], progress: Progress | None) -> Iterator[Path]:
        """The pictures that are to be judged, each file by its first name; those whose rows still hold are
        counted."""
        for path in self.listing.each_once(paths):
            if self.results:
                self.results.place(path)
            first = self.listing.first.get(path)
            if first is None or first not in self.settled:
                yield from self._begin_file(path, progress)
            elif self.settled[first]:
                self.turns.append(path)

    def _begin_file(self, path: Path, progress: Progress | None) -> Iterator[Path]:
        names = self.listing.names_of(path)
        passed = [self.results.find(name) for name in names] if self.results else [None]
        holding = [row for row in passed if row]
        is_judged = len(holding) < len(passed)
        if len(names) > 1:
            self.settled[path] = is_judged
        if is_judged:
            self.turns.append(path)
            yield path
            return
        self.counts.again += len(names) - 1
        for row in holding:
            self.counts.add_passed(row.verdict, row.model_verdict, row.unstable)
            if progress:
                progress.count_earlier()

    def hand_out(self, pictures: Generator[Judged], progress: Progress | None) -> None:
        """Give each picture to everything that takes it, under all names of its file."""
        try:
            with closing(pictures):
                for judged in pictures:
                    for name in self.listing.names_of(judged.path):
                        self._take(replace(judged, path=name))
                        self.counts.again += name is not judged.path
                        if progress:
                            progress.advance()
                    while self.turns and self.turns[0] in self.early:
                        self.show(self.early.pop(self.turns.popleft()))
        finally:
            # After a stop: what was still waiting for a picture before it.
            for path in self.turns:
                if path in self.early:
                    self.show(self.early.pop(path))

    def _take(self, judged: Judged) -> None:
        for take in self.takers:
            take(judged)
        self.counts.add(judged)
        self.early[judged.path] = judged


def judge(settings: Settings, console: Console, wanted: Request) -> Outcome:
    """Show, and keep where that is wanted, a verdict on each picture of the request.

    Raises:
        UserError: a model cannot be loaded, there are no pictures, or a file cannot be written.
    """
    chosen = find_trained_models(settings) if wanted.all_models else [settings]
    listing = survey_pictures(wanted)
    loaded = [load_detector(each, console, name_device=listing.total > 1) for each in chosen]
    known = [read_known(detector, console) for detector in loaded]
    checker = Checker(
        detectors=[each.detector for each in known],
        stability=wanted.stability,
        heat_map=wanted.heat_map,
        thumbnails=wanted.html is not None,
    )
    left_out: list[str] = []
    skipped = Skipped()
    with ExitStack() as opened:
        results = _open_results(wanted, checker, console)
        files: list[ResultsCsv | CheckPage] = [opened.enter_context(closing(results))] if results else []
        if wanted.html:
            page = CheckPage(wanted.html, wanted, console, settings.workers, left_out, known, results)
            files.append(opened.enter_context(closing(page)))
        _show_reminders(console, wanted, known)
        alone: list[Judged] = []
        show = alone.append if _is_alone(wanted, listing) else partial(_show, console, wanted, known)
        run = _Run(listing, [file.add for file in files], show, results)
        try:
            with _progress(console, listing.total, "check") as progress:
                paths = run.begin(list_pictures(wanted, left_out, skipped), progress)
                run.hand_out(checker.check(paths, settings.workers), progress)
        except KeyboardInterrupt:
            run.counts.stopped = True
            if not run.counts.verdicts:
                return Outcome("Stopped before the first picture was checked.", 130)
        finally:
            warn_about_passed_over(console, left_out, skipped)
        lines = _finish(files, run.counts)
    counts = run.counts
    if wanted.csv and not counts.stopped:
        _write_companion(wanted.csv, known, wanted)
    lines += _describe_end(wanted, known, counts, alone)
    partly = bool(counts.verdicts[""] or left_out or wanted.missing)
    return _outcome(console, wanted, lines, 130 if counts.stopped else 1 if partly else 0)


def _is_alone(wanted: Request, listing: Listing) -> bool:
    """Whether there is one picture, whose verdict is the last line."""
    return listing.total == 1 and not wanted.as_json


def _is_weak(known: Sequence[Known]) -> bool:
    return all(each.is_weak for each in known)


def _show(console: Console, wanted: Request, known: Sequence[Known], judged: Judged) -> None:
    if wanted.as_json:
        console.show(to_json(judged))
    else:
        console.show(describe_verdict(judged, _is_weak(known), wanted.details))


def _show_reminders(console: Console, wanted: Request, known: Sequence[Known]) -> None:
    """What has to be known before verdicts are read; the rest where details are wanted."""
    if wanted.as_json:
        return
    for each in known:
        if not each.detector.calibration.fitted:
            console.warn(describe_missing_thresholds(each.detector))
        if wanted.details:
            console.show("\n".join(describe_reminders(each, advise=True)))
    if wanted.details:
        console.show(explain_p_fake(known, _is_weak(known)))


def _describe_end(
    wanted: Request, known: Sequence[Known], counts: Counts, alone: Sequence[Judged]
) -> list[str]:
    """How far to trust the verdicts, what to do next, and last the counts, or one picture's verdict."""
    lines = []
    if counts.stopped and not wanted.csv:
        lines.append("Stopped. With --csv FILE, a stopped run can continue.")
    if wanted.details:
        lines += [*describe_base_rates(known, wanted.prevalence, advise=True), NO_PROOF]
    else:
        by_models = [verdict for verdict in counts.verdicts if counts.model_verdicts[verdict]]
        lines += describe_chances(known, wanted.prevalence, by_models)
    if counts.model_verdicts[FAKE] and not any(describe_remarks(each) for each in alone):
        lines += _suggest_own_photographs(known)
    if counts.verdicts.total() > counts.verdicts[""]:
        lines.append(f"{_describe_next(known, counts)} {shorten_path(HOME / 'docs/reading-a-verdict.md')}")
    if not alone:
        return [*lines, counts.describe()]
    return [*lines, *(describe_alone(each, _is_weak(known), wanted.details) for each in alone)]


def _suggest_own_photographs(known: Sequence[Known]) -> list[str]:
    """How to measure a model on the user's own photographs, until that is done."""
    if len(known) > 1 or known[0].detector.own:
        return []
    command = known[0].detector.settings.command("fit-thresholds", "--own", "FOLDER")
    return ["Not measured on your own photographs yet. To do so:", f"  {command}"]


def _describe_next(known: Sequence[Known], counts: Counts) -> str:
    """What the verdicts ask of who reads them."""
    if counts.verdicts[UNSURE] == counts.verdicts.total():
        return "Unsure means unchecked. Find out where it comes from:"
    if _is_weak(known):
        return "A question mark: only a hint. What to do next:"
    unsure = ", 'unsure' means unchecked" if counts.verdicts[UNSURE] else ""
    return f"An estimate, not proof{unsure}. What to do next:"


def _write_companion(csv: Path, known: Sequence[Known], wanted: Request) -> None:
    """The text beside a CSV, which says how far to trust the verdicts in it."""
    lines = [
        f"{COMPANION_MARK}how far to trust the verdicts in {printable(csv.name)}",
        "",
        "verdict: what is shown, by the models and by what a file says of its origin. model_verdict: the "
        "models' own, which figures of accuracy are about.",
        explain_p_fake(known, _is_weak(known)),
    ]
    for each in known:
        found = each.detector.thresholds
        lines.append(
            f"{each.detector.name} calls a picture fake from p_fake {found.fake_from:.6g} on, real below "
            f"{found.real_below:.6g}."
        )
        lines += describe_reminders(each)
    write_text(
        companion_of(csv), "\n".join([*lines, *describe_base_rates(known, wanted.prevalence), NO_PROOF, ""])
    )


def show_origins(settings: Settings, console: Console, wanted: Request) -> Outcome:
    """Show what the pictures' files say of themselves; the status is 2: no verdict was given.

    Raises:
        UserError: there are no pictures, or the page cannot be written.
    """
    if wanted.csv:
        console.warn(f"{wanted.csv} was not written: there are no verdicts.")
    left_out: list[str] = []
    skipped = Skipped()
    line = to_json if wanted.as_json else partial(describe_origin, details=wanted.details)
    files: list[CheckPage] = []
    with ExitStack() as opened:
        if wanted.html:
            page = CheckPage(wanted.html, wanted, console, settings.workers, left_out)
            files.append(opened.enter_context(closing(page)))
        listing = survey_pictures(wanted)
        run = _Run(listing, [file.add for file in files], lambda judged: console.show(line(judged)))
        paths = run.begin(list_pictures(wanted, left_out, skipped), None)
        pictures = read_origins(paths, settings.workers, thumbnails=wanted.html is not None)
        with _progress(console, listing.total, "origin") as progress:
            run.hand_out(pictures, progress)
        warn_about_passed_over(console, left_out, skipped)
        lines = _finish(files, run.counts)
    lines.append(
        f"{plural(run.counts.checked, 'picture')}: only what the files say about their origin. Finding "
        "nothing proves nothing.",
    )
    return _outcome(console, wanted, lines, 2)


def _finish(files: Sequence[ResultsCsv | CheckPage], counts: Counts) -> list[str]:
    """Put the files into their places; what to say of them."""
    if not counts.verdicts:
        raise UserError("No pictures found. Give a picture or a folder that contains some.")
    return [line for file in files for line in file.finish(counts)]


def _progress(console: Console, total: int, label: str) -> AbstractContextManager[Progress | None]:
    return console.progress(total, label) if total > 1 else nullcontext()


def _open_results(wanted: Request, checker: Checker, console: Console) -> ResultsCsv | None:
    """The CSV, with what it and a stopped run of the same kind hold already."""
    if wanted.csv is None:
        return None
    # A heat map is drawn as a picture is judged.
    results = ResultsCsv(file=wanted.csv, judges=checker.judges, afresh=wanted.heat_map)
    if results.resumed:
        console.note(f"Continuing: {plural(results.resumed, 'picture')} checked before")
    if results.replaced:
        console.warn(
            f"{results.partial} was made by another model, other options or another version: starting over"
        )
    return results


def _outcome(console: Console, wanted: Request, lines: Sequence[str], status: int) -> Outcome:
    """The end of a check: on the screen, or beside its JSON."""
    text = "\n".join(lines)
    if wanted.as_json:
        console.note(text)
        text = ""
    return Outcome(text, status)
