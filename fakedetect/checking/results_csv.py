"""The CSV of a check: written row by row, continued after a stop, and brought up to date later."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakedetect.checking.checker import stamp_of
from fakedetect.checking.judged import (
    COLUMNS,
    JUDGED,
    STABLE,
    Counts,
    Judged,
    Judges,
    Stamp,
    judged_of,
    row_of,
)
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, file_lock, hash_file
from fakedetect.core.records.cells import from_cell, to_cell
from fakedetect.core.terminal.console import plural
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE

Row = dict[str, str]

OTHER_MODEL, OTHER_OPTIONS = "by another model or version", "with other thresholds or options"
ANEW = "a heat map is wanted"


@dataclass(frozen=True, slots=True)
class Passed:
    """What a picture's last row says: its verdict and the state of the file that it was given to.

    `outdated`: why it no longer holds whatever the file is, '' if it may hold.
    """

    verdict: str
    unstable: bool
    bytes: str
    modified: str
    sha256: str
    outdated: str


class ResultsCsv:
    """Rows on their way into a CSV.

    They go into FILE.partial. finish() puts them into FILE: in the place of older rows of the same
    pictures, beside the rows of others. Where a partial file is there and was written by the same judges,
    the rows in it are `resumed`, otherwise they are `replaced`.

    Args:
        judges: who judges now; rows by others do not hold.
        models: their names, if there are several.
        afresh: the rows in FILE do not hold either.
    """

    def __init__(self, file: Path, judges: Judges, models: Sequence[str] = (), afresh: bool = False):
        self.file, self.judges = file, judges
        several = ["disagreement", *(f"p_fake_{model}" for model in models)] if models else []
        self.columns = [*COLUMNS, *several, *JUDGED]
        self.partial = file.with_name(f"{file.name}.partial")
        self.met: set[str] = set()
        self.passed: set[str] = set()
        self.touched: dict[str, Stamp] = {}
        self.outdated: Counter[str] = Counter()
        self.lock = ExitStack()
        self.lock.enter_context(file_lock(file.with_name(f"{self.partial.name}.lock"), str(self.partial)))
        self.resumed = self._begin()
        self.replaced = self.resumed is None
        self.known = {
            row["path"]: self._shorten(row, ANEW if afresh else "") for row in _read_finished(file)
        }
        self.known |= {row["path"]: self._shorten(row) for row in _read_partial(self.partial)}
        self.empty = not self.resumed
        try:
            self.output = self.partial.open("a", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise self._cannot_write(error) from None
        self.writer = csv.DictWriter(self.output, self.columns)

    def _begin(self) -> int | None:
        """Keep the whole rows of an earlier run of the same kind, or start over; how many were kept, None
        where others were there."""
        there = self.partial.exists()
        same = _columns_of(self.partial) == self.columns and all(
            not self._why_outdated(row) for row in _read_partial(self.partial)
        )
        _write_rows(self.partial, self.columns, _read_partial(self.partial) if same else ())
        return sum(1 for _ in _read_partial(self.partial)) if same or not there else None

    def _all_rows(self) -> Iterator[Row]:
        """Those of earlier runs, then those of this one and of the stopped run that it continues."""
        yield from _read_finished(self.file)
        yield from _read_partial(self.partial)

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"Cannot write {self.partial}: {error.strerror}. Check the disk and the permissions."
        )

    def _why_outdated(self, row: Mapping[str, str]) -> str:
        """Why a row does not hold for these judges, '' if it does."""
        if (row.get("model"), row.get("checkpoint")) != (self.judges.model, self.judges.checkpoint):
            return OTHER_MODEL
        known = row.get("verdict", "") in ("", FAKE, REAL, UNSURE)
        return "" if known and row.get("options") == self.judges.options else OTHER_OPTIONS

    def _shorten(self, row: Mapping[str, str], outdated: str = "") -> Passed:
        return Passed(
            verdict=row.get("verdict", ""),
            unstable=row.get("stability", "") not in ("", STABLE),
            bytes=row.get("bytes", ""),
            modified=row.get("modified", ""),
            sha256=row.get("sha256", ""),
            outdated=outdated or self._why_outdated(row),
        )

    def find(self, path: Path) -> Passed | None:
        """What the picture's row says, where it still holds: the same judges, and the same file by size and
        time, or by its content."""
        name = str(path)
        passed = self.known.get(name)
        if passed is None:
            return None
        if passed.outdated:
            self.outdated[passed.outdated] += 1
            return None
        stamp = stamp_of(path)
        if stamp.bytes is None or str(stamp.bytes) != passed.bytes:
            return None
        if stamp.modified != passed.modified:
            if not _has_content(path, passed.sha256):
                return None
            self.touched[name] = stamp
        self.met.add(name)
        self.passed.add(name)
        return passed

    def passed_pictures(self) -> Iterator[Judged]:
        """The pictures that find() has found."""
        return (judged_of(row) for row in self._last_rows() if row["path"] in self.passed)

    def add(self, judged: Judged) -> None:
        """Append a row and hand it to the system, so that a kill does not lose it."""
        self.empty = False
        self.met.add(str(judged.path))
        try:
            self.writer.writerow(_as_cells(row_of(judged)))
            self.output.flush()
        except OSError as error:
            raise self._cannot_write(error) from None

    def finish(self, counts: Counts) -> list[str]:
        """Put the rows into FILE, whole or not at all; after a stop they wait for the next run.

        Returns:
            What of the CSV still held, what did not and why, and what else stands in it.
        """
        if counts.stopped:
            return [f"Stopped; the rows are in {self.partial}. Run the same command to continue."]
        try:
            self.output.close()
            if self.resumed or self.file.exists():
                self._merge()
                self.partial.unlink(missing_ok=True)
            else:
                self.partial.replace(self.file)
        except OSError as error:
            raise self._cannot_write(error) from None
        lines = []
        if counts.passed:
            lines.append(
                f"Skipped {plural(counts.passed, 'unchanged picture')} already checked by this model; "
                f"checked {counts.checked:,}"
            )
        why = [f"{self.outdated[w]:,} {w}" for w in (OTHER_MODEL, OTHER_OPTIONS) if self.outdated[w]]
        if why:
            lines.append(f"Rechecked old verdicts: {', '.join(why)}")
        if others := self.known.keys() - self.met:
            gone = sum(not os.path.lexists(path) for path in others)
            of_gone = f" ({gone:,} of files that no longer exist)" if gone else ""
            lines.append(f"Kept {plural(len(others), 'row')} for other pictures{of_gone}")
        return [*lines, f"Results: {self.file}"]

    def _merge(self) -> None:
        """Write the last row of every picture; FILE stays untouched where nothing is new."""
        if self.empty and not self.touched:
            return
        header = _columns_of(self.file)
        # What a user has added stays, and so does the order that scripts may count on.
        columns = [*header, *(name for name in self.columns if name not in header)]
        _write_rows(self.file, columns, self._merged())

    def _last_rows(self) -> Iterator[Row]:
        """The last row of every picture."""
        last = {row["path"]: number for number, row in enumerate(self._all_rows())}
        return (row for number, row in enumerate(self._all_rows()) if last[row["path"]] == number)

    def _merged(self) -> Iterator[Row]:
        for row in self._last_rows():
            stamp = self.touched.get(row["path"])
            yield {**row, "bytes": str(stamp.bytes), "modified": stamp.modified} if stamp else row

    def close(self) -> None:
        """Leave the rows for a later run to continue, and nothing where there are none."""
        self.output.close()
        if self.empty:
            self.partial.unlink(missing_ok=True)
        self.lock.close()


def _as_cells(row: Mapping[str, Any]) -> Row:
    texts = {key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()}
    return {key: to_cell("" if value is None else str(value)) for key, value in texts.items()}


def _has_content(path: Path, sha256: str) -> bool:
    try:
        return hash_file(path) == sha256
    except OSError:
        return False


def _read_partial(file: Path) -> Iterator[Row]:
    """The rows of a run under way or stopped; none where there is no such file."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as opened:
            for row in csv.DictReader(opened):
                # The last row of a run that was killed may lack its end.
                if None not in row and None not in row.values():
                    yield {key: from_cell(value) for key, value in row.items()}
    except (OSError, csv.Error):
        return


def _read_finished(file: Path) -> Iterator[Row]:
    """The rows of a CSV, which may have been through a spreadsheet; none where there is no such file.

    Raises:
        UserError: it cannot be read to its end, so that writing it anew would lose rows.
    """
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as opened:
            for row in csv.DictReader(opened, restval=""):
                yield {key: from_cell(value) for key, value in row.items() if key is not None}
    except FileNotFoundError:
        return
    except (OSError, csv.Error) as error:
        raise UserError(f"{file} cannot be read: {error}. Name another file.") from None


def _columns_of(file: Path) -> list[str]:
    """The header of a CSV; nothing where there is no such file."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as opened:
            return next(csv.reader(opened), [])
    except (OSError, csv.Error):
        return []


def _write_rows(file: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A CSV, whole or not at all."""
    with atomic_write(file) as target:
        text = io.TextIOWrapper(target, "utf-8", errors="surrogateescape", newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(map(_as_cells, rows))
        text.flush()
        text.detach()
