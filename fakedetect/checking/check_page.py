"""The page of a check: cards on their way into it, one after the other, and the page around them."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fakedetect.checking.checker import read_origins
from fakedetect.checking.judged import Counts, Judged
from fakedetect.checking.known import Known
from fakedetect.checking.lines import describe_remarks
from fakedetect.checking.request import Request
from fakedetect.checking.results_csv import ResultsCsv
from fakedetect.checking.trust import describe_base_rates, describe_reminders, explain_p_fake
from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import Measure
from fakedetect.core.records.test import TestResults
from fakedetect.core.templates import link_from, load_template, without_home, write_page
from fakedetect.core.terminal.console import Console, can_show, open_picture, plural, printable
from fakedetect.core.version import describe_version
from fakedetect.images.thumbnails import thumbnail_of
from fakedetect.metrics.intervals import measure_share

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

NO_PROOF = (
    "A verdict is an estimate from the pixels, not proof: 'real' does not mean that a picture shows "
    "what happened, and 'fake' does not mean that it did not happen."
)

NO_MODEL = (
    "No model has checked these pictures: the page shows only what their files say about their "
    "origin, which anybody can write and remove. Finding nothing proves nothing."
)

HEAT_MAP_SIDE = 720


@dataclass(frozen=True)
class Card:
    """What a page shows of a picture.

    Attributes:
        judged: it.
        page: the page's file.
        heat_maps: figures as WebP files.
    """

    judged: Judged
    page: Path
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
        return without_home(printable(self.judged.path.parent))

    @property
    def link(self) -> str:
        """The address of the file as seen from the page; '' where it would name the user's home."""
        return link_from(self.page, self.judged.path)

    @property
    def is_proven(self) -> bool:
        """Whether the verdict is by a proven origin, whatever the models say."""
        return self.judged.claim is not None and self.judged.claim.is_proven

    @property
    def remarks(self) -> Sequence[str]:
        """Why it has no verdict, what each model said, whether the answer is stable, the origin in a
        clause."""
        stable = ["stable"] if self.judged.stability and not self.judged.unstable else []
        known_in_words = [] if self.judged.origin else self.judged.provenance
        return [*describe_remarks(self.judged), *stable, *known_in_words]


@dataclass(frozen=True, order=True)
class _Place:
    """Where a card lies among the others and in the file beside, and what it counts for."""

    folder: str
    name: str
    start: int
    length: int
    state: str
    kinds: tuple[str, ...]


