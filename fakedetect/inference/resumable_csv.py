"""The CSV of a check: written row by row, gone on with after a stop, and brought up to date later."""

import csv
import io
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fakedetect.core.cells import from_cell, to_cell
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, file_lock
from fakedetect.core.records import Record, read_record, write_record
from fakedetect.inference.known_rows import KnownRows, Passed, key_of
from fakedetect.inference.stamps import Judges
from fakedetect.models.processes import Group

Row = dict[str, str]


class MadeWith(Record, frozen=True, kw_only=True):
    """What has to be the same for rows to stand in one CSV: what was tried, the models with their hashes,
    calibrations and unknown inputs, the share of the pictures, the columns."""

    stability: tuple[str, ...] = ()
    models: dict[str, tuple[str | float, ...]] = msgspec.field(default_factory=dict)
    shard: str = "1/1"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Rows of a CSV that belong to no picture of the present call; of `gone` ones the file is not there."""

    rows: int = 0
    gone: int = 0


def _as_cells(row: Mapping[str, Any]) -> Row:
    return {key: to_cell(str(value)) for key, value in row.items()}


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


class Records:
    """Rows on their way into a CSV.

    They go into FILE.partial, with FILE.partial.json saying what they were made with. finish() puts them
    into FILE: in the place of older rows of the same pictures, beside the rows of others. Where a partial
    file is there and the same was asked for, the rows in it are `resumed`; rows that were made with
    something else are `replaced`. `unsigned`: FILE does not say who judged its pictures.

    Args:
        judges: who judges now; rows by others do not hold.
        afresh: the rows in FILE do not hold either.
    """

    def __init__(
        self,
        file: Path,
        columns: Sequence[str],
        made_with: MadeWith,
        group: Group,
        judges: Judges,
        afresh: bool = False,
    ):
        self.file, self.columns = file, list(columns)
        self.partial = file.with_name(f"{file.name}.partial")
        self.record_file = file.with_name(f"{file.name}.partial.json")
        self.replaced = False
        self.kept = Kept()
        self.met, self.passed = array("Q"), array("Q")
        self.lock = ExitStack()
        if group.first:
            lock = file.with_name(f"{file.name}.partial.lock")
            self.lock.enter_context(file_lock(lock, str(self.partial)))
            self._begin(msgspec.structs.replace(made_with, columns=tuple(columns)))
        group.wait()
        header = _columns_of(file)
        self.unsigned = bool(header) and not set(judges.columns()) <= set(header)
        self.known = KnownRows(_read_partial(self.partial) if afresh else self._all_rows(), judges)
        self.resumed = sum(1 for _ in _read_partial(self.partial))
        self.empty = not self.resumed
        self.output = None
        if group.first:
            try:
                self.output = self.partial.open("a", encoding="utf-8", errors="surrogateescape", newline="")
            except OSError as error:
                raise self._cannot_write(error) from None

    def _begin(self, made_with: MadeWith) -> None:
        """Keep the whole rows of an earlier run of the same kind, or start over."""
        same = False
        with suppress(UserError):
            same = read_record(self.record_file, MadeWith, "Remove it.") == made_with
        self.replaced = self.partial.exists() and not same
        _write_rows(self.partial, self.columns, _read_partial(self.partial) if same else ())
        write_record(self.record_file, made_with)

    def _all_rows(self) -> Iterator[Row]:
        """Those of earlier runs, then those of this one and of the stopped run that it continues."""
        yield from _read_finished(self.file)
        yield from _read_partial(self.partial)

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"Cannot write {self.partial}: {error.strerror}. Check the disk and the permissions."
        )

    def find(self, path: Path) -> Passed | None:
        """The picture's row in brief where one is there that still holds."""
        passed = self.known.find(path)
        if passed:
            self.met.append(key_of(str(path)))
            self.passed.append(self.met[-1])
        return passed

    def passed_rows(self) -> Iterator[Row]:
        """The rows of the pictures that find() has found."""
        passed = set(self.passed)
        return (row for key, row in self._last_rows() if key in passed)

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows and hand them to the system, so that a kill loses none of them."""
        if self.output is None:
            return
        writer = csv.DictWriter(self.output, self.columns)
        self.empty = self.empty and not rows
        self.met.extend(key_of(row["path"]) for row in rows)
        try:
            writer.writerows(map(_as_cells, rows))
            self.output.flush()
        except OSError as error:
            raise self._cannot_write(error) from None

    def close(self) -> None:
        """Leave the rows for a later run to go on with, and nothing where there are none."""
        if self.output is not None:
            self.output.close()
            if self.empty:
                self._remove_partial()
        self.lock.close()

    def _remove_partial(self) -> None:
        self.partial.unlink(missing_ok=True)
        self.record_file.unlink(missing_ok=True)

    def finish(self) -> None:
        """Put the rows into FILE, whole or not at all."""
        try:
            if self.output is not None:
                self.output.close()
            if self.file.exists() or self.resumed:
                self._merge()
            else:
                self.partial.replace(self.file)
            self._remove_partial()
        except OSError as error:
            raise self._cannot_write(error) from None

    def _last_rows(self) -> Iterator[tuple[int, Row]]:
        """The last row of every picture, with its key."""
        keys = np.array(array("Q", (key_of(row["path"]) for row in self._all_rows())))
        _, from_end = np.unique(keys[::-1], return_index=True)
        last = np.zeros(len(keys), bool)
        last[len(keys) - 1 - from_end] = True
        for row, key, is_last in zip(self._all_rows(), keys, last, strict=True):
            if is_last:
                yield int(key), row

    def _merge(self) -> None:
        """The last row of every picture; FILE stays untouched where nothing is new."""
        met = set(self.met)
        others = [not os.path.lexists(row["path"]) for key, row in self._last_rows() if key not in met]
        self.kept = Kept(len(others), sum(others))
        if self.empty and not self.known.touched:
            return
        header = _columns_of(self.file)
        # What a user has added stays, and so does the order that scripts may count on.
        columns = [*header, *(name for name in self.columns if name not in header)]
        _write_rows(self.file, columns, self._merged())

    def _merged(self) -> Iterator[Row]:
        for key, row in self._last_rows():
            stamp = self.known.touched.get(key)
            yield {**row, **asdict(stamp)} if stamp else row
