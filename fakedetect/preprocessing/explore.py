"""Option 5: explore the dataset: tables, figures, the shortcut audit, duplicates, doubtful labels."""

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
from fakedetect.dataset.listed import ListedPicture, list_dataset_pictures
from fakedetect.dataset.shortcuts import Audit, describe_audit, write_audit
from fakedetect.preprocessing.audit import audit_shortcuts
from fakedetect.preprocessing.duplicates import describe_duplicates, find_duplicates, write_duplicates
from fakedetect.preprocessing.figures import draw_dataset
from fakedetect.preprocessing.headers import Header, read_header

PICTURES_CSV = "pictures.csv"
MOST_LISTED_REASONS = 10
SIZE_COLUMNS = ("width", "height", "bytes", "jpeg_quality")
RATIO_COLUMNS = ("aspect_ratio", "megapixels", "bytes_per_pixel")


@dataclass(frozen=True)
class Exploration:
    """The tables of a dataset's pictures; `on` is 'original' or 'resized'.

    `pictures` has a row for each picture, with a `reason` if it cannot be read. `summary` has a row for
    each folder and source of the readable ones. `listed_bad` counts the bad pictures that scan has listed.
    """

    on: str
    pictures: pd.DataFrame
    summary: pd.DataFrame
    audit: Audit
    listed_bad: int

    @property
    def readable(self) -> pd.DataFrame:
        """The readable pictures, numbered from 0."""
        return _readable(self.pictures)

    @property
    def unreadable(self) -> pd.DataFrame:
        """The unreadable pictures."""
        return self.pictures[self.pictures["reason"] != ""]


def _readable(pictures: pd.DataFrame) -> pd.DataFrame:
    return pictures[pictures["reason"] == ""].reset_index(drop=True)


def explore_dataset(settings: Settings, console: Console, on: str = "original") -> Exploration:
    """Read every picture's header, summarise the headers, and audit them for shortcuts.

    Args:
        on: 'original' or 'resized' pictures.

    Raises:
        UserError: there are no pictures.
    """
    places, listed_bad = list_dataset_pictures(settings, console, on)
    pictures = _read_pictures(settings, console, places)
    good = _readable(pictures)
    console.note("Testing whether file properties alone separate the classes …")
    audit = audit_shortcuts(good, on)
    return Exploration(
        on=on,
        pictures=pictures,
        summary=_summarise_folders(good),
        audit=audit,
        listed_bad=listed_bad,
    )


def _read_pictures(settings: Settings, console: Console, places: Sequence[ListedPicture]) -> pd.DataFrame:
    """Return a row for each picture: its place, its header, and the `reason` if unreadable, else ''."""
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
    """Add RATIO_COLUMNS around `bytes`, and keep integers as integers although some are missing."""
    sizes = frame[[*SIZE_COLUMNS]].astype("Float64").astype("Int64")
    frame = frame.assign(**{name: sizes[name] for name in SIZE_COLUMNS})
    pixels = frame["width"].astype(float) * frame["height"].astype(float)
    frame.insert(frame.columns.get_loc("bytes"), "aspect_ratio", frame["width"] / frame["height"])
    frame.insert(frame.columns.get_loc("bytes"), "megapixels", pixels / 1e6)
    frame.insert(frame.columns.get_loc("bytes") + 1, "bytes_per_pixel", frame["bytes"] / pixels)
    return frame.assign(**{name: frame[name].astype(float).round(6) for name in RATIO_COLUMNS})


def _summarise_folders(good: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each folder of readable pictures, and for each of its sources."""
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
    """Format the folders and sources as lines of a table."""
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


def _write(settings: Settings, console: Console, folder: Path, found: Exploration) -> None:
    """Write tables, the audit and figures; only the table of pictures if none can be read."""
    write_text(folder / PICTURES_CSV, frame_to_csv(found.pictures))
    good = found.readable
    if good.empty:
        return
    write_text(folder / "summary.csv", frame_to_csv(found.summary))
    write_audit(folder, found.audit)
    console.note("Drawing the figures …")
    draw_dataset(good, folder, settings.workers)


def _describe_skipped(found: Exploration) -> list[str]:
    """Describe the pictures that were skipped."""
    lines = []
    if found.listed_bad:
        lines.append(f"{plural(found.listed_bad, 'listed bad picture')} skipped")
    bad = found.unreadable
    if len(bad):
        lines.append(f"{plural(len(bad), 'picture')} {'was' if len(bad) == 1 else 'were'} skipped:")
        lines += [
            f"  {printable(row.path)}: {row.reason}" for row in bad.head(MOST_LISTED_REASONS).itertuples()
        ]
    return lines


def explore(settings: Settings, console: Console, on: str = "original", labels: bool = False) -> Outcome:
    """Write tables and figures of the dataset, the shortcut audit, and duplicates.

    Writes into explore/<on>/: pictures.csv, summary.csv, figures, audit.json, duplicates.csv.

    Args:
        on: 'original' or 'resized' pictures.
        labels: find pictures whose label is probably wrong, instead.
    """
    if labels:
        console.show_loading("fakedetect.preprocessing.labels")
        from fakedetect.preprocessing.labels import suspect_labels

        return suspect_labels(settings, console, on)
    folder = settings.explore / on
    found = explore_dataset(settings, console, on)
    _write(settings, console, folder, found)
    if found.readable.empty:
        raise UserError(f"None of the {on} pictures can be read. Reasons: {folder / PICTURES_CSV}")
    console.show("\n".join(_describe_summary(found.summary)))
    # After the tables are written, so that a stop during the slow comparison keeps them.
    duplicates = find_duplicates(settings, console, found.readable)
    write_duplicates(duplicates, folder, settings.workers)
    lines = [
        "",
        *describe_duplicates(duplicates, folder),
        *_describe_skipped(found),
        f"Tables and figures: {folder}",
    ]
    console.show("\n".join(lines))
    text, warning = describe_audit(found.audit, settings)
    (console.warn if warning else console.show)("\n" + text)
    return Outcome("", 1 if len(found.unreadable) else 0)
