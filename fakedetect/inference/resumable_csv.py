"""The CSV of a check: written row by row, and gone on with after a stop."""

import csv
import hashlib
import io
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fakedetect.core.cells import from_cell, to_cell
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write, file_lock, read_json, write_json
from fakedetect.models.processes import Group


def _key(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest())


def _as_cells(row: Mapping[str, Any]) -> dict[str, str]:
    return {key: to_cell(str(value)) for key, value in row.items()}


class Records:
    """Rows on their way into a CSV.

    They go into FILE.partial, with FILE.partial.json saying what they were made with; finish()
    renames it to FILE. Where both are there and the same was asked for, the rows in it are done;
    rows that were made with something else are `replaced`. Of a path that is done, 8 bytes are kept
    in memory.
    """

    def __init__(self, file: Path, columns: Sequence[str], made_with: dict[str, Any], group: Group):
        self.file, self.columns = file, list(columns)
        self.partial = file.with_name(f"{file.name}.partial")
        self.facts_file = file.with_name(f"{file.name}.partial.json")
        self.verdicts: Counter[str] = Counter()
        self.replaced = False
        self.lock = ExitStack()
        if group.first:
            lock = file.with_name(f"{file.name}.partial.lock")
            self.lock.enter_context(file_lock(lock, str(self.partial)))
            self._begin(json.loads(json.dumps(made_with)))
        group.wait()
        keys = array("Q", (_key(row["path"]) for row in self._rows()))
        self.done = np.sort(np.frombuffer(keys, np.uint64)) if keys else np.empty(0, np.uint64)
        self.resumed = len(self.done)
        self.empty = not self.resumed
        self.output = None
        if group.first:
            try:
                self.output = self.partial.open("a", encoding="utf-8", errors="surrogateescape", newline="")
            except OSError as error:
                raise self._cannot_write(error) from None

    def _begin(self, made_with: dict[str, Any]) -> None:
        """Keep the whole rows of an earlier run of the same kind, or start over."""
        same = read_json(self.facts_file) == made_with
        self.replaced = self.partial.exists() and not same
        with atomic_write(self.partial) as target:
            text = io.TextIOWrapper(target, "utf-8", errors="surrogateescape", newline="")
            writer = csv.DictWriter(text, self.columns)
            writer.writeheader()
            for row in self._rows() if same else ():
                writer.writerow(_as_cells(row))
                self.verdicts[row["verdict"]] += 1
            text.flush()
            text.detach()
        write_json(self.facts_file, made_with)

    def _rows(self) -> Iterator[dict[str, str]]:
        try:
            with self.partial.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                for row in csv.DictReader(file):
                    # The last row of a run that was killed may lack its end.
                    if set(row) == set(self.columns) and None not in row.values():
                        yield {key: from_cell(value) for key, value in row.items()}
        except (OSError, csv.Error):
            return

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"Cannot write {self.partial}: {error.strerror}. Check the disk and the permissions."
        )

    def is_done(self, path: Path) -> bool:
        """Whether an earlier run has the picture's row."""
        if not len(self.done):
            return False
        key = np.uint64(_key(str(path)))
        place = int(np.searchsorted(self.done, key))
        return place < len(self.done) and self.done[place] == key

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows and hand them to the system, so that a kill loses none of them."""
        if self.output is None:
            return
        writer = csv.DictWriter(self.output, self.columns)
        self.empty = self.empty and not rows
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
                self.partial.unlink(missing_ok=True)
                self.facts_file.unlink(missing_ok=True)
        self.lock.close()

    def finish(self) -> None:
        """Rename the rows into place."""
        try:
            if self.output is not None:
                self.output.close()
            self.partial.replace(self.file)
            self.facts_file.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None
        finally:
            self.lock.close()
