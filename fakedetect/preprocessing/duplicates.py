"""Duplicates in a dataset: finding, describing, writing and drawing pairs of pictures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fakedetect.core.files import write_text
from fakedetect.core.processes.pool import map_images
from fakedetect.core.records.csv_files import frame_to_csv
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.dataset.identical import DuplicatePair, find_exact_duplicates
from fakedetect.dataset.listed import ListedPicture
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.preprocessing.near_duplicates import compute_fingerprint, find_near_duplicates

DUPLICATES_CSV = "duplicates.csv"
DUPLICATES_SHEET = "duplicates.png"
MOST_PAIRS = 20
"""Pairs on the sheet."""


def find_duplicates(settings: Settings, console: Console, good: pd.DataFrame) -> pd.DataFrame:
    """Find exact and near duplicates: first leaks between train and test, then pictures with both labels.

    Each pair has the first picture that a later one equals or resembles.

    Args:
        good: a row for each readable picture, numbered from 0.
    """
    paths = list(good["path"])
    exact = find_exact_duplicates(paths, list(good["bytes"]))
    copies = {pair.second for pair in exact}
    numbers = {path: number for number, path in enumerate(paths) if number not in copies}
    results = map_images(compute_fingerprint, list(numbers), settings.workers)
    prints = {}
    for path, result in console.track(results, len(numbers), "duplicates"):
        if isinstance(result, str):
            console.warn(f"not compared: {printable(path)}: {result}")
        else:
            prints[numbers[path]] = result
    with console.progress(len(prints), "look-alikes") as progress:
        near = find_near_duplicates(sorted(prints.items()), progress.advance)
    return _tabulate(good, exact + near)


def _tabulate(good: pd.DataFrame, pairs: Sequence[DuplicatePair]) -> pd.DataFrame:
    places = [
        ListedPicture(path=path, part=part, label=label, source=source)
        for path, part, label, source in zip(
            good["path"], good["part"], good["label"], good["source"], strict=True
        )
    ]
    table = pd.DataFrame(
        [
            (
                pair.kind,
                *(places[number].path for number in (pair.first, pair.second)),
                pair.distance,
                _describe_overlap(places[pair.first], places[pair.second]),
                *(_describe_folder(places[number]) for number in (pair.first, pair.second)),
            )
            for pair in pairs
        ],
        columns=["kind", "path_a", "path_b", "distance", "where", "folder_a", "folder_b"],
    )
    order = table["where"].map({"train and test": 0, "both classes": 1}).fillna(2)
    table = table.assign(order=order).sort_values(["order", "distance"], kind="stable")
    return table.drop(columns="order")


def _describe_overlap(first: ListedPicture, second: ListedPicture) -> str:
    if first.part != second.part:
        return "train and test"
    return "both classes" if first.label != second.label else f"within {first.label}"


def _describe_folder(place: ListedPicture) -> str:
    """Return a picture's folder and source, if any, such as 'train fake, gan'."""
    return f"{place.part} {place.label}" + (f", {place.source}" if place.source else "")


def write_duplicates(table: pd.DataFrame, folder: Path, workers: int) -> None:
    """Write duplicates.csv and a sheet of the first pairs; without pairs, delete an old sheet."""
    write_text(folder / DUPLICATES_CSV, frame_to_csv(table))
    if table.empty:
        (folder / DUPLICATES_SHEET).unlink(missing_ok=True)
        return
    shown = table.head(MOST_PAIRS)
    paths, captions = [], []
    for row in shown.itertuples():
        paths += [row.path_a, row.path_b]
        note = f"{row.kind}, distance {row.distance}, {row.where}"
        first = f"{printable(row.path_a.name)}\n{printable(row.folder_a)}\n{note}"
        captions += [first, f"{printable(row.path_b.name)}\n{printable(row.folder_b)}"]
    tiles = read_tiles(paths, captions, workers)
    draw_sheet(tiles, 4, f"Pairs of duplicates ({len(shown)} of {len(table):,})", folder / DUPLICATES_SHEET)


def describe_duplicates(table: pd.DataFrame, folder: Path) -> list[str]:
    """Describe the pairs: their number by folder, what to do, and the first ones."""
    if table.empty:
        return ["Duplicates: none found (neither identical files nor look-alikes, mirrored or not)."]
    lines = [f"Duplicates: {plural(len(table), 'pair')}, all in {folder / DUPLICATES_CSV}"]
    for where, rows in table.groupby("where", sort=False):
        kinds = rows["kind"].value_counts()
        lines.append(f"  {where}: {', '.join(f'{count:,} {kind}' for kind, count in kinds.items())}")
    if (table["where"] == "train and test").any():
        lines.append(
            "  Warning: the test pictures among them inflate the accuracy. Remove them from one side."
        )
    if (table["where"] == "both classes").any():
        lines.append("  Warning: some pictures are labelled both fake and real. Remove the wrong ones.")
    for row in table.head(5).itertuples():
        first, second = (printable(path) for path in (row.path_a, row.path_b))
        lines.append(f"  {row.kind}: {first}  =  {second}")
    return lines
