"""The list of bad images, which several options ask."""

import csv
import io
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.settings import Settings


def reasons_file(settings: Settings) -> Path:
    """The .csv with the reasons beside the list."""
    return settings.bad_images.with_suffix(".csv")


def _as_line(path: Path) -> str:
    """A path as a line of the list; the table beside it has the true name of one that holds line ends."""
    return str(path).replace("\n", "\\n").replace("\r", "\\r")


def read_bad_images(settings: Settings) -> dict[Path, str]:
    """The listed pictures with their reasons; a list without reasons gives empty ones."""
    try:
        # By line feeds only: a name may hold what other systems take for the end of a line.
        lines = settings.bad_images.read_text("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"Cannot read {settings.bad_images}: {error.strerror}.") from None
    known: dict[str, tuple[Path, str]] = {}
    reasons = reasons_file(settings)
    if reasons.is_file():
        with reasons.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = [(Path(row["path"]), row["reason"]) for row in csv.DictReader(file)]
        known = {_as_line(path): (path, reason) for path, reason in rows}
    base = settings.bad_images.parent
    return dict(
        known.get(line) or known.get(line.strip()) or (base / line.strip(), "")
        for line in lines
        if line.strip()
    )


def save_bad_images(settings: Settings, bad: dict[Path, str]) -> None:
    """Write the list, and the reasons beside it."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("path", "reason"))
    writer.writerows((str(path), reason) for path, reason in sorted(bad.items()))
    write_text(reasons_file(settings), table.getvalue())
    write_text(settings.bad_images, "".join(f"{_as_line(path)}\n" for path in sorted(bad)))