@dataclass
class CheckPage:
    """A page under way: cards wait in a file without a name beside it, so that memory holds none of them.

    Attributes:
        file: the page.
        left_out: folders that could not be read, in words.
        workers: how many processes read pictures.
        known: the models; none where the files alone have been read.
        results: where rows of pictures are that were not judged again.
        folders: the cards' folders and their numbers.
    """

    file: Path
    wanted: Request
    console: Console
    workers: int
    left_out: Sequence[str]
    known: Sequence[Known] = ()
    results: ResultsCsv | None = None
    places: list[_Place] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_hint = bool(self.known) and all(each.is_weak for each in self.known)
        self.beside = _open_beside(self.file)

    def add(self, judged: Judged) -> None:
        """The card of a picture that was just judged.

        Raises:
            UserError: the disk is full.
        """
        heat_maps = tuple(thumbnail_of(figure, HEAT_MAP_SIDE) for figure in judged.heat_maps)
        self._add(Card(judged, self.file, heat_maps))

    def _add(self, card: Card) -> None:
        folder = self.folders.setdefault(card.folder, len(self.folders))
        drawn = load_template("card.html").render(
            card=card, folder=folder, is_hint=self.is_hint, STATES=STATES
        )
        text = drawn.encode("utf-8", "replace")
        place = _Place(
            folder=card.folder,
            name=card.name,
            start=self.beside.tell(),
            length=len(text),
            state=card.state,
            kinds=card.kinds,
        )
        self.places.append(place)
        try:
            self.beside.write(text)
        except OSError as error:
            raise _cannot_write(self.file, error) from None

    def finish(self, counts: Counts) -> list[str]:
        """Put the page into its place, whole or not at all; on a desktop a user who waits sees it at once.

        Raises:
            UserError: the folder cannot be written to, or the disk is full.
        """
        for judged in self._passed(counts):
            self._add(Card(judged, self.file))
        if self.known:
            self._write(
                counts.describe_verdicts(),
                self._notes(counts),
                accuracy_of=_accuracy_of,
                known=self.known,
                prevalence=self.wanted.prevalence,
                explain_p_fake=explain_p_fake,
                describe_reminders=describe_reminders,
                describe_base_rates=describe_base_rates,
            )
        else:
            notes = [(NO_MODEL, "warning"), (f"Checked on {_today()}.", "soft")]
            self._write(plural(counts.verdicts.total(), "picture"), notes)
        shown = can_show() and self.console.confirm(f"Open the page {self.file} now?")
        opened = shown and open_picture(self.file)
        return [f"Page: {printable(self.file)}{'' if opened else ' (open it with a browser)'}"]

    def _passed(self, counts: Counts) -> Iterator[Judged]:
        """The pictures whose rows in the CSV still hold, with thumbnails that are made now; but not after a
        stop, for who has pressed Ctrl-C does not wait for them."""
        if self.results is None or not counts.passed:
            return
        if counts.stopped:
            yield from self.results.passed_pictures()
            return
        waiting: dict[Path, Judged] = {}

        def paths() -> Iterator[Path]:
            for judged in self.results.passed_pictures() if self.results else ():
                waiting[judged.path] = judged
                yield judged.path

        found = read_origins(paths(), self.workers, thumbnails=True)
        for now in self.console.track(found, counts.passed, "page"):
            yield replace(waiting.pop(now.path), origin=now.origin, thumbnail=now.thumbnail)

    def _notes(self, counts: Counts) -> list[tuple[str, str]]:
        names = ", ".join(without_home(printable(path)) for path in self.wanted.pictures)
        share = f", share {self.wanted.shard}" if self.wanted.shard.count > 1 else ""
        notes = [
            (f"{names}{share}; checked on {_today()} by fakedetect {describe_version()}.", "soft"),
            *((without_home(printable(line)), "warning") for line in self.left_out),
            (NO_PROOF, ""),
        ]
        if counts.stopped:
            done = f"{counts.verdicts.total():,} of {counts.total:,} pictures"
            notes.insert(0, (f"The check was stopped: {done}.", "warning"))
        return notes

    def _write(self, heading: str, notes: Sequence[tuple[str, str]], **models: object) -> None:
        """The page.

        Args:
            heading: what was checked, in a line.
            notes: paragraphs above the pictures, and the kind of each: '', 'soft' or 'warning'.
            models: what the template says of the models that judged; nothing where there are none.
        """
        of_folder = Counter(place.folder for place in self.places)
        kinds = Counter(kind for place in self.places for kind in place.kinds)
        ordered = sorted(kinds.items(), key=lambda item: (item[0] == NO_ORIGIN, -item[1]))
        write_page(
            self.file,
            "check.html",
            "check.js",
            title=f"{heading} - fakedetect",
            heading=heading,
            notes=notes,
            STATES=STATES,
            states=Counter(place.state for place in self.places),
            origins=[(kind.replace(" ", "-"), f"{kind} ({count:,})") for kind, count in ordered],
            folders=[
                (number, f"{name} ({of_folder[name]:,})") for name, number in sorted(self.folders.items())
            ],
            is_hint=self.is_hint,
            cards=self._cards(),
            **models,
        )

    def close(self) -> None:
        """Let the cards go."""
        self.beside.close()

    def _cards(self) -> Iterator[str]:
        for place in sorted(self.places):
            self.beside.seek(place.start)
            yield self.beside.read(place.length).decode("utf-8")


def _accuracy_of(test: TestResults) -> Measure:
    return measure_share(round(test.accuracy * test.count), test.count)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _open_beside(file: Path) -> BinaryIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=file.parent)
    except OSError as error:
        raise _cannot_write(file, error) from None


def _cannot_write(file: Path, error: OSError) -> UserError:
    return UserError(f"Cannot write {file}: {error.strerror}. Check the disk and the permissions.")
