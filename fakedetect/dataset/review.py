"""review.csv: a user's decisions on pictures with doubtful labels, read and applied."""

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
REVIEW_COLUMNS = ("folder", "path", "sha256", "decision")
KEEP, MOVE, REMOVE = DECISIONS = ("keep", "move", "remove")
"""The label is correct; the picture counts for the other class; the picture is removed."""

DECISION_PHRASES = {KEEP: "kept", MOVE: "moved to the other class", REMOVE: "left out"}


@dataclass(frozen=True)
class Decision:
    """A decision on a picture: its folder (one of FOLDERS), its path in that folder, the file's SHA-256 (''
    for any file), and one of DECISIONS."""

    folder: str
    path: str
    sha256: str
    decision: str

    def matches(self, file: Path) -> bool:
        """Whether a file is the reviewed one; true for a missing file, of which a copy may exist."""
        if not self.sha256:
            return True
        try:
            check_regular(file)
            return hash_file(file) == self.sha256
        except OSError:
            return True


class Review:
    """Applies decisions to pictures, by the pictures' original paths, and counts them.

    Attributes:
        removed: the number of removed pictures.
        moved: the original paths of the pictures that count for the other class.
        idle: the original paths of decisions that were not applied: no such picture, or a changed file.
    """

    def __init__(self, decisions: Mapping[Path, Decision]):
        self.decisions = decisions
        self.removed = 0
        self.moved: set[Path] = set()
        self.idle = {path: None for path, each in decisions.items() if each.decision != KEEP}

    def label(self, original: Path, label: int) -> int | None:
        """Return the label that a picture counts for; None if it is removed.

        Args:
            original: its path among the originals, which need not exist.
            label: the label of its class folder.
        """
        if original not in self.idle or not self.decisions[original].matches(original):
            return label
        del self.idle[original]
        if self.decisions[original].decision == REMOVE:
            self.removed += 1
            return None
        self.moved.add(original)
        return 1 - label

    def describe(self) -> list[str]:
        """Describe the applied decisions, and those without effect, in a line each."""
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
    """Return the path of the project's review.csv, next to paths.toml."""
    return settings.file.with_name(REVIEW_FILE)


def load_review(settings: Settings, folders: Collection[str] = FOLDERS) -> Review:
    """Read the decisions on pictures of these folders; none without a review.csv.

    Raises:
        UserError: the file cannot be used.
    """
    found = read_decisions(settings, review_file(settings)) or {}
    return Review({path: each for path, each in found.items() if each.folder in folders})


def read_decisions(settings: Settings, file: Path) -> dict[Path, Decision] | None:
    """Read the decisions in a file, by the pictures' original paths; None if there is no file.

    Raises:
        UserError: the file is no review.csv, or a row is invalid.
    """
    rows = read_csv(file, REVIEW_COLUMNS, "Save it from the review page again, or delete it.")
    if rows is None:
        return None
    found: dict[Path, Decision] = {}
    for row in rows:
        cells = {name: row[name] if name == "path" else row[name].strip() for name in REVIEW_COLUMNS}
        each = Decision(**cells)
        place = PurePosixPath(each.path)
        name = printable(f"{each.folder}/{each.path}")
        if each.folder not in FOLDERS or not each.path or place.is_absolute() or ".." in place.parts:
            raise _refuse(file, f"{name} is not a picture in one of {', '.join(FOLDERS)}")
        if each.decision not in DECISIONS:
            known = ", ".join(DECISIONS)
            raise _refuse(file, f"the decision on {name} is {each.decision!r}, not one of {known}")
        path = as_stored(settings.original[each.folder] / place)
        if found.setdefault(path, each) != each:
            raise _refuse(file, f"there are two decisions on {name}")
    return found


def describe_decisions(decisions: Iterable[Decision]) -> str:
    """Count the decisions of each kind."""
    counts = Counter(each.decision for each in decisions)
    numbers = (f"{counts[name]:,} {DECISION_PHRASES[name]}" for name in DECISIONS)
    return f"{REVIEW_FILE}: {', '.join(numbers)}"


def _refuse(file: Path, why: str) -> UserError:
    return UserError(
        f"{file} cannot be used: {why}. Correct that row, or save the file from the page again."
    )


def write_decisions(file: Path, decisions: Iterable[Decision]) -> None:
    """Write a review.csv atomically.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    rows = (as_row(each.folder, each.path, each.sha256, each.decision) for each in decisions)
    # Spreadsheets on Windows need the byte-order mark to read UTF-8.
    write_text(file, codecs.BOM_UTF8.decode() + as_row(*REVIEW_COLUMNS) + "".join(rows))


def as_row(folder: str, path: str, sha256: str, decision: str) -> str:
    """Format a line of the file, with its line end."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow((folder, to_cell(path), sha256, decision))
    return line.getvalue()
