"""Options 5.5 and 3.9: take over what was decided on a review page; write one of a test's wrong answers."""

import os
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_folder import REVIEW_PAGE, predictions_file
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.review import (
    REVIEW_FILE,
    Decision,
    describe_decisions,
    read_decisions,
    review_file,
    write_decisions,
)
from fakedetect.dataset.review_page import Doubtful, write_review_page
from fakedetect.images.named import parse_path
from fakedetect.testing.results import find_mistakes, read_predictions

DOWNLOADS = "~/Downloads"


def review(
    settings: Settings,
    console: Console,
    file: str | None = None,
    answers: str | None = None,
    ask: bool = False,
) -> Outcome:
    """Put the decisions of a review page into force; they go beside paths.toml.

    Args:
        file: the review.csv that the page has saved; the newest one that was downloaded unless named.
        answers: write the page of the wrong answers to 'test' or 'train' instead.
        ask: ask for the file.

    Raises:
        UserError: the file is missing or cannot be used, or the model was not tested.
    """
    if answers:
        return _write_answers(settings, console, answers)
    newest = _find_newest(settings)
    if ask and file is None:
        usual = f" (Enter: {newest})" if newest else ""
        file = console.ask(f"Where is the {REVIEW_FILE} that the page has saved{usual}", path=True)
        if file is None or not (file or newest):
            return Outcome("Nothing was changed.", left=True)
    source = parse_path(file) if file else newest
    if source is None:
        raise UserError(
            f"No {REVIEW_FILE} in {DOWNLOADS} or {settings.file.parent}. Save one from a review page "
            f"({settings.command('explore', '--labels')}), or name it: {settings.command('review', 'FILE')}"
        )
    return _take_over(settings, console, source)


def _find_newest(settings: Settings) -> Path | None:
    """The newest review.csv among the user's downloads and in the project's folder, that in force last;
    browsers number those of one name: review (1).csv."""
    folders = (parse_path(DOWNLOADS), settings.file.parent)
    found = {path for folder in folders for path in folder.glob("review*.csv") if path.is_file()}
    own = review_file(settings)
    return max(found, key=lambda path: (path != own, path.stat().st_mtime_ns), default=None)


def _take_over(settings: Settings, console: Console, source: Path) -> Outcome:
    """Check a file and merge its decisions into those in force, which they replace."""
    taken = read_decisions(settings, source)
    if taken is None:
        raise UserError(f"{printable(source)} is not there. Save {REVIEW_FILE} from the page, and name it.")
    missing = {path: None for path, each in taken.items() if _is_missing(settings, path, each)}
    if missing:
        console.warn(
            f"Skipped {plural(len(missing), 'decision')}: the picture is not there, or was changed since "
            f"(first: {printable(next(iter(missing)))})"
        )
    if len(missing) == len(taken):
        raise UserError(
            f"{printable(source)} has no decision on a picture of this project. Nothing was changed."
        )
    own = review_file(settings)
    merged = (read_decisions(settings, own) or {}) | {
        path: each for path, each in taken.items() if path not in missing
    }
    write_decisions(own, merged.values())
    lines = [
        f"Read {plural(len(taken), 'decision')} from {printable(source)}",
        "scan, explore, train, test and evaluate obey them from now on. To undo all decisions, delete "
        + printable(own),
        describe_decisions(merged.values()),
    ]
    return Outcome("\n".join(lines), 1 if missing else 0)


def _is_missing(settings: Settings, path: Path, decision: Decision) -> bool:
    """Whether a picture is gone, which nobody knows where only copies are kept, or another one by now."""
    gone = settings.original[decision.folder].is_dir() and not os.path.lexists(path)
    return gone or not decision.is_about(path)


def _write_answers(settings: Settings, console: Console, on: str) -> Outcome:
    """A page of the wrong answers of the chosen model's last test, the most confident first."""
    table = predictions_file(settings.model_folder, on)
    again = settings.command("test", "--on", on)
    if not table.is_file():
        raise UserError(f"{settings.model} has not been tested on the {on} dataset. Test it: {again}")
    wrong = find_mistakes(read_predictions(table, again)).sort_values(
        "confidence", ascending=False, kind="stable"
    )
    if wrong.empty:
        return Outcome(f"{settings.model} has no wrong answers on the {on} dataset.")
    doubtful = [Doubtful(Path(row.path), on, row.p_fake) for row in wrong.itertuples()]
    page = settings.model_folder / REVIEW_PAGE
    advice = write_review_page(settings, console, page, f"Wrong answers of {settings.model}", doubtful)
    lines = [
        "A wrong answer is the model's mistake more often than a wrong label.",
        advice,
        f"{plural(len(wrong), 'wrong answer')} on the {on} dataset: {page}",
    ]
    return Outcome("\n".join(lines))
