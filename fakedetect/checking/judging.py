"""The pictures of a request, judged by the models or read without one, shown and kept as they come."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from functools import partial
from pathlib import Path

from fakedetect.checking.check_page import NO_PROOF, CheckPage
from fakedetect.checking.checker import Checker, read_origins
from fakedetect.checking.judged import Counts, Judged, describe_origin, describe_verdict, to_json
from fakedetect.checking.known import Known, explain_p_fake, read_known, remind, tell_base_rates
from fakedetect.checking.request import Request, count_pictures, list_pictures, tell_passed_over
from fakedetect.checking.results_csv import ResultsCsv
from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_folder import trained_models
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural
from fakedetect.core.terminal.progress import Progress
from fakedetect.images.listing import Skipped
from fakedetect.models.detector import load_detector, tell_not_fitted


def judge(settings: Settings, console: Console, wanted: Request) -> Outcome:
    """Show, and keep where that is wanted, a verdict on each picture of the request.

    Raises:
        UserError: a model cannot be loaded, there are no pictures, or a file cannot be written.
    """
    chosen = trained_models(settings) if wanted.all_models else [settings]
    total = count_pictures(wanted)
    loaded = [load_detector(each, console, name_device=total > 1) for each in chosen]
    known = [read_known(detector, console) for detector in loaded]
    weak = all(each.is_weak for each in known)
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
        line = to_json if wanted.as_json else partial(describe_verdict, weak=weak)
        takers = [lambda judged: console.show(line(judged)), *(file.add for file in files)]
        if not wanted.as_json:
            _show_reminders(console, known, weak)
        counts = Counts(total=total)
        try:
            with _progress(console, counts.total, "check") as progress:
                paths = _unjudged(list_pictures(wanted, left_out, skipped), results, counts, progress)
                _hand_out(checker.check(paths, settings.workers), takers, counts, progress)
        except KeyboardInterrupt:
            counts.stopped = True
            if not counts.verdicts:
                return Outcome("Stopped before the first picture was checked.", 130)
        finally:
            tell_passed_over(console, left_out, skipped)
        lines = [counts.describe(), *_finish(files, counts)]
    if counts.stopped and not results:
        lines.insert(1, "Stopped. With --csv FILE, a stopped run can continue.")
    lines += [*tell_base_rates(known, wanted.prevalence, advise=True), NO_PROOF]
    partly = bool(counts.verdicts[""] or left_out)
    return _outcome(console, wanted, lines, 130 if counts.stopped else 1 if partly else 0)


def show_origins(settings: Settings, console: Console, wanted: Request) -> Outcome:
    """Show what the pictures' files say of themselves; the status is 2: no verdict was given.

    Raises:
        UserError: there are no pictures, or the page cannot be written.
    """
    if wanted.csv:
        console.warn(f"{wanted.csv} was not written: there are no verdicts.")
    left_out: list[str] = []
    skipped = Skipped()
    line = partial(to_json, by_model=False) if wanted.as_json else describe_origin
    files: list[CheckPage] = []
    with ExitStack() as opened:
        if wanted.html:
            page = CheckPage(wanted.html, wanted, console, settings.workers, left_out)
            files.append(opened.enter_context(closing(page)))
        takers = [lambda judged: console.show(line(judged)), *(file.add for file in files)]
        counts = Counts(total=count_pictures(wanted))
        paths = list_pictures(wanted, left_out, skipped)
        pictures = read_origins(paths, settings.workers, thumbnails=wanted.html is not None)
        with _progress(console, counts.total, "origin") as progress:
            _hand_out(pictures, takers, counts, progress)
        tell_passed_over(console, left_out, skipped)
        lines = _finish(files, counts)
    lines.insert(
        0,
        f"{plural(counts.checked, 'picture')}: only what the files say about their origin. Finding nothing "
        "proves nothing.",
    )
    return _outcome(console, wanted, lines, 2)


def _hand_out(
    pictures: Generator[Judged],
    takers: Sequence[Callable[[Judged], None]],
    counts: Counts,
    progress: Progress | None,
) -> None:
    """Give each picture to everything that takes it as it comes."""
    with closing(pictures):
        for judged in pictures:
            for take in takers:
                take(judged)
            counts.add(judged)
            if progress:
                progress.advance()


def _finish(files: Sequence[ResultsCsv | CheckPage], counts: Counts) -> list[str]:
    """Put the files into their places; what to say of them."""
    if not counts.verdicts:
        raise UserError("No pictures found. Give a picture or a folder that contains some.")
    return [line for file in files for line in file.finish(counts)]


def _progress(console: Console, total: int, label: str) -> AbstractContextManager[Progress | None]:
    return console.progress(total, label) if total > 1 else nullcontext()


def _unjudged(
    paths: Iterator[Path], results: ResultsCsv | None, counts: Counts, progress: Progress | None
) -> Iterator[Path]:
    """The pictures that have no row which still holds; the others are counted."""
    for path in paths:
        if passed := results.find(path) if results else None:
            counts.add_passed(passed.verdict, passed.unstable)
            if progress:
                progress.pass_over()
        else:
            yield path


def _open_results(wanted: Request, checker: Checker, console: Console) -> ResultsCsv | None:
    """The CSV, with what it and a stopped run of the same kind hold already."""
    if wanted.csv is None:
        return None
    names = [detector.name for detector in checker.detectors]
    # A heat map is drawn as a picture is judged.
    results = ResultsCsv(
        file=wanted.csv,
        judges=checker.judges,
        models=names if len(names) > 1 else (),
        afresh=wanted.heat_map,
    )
    if results.resumed:
        console.note(f"Continuing: {plural(results.resumed, 'picture')} checked before")
    if results.replaced:
        console.warn(
            f"{results.partial} was made by another model, other options or another version: starting over"
        )
    return results


def _show_reminders(console: Console, known: Sequence[Known], weak: bool) -> None:
    for each in known:
        if not each.detector.calibration.fitted:
            console.warn(tell_not_fitted(each.detector))
        console.show("\n".join(remind(each, advise=True)))
    console.show(explain_p_fake(known, weak))


def _outcome(console: Console, wanted: Request, lines: Sequence[str], status: int) -> Outcome:
    """The end of a check: on the screen, or beside its JSON."""
    text = "\n".join(lines)
    if wanted.as_json:
        console.note(text)
        text = ""
    return Outcome(text, status)
