"""The CSV of a check: written row by row, continued after a stop, and brought up to date later."""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

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
from fakedetect.checking.table import (
    EARLIER_COLUMNS,
    Row,
    Table,
    as_cells,
    columns_of,
    is_of_earlier_version,
    read_finished,
    read_partial,
    write_rows,
)
from fakedetect.core.errors import UserError
from fakedetect.core.files import file_lock, hash_file
from fakedetect.core.terminal.console import plural
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE

OTHER_MODEL, OTHER_OPTIONS = "by another model or version", "with other thresholds or options"
EARLIER = "in a file of an earlier version"
ANEW = "a heat map is wanted"


@dataclass(frozen=True, slots=True)
class Passed:
    """What a picture's last row says: its verdicts and the state of the file that it was given to.

    `outdated`: why it no longer holds whatever the file is, '' if it may hold.
    """

    verdict: str
    model_verdict: str
    unstable: bool
    bytes: str
    modified: str
    sha256: str
    outdated: str


class ResultsCsv:
    """Rows on their way into a CSV.

    They go into FILE.partial, in any order. finish() puts them into FILE: in the order in which their
    pictures were listed, and behind them the rows of others that FILE had. Where a partial file is there
    and was written by the same judges, the rows in it are `resumed`, otherwise they are `replaced`.

    Args:
        judges: who judges now; rows by others do not hold.
        afresh: the rows in FILE do not hold either.
    """

    def __init__(self, file: Path, judges: Judges, afresh: bool = False):
        self.file, self.judges = file, judges
        models = [f"p_fake_{model}" for model in judges.several]
        several = ["disagreement", *models] if models else []
        self.columns = [*COLUMNS, *several, *JUDGED]
        self.partial = file.with_name(f"{file.name}.partial")
        self.met: dict[str, int] = {}
        self.passed: set[str] = set()
        self.touched: dict[str, Stamp] = {}
        self.outdated: Counter[str] = Counter()
        self.lock = ExitStack()
        self.lock.enter_context(file_lock(file.with_name(f"{self.partial.name}.lock"), str(self.partial)))
        self.resumed = self._begin()
        self.replaced = self.resumed is None
        outdated = ANEW if afresh else EARLIER if is_of_earlier_version(columns_of(file)) else ""
        self.known = {row["path"]: self._shorten(row, outdated) for _, row in read_finished(file)}
        self.known |= {row["path"]: self._shorten(row) for _, row in read_partial(self.partial)}
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
        same = columns_of(self.partial) == self.columns and all(
            not self._why_outdated(row) for _, row in read_partial(self.partial)
        )
        write_rows(self.partial, self.columns, (row for _, row in read_partial(self.partial) if same))
        return sum(1 for _ in read_partial(self.partial)) if same or not there else None

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"Cannot write {self.partial}: {error.strerror}. Check the disk and the permissions."
        )

    def _why_outdated(self, row: Mapping[str, str]) -> str:
        """Why a row does not hold for these judges, '' if it does."""
        if (row.get("model"), row.get("checkpoint")) != (self.judges.model, self.judges.checkpoint):
            return OTHER_MODEL
        verdicts = row.get("verdict", ""), row.get("model_verdict", "")
        known = all(verdict in ("", FAKE, REAL, UNSURE) for verdict in verdicts)
        if known and verdicts[0] and not verdicts[1]:
            return EARLIER
        return "" if known and row.get("options") == self.judges.options else OTHER_OPTIONS

    def _shorten(self, row: Mapping[str, str], outdated: str = "") -> Passed:
        return Passed(
            verdict=row.get("verdict", ""),
            model_verdict=row.get("model_verdict", ""),
            unstable=row.get("stability", "") not in ("", STABLE),
            bytes=row.get("bytes", ""),
            modified=row.get("modified", ""),
            sha256=row.get("sha256", ""),
            outdated=outdated or self._why_outdated(row),
        )

    def place(self, path: Path) -> None:
        """Give a picture its place among the rows."""
        self.met.setdefault(str(path), len(self.met))

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
        self.passed.add(name)
        return passed

    def passed_pictures(self) -> Iterator[Judged]:
        """The pictures that find() has found."""
        return (judged_of(row) for row in self._ordered() if row["path"] in self.passed)

    def add(self, judged: Judged) -> None:
        """Append a row and hand it to the system, so that a kill does not lose it."""
        self.empty = False
        self.place(judged.path)
        # Of the names of one file, one may have been passed before another had it judged.
        self.passed.discard(str(judged.path))
        try:
            self.writer.writerow(as_cells(row_of(judged)))
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
            self._merge()
            self.partial.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None
        lines = []
        if counts.passed:
            lines.append(
                f"Skipped {plural(counts.passed, 'unchanged picture')} already checked by this model; "
                f"checked {counts.checked:,}"
            )
        reasons = (EARLIER, OTHER_MODEL, OTHER_OPTIONS)
        why = [f"{self.outdated[reason]:,} {reason}" for reason in reasons if self.outdated[reason]]
        if why:
            lines.append(f"Rechecked old verdicts: {', '.join(why)}")
        if others := self.known.keys() - self.met.keys():
            gone = sum(not os.path.lexists(path) for path in others)
            of_gone = f" ({gone:,} of files that no longer exist)" if gone else ""
            lines.append(f"Kept {plural(len(others), 'row')} for other pictures{of_gone}")
        return [*lines, f"Results: {self.file}"]

    def _merge(self) -> None:
        """Write the last row of every picture; FILE stays untouched where nothing is new."""
        if self.empty and not self.touched:
            return
        header = columns_of(self.file)
        if is_of_earlier_version(header):
            header = [*self.columns, *(name for name in header if name not in EARLIER_COLUMNS)]
        # What a user has added stays, and so does the order that scripts may count on.
        columns = list(dict.fromkeys([*header, *self.columns]))
        write_rows(self.file, columns, self._merged())

    def _ordered(self) -> Iterator[Row]:
        """The last row of every picture: those of this run as they were listed, then the others."""
        # Rows stay in their files, for there may be more than the memory holds.
        places: dict[str, tuple[int, int]] = {}
        for number, rows in enumerate((read_finished(self.file), read_partial(self.partial))):
            for start, row in rows:
                places[row["path"]] = number, start
        last = len(self.met)
        ordered = sorted(places.items(), key=lambda item: self.met.get(item[0], last))
        with ExitStack() as opened:
            tables: dict[int, Table] = {}
            for _, (number, start) in ordered:
                if number not in tables:
                    file = (self.file, self.partial)[number]
                    tables[number] = Table(opened.enter_context(file.open("rb")))
                yield tables[number].row_at(start)

    def _merged(self) -> Iterator[Row]:
        for row in self._ordered():
            stamp = self.touched.get(row["path"])
            yield {**row, "bytes": str(stamp.bytes), "modified": stamp.modified} if stamp else row

    def close(self) -> None:
        """Leave the rows for a later run to continue, and nothing where there are none."""
        self.output.close()
        if self.empty:
            self.partial.unlink(missing_ok=True)
        self.lock.close()


def _has_content(path: Path, sha256: str) -> bool:
    try:
        return hash_file(path) == sha256
    except OSError:
        return False
