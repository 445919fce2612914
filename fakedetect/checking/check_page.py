"""The page of a check: cards on their way into it, one after the other, and the page around them."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fakedetect.checking.judged import Judged
from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write
from fakedetect.core.templates import load_template
from fakedetect.core.terminal.console import Console, open_picture, printable

UNREADABLE, UNJUDGED = "unreadable", "none"
"""What stands in for a verdict: the file cannot be read; there is no model."""

STATES = {
    "fake": "fake",
    "unsure": "unsure",
    "real": "real",
    UNREADABLE: "cannot be read",
    UNJUDGED: "no verdict",
}
"""The verdicts and what stands in for them, in words and in the order of the page."""

NO_ORIGIN, SOME_ORIGIN = "says nothing", "says something"
"""What stands in for the kinds of findings: there are none; they are known in words only."""


@dataclass(frozen=True)
class Card:
    """What a page shows of a picture.

    Attributes:
        judged: it.
        heat_maps: figures as WebP files.
    """

    judged: Judged
    heat_maps: tuple[bytes, ...] = ()

    @property
    def state(self) -> str:
        """A key of STATES."""
        return UNREADABLE if self.judged.reason else self.judged.verdict or UNJUDGED

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its findings, each once; NO_ORIGIN without any, none of a file that was not read."""
        if self.state == UNREADABLE:
            return ()
        if not self.judged.origin and self.judged.provenance:
            return (SOME_ORIGIN,)
        return tuple(dict.fromkeys(finding.kind for finding in self.judged.origin)) or (NO_ORIGIN,)

    @property
    def name(self) -> str:
        """The file's name, as it may be shown."""
        return printable(self.judged.path.name)

    @property
    def folder(self) -> str:
        """The folder that it lies in, as it may be shown."""
        return printable(self.judged.path.parent)

    @property
    def remarks(self) -> Sequence[str]:
        """Why it has no verdict, what each model said, whether the answer is stable."""
        judged = self.judged
        lines = [judged.reason] if judged.reason else []
        if judged.answers:
            lines.append("; ".join(f"{each.model} {100 * each.p_fake:.1f} %" for each in judged.answers))
        if judged.stability:
            lines.append(f"not stable: {judged.stability}" if judged.unstable else "stable")
        if not judged.origin and judged.provenance:
            lines.append(f"origin: {'; '.join(judged.provenance)}")
        return lines


@dataclass(frozen=True, order=True)
class _Place:
    """Where a card lies among the others and in the file beside."""

    folder: str
    name: str
    start: int
    length: int


class CheckPage:
    """Cards wait in a file without a name beside the page's own, so that memory holds none of them.

    Args:
        file: the page.
        hints: verdicts are hints only.
    """

    def __init__(self, file: Path, hints: bool = False):
        self.file, self.hints = file, hints
        self.places: list[_Place] = []
        self.folders: dict[str, int] = {}
        self.states: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.of_folder: Counter[str] = Counter()
        self.beside = _open_beside(file)

    def add(self, card: Card) -> None:
        """A picture more.

        Raises:
            UserError: the disk is full.
        """
        folder = self.folders.setdefault(card.folder, len(self.folders))
        drawn = load_template("card.html").render(
            card=card, folder=folder, is_hint=self.hints, STATES=STATES
        )
        text = drawn.encode("utf-8", "replace")
        self.places.append(
            _Place(folder=card.folder, name=card.name, start=self.beside.tell(), length=len(text))
        )
        self.states[card.state] += 1
        self.of_folder[card.folder] += 1
        self.kinds.update(card.kinds)
        try:
            self.beside.write(text)
        except OSError as error:
            raise _cannot_write(self.file, error) from None

    def write(self, heading: str, notes: Sequence[tuple[str, str]], **models: object) -> None:
        """Put the page into its place, whole or not at all.

        Args:
            heading: what was checked, in a line.
            notes: paragraphs above the pictures, and the kind of each: '', 'soft' or 'warning'.
            models: what the template says of the models that judged; nothing where there are none.

        Raises:
            UserError: the folder cannot be written to, or the disk is full.
        """
        script = load_template("check.js").render()
        kinds = sorted(self.kinds.items(), key=lambda item: (item[0] == NO_ORIGIN, -item[1]))
        parts = load_template("check.html").generate(
            title=f"{heading} - fakedetect",
            heading=heading,
            notes=notes,
            script_sha256=hashlib.sha256(script.encode("utf-8")).digest(),
            STATES=STATES,
            states=self.states,
            origins=[(kind.replace(" ", "-"), f"{kind} ({count:,})") for kind, count in kinds],
            folders=[
                (number, f"{name} ({self.of_folder[name]:,})")
                for name, number in sorted(self.folders.items())
            ],
            is_hint=self.hints,
            cards=self._cards(),
            **models,
        )
        with atomic_write(self.file) as page:
            for part in parts:
                page.write(part.encode("utf-8", "replace"))

    def close(self) -> None:
        """Let the cards go."""
        self.beside.close()

    def _cards(self) -> Iterator[str]:
        for place in sorted(self.places):
            self.beside.seek(place.start)
            yield self.beside.read(place.length).decode("utf-8")


def today() -> str:
    """The date, as pages bear it."""
    return datetime.now(UTC).date().isoformat()


def tell_page(file: Path, console: Console) -> str:
    """Where the page is; on a desktop a user who waits sees it at once."""
    opened = console.interactive and not console.quiet and open_picture(file)
    return f"Page: {printable(file)}{'' if opened else ' (open it with a browser)'}"


def _open_beside(file: Path) -> BinaryIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=file.parent)
    except OSError as error:
        raise _cannot_write(file, error) from None


def _cannot_write(file: Path, error: OSError) -> UserError:
    return UserError(f"Cannot write {file}: {error.strerror}. Check the disk and the permissions.")
