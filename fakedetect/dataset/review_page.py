"""The review page: pictures with doubtful labels; the user's decisions are saved as review.csv."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file
from fakedetect.core.processes.pool import map_images
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.templates import link_from, without_home, write_page
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.dataset.review import (
    KEEP,
    MOVE,
    REMOVE,
    REVIEW_COLUMNS,
    as_row,
    read_decisions,
    review_file,
)
from fakedetect.dataset.samples import find_originals, name_pictures
from fakedetect.images.copies import load_thumbnail
from fakedetect.images.faults import explain_fault

MOST_PAGE_PICTURES = 2000
"""More pictures would make the page larger than about 20 MB."""


@dataclass(frozen=True)
class DoubtfulPicture:
    """A picture with a doubtful label, a copy or an original of 'train' or 'test', and the p_fake that
    contradicts the label."""

    path: Path
    part: str
    p_fake: float


@dataclass(frozen=True)
class ReviewChoice:
    """A decision, its key on the page and its description."""

    decision: str
    key: str
    description: str


CHOICES = (
    ReviewChoice(KEEP, "c", "correct"),
    ReviewChoice(MOVE, "w", "wrong label"),
    ReviewChoice(REMOVE, "r", "remove"),
)


@dataclass(frozen=True)
class ReviewCard:
    """A picture on the page: its label and the decision of an earlier review ('' for none). `row` is its
    line in review.csv up to the decision."""

    name: str
    folder: str
    link: str
    label: str
    p_fake: float
    decision: str
    row: bytes
    thumbnail: bytes


def write_review_page(
    settings: Settings, console: Console, file: Path, title: str, doubtful: Sequence[DoubtfulPicture]
) -> str:
    """Write a page with at most MOST_PAGE_PICTURES pictures.

    Returns:
        How to use the page, in one line.

    Raises:
        UserError: a picture is in no folder of paths.toml, or the page cannot be written.
    """
    shown = doubtful[:MOST_PAGE_PICTURES]
    notes = [
        "Decide on each picture and save. Then read the downloaded review.csv into the program: menu entry "
        "5.5, or the command review. From then on, training and tests leave out removed pictures, and "
        "pictures with a wrong label count for the other class. No file is moved."
    ]
    if len(shown) < len(doubtful):
        notes.append(f"These are the first {len(shown):,} of {plural(len(doubtful), 'picture')}.")
    write_page(
        file,
        "review.html",
        "review.js",
        title=f"{title} - fakedetect",
        heading=title,
        notes=notes,
        choices=CHOICES,
        head=codecs.BOM_UTF8 + as_row(*REVIEW_COLUMNS).encode("ascii"),
        cards=_make_cards(settings, console, file, shown),
    )
    take = settings.command("review")
    return f"What to do: open {printable(file)} in a browser, decide, save review.csv, then: {take}"


def _make_cards(
    settings: Settings, console: Console, page: Path, doubtful: Sequence[DoubtfulPicture]
) -> list[ReviewCard]:
    names, originals = _locate(settings, doubtful)
    earlier = read_decisions(settings, review_file(settings)) or {}
    found = map_images(_load_for_page, list(dict.fromkeys(originals)), settings.workers)
    looks = dict(console.track(found, len(set(originals)), "review page"))
    cards = []
    for each, name, original in zip(doubtful, names, originals, strict=True):
        label, _, inside = name.partition("/")
        look = looks[original]
        thumbnail, sha256 = (b"", "") if isinstance(look, str) else look
        folder = f"{each.part}-{label}"
        decided = earlier.get(settings.original[folder] / inside)
        row = as_row(folder, inside, sha256, "").removesuffix("\r\n")
        cards.append(
            ReviewCard(
                name=printable(original.name),
                folder=without_home(printable(original.parent)),
                link=link_from(page, original),
                label=label,
                p_fake=each.p_fake,
                decision=decided.decision if decided and decided.sha256 in ("", sha256) else "",
                row=row.encode("utf-8", "surrogateescape"),
                thumbnail=thumbnail,
            )
        )
    return cards


def _locate(settings: Settings, doubtful: Sequence[DoubtfulPicture]) -> tuple[list[str], list[Path]]:
    """Return for each picture 'class/path', and the original if it exists, else the picture itself."""
    names, originals = dict[Path, str](), dict[Path, Path]()
    for part in ("train", "test"):
        paths = [each.path for each in doubtful if each.part == part]
        found = find_originals(settings, part, paths)
        originals.update(zip(paths, found, strict=True))
        names.update(zip(paths, name_pictures(settings, part, found), strict=True))
    for each in doubtful:
        if names[each.path].partition("/")[0] not in CLASSES:
            raise UserError(
                f"{printable(each.path)} is in no folder of {settings.file}. Test again: "
                + settings.command("test", "--on", each.part)
            )
    return [names[each.path] for each in doubtful], [originals[each.path] for each in doubtful]


def _load_for_page(path: Path) -> tuple[bytes, str] | str:
    """Return a picture's thumbnail and the hash of its file, or the reason why it cannot be used."""
    try:
        return load_thumbnail(path), hash_file(path)
    except Exception as error:
        return explain_fault(error, path)
