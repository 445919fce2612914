"""The list of bad images, and which original folders there are: what several options ask."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from fakedetect.console import Console
from fakedetect.errors import UserError
from fakedetect.files import write_text
from fakedetect.settings import FOLDERS, Settings


def reasons_file(settings: Settings) -> Path:
    """The .csv with the reasons beside the list."""
    return settings.bad_images.with_suffix(".csv")


def read_bad_images(settings: Settings) -> dict[Path, str]:
    """The listed pictures with their reasons; a list without reasons gives empty ones."""
    try:
        lines = settings.bad_images.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"Cannot read {settings.bad_images}: {error.strerror}.") from None
    known: dict[Path, str] = {}
    reasons = reasons_file(settings)
    if reasons.is_file():
        with reasons.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            known = {Path(row["path"]): row["reason"] for row in csv.DictReader(file)}
    base = settings.bad_images.parent
    listed = {base / line.strip(): "" for line in lines if line.strip()}
    return {path: known.get(path, "") for path in listed}


def save_bad_images(settings: Settings, bad: dict[Path, str]) -> None:
    """Write the list, and the reasons beside it."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("path", "reason"))
    writer.writerows((str(path), reason) for path, reason in sorted(bad.items()))
    write_text(reasons_file(settings), table.getvalue())
    write_text(settings.bad_images, "".join(f"{path}\n" for path in sorted(bad)))


def existing_folders(settings: Settings, folders: Sequence[str], console: Console) -> list[str]:
    """The asked-for original folders that are there; the others are warned about.

    Raises:
        UserError: none of them is there.
    """
    chosen = [name for name in FOLDERS if name in folders]
    missing = [name for name in chosen if not settings.original[name].is_dir()]
    for name in missing:
        console.warn(
            f"There is no folder {settings.original[name]} ({name}). "
            f"Put the pictures there or name their folder in {settings.file}."
        )
    if len(missing) == len(chosen):
        raise UserError("No folder to work on. Without a data set, try the demo: python menu.py demo")
    return [name for name in chosen if name not in missing]
