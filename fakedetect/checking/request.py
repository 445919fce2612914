"""What a user wants checked, and how; the pictures that this names."""

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
from fakedetect.core.records.cells import decode_text, find_separator
from fakedetect.core.terminal.console import Console
from fakedetect.images.listing import Skipped, stream_images

COMPANION_MARK = "fakedetect check: "
"""Stands at the beginning of every text beside a CSV."""

PAGE_MARK = '<meta name="generator" content="fakedetect check">'
"""Stands at the beginning of every page of check."""

AUTO, ALL, NONE = "auto", "all", "none"
"""Of which pictures changed views are judged too: of those whose verdict they may turn, all or none."""

USUAL_PREVALENCE = 0.05
"""The share of pictures that is assumed to be AI-generated unless said."""


@dataclass(frozen=True)
class Request:
    """What is to be checked, and how.

    Attributes:
        pictures: files and folders; folders are read with all that lies below.
        csv: also write a row for each picture into this file; a stopped run goes on where it was.
        html: also write a page with the pictures' thumbnails.
        as_json: print JSON lines instead.
        details: print what the models are known to do, and all of each origin.
        all_models: ask every trained model; the chosen one otherwise.
        stability: which answers have to survive STABILITY: AUTO, ALL or NONE.
        heat_map: draw a heat map of each picture.
        shard: the share of the pictures to check.
        prevalence: the share of such pictures that is assumed to be AI-generated.
        missing: how many names were passed over, for nothing is there that can be used.
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
    """'0.05' as the share of pictures that are AI-generated; None is the usual one.

    Raises:
        UserError: it is no such share.
    """
    if text is None:
        return USUAL_PREVALENCE
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    # Not a number is not between the two either.
    if not 0 < share < 1:
        raise UserError(
            f"--prevalence {text} is not a share of pictures. Give a number between 0 and 1: 0.05 for 5 %."
        )
    return share


def list_pictures(request: Request, passed_over: list[str], skipped: Skipped) -> Iterator[Path]:
    """The pictures of the request's share; folders that cannot be read are told in `passed_over`, what is
    no picture is counted."""
    found = stream_images(request.pictures, passed_over.append, skipped)
    return itertools.islice(found, request.shard.number - 1, None, request.shard.count)


@dataclass
class Listing:
    """What a first walk through a request's pictures has found.

    Attributes:
        total: how many names they have.
        further: the further names of files that have several, by the first one.
        first: the first name, by each of the further ones.
        repeated: names that come more than once.
    """

    total: int = 0
    further: dict[Path, list[Path]] = field(default_factory=dict)
    first: dict[Path, Path] = field(default_factory=dict)
    repeated: set[Path] = field(default_factory=set)

    def names_of(self, path: Path) -> Sequence[Path]:
        """All names of a file, by the first one."""
        return [path, *self.further.get(path, ())]

    def each_once(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Paths without their repetitions."""
        met: set[Path] = set()
        for path in paths:
            if path not in met:
                yield path
            if path in self.repeated:
                met.add(path)


def survey_pictures(request: Request) -> Listing:
    """Count the pictures of the request's share, and find those that links name once more."""
    listing = Listing()
    seen: dict[str, Path] = {}
    for path in list_pictures(request, [], Skipped()):
        first = seen.setdefault(os.path.realpath(path), path)
        # The very same object where it was not there yet.
        if first is not path:
            if path == first or path in listing.first:
                listing.repeated.add(path)
                continue
            listing.further.setdefault(first, []).append(path)
            listing.first[path] = first
        listing.total += 1
    return listing


def warn_about_passed_over(console: Console, passed_over: Sequence[str], skipped: Skipped) -> None:
    """Say which folders could not be read, and how many files are no pictures."""
    for line in passed_over:
        console.warn(line)
    if line := str(skipped):
        console.note(line[:1].upper() + line[1:])


def companion_of(csv: Path) -> Path:
    """The text beside a CSV that says how far to trust what is in it."""
    return csv.with_name(f"{csv.stem}_about.txt")


def check_targets(request: Request) -> None:
    """Refuse files that would replace something else.

    Raises:
        UserError: one is a folder, or is there and was not written by check, or both are the same.
    """
    if request.csv:
        _check_target(request.csv, "results.csv", "result file", _has_results)
        mark_beside = COMPANION_MARK.encode()
        beside = companion_of(request.csv)
        _check_target(beside, beside.name, "text", lambda found: found.startswith(mark_beside))
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
        # Its folder is made later, or that fails and says why.
        return
    except OSError as error:
        raise UserError(f"Cannot write {file}: {error.strerror}. Name another file.") from None
    if what == "result file" and not is_ours(start) and _is_resaved(start):
        raise UserError(
            f"{file} was saved by another program, a spreadsheet say. Save it as CSV in UTF-8 with commas "
            "between the columns, or name another file."
        )
    if start and not is_ours(start):
        raise UserError(f"{file} already exists and is not a {what} of check. Name another file.")


def _header_of(start: bytes) -> str:
    """The first line of a file, or what was read of it."""
    # Half a letter may stand at the end.
    return re.split("[\r\n]", decode_text(start[: len(start) // 2 * 2]))[0]


def _has_results(start: bytes) -> bool:
    """Whether a file begins with the names of our columns, as a spreadsheet may have written them too."""
    return find_separator(_header_of(start), KEYS) is not None


def _is_resaved(start: bytes) -> bool:
    """Whether a file begins with the names of our columns, but what separates them may be part of them."""
    return set(KEYS) <= {name.strip(' "') for name in re.split("[,;\t]", _header_of(start))}
