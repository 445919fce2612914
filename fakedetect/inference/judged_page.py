"""The page of pictures that models have judged."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fakedetect.core.console import Console, printable
from fakedetect.core.evaluation_record import say_interval
from fakedetect.core.intervals import share_interval
from fakedetect.core.pool import map_images
from fakedetect.core.shards import parse_shard
from fakedetect.core.test_record import TestResults
from fakedetect.core.version import describe_version
from fakedetect.images.thumbnails import thumbnail_of
from fakedetect.images.views import Look, View, look_at, look_without_verifier
from fakedetect.inference.cards import Card
from fakedetect.inference.check_page import CheckPage, today
from fakedetect.inference.known import Known, explain_p_fake, remind, tell_base_rates
from fakedetect.inference.request import Request
from fakedetect.inference.resumable_csv import Records, Row
from fakedetect.inference.rows import Checked
from fakedetect.inference.tally import Tally, count_verdicts

NO_PROOF = (
    "A verdict is an estimate from the pixels, not proof: 'real' does not mean that a picture shows "
    "what happened, and 'fake' does not mean that it did not happen."
)

HEAT_MAP_SIDE = 720


def card_of(checked: Checked) -> Card:
    """The card of a picture that was just judged."""
    return Card(
        row=checked.row,
        origin=checked.origin,
        thumbnail=checked.thumbnail,
        heat_maps=tuple(thumbnail_of(figure, HEAT_MAP_SIDE) for figure in checked.heat_maps),
    )


def add_passed(
    page: CheckPage, records: Records | None, tally: Tally, workers: int, console: Console
) -> None:
    """Cards of the pictures whose rows in the CSV held still, with thumbnails that are made now; but not
    after a stop, for who has pressed Ctrl-C does not wait for them."""
    if records is None or not tally.passed:
        return
    if tally.stopped:
        for row in records.passed_rows():
            page.add(Card(row))
        return
    waiting: dict[Path, Row] = {}

    def looks() -> Iterator[Look]:
        for row in records.passed_rows():
            path = Path(row["path"])
            waiting[path] = row
            yield Look(path, (), with_origin=True, thumbnail=True)

    found = map_images(look_at, looks(), workers, look_without_verifier)
    for look, view in console.track(found, tally.passed, "page"):
        seen = (view.origin, view.thumbnail) if isinstance(view, View) else ()
        page.add(Card(waiting.pop(look.path), *seen))


def write_page(
    page: CheckPage, known: Sequence[Known], tally: Tally, wanted: Request, left_out: Sequence[str]
) -> None:
    """Put the page into its place.

    Args:
        left_out: folders that could not be read, in words.
    """
    names = ", ".join(printable(path) for path in wanted.pictures)
    share = f", share {parse_shard(wanted.shard)}" if wanted.shard else ""
    notes = [
        (f"{names}{share}; checked on {today()} by fakedetect {describe_version()}.", "soft"),
        *((printable(line), "warning") for line in left_out),
        (NO_PROOF, ""),
    ]
    if tally.stopped:
        done = tally.verdicts.total()
        notes.insert(0, (f"The check was stopped: {done:,} of {tally.total:,} pictures.", "warning"))
    page.write(
        count_verdicts(tally),
        notes,
        known=known,
        prevalence=wanted.prevalence,
        explain_p_fake=explain_p_fake,
        remind=remind,
        say_accuracy=_say_accuracy,
        tell_base_rates=tell_base_rates,
    )


def _say_accuracy(test: TestResults) -> str:
    low, high = share_interval(round(test.accuracy * test.count), test.count)
    return say_interval(test.accuracy, low, high, ".1%")
