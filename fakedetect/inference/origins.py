"""What picture files say of themselves, which needs no model."""

import json
from pathlib import Path

from fakedetect.core.console import Console, Outcome, plural, printable
from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file
from fakedetect.core.pool import map_images
from fakedetect.images.listing import Skipped
from fakedetect.images.provenance import read_provenance
from fakedetect.images.reading import explain_fault, format_of, open_checked
from fakedetect.inference.request import Request, count_pictures, list_pictures


def read_origin(path: Path) -> dict[str, str]:
    """The columns of a check's row that need no model; of an unreadable file, the reason.

    Never raises for a file's content.
    """
    row = {"path": str(path), "verdict": ""}
    try:
        with open_checked(path) as image:
            return {
                **row,
                "sha256": hash_file(path),
                "size": f"{image.width}x{image.height}",
                "format": format_of(image),
                "provenance": "; ".join(read_provenance(image, path)),
            }
    except Exception as error:
        return {**row, "reason": explain_fault(error, path)}


def _line(row: dict[str, str]) -> str:
    name = printable(row["path"].replace("\n", "\\n"))
    if reason := row.get("reason"):
        return f"{'-':<17}  {name}  [{reason}]"
    said = row["provenance"] or "says nothing of its origin"
    return f"{row['format']:<6}{row['size']:>11}  {name}  [{said}]"


def tell_origins(wanted: Request, workers: int, console: Console) -> Outcome:
    """Show a line, or a JSON line, of each picture of the request; the status is 2: no verdict was given.

    Raises:
        UserError: there are no pictures.
    """
    if wanted.csv:
        console.warn(f"{wanted.csv} is not written: there are no verdicts for it.")
    passed_over: list[str] = []
    skipped = Skipped()
    count = 0
    total = count_pictures(wanted)
    found = map_images(read_origin, list_pictures(wanted, passed_over, skipped), workers)
    for path, row in console.track(found, total, "origin") if total > 1 else found:
        if isinstance(row, str):
            row = {"path": str(path), "verdict": "", "reason": row}
        count += 1
        shown = json.dumps({**row, "verdict": None}) if wanted.as_json else _line(row)
        console.show(shown, whole=wanted.as_json)
    for line in (*passed_over, str(skipped)):
        if line:
            console.warn(line[:1].upper() + line[1:])
    if not count:
        raise UserError("No pictures there. Name a picture, or a folder that holds some.")
    text = f"{plural(count, 'picture')}: what the files say of themselves. Saying nothing proves nothing."
    if wanted.as_json:
        console.note(text)
        text = ""
    return Outcome(text, 2)
