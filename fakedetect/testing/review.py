"""Options 5.5 and 3.9: read the decisions of a review page; write a review page of wrong predictions."""

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
from fakedetect.dataset.review_page import DoubtfulPicture, write_review_page
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
    """Add the decisions of a review page to the review.csv next to paths.toml.

    Args:
        file: the review.csv that the page saved; by default the newest download.
        answers: write a page of the wrong predictions on 'test' or 'train' instead.
        ask: ask for the file.

    Raises:
        UserError: the file is missing or cannot be used, or the model was not tested.
    """
    if answers:
        return _write_answers(settings, console, answers)
    newest = _find_newest(settings)
    if ask and file is None:
        usual = f" (Enter: {newest})" if newest else ""
        file = console.ask(f"Where is the {REVIEW_FILE} that the page saved{usual}", path=True)
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
    """Find the newest review.csv in the downloads and the project folder, the project's own one last.

    Browsers number files of one name: review (1).csv.
    """
    folders = (parse_path(DOWNLOADS), settings.file.parent)
    found = {path for folder in folders for path in folder.glob("review*.csv") if path.is_file()}
    own = review_file(settings)
    return max(found, key=lambda path: (path != own, path.stat().st_mtime_ns), default=None)


def _take_over(settings: Settings, console: Console, source: Path) -> Outcome:
    """Check a file and merge its decisions into the project's review.csv."""
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
    """Whether a picture is missing or was changed; unknown, so false, if only copies are kept."""
    gone = settings.original[decision.folder].is_dir() and not os.path.lexists(path)
    return gone or not decision.matches(path)


def _write_answers(settings: Settings, console: Console, on: str) -> Outcome:
    """Write a page of the last test's wrong predictions, the most confident first."""
    table = predictions_file(settings.model_folder, on)
    again = settings.command("test", "--on", on)
    if not table.is_file():
        raise UserError(f"{settings.model} has not been tested on the {on} dataset. Test it: {again}")
    wrong = find_mistakes(read_predictions(table, again)).sort_values(
        "confidence", ascending=False, kind="stable"
    )
    if wrong.empty:
        return Outcome(f"{settings.model} has no wrong answers on the {on} dataset.")
    doubtful = [DoubtfulPicture(Path(row.path), on, row.p_fake) for row in wrong.itertuples()]
    page = settings.model_folder / REVIEW_PAGE
    advice = write_review_page(settings, console, page, f"Wrong answers of {settings.model}", doubtful)
    lines = [
        "Most wrong answers are the model's mistakes, not wrong labels.",
        advice,
        f"{plural(len(wrong), 'wrong answer')} on the {on} dataset: {page}",
    ]
    return Outcome("\n".join(lines))
