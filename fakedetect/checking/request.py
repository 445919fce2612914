"""A request to check pictures, and the listing of its pictures."""

import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fakedetect.checking.table import KEYS
from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular
from fakedetect.core.processes.shards import Shard
from fakedetect.core.records.csv_files import decode_utf, find_separator
from fakedetect.core.terminal.console import Console
from fakedetect.images.listing import Skipped, stream_images

COMPANION_START = "fakedetect check: "
"""The beginning of every text next to a CSV."""

PAGE_MARK = '<meta name="generator" content="fakedetect check">'
"""Marks a page of check."""

AUTO, ALL, NONE = "auto", "all", "none"
"""Pictures whose degradations are predicted too: those whose verdict may flip, all, or none."""

USUAL_PREVALENCE = 0.05
"""The default for the share of pictures that are AI-generated."""


@dataclass(frozen=True)
class CheckRequest:
    """The pictures to check, and the options.

    Attributes:
        pictures: files, and folders with their subfolders.
        csv: also write a row for each picture to this file; a stopped run can continue.
        html: also write a page with thumbnails of the pictures.
        as_json: print JSON lines instead of text.
        details: print the models' measured accuracy, and all findings about each origin.
        all_models: use every trained model, not only the chosen one.
        stability: the verdicts to test with STABILITY_DEGRADATIONS: AUTO, ALL or NONE.
        heat_map: draw a heat map of each picture.
        shard: the part of the pictures to check.
        prevalence: the assumed share of pictures that are AI-generated.
        missing: the number of names that were skipped because they cannot be used.
    """

    pictures: Sequence[Path] = ()
    csv: Path | None = None
    html: Path | None = None
    as_json: bool = False
    details: bool = False
    all_models: bool = False
    stability: str = AUTO
    heat_map: bool = False
    shard: Shard = field(default_factory=Shard)
    prevalence: float = USUAL_PREVALENCE
    missing: int = 0


def parse_prevalence(text: str | None) -> float:
    """Parse a share of pictures that are AI-generated, such as '0.05'; None means USUAL_PREVALENCE.

    Raises:
        UserError: it is not a number between 0 and 1.
    """
    if text is None:
        return USUAL_PREVALENCE
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    # Written so that NaN is refused too.
    if not 0 < share < 1:
        raise UserError(
            f"--prevalence {text} is not a share of pictures. Give a number between 0 and 1: 0.05 for 5 %."
        )
    return share


def list_requested(request: CheckRequest, unreadable: list[str], skipped: Skipped) -> Iterator[Path]:
    """Yield the pictures of the request's shard.

    Args:
        unreadable: gets a message for each folder that cannot be read.
        skipped: counts files that are not pictures.
    """
    found = stream_images(request.pictures, unreadable.append, skipped)
    return itertools.islice(found, request.shard.number - 1, None, request.shard.count)


@dataclass
class Listing:
    """The result of a first pass through a request's pictures.

    Attributes:
        total: the number of distinct names.
        other_names: the further names of files that have several, by their first name.
        first_names: the first name, by each further name.
        repeated: names that are listed more than once.
    """

    total: int = 0
    other_names: dict[Path, list[Path]] = field(default_factory=dict)
    first_names: dict[Path, Path] = field(default_factory=dict)
    repeated: set[Path] = field(default_factory=set)

    def names_of(self, path: Path) -> Sequence[Path]:
        """Return all names of a file, given its first name."""
        return [path, *self.other_names.get(path, ())]

    def without_repeats(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield each path once."""
        yielded: set[Path] = set()
        for path in paths:
            if path not in yielded:
                yield path
            if path in self.repeated:
                yielded.add(path)


def count_pictures(request: CheckRequest) -> Listing:
    """Count the pictures of the request's shard, and find files that have several names through links."""
    listing = Listing()
    first_by_file: dict[str, Path] = {}
    for path in list_requested(request, [], Skipped()):
        first = first_by_file.setdefault(os.path.realpath(path), path)
        # setdefault() returns the same object if the file is new.
        if first is not path:
            if path == first or path in listing.first_names:
                listing.repeated.add(path)
                continue
            listing.other_names.setdefault(first, []).append(path)
            listing.first_names[path] = first
        listing.total += 1
    return listing


def warn_about_unreadable(console: Console, unreadable: Sequence[str], skipped: Skipped) -> None:
    """Warn about folders that cannot be read, and note the files that are not pictures."""
    for line in unreadable:
        console.warn(line)
    if line := str(skipped):
        console.note(line[:1].upper() + line[1:])


def companion_file(csv: Path) -> Path:
    """Return the path of the text next to a CSV that explains how far to trust its verdicts."""
    return csv.with_name(f"{csv.stem}_about.txt")


def check_targets(request: CheckRequest) -> None:
    """Check that the result files replace nothing else.

    Raises:
        UserError: a file is a folder, exists and was not written by check, or both are the same file.
    """
    if request.csv:
        _check_target(request.csv, "results.csv", "result file", _has_results)
        companion_start = COMPANION_START.encode()
        companion = companion_file(request.csv)
        _check_target(companion, companion.name, "text", lambda found: found.startswith(companion_start))
    if request.html:
        mark = PAGE_MARK.encode()
        _check_target(request.html, "results.html", "page", lambda found: mark in found)
    if request.csv and request.html and request.csv.absolute() == request.html.absolute():
        raise UserError(f"--csv and --html name the same file, {request.csv}. Name two different files.")


def _check_target(file: Path, example: str, what: str, is_ours: Callable[[bytes], bool]) -> None:
    if file.is_dir():
        raise UserError(f"{file} is a folder. Name a file in it: {file / example}")
    try:
        check_regular(file)
        with file.open("rb") as opened:
            start = opened.read(300)
    except (FileNotFoundError, NotADirectoryError):
        # Its folder is created later, or the error is raised then.
        return
    except OSError as error:
        raise UserError(f"Cannot write {file}: {error.strerror}. Name another file.") from None
    if what == "result file" and not is_ours(start) and _is_resaved(start):
        raise UserError(
            f"{file} was saved by another program, such as a spreadsheet. Save it as CSV in UTF-8 with "
            "commas between the columns, or name another file."
        )
    if start and not is_ours(start):
        raise UserError(f"{file} already exists and is not a {what} of check. Name another file.")


def _header_of(start: bytes) -> str:
    """Return the first line of a file, as far as it was read."""
    # An even number of bytes, so that UTF-16 is not cut in the middle of a character.
    return re.split("[\r\n]", decode_utf(start[: len(start) // 2 * 2]))[0]


def _has_results(start: bytes) -> bool:
    """Whether a file begins with the names of our columns, also as a spreadsheet writes them."""
    return find_separator(_header_of(start), KEYS) is not None


def _is_resaved(start: bytes) -> bool:
    """Whether a file begins with the names of our columns, with separators that are ambiguous."""
    return set(KEYS) <= {name.strip(' "') for name in re.split("[,;\t]", _header_of(start))}
