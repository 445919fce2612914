"""review.csv: what a user has decided about pictures whose label was in doubt, read and applied."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fakedetect.core.errors import UserError
from fakedetect.core.files import as_stored, check_regular, hash_file, write_text
from fakedetect.core.records.csv_files import read_csv, to_cell
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import plural, printable

REVIEW_FILE = "review.csv"
COLUMNS = ("folder", "path", "sha256", "decision")
KEEP, MOVE, REMOVE = DECISIONS = ("keep", "move", "remove")
"""The label is right; the picture counts for the other class; it is left out."""

IN_WORDS = {KEEP: "kept", MOVE: "moved to the other class", REMOVE: "left out"}


@dataclass(frozen=True)
class Decision:
    """What is to be done with a picture: its folder (one of FOLDERS), its path in there, the hash of its
    file ('' for any), and one of DECISIONS."""

    folder: str
    path: str
    sha256: str
    decision: str

    def is_about(self, file: Path) -> bool:
        """Whether a file is the one that was looked at; assumed of one that is gone, of which only a copy
        may be left."""
        if not self.sha256:
            return True
        try:
            check_regular(file)
            return hash_file(file) == self.sha256
        except OSError:
            return True


class Review:
    """Decisions on their way to the pictures of some folders, by the pictures' original paths.

    Attributes:
        removed: how many pictures were left out.
        moved: the original paths of those that count for the other class.
        idle: those of pictures to move or leave out that were not met, or whose file is another one now.
    """

    def __init__(self, decisions: Mapping[Path, Decision]):
        self.decisions = decisions
        self.removed = 0
        self.moved: set[Path] = set()
        self.idle = {path: None for path, each in decisions.items() if each.decision != KEEP}

    def label(self, original: Path, label: int) -> int | None:
        """The label that a picture counts for, None where it is left out.

        Args:
            original: its path among the originals, whether it or only a copy of it is there.
            label: that of the class folder.
        """
        if original not in self.idle or not self.decisions[original].is_about(original):
            return label
        del self.idle[original]
        if self.decisions[original].decision == REMOVE:
            self.removed += 1
            return None
        self.moved.add(original)
        return 1 - label

    def describe(self) -> list[str]:
        """What has come of the decisions, as a line; nothing where none asks for anything."""
        lines = []
        if self.removed or self.moved:
            lines.append(
                f"{REVIEW_FILE}: {plural(self.removed, 'picture')} left out, {len(self.moved):,} moved to "
                "the other class"
            )
        if self.idle:
            lines.append(
                f"{REVIEW_FILE}: {plural(len(self.idle), 'decision')} without effect: their picture is "
                f"missing or was changed (first: {printable(next(iter(self.idle)))})"
            )
        return lines


def review_file(settings: Settings) -> Path:
    """Where the decisions are that hold: beside paths.toml."""
    return settings.file.with_name(REVIEW_FILE)


def load_review(settings: Settings, folders: Collection[str] = FOLDERS) -> Review:
    """The decisions about the pictures of these folders; none where there is no review.csv.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_decisions(settings, review_file(settings)) or {}
    return Review({path: each for path, each in found.items() if each.folder in folders})


def read_decisions(settings: Settings, file: Path) -> dict[Path, Decision] | None:
    """The decisions in a file, by the pictures' original paths; None where there is no file.

    Raises:
        UserError: it is no such file, or a row cannot be understood.
    """
    rows = read_csv(file, COLUMNS, "Save it from the review page again, or delete it.")
    if rows is None:
        return None
    found: dict[Path, Decision] = {}
    for row in rows:
        each = Decision(**{name: row[name].strip() if name != "path" else row[name] for name in COLUMNS})
        place = PurePosixPath(each.path)
        name = printable(f"{each.folder}/{each.path}")
        if each.folder not in FOLDERS or not each.path or place.is_absolute() or ".." in place.parts:
            raise _refuse(file, f"{name} is no picture in one of {', '.join(FOLDERS)}")
        if each.decision not in DECISIONS:
            known = ", ".join(DECISIONS)
            raise _refuse(file, f"the decision on {name} is {each.decision!r}, none of {known}")
        path = as_stored(settings.original[each.folder] / place)
        if found.setdefault(path, each) != each:
            raise _refuse(file, f"there are two decisions on {name}")
    return found


def describe_decisions(decisions: Iterable[Decision]) -> str:
    """How many of each, whether their pictures are there or not."""
    counts = Counter(each.decision for each in decisions)
    return f"{REVIEW_FILE}: " + ", ".join(f"{counts[name]:,} {IN_WORDS[name]}" for name in DECISIONS)


def _refuse(file: Path, why: str) -> UserError:
    return UserError(
        f"{file} cannot be used: {why}. Correct that row, or save the file from the page again."
    )


def write_decisions(file: Path, decisions: Iterable[Decision]) -> None:
    """Write a review.csv, whole or not at all.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    rows = (as_row(each.folder, each.path, each.sha256, each.decision) for each in decisions)
    # Spreadsheets on Windows read names in UTF-8 behind a byte-order mark only.
    write_text(file, codecs.BOM_UTF8.decode() + as_row(*COLUMNS) + "".join(rows))


def as_row(folder: str, path: str, sha256: str, decision: str) -> str:
    """A line of the file, with its end."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow((folder, to_cell(path), sha256, decision))
    return line.getvalue()
