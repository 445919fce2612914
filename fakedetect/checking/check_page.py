"""The HTML page of a check: a card for each picture, and the page around the cards."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fakedetect.checking.checker import read_origins
from fakedetect.checking.error_rates import ModelMeasurements
from fakedetect.checking.judged import CheckCounts, Judged
from fakedetect.checking.lines import describe_remarks
from fakedetect.checking.request import CheckRequest
from fakedetect.checking.results_csv import ResultsCsv
from fakedetect.checking.trust import describe_base_rates, describe_chances, describe_limits, explain_p_fake
from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import Measure, TestResults
from fakedetect.core.templates import link_from, load_template, without_home, write_page
from fakedetect.core.terminal.console import Console, can_show, open_picture, plural, printable
from fakedetect.core.version import describe_version
from fakedetect.images.copies import load_thumbnail
from fakedetect.metrics.intervals import measure_share

UNREADABLE, NO_VERDICT = "unreadable", "none"
"""States of a card without a verdict: the file cannot be read; there is no model."""

STATES = {
    "fake": "fake",
    "unsure": "unsure",
    "real": "real",
    UNREADABLE: "cannot be read",
    NO_VERDICT: "no verdict",
}
"""The states of a card and their names on the page, in the order of the page."""

NO_ORIGIN, SOME_ORIGIN = "no information", "some information"
"""Kinds of origin for the filter if there are no findings, or if only their text is known."""

NO_PROOF = (
    "A verdict is an estimate from the pixels, not proof: 'real' does not mean that a picture shows "
    "what happened, and 'fake' does not mean that it did not happen."
)

NO_MODEL = (
    "No model has checked these pictures: the page shows only what their files say about their "
    "origin, which anybody can write and remove. Finding nothing proves nothing."
)

HEAT_MAP_SIDE = 720
"""Pixels of a heat map's longer side."""


@dataclass(frozen=True)
class Card:
    """A picture on the page.

    Attributes:
        judged: the checked picture.
        page: the page's file.
        heat_maps: figures as WebP files.
    """

    judged: Judged
    page: Path
    heat_maps: tuple[bytes, ...] = ()

    @property
    def state(self) -> str:
        """A key of STATES."""
        return UNREADABLE if self.judged.reason else self.judged.verdict or NO_VERDICT

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the findings, each once; NO_ORIGIN without findings, () for an unreadable file."""
        if self.state == UNREADABLE:
            return ()
        if not self.judged.origin and self.judged.provenance:
            return (SOME_ORIGIN,)
        return tuple(dict.fromkeys(finding.kind for finding in self.judged.origin)) or (NO_ORIGIN,)

    @property
    def name(self) -> str:
        """The file's name in printable characters."""
        return printable(self.judged.path.name)

    @property
    def folder(self) -> str:
        """The file's folder in printable characters, with ~ for the user's home."""
        return without_home(printable(self.judged.path.parent))

    @property
    def link(self) -> str:
        """The URL of the file relative to the page; '' if it would reveal the user's home."""
        return link_from(self.page, self.judged.path)

    @property
    def is_proven(self) -> bool:
        """Whether a proven origin has decided the verdict."""
        return self.judged.claim is not None and self.judged.claim.is_proven

    @property
    def remarks(self) -> Sequence[str]:
        """The reason for no verdict, each model's prediction, the stability, and the origin in a clause."""
        stable = ["stable"] if self.judged.stability and not self.judged.unstable else []
        texts = [] if self.judged.origin else self.judged.provenance
        return [*describe_remarks(self.judged), *stable, *texts]


@dataclass(frozen=True, order=True)
class _StoredCard:
    """A rendered card: its sort key, its bytes in the card file, and what the filters need to count it."""

    folder: str
    name: str
    start: int
    length: int
    state: str
    kinds: tuple[str, ...]


