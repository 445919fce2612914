"""The page of a check, as a writer: cards of the pictures as they come, and what stands above them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fakedetect.checking.check_page import Card, CheckPage, tell_page, today
from fakedetect.checking.checker import read_origins
from fakedetect.checking.judged import Counts, Judged
from fakedetect.checking.known import Known, explain_p_fake, remind, tell_base_rates
from fakedetect.checking.look import thumbnail_of
from fakedetect.checking.request import Request
from fakedetect.checking.results_csv import ResultsCsv
from fakedetect.core.records.evaluation import Measure
from fakedetect.core.records.test import TestResults
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.core.version import describe_version
from fakedetect.metrics.intervals import measure_share

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
class Page:
    """Pictures on their way onto a page.

    Attributes:
        page: it, still without a head.
        known: the models; none where the files alone have been read.
        results: where rows of pictures are that were not judged again.
        left_out: folders that could not be read, in words.
        workers: how many processes read pictures.
    """

    page: CheckPage
    wanted: Request
    console: Console
    workers: int
    left_out: Sequence[str]
    known: Sequence[Known] = ()
    results: ResultsCsv | None = None

    def add(self, judged: Judged) -> None:
        """The card of a picture that was just judged."""
        heat_maps = (thumbnail_of(figure, HEAT_MAP_SIDE) for figure in judged.heat_maps)
        self.page.add(Card(judged, tuple(heat_maps)))

    def finish(self, counts: Counts) -> list[str]:
        """Put the page into its place."""
        for judged in self._passed(counts):
            self.page.add(Card(judged))
        if self.known:
            self.page.write(
                counts.describe_verdicts(),
                self._notes(counts),
                accuracy_of=_accuracy_of,
                known=self.known,
                prevalence=self.wanted.prevalence,
                explain_p_fake=explain_p_fake,
                remind=remind,
                tell_base_rates=tell_base_rates,
            )
        else:
            notes = [(NO_MODEL, "warning"), (f"Checked on {today()}.", "soft")]
            self.page.write(plural(counts.verdicts.total(), "picture"), notes)
        return [tell_page(self.page.file, self.console)]

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
        names = ", ".join(printable(path) for path in self.wanted.pictures)
        share = f", share {self.wanted.shard}" if self.wanted.shard.count > 1 else ""
        notes = [
            (f"{names}{share}; checked on {today()} by fakedetect {describe_version()}.", "soft"),
            *((printable(line), "warning") for line in self.left_out),
            (NO_PROOF, ""),
        ]
        if counts.stopped:
            done = f"{counts.verdicts.total():,} of {counts.total:,} pictures"
            notes.insert(0, (f"The check was stopped: {done}.", "warning"))
        return notes


def _accuracy_of(test: TestResults) -> Measure:
    return measure_share(round(test.accuracy * test.count), test.count)
