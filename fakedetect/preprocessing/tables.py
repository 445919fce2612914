"""The pictures of a data set as tables: a row a picture, and a row a folder and source."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from fakedetect.core.errors import UserError
from fakedetect.core.processes.pool import map_images
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console, printable
from fakedetect.dataset.bad_list import read_bad_images
from fakedetect.dataset.folders import advise_to_resize, class_folders, existing_folders, source_of
from fakedetect.images.listing import list_images
from fakedetect.preprocessing.headers import Header, read_header

SIZES = ("width", "height", "bytes", "jpeg_quality")
RATIOS = ("aspect_ratio", "megapixels", "bytes_per_pixel")


@dataclass(frozen=True)
class Place:
    """A picture's path, its part ('train' or 'test'), label ('fake' or 'real') and source."""

    path: Path
    part: str
    label: str
    source: str


def list_places(settings: Settings, console: Console, on: str) -> tuple[list[Place], int]:
    """The pictures of a data set without the listed bad ones, and how many these are.

    Args:
        on: 'original' or 'resized', which of its pictures.

    Raises:
        UserError: there are none.
    """
    folders = _original_folders if on == "original" else _resized_folders
    listed = read_bad_images(settings)
    places, left_out = [], 0
    for folder, part, label in folders(settings, console):
        paths = list_images(folder)
        good = [path for path in paths if path not in listed]
        left_out += len(paths) - len(good)
        places += [
            Place(path=path, part=part, label=label, source=source_of(path, folder)) for path in good
        ]
    if not places:
        raise UserError(f"The {on} folders contain no pictures. Put them there, or see {settings.file}.")
    return places, left_out


def _original_folders(settings: Settings, console: Console) -> Iterator[tuple[Path, str, str]]:
    """The class folders with their parts and labels."""
    for name in existing_folders(settings, FOLDERS, console):
        part, label = name.split("-")
        yield settings.original[name], part, label


def _resized_folders(settings: Settings, console: Console) -> Iterator[tuple[Path, str, str]]:
    parts = [part for part, folder in settings.resized.items() if folder.is_dir()]
    if not parts:
        raise UserError(f"There are no resized pictures yet. {advise_to_resize(settings, 'train')('')}")
    for part in set(settings.resized) - set(parts):
        console.warn(f"There is no folder {settings.resized[part]} (resized {part}).")
    for part in parts:
        for folder, number in class_folders(settings.resized[part], advise_to_resize(settings, part)):
            yield folder, part, CLASSES[number]


def read_pictures(settings: Settings, console: Console, places: Sequence[Place]) -> pd.DataFrame:
    """A row a picture: its place, its header, and the `reason` where it cannot be read, '' otherwise."""
    results = map_images(read_header, [place.path for place in places], settings.workers)
    found = dict(console.track(results, len(places), "headers"))
    unknown = dict.fromkeys(Header.__dataclass_fields__)
    rows = []
    for place in places:
        header = found[place.path]
        if isinstance(header, Header):
            rows.append({**asdict(place), **asdict(header), "reason": ""})
        else:
            rows.append({**asdict(place), **unknown, "reason": header})
    return _add_ratios(pd.DataFrame(rows))


def _add_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """The pictures with RATIOS around their `bytes`, and whole numbers whole where some are unknown."""
    sizes = frame[[*SIZES]].astype("Float64").astype("Int64")
    frame = frame.assign(**{name: sizes[name] for name in SIZES})
    pixels = frame["width"].astype(float) * frame["height"].astype(float)
    frame.insert(frame.columns.get_loc("bytes"), "aspect_ratio", frame["width"] / frame["height"])
    frame.insert(frame.columns.get_loc("bytes"), "megapixels", pixels / 1e6)
    frame.insert(frame.columns.get_loc("bytes") + 1, "bytes_per_pixel", frame["bytes"] / pixels)
    return frame.assign(**{name: frame[name].astype(float).round(6) for name in RATIOS})


def summarise(good: pd.DataFrame) -> pd.DataFrame:
    """A row for each folder of readable pictures and, where a folder has sources, for each of them."""
    rows = []
    for (part, label), folder in good.groupby(["part", "label"], sort=False):
        groups = [("", folder)]
        if folder["source"].any():
            groups += [(source or "(none)", group) for source, group in folder.groupby("source")]
        for source, group in groups:
            row = {"part": part, "label": label, "source": source, "count": len(group)}
            for name in ("width", "height", "aspect_ratio"):
                values = group[name].astype(float)
                row |= {
                    f"{name}_mean": round(values.mean(), 2),
                    f"{name}_min": round(values.min(), 2),
                    f"{name}_max": round(values.max(), 2),
                }
            shares = group["format"].value_counts()
            row["formats"] = ", ".join(f"{name} {count}" for name, count in shares.items())
            rows.append(row)
    return pd.DataFrame(rows)


def describe_summary(summary: pd.DataFrame) -> list[str]:
    """The folders and sources as lines of a table."""
    lines = [
        f"{'folder':<11}{'source':<20}{'pictures':>9}  {'width mean (min-max)':<24}"
        f"{'height mean (min-max)':<24}{'width/height':<22}formats"
    ]
    for row in summary.to_dict("records"):
        width, height, ratio = (
            f"{row[name + '_mean']:.{digits}f} ({row[name + '_min']:.{digits}f}-"
            f"{row[name + '_max']:.{digits}f})"
            for name, digits in (("width", 0), ("height", 0), ("aspect_ratio", 2))
        )
        lines.append(
            f"{row['part'] + ' ' + row['label']:<11}{printable(row['source'] or 'all')[:19]:<20}"
            f"{row['count']:>9,}  {width:<24}{height:<24}{ratio:<22}{row['formats']}"
        )
    return lines
