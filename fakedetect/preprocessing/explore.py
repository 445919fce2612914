"""Option 5: what the data set looks like, whether shortcuts solve it, its leaks, its doubtful labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.processes.pool import map_images
from fakedetect.core.records.csv_files import frame_to_csv
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.folders import ListedPicture, list_dataset_pictures
from fakedetect.dataset.shortcuts import Audit, describe_audit, write_audit
from fakedetect.preprocessing.audit import audit_shortcuts
from fakedetect.preprocessing.duplicates import describe_duplicates, find_duplicates, write_duplicates
from fakedetect.preprocessing.figures import draw_dataset
from fakedetect.preprocessing.headers import Header, read_header

PICTURES = "pictures.csv"
MOST_REASONS = 10
SIZES = ("width", "height", "bytes", "jpeg_quality")
RATIOS = ("aspect_ratio", "megapixels", "bytes_per_pixel")


@dataclass(frozen=True)
class Explored:
    """What is known of a data set's original or resized pictures, by `on`.

    `pictures` has a row each, with the reason where one cannot be read; `summary` a row a folder and
    source of the `readable` ones. `left_out` counts listed bad pictures.
    """

    on: str
    pictures: pd.DataFrame
    summary: pd.DataFrame
    audit: Audit
    left_out: int

    @property
    def readable(self) -> pd.DataFrame:
        """The pictures that can be read, numbered from 0."""
        return _readable(self.pictures)

    @property
    def unreadable(self) -> pd.DataFrame:
        """The other ones."""
        return self.pictures[self.pictures["reason"] != ""]


def _readable(pictures: pd.DataFrame) -> pd.DataFrame:
    return pictures[pictures["reason"] == ""].reset_index(drop=True)


def explore_dataset(settings: Settings, console: Console, on: str = "original") -> Explored:
    """Read every picture's header, sum them up, and audit them for shortcuts.

    Args:
        on: 'original' or 'resized', which of the data set's pictures.

    Raises:
        UserError: there are no pictures.
    """
    places, left_out = list_dataset_pictures(settings, console, on)
    pictures = _read_pictures(settings, console, places)
    good = _readable(pictures)
    console.note("Trying to tell the classes apart without looking at the pictures …")
    audit = audit_shortcuts(good, on)
    return Explored(
        on=on,
        pictures=pictures,
        summary=_summarise(good),
        audit=audit,
        left_out=left_out,
    )


def _read_pictures(settings: Settings, console: Console, places: Sequence[ListedPicture]) -> pd.DataFrame:
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


def _summarise(good: pd.DataFrame) -> pd.DataFrame:
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


def _describe_summary(summary: pd.DataFrame) -> list[str]:
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


def _write(settings: Settings, console: Console, folder: Path, found: Explored) -> None:
    """Tables, the audit and figures; the table of pictures alone where none can be read."""
    write_text(folder / PICTURES, frame_to_csv(found.pictures))
    good = found.readable
    if good.empty:
        return
    write_text(folder / "summary.csv", frame_to_csv(found.summary))
    write_audit(folder, found.audit)
    console.note("Drawing the figures …")
    draw_dataset(good, folder, settings.workers)


def _tell_left_out(found: Explored) -> list[str]:
    """The pictures that have no part in the tables."""
    lines = []
    if found.left_out:
        lines.append(f"{plural(found.left_out, 'listed bad picture')} skipped")
    bad = found.unreadable
    if len(bad):
        lines.append(f"{plural(len(bad), 'picture')} {'was' if len(bad) == 1 else 'were'} skipped:")
        lines += [f"  {printable(row.path)}: {row.reason}" for row in bad.head(MOST_REASONS).itertuples()]
    return lines


def explore(settings: Settings, console: Console, on: str = "original", labels: bool = False) -> Outcome:
    """Tables and figures of the data set, the shortcut audit, and duplicates.

    Writes into explore/<on>/: pictures.csv, summary.csv, figures, audit.json, duplicates.csv.

    Args:
        on: 'original' or 'resized', which of the data set's pictures.
        labels: name the pictures whose label is probably wrong, instead.
    """
    if labels:
        console.show_loading("fakedetect.preprocessing.labels")
        from fakedetect.preprocessing.labels import suspect_labels

        return suspect_labels(settings, console, on)
    folder = settings.explore / on
    found = explore_dataset(settings, console, on)
    _write(settings, console, folder, found)
    if found.readable.empty:
        raise UserError(f"None of the {on} pictures can be read; the reasons: {folder / PICTURES}")
    console.show("\n".join(_describe_summary(found.summary)))
    # The tables are written: whoever does not wait for the comparison keeps them.
    duplicates = find_duplicates(settings, console, found.readable)
    write_duplicates(duplicates, folder, settings.workers)
    lines = [
        "",
        *describe_duplicates(duplicates, folder),
        *_tell_left_out(found),
        f"Tables and figures: {folder}",
    ]
    console.show("\n".join(lines))
    text, warning = describe_audit(found.audit, settings)
    (console.warn if warning else console.show)("\n" + text)
    return Outcome("", 1 if len(found.unreadable) else 0)
