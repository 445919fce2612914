"""A run of check: check the pictures of a request, or read their origins; print and save the results."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fakedetect.checking.check_page import NO_PROOF, CheckPage
from fakedetect.checking.checker import Checker, read_origins
from fakedetect.checking.error_rates import ModelMeasurements, read_measurements
from fakedetect.checking.judged import CheckCounts, Judged, to_json
from fakedetect.checking.lines import describe_origin, describe_remarks, describe_single, describe_verdict
from fakedetect.checking.request import (
    COMPANION_START,
    CheckRequest,
    Listing,
    companion_file,
    count_pictures,
    list_requested,
    warn_about_unreadable,
)
from fakedetect.checking.results_csv import ResultsCsv
from fakedetect.checking.trust import (
    describe_base_rates,
    describe_chances,
    describe_limits,
    explain_p_fake,
)
from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.installation import HOME, shorten_path
from fakedetect.core.settings.model_folder import find_trained_models
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.terminal.progress import Progress, percent
from fakedetect.images.listing import Skipped
from fakedetect.metrics.calibration import FAKE, UNSURE
from fakedetect.models.detector import describe_missing_thresholds, load_detector
from fakedetect.models.verdicts import FEWEST_PHOTOGRAPHS


@dataclass
class _Run:
    """Distributes checked pictures, which are shown in the order in which they are listed.

    Attributes:
        receivers: called with each picture on completion.
        show: called with each picture in the listed order.
        results: the CSV, whose rows may still be valid.
        queue: the pictures to show, in the listed order.
        waiting: checked pictures that come after one in progress.
        rechecked: whether a file is checked in this run, by the first of its several names.
    """

    listing: Listing
    receivers: Sequence[Callable[[Judged], None]]
    show: Callable[[Judged], None]
    results: ResultsCsv | None = None
    queue: deque[Path] = field(default_factory=deque)
    waiting: dict[Path, Judged] = field(default_factory=dict)
    rechecked: dict[Path, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = CheckCounts(total=self.listing.total)

    def select_unchecked(self, paths: Iterator[Path], progress: Progress | None) -> Iterator[Path]:
        """Yield the pictures to check, each file by its first name; count those with valid rows."""
        for path in self.listing.without_repeats(paths):
            if self.results:
                self.results.add_to_order(path)
            first = self.listing.first_names.get(path)
            if first is None or first not in self.rechecked:
                yield from self._select_file(path, progress)
            elif self.rechecked[first]:
                self.queue.append(path)

    def _select_file(self, path: Path, progress: Progress | None) -> Iterator[Path]:
        names = self.listing.names_of(path)
        rows = [self.results.find_valid(name) for name in names] if self.results else [None]
        valid = [row for row in rows if row]
        is_judged = len(valid) < len(rows)
        if len(names) > 1:
            self.rechecked[path] = is_judged
        if is_judged:
            self.queue.append(path)
            yield path
            return
        self.counts.second_names += len(names) - 1
        for row in valid:
            self.counts.add_unchanged(row.verdict, row.model_verdict, row.unstable)
            if progress:
                progress.count_earlier()

    def distribute(self, pictures: Generator[Judged], progress: Progress | None) -> None:
        """Pass each picture to all receivers, under all names of its file."""
        try:
            with closing(pictures):
                for judged in pictures:
                    for name in self.listing.names_of(judged.path):
                        self._receive(replace(judged, path=name))
                        self.counts.second_names += name is not judged.path
                        if progress:
                            progress.advance()
                    while self.queue and self.queue[0] in self.waiting:
                        self.show(self.waiting.pop(self.queue.popleft()))
        finally:
            # After a stop: pictures that come after one that was not finished.
            for path in self.queue:
                if path in self.waiting:
                    self.show(self.waiting.pop(path))

    def _receive(self, judged: Judged) -> None:
        for receive in self.receivers:
            receive(judged)
        self.counts.add(judged)
        self.waiting[judged.path] = judged


def check_pictures(settings: Settings, console: Console, request: CheckRequest) -> Outcome:
    """Check the pictures of a request; print the verdicts, and save them if the request has files.

    Raises:
        UserError: a model cannot be loaded, there are no pictures, or a file cannot be written.
    """
    chosen = find_trained_models(settings) if request.all_models else [settings]
    listing = count_pictures(request)
    loaded = [load_detector(each, console, name_device=listing.total > 1) for each in chosen]
    models = [read_measurements(detector, console) for detector in loaded]
    checker = Checker(
        detectors=[each.detector for each in models],
        stability=request.stability,
        heat_map=request.heat_map,
        thumbnails=request.html is not None,
    )
    unreadable: list[str] = []
    skipped = Skipped()
    with ExitStack() as open_files:
        results = _open_results(request, checker, console)
        files: list[ResultsCsv | CheckPage] = (
            [open_files.enter_context(closing(results))] if results else []
        )
        if request.html:
            page = CheckPage(request.html, request, console, settings.workers, unreadable, models, results)
            files.append(open_files.enter_context(closing(page)))
        _show_limits(console, request, models)
        single: list[Judged] = []
        show = single.append if _is_single(request, listing) else partial(_show, console, request, models)
        run = _Run(listing, [file.add for file in files], show, results)
        try:
            with _show_progress(console, listing.total, "check") as progress:
                paths = run.select_unchecked(list_requested(request, unreadable, skipped), progress)
                run.distribute(checker.check(paths, settings.workers), progress)
        except KeyboardInterrupt:
            run.counts.stopped = True
            if not run.counts.verdicts:
                return Outcome("Stopped before the first picture was checked.", 130)
        finally:
            warn_about_unreadable(console, unreadable, skipped)
        lines = _finish(files, run.counts)
    counts = run.counts
    if request.csv and not counts.stopped:
        _write_companion(request.csv, models, request)
    lines += _describe_end(request, models, counts, single)
    incomplete = bool(counts.verdicts[""] or unreadable or request.missing)
    return _outcome(console, request, lines, 130 if counts.stopped else 1 if incomplete else 0)


def _is_single(request: CheckRequest, listing: Listing) -> bool:
    """Whether there is one picture; its verdict is then the last line."""
    return listing.total == 1 and not request.as_json


def _is_weak(models: Sequence[ModelMeasurements]) -> bool:
    return all(each.is_weak for each in models)


def _show(
    console: Console, request: CheckRequest, models: Sequence[ModelMeasurements], judged: Judged
) -> None:
    if request.as_json:
        console.show(to_json(judged))
    else:
        console.show(describe_verdict(judged, _is_weak(models), request.details))


def _show_limits(console: Console, request: CheckRequest, models: Sequence[ModelMeasurements]) -> None:
    """Print what the user must know before the verdicts; more if details are requested."""
    if request.as_json:
        return
    for each in models:
        if not each.detector.calibration.fitted:
            console.warn(describe_missing_thresholds(each.detector))
        if request.details:
            console.show("\n".join(describe_limits(each, advise=True)))
    if request.details:
        console.show(explain_p_fake(models, _is_weak(models)))


def _describe_end(
    request: CheckRequest,
    models: Sequence[ModelMeasurements],
    counts: CheckCounts,
    single: Sequence[Judged],
) -> list[str]:
    """Describe how far to trust the verdicts and what to do next; last, the counts or a single verdict."""
    lines = []
    if counts.stopped and not request.csv:
        lines.append("Stopped. With --csv FILE, a stopped run can continue.")
    if request.details:
        lines += [*describe_base_rates(models, request.prevalence, advise=True), NO_PROOF]
    else:
        by_models = [verdict for verdict in counts.verdicts if counts.model_verdicts[verdict]]
        lines += describe_chances(models, request.prevalence, by_models)
    if counts.model_verdicts[FAKE] and not any(describe_remarks(each) for each in single):
        lines += _suggest_own_photographs(models)
    if counts.verdicts.total() > counts.verdicts[""]:
        lines.append(f"{_describe_next(models, counts)} {shorten_path(HOME / 'docs/reading-a-verdict.md')}")
    if not single:
        return [*lines, counts.describe()]
    return [*lines, *(describe_single(each, _is_weak(models), request.details) for each in single)]


def _suggest_own_photographs(models: Sequence[ModelMeasurements]) -> list[str]:
    """Name the command that measures the user's own photographs, unless that was done."""
    if len(models) > 1 or models[0].detector.own:
        return []
    command = models[0].detector.settings.command("fit-thresholds", "--own", "FOLDER")
    advice = f"With {FEWEST_PHOTOGRAPHS} or more, all real, in FOLDER:"
    return [f"Not measured on your own photographs yet. {advice}", f"  {command}"]


