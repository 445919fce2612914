"""What picture files say of themselves, which needs no model."""

import json
from contextlib import closing, nullcontext
from dataclasses import asdict

from fakedetect.core.console import Console, Outcome, plural, printable
from fakedetect.core.errors import UserError
from fakedetect.core.pool import map_images
from fakedetect.images.listing import Skipped
from fakedetect.images.views import Look, View, look_at, look_without_verifier
from fakedetect.inference.cards import Card
from fakedetect.inference.check_page import CheckPage, tell_page, today
from fakedetect.inference.request import Request, count_pictures, list_pictures, tell_passed_over

NO_MODEL = (
    "No model has checked these pictures: the page shows only what their files say about their "
    "origin, which anybody can write and remove. Finding nothing proves nothing."
)


def _row(look: Look, view: View | str) -> dict[str, str]:
    """The columns of a check's row that need no model; of an unreadable file, the reason."""
    row = {"path": str(look.path), "verdict": ""}
    if isinstance(view, str):
        return {**row, "reason": view}
    return {
        **row,
        "sha256": view.sha256,
        "size": f"{view.width}x{view.height}",
        "format": view.format,
        "provenance": "; ".join(view.provenance),
    }


def _line(row: dict[str, str]) -> str:
    name = printable(row["path"])
    if reason := row.get("reason"):
        return f"{'-':<17}  {name}  [{reason}]"
    said = row["provenance"] or "no information about its origin"
    return f"{row['format']:<6}{row['size']:>11}  {name}  [{said}]"


def _as_json(row: dict[str, str], view: View | str) -> str:
    origin = [] if isinstance(view, str) else [asdict(finding) for finding in view.origin]
    return json.dumps({**row, "verdict": None, "origin": origin})


def tell_origins(wanted: Request, workers: int, console: Console) -> Outcome:
    """Show a line, or a JSON line, of each picture of the request; the status is 2: no verdict was given.

    Raises:
        UserError: there are no pictures, or the page cannot be written.
    """
    if wanted.csv:
        console.warn(f"{wanted.csv} was not written: there are no verdicts.")
    with closing(CheckPage(wanted.html)) if wanted.html else nullcontext() as page:
        count = _show(wanted, workers, console, page)
        if not count:
            raise UserError("No pictures found. Give a picture or a folder that contains some.")
        text = (
            f"{plural(count, 'picture')}: only what the files say about their origin. Finding nothing "
            "proves nothing."
        )
        if page:
            page.write(
                plural(count, "picture"),
                [(NO_MODEL, "warning"), (f"Checked on {today()}.", "soft")],
            )
            text = f"{text}\n{tell_page(page.file, console)}"
    if wanted.as_json:
        console.note(text)
        text = ""
    return Outcome(text, 2)


def _show(wanted: Request, workers: int, console: Console, page: CheckPage | None) -> int:
    """Show each picture, and put it onto the page; how many there are."""
    passed_over: list[str] = []
    skipped = Skipped()
    count = 0
    total = count_pictures(wanted)
    paths = list_pictures(wanted, passed_over, skipped)
    looks = (Look(path, (), with_origin=True, thumbnail=page is not None) for path in paths)
    found = map_images(look_at, looks, workers, look_without_verifier)
    for look, view in console.track(found, total, "origin") if total > 1 else found:
        row = _row(look, view)
        count += 1
        if page:
            seen = (view.origin, view.thumbnail) if isinstance(view, View) else ()
            page.add(Card(row, *seen))
        shown = _as_json(row, view) if wanted.as_json else _line(row)
        console.show(shown, whole=wanted.as_json)
    tell_passed_over(console, passed_over, skipped)
    return count
