"""Writing the CSV of a check: row by row, resumable after a stop, and updated by later runs."""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fakedetect.checking.checker import read_file_state
from fakedetect.checking.judged import (
    RESULT_COLUMNS,
    RUN_COLUMNS,
    STABLE,
    CheckCounts,
    FileState,
    Judged,
    Judges,
    parse_row,
    to_row,
)
from fakedetect.checking.table import (
    EARLIER_COLUMNS,
    CsvRow,
    Table,
    is_of_earlier_version,
    read_columns,
    read_finished,
    read_partial,
    to_cells,
    write_rows,
)
from fakedetect.core.errors import UserError
from fakedetect.core.files import file_lock, hash_file
from fakedetect.core.terminal.console import plural
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE

OTHER_MODEL, OTHER_OPTIONS = "by another model or version", "with other thresholds or options"
EARLIER_VERSION = "in a file of an earlier version"
RECHECK_REASONS = (EARLIER_VERSION, OTHER_MODEL, OTHER_OPTIONS)
"""Why a row's verdict is old, in the order in which the reasons are shown."""

HEAT_MAP_WANTED = "a heat map is wanted"


@dataclass(frozen=True, slots=True)
class EarlierRow:
    """A picture's last row: its verdicts, and the state of the file when it was checked.

    `outdated` is the reason why the row is invalid even for an unchanged file; '' if it may be valid.
    """

    verdict: str
    model_verdict: str
    unstable: bool
    bytes: str
    modified: str
    sha256: str
    outdated: str