def _describe_next(models: Sequence[ModelMeasurements], counts: CheckCounts) -> str:
    """Return the advice that precedes the link to the reading guide."""
    if counts.verdicts[UNSURE] == counts.verdicts.total():
        limits, between = models[0].detector.thresholds, ""
        if len(models) == 1 and limits.fake_from > limits.real_below:
            between = f" ({percent(limits.real_below)} to {percent(limits.fake_from)})"
        return f"Unsure means unchecked{between}. What to do:"
    if _is_weak(models):
        return "A question mark: only a hint. What to do next:"
    unsure = ", 'unsure' means unchecked" if counts.verdicts[UNSURE] else ""
    return f"An estimate, not proof{unsure}. What to do next:"


def _write_companion(csv: Path, models: Sequence[ModelMeasurements], request: CheckRequest) -> None:
    """Write the text next to a CSV that explains how far to trust its verdicts."""
    lines = [
        f"{COMPANION_START}how far to trust the verdicts in {printable(csv.name)}",
        "",
        "verdict: the final verdict, by the models and the file's origin. model_verdict: the models' "
        "verdict, to which accuracy figures refer.",
        explain_p_fake(models, _is_weak(models)),
    ]
    for each in models:
        found = each.detector.thresholds
        lines.append(
            f"{each.detector.name} calls a picture fake from p_fake {found.fake_from:.6g} on, real below "
            f"{found.real_below:.6g}."
        )
        lines += describe_limits(each)
    write_text(
        companion_file(csv),
        "\n".join([*lines, *describe_base_rates(models, request.prevalence), NO_PROOF, ""]),
    )