@dataclass
class CheckPage:
    """A page that is being built. Rendered cards wait in an unnamed file next to it, not in memory.

    Attributes:
        file: the page.
        workers: the number of processes that read pictures.
        unreadable: a message for each folder that cannot be read.
        models: the models; empty if only the files' origin was read.
        results: the CSV, which has the rows of unchanged pictures.
        stored: the cards in `card_file`.
        folders: the cards' folders and their numbers.
    """

    file: Path
    request: CheckRequest
    console: Console
    workers: int
    unreadable: Sequence[str]
    models: Sequence[ModelMeasurements] = ()
    results: ResultsCsv | None = None
    stored: list[_StoredCard] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_hint = bool(self.models) and all(each.is_weak for each in self.models)
        self.card_file = _open_card_file(self.file)

    def add(self, judged: Judged) -> None:
        """Add a card for a picture that was just checked.

        Raises:
            UserError: the disk is full.
        """
        heat_maps = tuple(load_thumbnail(figure, HEAT_MAP_SIDE) for figure in judged.heat_maps)
        self._add(Card(judged, self.file, heat_maps))

    def _add(self, card: Card) -> None:
        folder = self.folders.setdefault(card.folder, len(self.folders))
        drawn = load_template("card.html").render(
            card=card, folder=folder, is_hint=self.is_hint, STATES=STATES
        )
        text = drawn.encode("utf-8", "replace")
        stored = _StoredCard(
            folder=card.folder,
            name=card.name,
            start=self.card_file.tell(),
            length=len(text),
            state=card.state,
            kinds=card.kinds,
        )
        self.stored.append(stored)
        try:
            self.card_file.write(text)
        except OSError as error:
            raise _cannot_write(self.file, error) from None

    def finish(self, counts: CheckCounts) -> list[str]:
        """Write the page atomically and, on a desktop, offer to open it. Return lines for the user.

        Raises:
            UserError: the folder cannot be written to, or the disk is full.
        """
        for judged in self._read_unchanged(counts):
            self._add(Card(judged, self.file))
        if self.models:
            self._write(
                counts.describe_verdicts(),
                self._notes(counts),
                measure_accuracy=_measure_accuracy,
                models=self.models,
                prevalence=self.request.prevalence,
                explain_p_fake=explain_p_fake,
                describe_limits=describe_limits,
                describe_base_rates=describe_base_rates,
            )
        else:
            notes = [(NO_MODEL, "warning"), (f"Checked on {_today()}.", "soft")]
            self._write(plural(counts.verdicts.total(), "picture"), notes)
        confirmed = can_show() and self.console.confirm(f"Open the page {self.file} now?")
        opened = confirmed and open_picture(self.file)
        return [f"Page: {printable(self.file)}{'' if opened else ' (open it with a browser)'}"]

    def _read_unchanged(self, counts: CheckCounts) -> Iterator[Judged]:
        """Yield the pictures whose rows in the CSV are still valid, with new thumbnails.

        After a stop there are no thumbnails: a user who has pressed Ctrl-C does not wait for them.
        """
        if self.results is None or not counts.unchanged:
            return
        if counts.stopped:
            yield from self.results.read_unchanged()
            return
        unchanged: dict[Path, Judged] = {}

        def paths() -> Iterator[Path]:
            for judged in self.results.read_unchanged() if self.results else ():
                unchanged[judged.path] = judged
                yield judged.path

        found = read_origins(paths(), self.workers, thumbnails=True)
        for read in self.console.track(found, counts.unchanged, "page"):
            yield replace(unchanged.pop(read.path), origin=read.origin, thumbnail=read.thumbnail)

    def _notes(self, counts: CheckCounts) -> list[tuple[str, str]]:
        names = ", ".join(without_home(printable(path)) for path in self.request.pictures)
        share = f", share {self.request.shard}" if self.request.shard.count > 1 else ""
        by_models = [verdict for verdict in counts.verdicts if counts.model_verdicts[verdict]]
        chances = describe_chances(self.models, self.request.prevalence, by_models)
        notes = [
            (f"{names}{share}; checked on {_today()} by fakedetect {describe_version()}.", "soft"),
            *((without_home(printable(line)), "warning") for line in self.unreadable),
            (NO_PROOF, ""),
            *((f"{without_home(line)}.", "") for line in chances),
        ]
        if counts.stopped:
            done = f"{counts.verdicts.total():,} of {counts.total:,} pictures"
            notes.insert(0, (f"The check was stopped: {done}.", "warning"))
        return notes

    def _write(self, heading: str, notes: Sequence[tuple[str, str]], **model_values: object) -> None:
        """Write the page.

        Args:
            heading: what was checked, in a line.
            notes: paragraphs above the pictures, and the kind of each: '', 'soft' or 'warning'.
            model_values: the template's values for its section on the models; none without models.
        """
        folder_counts = Counter(card.folder for card in self.stored)
        kinds = Counter(kind for card in self.stored for kind in card.kinds)
        ordered = sorted(kinds.items(), key=lambda item: (item[0] == NO_ORIGIN, -item[1]))
        write_page(
            self.file,
            "check.html",
            "check.js",
            title=f"{heading} - fakedetect",
            heading=heading,
            notes=notes,
            STATES=STATES,
            states=Counter(card.state for card in self.stored),
            origins=[(kind.replace(" ", "-"), f"{kind} ({count:,})") for kind, count in ordered],
            folders=[
                (number, f"{name} ({folder_counts[name]:,})")
                for name, number in sorted(self.folders.items())
            ],
            is_hint=self.is_hint,
            cards=self._read_cards(),
            **model_values,
        )

    def close(self) -> None:
        """Delete the card file."""
        self.card_file.close()

    def _read_cards(self) -> Iterator[str]:
        for card in sorted(self.stored):
            self.card_file.seek(card.start)
            yield self.card_file.read(card.length).decode("utf-8")


def _measure_accuracy(test: TestResults) -> Measure:
    return measure_share(round(test.accuracy * test.count), test.count)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _open_card_file(file: Path) -> BinaryIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=file.parent)
    except OSError as error:
        raise _cannot_write(file, error) from None


def _cannot_write(file: Path, error: OSError) -> UserError:
    return UserError(f"Cannot write {file}: {error.strerror}. Check the disk and the permissions.")
