"""The list of bad images, which several options ask."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular, file_lock, write_text
from fakedetect.core.records.cells import read_table, to_cell
from fakedetect.core.settings.settings import Settings

SECONDS_TO_WAIT = 30.0
"""For another scan to write its part of the list."""


def reasons_file(settings: Settings) -> Path:
    """The .csv with the reasons beside the list."""
    return settings.bad_images.with_suffix(".csv")


def _as_line(path: Path) -> str:
    """A path as a line of the list; the table beside it has the true name of one that holds line ends."""
    return str(path).replace("\n", "\\n").replace("\r", "\\r")


def read_bad_images(settings: Settings) -> dict[Path, str]:
    """The listed pictures with their reasons; a list without reasons gives empty ones.

    Raises:
        UserError: the list, or the table of the reasons, cannot be used.
    """
    try:
        # By line feeds only: a name may hold what other systems take for the end of a line.
        check_regular(settings.bad_images)
        lines = settings.bad_images.read_text("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"Cannot read {settings.bad_images}: {error.strerror}.") from None
    advice = f"Remove it, then scan again: {settings.command('scan')}"
    rows = read_table(reasons_file(settings), ("path", "reason"), advice) or []
    known = {_as_line(path := Path(row["path"])): (path, row["reason"]) for row in rows}
    base = settings.bad_images.parent
    return dict(
        known.get(line) or known.get(line.strip()) or (base / line.strip(), "")
        for line in lines
        if line.strip()
    )


def replace_bad_images(
    settings: Settings, is_ours: Callable[[Path], bool], bad: Mapping[Path, str]
) -> dict[Path, str]:
    """Put `bad` in the place of the lines that are this scan's; another scan's stay.

    Returns:
        The list as it is now.

    Raises:
        UserError: another run keeps the list for longer than SECONDS_TO_WAIT, or it cannot be written.
    """
    lock = settings.bad_images.with_name(f".{settings.bad_images.name}.lock")
    with file_lock(lock, str(settings.bad_images), SECONDS_TO_WAIT):
        kept = {path: why for path, why in read_bad_images(settings).items() if not is_ours(path)}
        listed = kept | dict(bad)
        _save(settings, listed)
    return listed


def _save(settings: Settings, bad: Mapping[Path, str]) -> None:
    """Write the list, and the reasons beside it."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("path", "reason"))
    writer.writerows((to_cell(str(path)), to_cell(reason)) for path, reason in sorted(bad.items()))
    write_text(reasons_file(settings), table.getvalue())
    write_text(settings.bad_images, "".join(f"{_as_line(path)}\n" for path in sorted(bad)))
