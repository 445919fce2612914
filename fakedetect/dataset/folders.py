"""The folders that pictures lie in: which are there, which class each stands for, and the bad pictures."""

import csv
import io
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.files import check_regular, file_lock, write_text
from fakedetect.core.records.csv_files import decode_utf, read_csv, to_cell
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.images.listing import Skipped, list_images

CLASS_FOLDERS = {
    **dict.fromkeys(("fake", "resized_fake", "1_fake", "ai"), 0),
    **dict.fromkeys(("real", "resized_real", "0_real", "nature"), 1),
}
"""Names of class folders in lower case, and the model's output that each stands for."""

SECONDS_TO_WAIT = 30.0
"""For another scan to write its part of the list of bad images."""


def existing_folders(settings: Settings, folders: Sequence[str], console: Console) -> list[str]:
    """The asked-for original folders that are there; the others are warned about.

    Raises:
        UserError: none of them is there, or two lie in one another.
    """
    check_apart(settings)
    chosen = [name for name in FOLDERS if name in folders]
    missing = [name for name in chosen if not settings.original[name].is_dir()]
    for name in missing:
        console.warn(
            f"There is no folder {settings.original[name]} ({name}). "
            f"Put the pictures there or name their folder in {settings.file}."
        )
    if len(missing) == len(chosen):
        raise UserError(
            f"No folder to work on. Without a data set, try the demo: {settings.command('demo')}"
        )
    return [name for name in chosen if name not in missing]


def find_overlap(settings: Settings) -> str:
    """What is wrong where folders of the data set overlap, and what to do; '' where all are apart."""
    copies = {f"resized {part}": folder for part, folder in settings.plain_copies.items()}
    for folders in (settings.original, copies):
        for (name, first), (other, second) in itertools.combinations(folders.items(), 2):
            if not _overlap(first, second):
                continue
            parts = {each.removeprefix("resized ").split("-")[0] for each in (name, other)}
            what = "training and test" if len(parts) > 1 else "real and fake"
            where = first if first == second else f"{first}, {second}"
            return (
                f"{name} and {other} are the same folder, or one contains the other ({where}): {what} "
                f"pictures must be apart. Name separate folders in {settings.file}."
            )
    return ""


def _overlap(first: Path, second: Path) -> bool:
    """Whether two folders, one of which is there, are the same or one lies in the other."""
    places = first.resolve(), second.resolve()
    inside = places[0].is_relative_to(places[1]) or places[1].is_relative_to(places[0])
    return inside and (first.is_dir() or second.is_dir())


def check_apart(settings: Settings) -> None:
    """Refuse folders that overlap: a model that is tested on its training pictures looks better than it is.

    Raises:
        UserError: two are the same, or one contains the other.
    """
    if overlap := find_overlap(settings):
        raise UserError(overlap)


def count_listed(settings: Settings, bad: Iterable[Path], folder: Path, part: str = "") -> int:
    """How many pictures of a folder are left out, for they are on the list of bad ones.

    Args:
        bad: the list.
        folder: an original one, or that of the copies of `part`, whose originals are listed.
    """
    places = [(folder, folder)]
    for path in folder.iterdir() if part else ():
        label = CLASS_FOLDERS.get(path.name.lower())
        if label is not None:
            places.append((settings.original[f"{part}-{CLASSES[label]}"], path))
    return sum(
        (own / path.relative_to(listed)).is_file()
        for path in bad
        for listed, own in places
        if path.is_relative_to(listed)
    )


def describe_skipped(folder: Path, skipped: Skipped) -> list[str]:
    """What was not read below a folder: a line for all that was skipped, one for each folder that cannot be
    read."""
    return [*([f"{folder}: {skipped}"] if str(skipped) else []), *skipped.unreadable_lines]


def list_pictures(folder: Path, console: Console) -> tuple[list[Path], Skipped]:
    """The pictures below a folder, and what is not read there, which is also printed.

    Raises:
        UserError: the folder itself cannot be read.
    """
    skipped = Skipped()
    paths = list_images(folder, skipped)
    for line in describe_skipped(folder, skipped):
        console.warn(line)
    return paths, skipped


def advise_to_resize(settings: Settings, part: str) -> Callable[[str], str]:
    """What to do where copies of a class are missing in the resized folder 'train' or 'test': put originals
    into their folder, if there are none, or resize those that are there."""

    def advise(missing: str) -> str:
        command = settings.command("resize")
        for name in CLASSES if missing not in CLASSES else (missing,):
            original = settings.original[f"{part}-{name}"]
            if not original.is_dir() or not list_images(original):
                return f"There are no {name} pictures in {original}. Put some there and resize: {command}"
        return f"Resize first: {command}"

    return advise


def class_folders(
    folder: Path, advise: Callable[[str], str] = lambda _: "Resize first."
) -> list[tuple[Path, int]]:
    """The class folders in a folder, by name, each with its label (0 fake, 1 real).

    Args:
        advise: gives what to do where a class is missing, or '' for both, as the last sentence of the
            message.

    Raises:
        UserError: the folder or a class is missing, or a class has several folders.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. {advise('')}")
    found = [
        (path, CLASS_FOLDERS[path.name.lower()])
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name.lower() in CLASS_FOLDERS
    ]
    for label, name in enumerate(CLASSES):
        folders = [path.name for path, number in found if number == label]
        if not folders:
            raise UserError(f"{folder} has no class folder '{name}'. {advise(name)}")
        if len(folders) > 1:
            raise UserError(
                f"{folder} has several folders for the class {name}: {', '.join(folders)}. Keep one."
            )
    return found


def source_of(path: Path, class_folder: Path) -> str:
    """A picture's source: its sub-folder inside the class folder, '' for none.

    In one normal form of Unicode, so that a name that is stored in two is one source.
    """
    inside = path.relative_to(class_folder).parent
    return "" if inside == Path() else unicodedata.normalize("NFC", inside.as_posix())


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
        lines = decode_utf(settings.bad_images.read_bytes()).split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"Cannot read {settings.bad_images}: {error.strerror}.") from None
    advice = f"Remove it, then scan again: {settings.command('scan')}"
    rows = read_csv(reasons_file(settings), ("path", "reason"), advice) or []
    known = {_as_line(path := Path(row["path"])): (path, row["reason"]) for row in rows}
    base = settings.bad_images.parent
    return dict(
        known.get(line) or known.get(line.strip()) or (base / line.strip(), "")
        for line in lines
        if line.strip()
    )


def warn_about_missing(settings: Settings, console: Console) -> None:
    """Name listed pictures that are not there: moved since, or the list is of another folder."""
    gone = [path for path in read_bad_images(settings) if not os.path.lexists(path)]
    if gone:
        be, first = "is" if len(gone) == 1 else "are", "" if len(gone) == 1 else ", the first"
        console.warn(
            f"{plural(len(gone), 'picture')} in {settings.bad_images} {be} not there{first}: "
            f"{printable(gone[0])}. To renew the list: {settings.command('scan')}"
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
