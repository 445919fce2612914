"""Option 5: what the data set looks like, whether shortcuts solve it, its leaks, its doubtful labels."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.records.cells import frame_to_csv
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.shortcuts import Audit, describe_audit, write_audit
from fakedetect.preprocessing.audit import audit_shortcuts
from fakedetect.preprocessing.duplicates import describe_duplicates, find_duplicates, write_duplicates
from fakedetect.preprocessing.figures import draw_dataset
from fakedetect.preprocessing.tables import describe_summary, list_places, read_pictures, summarise

PICTURES = "pictures.csv"
MOST_REASONS = 10


@dataclass(frozen=True)
class Explored:
    """What is known of a data set's original or resized pictures, by `on`.

    `pictures` has a row each, with the reason where one cannot be read; `summary` a row a folder and
    source, and `duplicates` a row a pair, of the `readable` ones. `left_out` counts listed bad pictures.
    """

    on: str
    pictures: pd.DataFrame
    summary: pd.DataFrame
    audit: Audit
    duplicates: pd.DataFrame
    left_out: int

    @property
    def readable(self) -> pd.DataFrame:
        """The pictures that can be read, numbered from 0."""
        return _readable(self.pictures)

    @property
    def unreadable(self) -> pd.DataFrame:
        """The other ones."""
        return self.pictures[self.pictures["reason"] != ""]


def _readable(pictures: pd.DataFrame) -> pd.DataFrame:
    return pictures[pictures["reason"] == ""].reset_index(drop=True)


def explore_dataset(settings: Settings, console: Console, on: str = "original") -> Explored:
    """Read every picture's header, sum them up, audit them for shortcuts, and look for duplicates.

    Args:
        on: 'original' or 'resized', which of the data set's pictures.

    Raises:
        UserError: there are no pictures.
    """
    places, left_out = list_places(settings, console, on)
    pictures = read_pictures(settings, console, places)
    good = _readable(pictures)
    console.note("Trying to tell the classes apart without looking at the pictures …")
    audit = audit_shortcuts(good, on)
    duplicates = find_duplicates(settings, console, good)
    return Explored(
        on=on,
        pictures=pictures,
        summary=summarise(good),
        audit=audit,
        duplicates=duplicates,
        left_out=left_out,
    )


def _write(settings: Settings, console: Console, folder: Path, found: Explored) -> None:
    """Tables, the audit and figures; the table of pictures alone where none can be read."""
    write_text(folder / PICTURES, frame_to_csv(found.pictures))
    good = found.readable
    if good.empty:
        return
    write_text(folder / "summary.csv", frame_to_csv(found.summary))
    write_audit(folder, found.audit)
    console.note("Drawing the figures …")
    draw_dataset(good, folder, settings.workers)
    write_duplicates(found.duplicates, folder, settings.workers)


def _tell_left_out(found: Explored) -> list[str]:
    """The pictures that have no part in the tables."""
    lines = []
    if found.left_out:
        lines.append(f"{plural(found.left_out, 'listed bad picture')} skipped")
    bad = found.unreadable
    if len(bad):
        lines.append(f"{plural(len(bad), 'picture')} {'was' if len(bad) == 1 else 'were'} skipped:")
        lines += [f"  {printable(row.path)}: {row.reason}" for row in bad.head(MOST_REASONS).itertuples()]
    return lines


def explore(settings: Settings, console: Console, on: str = "original", labels: bool = False) -> Outcome:
    """Tables and figures of the data set, the shortcut audit, and duplicates.

    Writes into explore/<on>/: pictures.csv, summary.csv, figures, audit.json, duplicates.csv.

    Args:
        on: 'original' or 'resized', which of the data set's pictures.
        labels: name the pictures whose label is probably wrong, instead.
    """
    if labels:
        console.loading("fakedetect.preprocessing.labels")
        from fakedetect.preprocessing.labels import suspect_labels

        return suspect_labels(settings, console, on)
    folder = settings.explore / on
    found = explore_dataset(settings, console, on)
    _write(settings, console, folder, found)
    if found.readable.empty:
        raise UserError(f"None of the {on} pictures can be read; the reasons: {folder / PICTURES}")
    console.show("\n".join(describe_summary(found.summary)))
    text, warning = describe_audit(found.audit, settings)
    (console.warn if warning else console.show)("\n" + text)
    lines = [
        "",
        *describe_duplicates(found.duplicates, folder),
        *_tell_left_out(found),
        f"Tables and figures: {folder}",
    ]
    return Outcome("\n".join(lines), 1 if len(found.unreadable) else 0)