class ResultsCsv:
    """A CSV that is being written.

    Rows are appended to FILE.partial, in any order. finish() writes them to FILE in the order in which
    their pictures were listed, followed by the rows that FILE had for other pictures. The rows of an
    existing partial file are `resumed` if the same models and options wrote them, `replaced` otherwise.

    Args:
        judges: the models and options of this run; rows of others are invalid.
        recheck_all: the rows in FILE are invalid too, even if their verdicts are not old.
    """

    def __init__(self, file: Path, judges: Judges, recheck_all: bool = False):
        self.file, self.judges = file, judges
        models = [f"p_fake_{model}" for model in judges.several]
        several = ["disagreement", *models] if models else []
        self.columns = [*RESULT_COLUMNS, *several, *RUN_COLUMNS]
        self.partial = file.with_name(f"{file.name}.partial")
        self.order: dict[str, int] = {}
        self.unchanged: set[str] = set()
        self.changed_states: dict[str, FileState] = {}
        self.rechecked: Counter[str] = Counter()
        self.changes: Counter[tuple[str, str]] = Counter()
        self.lock = ExitStack()
        self.lock.enter_context(file_lock(file.with_name(f"{self.partial.name}.lock"), str(self.partial)))
        self.resumed = self._begin()
        self.replaced = self.resumed is None
        old = EARLIER_VERSION if is_of_earlier_version(read_columns(file)) else ""
        redraw = HEAT_MAP_WANTED if recheck_all else ""
        self.earlier = {
            row["path"]: _summarise_row(row, old or self._explain_outdated(row) or redraw)
            for _, row in read_finished(file)
        }
        kept = {row["path"]: _summarise_row(row) for _, row in read_partial(self.partial)}
        for name, row in kept.items():
            self._count_rechecked(name, row.verdict)
        self.earlier |= kept
        self.empty = not self.resumed
        try:
            self.output = self.partial.open("a", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise self._cannot_write(error) from None
        self.writer = csv.DictWriter(self.output, self.columns)

    def _begin(self) -> int | None:
        """Keep the complete rows of a run with the same models and options, or start over.

        Returns:
            The number of kept rows; None if rows of another run were removed.
        """
        existed = self.partial.exists()
        same = read_columns(self.partial) == self.columns and all(
            not self._explain_outdated(row) for _, row in read_partial(self.partial)
        )
        write_rows(self.partial, self.columns, (row for _, row in read_partial(self.partial) if same))
        return sum(1 for _ in read_partial(self.partial)) if same or not existed else None

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"Cannot write {self.partial}: {error.strerror}. Check the disk and the permissions."
        )

    def _explain_outdated(self, row: Mapping[str, str]) -> str:
        """Return why a row is invalid for these models and options; '' if it is valid."""
        if (row.get("model"), row.get("checkpoint")) != (self.judges.model, self.judges.checkpoint):
            return OTHER_MODEL
        verdicts = row.get("verdict", ""), row.get("model_verdict", "")
        are_known = all(verdict in ("", FAKE, REAL, UNSURE) for verdict in verdicts)
        if are_known and verdicts[0] and not verdicts[1]:
            return EARLIER_VERSION
        return "" if are_known and row.get("options") == self.judges.options else OTHER_OPTIONS

    def _count_rechecked(self, name: str, verdict: str) -> None:
        """Count a picture's new verdict if that in FILE is old."""
        earlier = self.earlier.get(name)
        if earlier is None or earlier.outdated not in RECHECK_REASONS:
            return
        self.rechecked[earlier.outdated] += 1
        # A spreadsheet may have changed the old one, which must not get to the screen.
        old, new = (each if each in (FAKE, REAL, UNSURE) else "none" for each in (earlier.verdict, verdict))
        if old != new:
            self.changes[old, new] += 1

    def add_to_order(self, path: Path) -> None:
        """Append a picture to the order of the rows."""
        self.order.setdefault(str(path), len(self.order))

    def find_valid(self, path: Path) -> EarlierRow | None:
        """Return the picture's row if it is valid; None otherwise.

        A row is valid for the same models and options, and the same file: by size and time, or by its hash.
        """
        name = str(path)
        earlier = self.earlier.get(name)
        if earlier is None or earlier.outdated:
            return None
        state = read_file_state(path)
        if state.bytes is None or str(state.bytes) != earlier.bytes:
            return None
        if state.modified != earlier.modified:
            if not _has_content(path, earlier.sha256):
                return None
            self.changed_states[name] = state
        self.unchanged.add(name)
        return earlier

    def read_unchanged(self) -> Iterator[Judged]:
        """Yield the pictures whose rows find_valid() returned."""
        return (parse_row(row) for row in self._ordered() if row["path"] in self.unchanged)

    def add(self, judged: Judged) -> None:
        """Append a row and flush it, so that a killed process does not lose it."""
        self.empty = False
        self.add_to_order(judged.path)
        # A name may have been counted as unchanged before another name caused a new check of its file.
        self.unchanged.discard(str(judged.path))
        self._count_rechecked(str(judged.path), judged.verdict)
        try:
            self.writer.writerow(to_cells(to_row(judged)))
            self.output.flush()
        except OSError as error:
            raise self._cannot_write(error) from None

    def finish(self, counts: CheckCounts) -> list[str]:
        """Write the rows to FILE atomically; after a stop, they stay in FILE.partial.

        Returns:
            Lines about the rows that were still valid, those that were not, and those of other pictures.
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
        if counts.unchanged:
            lines.append(
                f"Skipped {plural(counts.unchanged, 'unchanged picture')} already checked by this model; "
                f"checked {counts.checked:,}"
            )
        lines += self._describe_rechecked()
        if others := self.earlier.keys() - self.order.keys():
            missing = sum(not os.path.lexists(path) for path in others)
            of_missing = f" ({missing:,} of files that no longer exist)" if missing else ""
            lines.append(f"Kept {plural(len(others), 'row')} for other pictures{of_missing}")
        return [*lines, f"Results: {self.file}"]

    def _describe_rechecked(self) -> list[str]:
        """Describe the old verdicts by reason, and how the new ones differ; [] if there were none."""
        if not self.rechecked:
            return []
        why = [f"{count:,} {reason}" for reason in RECHECK_REASONS if (count := self.rechecked[reason])]
        line = f"Rechecked old verdicts: {', '.join(why)}"
        if not self.changes:
            return [f"{line}; no verdict changed"]
        ways = [f"{old} -> {new} {count:,}" for (old, new), count in sorted(self.changes.items())]
        changed = f"{self.changes.total():,} of {self.rechecked.total():,}"
        return [line, f"Verdicts that changed: {changed} ({', '.join(ways)})"]

    def _merge(self) -> None:
        """Write the last row of every picture; leave FILE untouched if nothing is new."""
        if self.empty and not self.changed_states:
            return
        header = read_columns(self.file)
        if is_of_earlier_version(header):
            header = [*self.columns, *(name for name in header if name not in EARLIER_COLUMNS)]
        # Keep columns that a user has added, and the order, on which scripts may rely.
        columns = list(dict.fromkeys([*header, *self.columns]))
        write_rows(self.file, columns, self._merged())

    def _ordered(self) -> Iterator[CsvRow]:
        """Yield the last row of every picture: those of this run in the listed order, then the others."""
        # Positions only: there may be more rows than fit into memory.
        places: dict[str, tuple[int, int]] = {}
        for number, rows in enumerate((read_finished(self.file), read_partial(self.partial))):
            for start, row in rows:
                places[row["path"]] = number, start
        last = len(self.order)
        ordered = sorted(places.items(), key=lambda item: self.order.get(item[0], last))
        with ExitStack() as opened:
            tables: dict[int, Table] = {}
            for _, (number, start) in ordered:
                if number not in tables:
                    file = (self.file, self.partial)[number]
                    tables[number] = Table(opened.enter_context(file.open("rb")))
                yield tables[number].read_row(start)

    def _merged(self) -> Iterator[CsvRow]:
        for row in self._ordered():
            state = self.changed_states.get(row["path"])
            yield {**row, "bytes": str(state.bytes), "modified": state.modified} if state else row

    def close(self) -> None:
        """Close the partial file, and delete it if it has no rows."""
        self.output.close()
        if self.empty:
            self.partial.unlink(missing_ok=True)
        self.lock.close()


def _summarise_row(row: Mapping[str, str], outdated: str = "") -> EarlierRow:
    return EarlierRow(
        verdict=row.get("verdict", ""),
        model_verdict=row.get("model_verdict", ""),
        unstable=row.get("stability", "") not in ("", STABLE),
        bytes=row.get("bytes", ""),
        modified=row.get("modified", ""),
        sha256=row.get("sha256", ""),
        outdated=outdated,
    )


def _has_content(path: Path, sha256: str) -> bool:
    try:
        return hash_file(path) == sha256
    except OSError:
        return False
