"""The rows that a CSV holds already, by their pictures: which of them hold still."""

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakedetect.core.files import hash_file
from fakedetect.inference.stamps import Judges, Stamp, stamp_of
from fakedetect.metrics.calibration import FAKE, REAL, UNSURE

VERDICTS = ("", FAKE, REAL, UNSURE)
SAME, OTHER_OPTIONS, OTHER_MODEL = range(3)
"""Who judged a row: those that judge now, the same ones with other options, or other ones."""


@dataclass(frozen=True)
class Passed:
    """A picture whose row holds still."""

    verdict: str
    unstable: bool


def key_of(text: str) -> int:
    """A text as 8 bytes."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest())


class KnownRows:
    """The last row of each picture, of which 34 bytes are kept in memory.

    `other_model` and `other_options` count the pictures that find() was asked for and that were judged by
    another model or with other options; `touched` has the new stamps, by key_of() the path, of files with
    the old content.
    """

    def __init__(self, rows: Iterable[Mapping[str, str]], judges: Judges):
        fields: tuple[array[int], ...] = tuple(array(kind) for kind in "QQQQBB")
        for row in rows:
            for field, value in zip(fields, _condensed(row, judges), strict=True):
                field.append(value)
        columns = [np.array(field) for field in fields]
        # Of several rows of one picture the last one holds.
        keys, last = np.unique(columns[0][::-1], return_index=True)
        self.keys = keys
        self.sizes, self.times, self.contents, self.verdicts, self.judged = (
            column[::-1][last] for column in columns[1:]
        )
        self.other_model = self.other_options = 0
        self.touched: dict[int, Stamp] = {}

    def find(self, path: Path) -> Passed | None:
        """The picture's row in brief, where it holds still: the same judges, and the same file by size and
        time, or by its content."""
        key = key_of(str(path))
        place = int(np.searchsorted(self.keys, np.uint64(key)))
        if place == len(self.keys) or int(self.keys[place]) != key:
            return None
        judged = int(self.judged[place])
        if judged != SAME:
            self.other_model += judged == OTHER_MODEL
            self.other_options += judged == OTHER_OPTIONS
            return None
        stamp = stamp_of(path)
        if not stamp.bytes or key_of(stamp.bytes) != int(self.sizes[place]):
            return None
        if key_of(stamp.modified) != int(self.times[place]):
            if not self._has_content(path, int(self.contents[place])):
                return None
            self.touched[key] = stamp
        verdict, unstable = divmod(int(self.verdicts[place]), 2)
        return Passed(VERDICTS[verdict], bool(unstable))

    def _has_content(self, path: Path, content: int) -> bool:
        try:
            return key_of(hash_file(path)) == content
        except OSError:
            return False


def _condensed(row: Mapping[str, str], judges: Judges) -> tuple[int, ...]:
    verdict = row.get("verdict", "")
    if (row.get("model"), row.get("checkpoint")) != (judges.model, judges.checkpoint):
        judged = OTHER_MODEL
    elif row.get("options") != judges.options or verdict not in VERDICTS:
        judged = OTHER_OPTIONS
    else:
        judged = SAME
    return (
        key_of(row.get("path", "")),
        key_of(row.get("bytes", "")),
        key_of(row.get("modified", "")),
        key_of(row.get("sha256", "")),
        2 * (VERDICTS.index(verdict) if judged == SAME else 0)
        + (row.get("stability", "") not in ("", "stable")),
        judged,
    )