def show_origins(settings: Settings, console: Console, request: CheckRequest) -> Outcome:
    """Print what the files say about their origin; the exit status is 2 because there are no verdicts.

    Raises:
        UserError: there are no pictures, or the page cannot be written.
    """
    if request.csv:
        console.warn(f"{request.csv} was not written: there are no verdicts.")
    unreadable: list[str] = []
    skipped = Skipped()
    line = to_json if request.as_json else partial(describe_origin, details=request.details)
    files: list[CheckPage] = []
    with ExitStack() as open_files:
        if request.html:
            page = CheckPage(request.html, request, console, settings.workers, unreadable)
            files.append(open_files.enter_context(closing(page)))
        listing = count_pictures(request)
        run = _Run(listing, [file.add for file in files], lambda judged: console.show(line(judged)))
        paths = run.select_unchecked(list_requested(request, unreadable, skipped), None)
        pictures = read_origins(paths, settings.workers, thumbnails=request.html is not None)
        with _show_progress(console, listing.total, "origin") as progress:
            run.distribute(pictures, progress)
        warn_about_unreadable(console, unreadable, skipped)
        lines = _finish(files, run.counts)
    lines.append(
        f"{plural(run.counts.checked, 'picture')}: only what the files say about their origin. Finding "
        "nothing proves nothing.",
    )
    return _outcome(console, request, lines, 2)


def _finish(files: Sequence[ResultsCsv | CheckPage], counts: CheckCounts) -> list[str]:
    """Finish the files; return lines about them."""
    if not counts.verdicts:
        raise UserError("No pictures found. Give a picture or a folder that contains some.")
    return [line for file in files for line in file.finish(counts)]


def _show_progress(console: Console, total: int, label: str) -> AbstractContextManager[Progress | None]:
    return console.progress(total, label) if total > 1 else nullcontext()


def _open_results(request: CheckRequest, checker: Checker, console: Console) -> ResultsCsv | None:
    """Open the CSV, with its earlier rows and those of a stopped run; None without a CSV."""
    if request.csv is None:
        return None
    # Heat maps are drawn during a check, so unchanged pictures are checked too.
    results = ResultsCsv(file=request.csv, judges=checker.judges, recheck_all=request.heat_map)
    if results.resumed:
        console.note(f"Continuing: {plural(results.resumed, 'picture')} checked before")
    if results.replaced:
        console.warn(
            f"{results.partial} was made by another model, other options or another version: starting over"
        )
    return results


def _outcome(console: Console, request: CheckRequest, lines: Sequence[str], status: int) -> Outcome:
    """Build the outcome; with JSON, the lines go to standard error."""
    text = "\n".join(lines)
    if request.as_json:
        console.note(text)
        text = ""
    return Outcome(text, status)
