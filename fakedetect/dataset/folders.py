"""The folders of a dataset, their classes and sources, and the list of bad pictures."""

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
"""The label (0 fake, 1 real) of each name that a class folder may have, in lower case."""

SECONDS_TO_WAIT_FOR_LIST = 30.0
"""How long to wait for another scan that is writing the list of bad images."""


def find_existing_folders(settings: Settings, folders: Sequence[str], console: Console) -> list[str]:
    """Return the requested original folders that exist; warn about the others.

    Raises:
        UserError: none exists, or two overlap.
    """
    check_folders_apart(settings)
    chosen = [name for name in FOLDERS if name in folders]
    missing = [name for name in chosen if not settings.original[name].is_dir()]
    for name in missing:
        console.warn(
            f"There is no folder {settings.original[name]} ({name}). "
            f"Put the pictures there or name their folder in {settings.file}."
        )
    if len(missing) == len(chosen):
        raise UserError(
            f"No folder to work on. Without a dataset, try the demo: {settings.command('demo')}"
        )
    return [name for name in chosen if name not in missing]


def find_overlap(settings: Settings) -> str:
    """Describe overlapping folders of the dataset and what to do; return '' if there are none."""
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
    """Return whether two folders are the same or nested; at least one must exist."""
    places = first.resolve(), second.resolve()
    inside = places[0].is_relative_to(places[1]) or places[1].is_relative_to(places[0])
    return inside and (first.is_dir() or second.is_dir())


def check_folders_apart(settings: Settings) -> None:
    """Refuse overlapping folders: testing on training pictures overestimates a model.

    Raises:
        UserError: two folders are the same, or one contains the other.
    """
    if overlap := find_overlap(settings):
        raise UserError(overlap)


def count_listed(settings: Settings, bad: Iterable[Path], folder: Path, part: str = "") -> int:
    """Count the pictures of a folder that are skipped because they are on the list of bad ones.

    Args:
        bad: the list.
        folder: an original folder or, if `part` is given, the folder of its copies, whose originals are
            listed.
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
    """Describe what was not read below a folder: one line for skipped files, one per unreadable folder."""
    return [*([f"{folder}: {skipped}"] if str(skipped) else []), *skipped.unreadable_lines]


def list_project_pictures(settings: Settings) -> list[Path]:
    """List the project's pictures, originals and copies."""
    folders = (*settings.original.values(), *settings.resized.values())
    return [path for folder in folders if folder.is_dir() for path in list_images(folder)]


def list_folder_pictures(folder: Path, console: Console) -> tuple[list[Path], Skipped]:
    """Return the pictures below a folder, and what is not read there; warn about the latter.

    Raises:
        UserError: the folder itself cannot be read.
    """
    skipped = Skipped()
    paths = list_images(folder, skipped)
    for line in describe_skipped(folder, skipped):
        console.warn(line)
    return paths, skipped


def advise_to_resize(settings: Settings, part: str) -> Callable[[str], str]:
    """Return a function that advises what to do if copies of a class are missing.

    It names the folder that has no originals, or the command that resizes them.

    Args:
        part: 'train' or 'test'.
    """

    def advise(missing: str) -> str:
        command = settings.command("resize")
        for name in CLASSES if missing not in CLASSES else (missing,):
            original = settings.original[f"{part}-{name}"]
            if not original.is_dir() or not list_images(original):
                return f"There are no {name} pictures in {original}. Put some there and resize: {command}"
        return f"Resize first: {command}"

    return advise


def find_class_folders(
    folder: Path, advise: Callable[[str], str] = lambda _: "Resize first."
) -> list[tuple[Path, int]]:
    """Return the class folders in a folder, sorted by name, with their labels (0 fake, 1 real).

    Args:
        advise: takes the missing class, or '' for both, and returns the last sentence of the message.

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
    """Return a picture's source: its sub-folder inside the class folder, '' for none.

    Names are normalised to NFC, so that two Unicode forms of a name are one source.
    """
    inside = path.relative_to(class_folder).parent
    return "" if inside == Path() else unicodedata.normalize("NFC", inside.as_posix())


def reasons_file(settings: Settings) -> Path:
    """Return the path of the CSV with the reasons, next to the list."""
    return settings.bad_images.with_suffix(".csv")


def _as_line(path: Path) -> str:
    """Return a path as a line of the list; only the CSV keeps line breaks in names."""
    return str(path).replace("\n", "\\n").replace("\r", "\\r")


def read_bad_images(settings: Settings) -> dict[Path, str]:
    """Read the listed pictures and their reasons, which are '' in a list without a CSV.

    Raises:
        UserError: the list or the CSV cannot be used.
    """
    try:
        # Split at line feeds only: names may contain other line separators.
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
    """Warn about listed pictures that do not exist: moved, or listed for another folder."""
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
    """Replace this scan's lines of the list by `bad`; those of other scans stay.

    Returns:
        The new list.

    Raises:
        UserError: another run locks the list for SECONDS_TO_WAIT_FOR_LIST, or it cannot be written.
    """
    lock = settings.bad_images.with_name(f".{settings.bad_images.name}.lock")
    with file_lock(lock, str(settings.bad_images), SECONDS_TO_WAIT_FOR_LIST):
        kept = {path: why for path, why in read_bad_images(settings).items() if not is_ours(path)}
        listed = kept | dict(bad)
        _save(settings, listed)
    return listed


def _save(settings: Settings, bad: Mapping[Path, str]) -> None:
    """Write the list, and the CSV with the reasons."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("path", "reason"))
    writer.writerows((to_cell(str(path)), to_cell(reason)) for path, reason in sorted(bad.items()))
    write_text(reasons_file(settings), table.getvalue())
    write_text(settings.bad_images, "".join(f"{_as_line(path)}\n" for path in sorted(bad)))
