"""Option 5: what the data set looks like, whether it can be solved by shortcuts, and its leaks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from fakedetect.core.cells import frame_to_csv
from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.pool import map_images
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import FOLDERS, Settings
from fakedetect.dataset.bad_list import read_bad_images
from fakedetect.dataset.folders import class_folders, existing_folders, source_of
from fakedetect.dataset.identical import Pair, find_exact
from fakedetect.dataset.shortcuts import describe_audit, write_audit
from fakedetect.images.listing import list_images
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.preprocessing.audit import audit_shortcuts
from fakedetect.preprocessing.figures import draw_counts, draw_histograms
from fakedetect.preprocessing.headers import Header, read_header
from fakedetect.preprocessing.near_duplicates import find_near, fingerprint

SAMPLES = 6
MOST_SOURCES = 8
"""Sources that a figure shows; the tables have all."""

DUPLICATES = "duplicates.csv"
MOST_PAIRS = 20
SEED = 42


@dataclass(frozen=True)
class Place:
    """A picture's path, its part ('train' or 'test'), label ('fake' or 'real') and source."""

    path: Path
    part: str
    label: str
    source: str


def _list_original(settings: Settings, console: Console) -> tuple[list[Place], int]:
    listed = read_bad_images(settings)
    places, left_out = [], 0
    for name in existing_folders(settings, FOLDERS, console):
        part, label = name.split("-")
        folder = settings.original[name]
        paths = list_images(folder)
        good = [path for path in paths if path not in listed]
        left_out += len(paths) - len(good)
        places += [Place(path, part, label, source_of(path, folder)) for path in good]
    return places, left_out


def _list_resized(settings: Settings, console: Console) -> tuple[list[Place], int]:
    listed = read_bad_images(settings)
    parts = [part for part, folder in settings.resized.items() if folder.is_dir()]
    advice = f"Resize first: {settings.command('resize')}"
    if not parts:
        raise UserError(f"There are no resized pictures yet. {advice}")
    for part in set(settings.resized) - set(parts):
        console.warn(f"There is no folder {settings.resized[part]} (resized {part}).")
    places, left_out = [], 0
    for part in parts:
        for folder, number in class_folders(settings.resized[part], advice):
            paths = list_images(folder)
            good = [path for path in paths if path not in listed]
            left_out += len(paths) - len(good)
            label = CLASSES[number]
            places += [Place(path, part, label, source_of(path, folder)) for path in good]
    return places, left_out


def _read_all(settings: Settings, console: Console, places: Sequence[Place]) -> pd.DataFrame:
    """A row a picture: its place, its header, and the reason where it cannot be read."""
    workers = settings.workers
    results = map_images(read_header, [place.path for place in places], workers)
    found = dict(console.track(results, len(places), "headers"))
    empty = dict.fromkeys(Header.__dataclass_fields__)
    rows = []
    for place in places:
        header = found[place.path]
        if isinstance(header, Header):
            rows.append({**asdict(place), **asdict(header), "reason": ""})
        else:
            rows.append({**asdict(place), **empty, "reason": header})
    frame = pd.DataFrame(rows)
    sizes = ["width", "height", "bytes", "jpeg_quality"]
    frame[sizes] = frame[sizes].astype("Float64").astype("Int64")
    pixels = frame["width"].astype(float) * frame["height"].astype(float)
    frame.insert(frame.columns.get_loc("bytes"), "aspect_ratio", frame["width"] / frame["height"])
    frame.insert(frame.columns.get_loc("bytes"), "megapixels", pixels / 1e6)
    frame.insert(frame.columns.get_loc("bytes") + 1, "bytes_per_pixel", frame["bytes"] / pixels)
    numbers = ["aspect_ratio", "megapixels", "bytes_per_pixel"]
    frame[numbers] = frame[numbers].astype(float).round(6)
    return frame


def _summarise(good: pd.DataFrame) -> pd.DataFrame:
    """A row for each folder and, where a folder has sources, for each of them."""
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


def _print_summary(summary: pd.DataFrame) -> str:
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
            f"{row['part'] + ' ' + row['label']:<11}{(row['source'] or 'all')[:19]:<20}"
            f"{row['count']:>9,}  {width:<24}{height:<24}{ratio:<22}{row['formats']}"
        )
    return "\n".join(lines)


def _draw_figures(good: pd.DataFrame, folder: Path, workers: int) -> None:
    counts: dict[str, dict[str, int]] = {}
    for (part, label, source), group in good.groupby(["part", "label", "source"], sort=False):
        counts.setdefault(f"{part} {label}", {})[source] = len(group)
    draw_counts(counts, folder / "counts.png")
    by_part = {
        f"{str(part).capitalize()} pictures": {str(label): rows for label, rows in group.groupby("label")}
        for part, group in good.groupby("part", sort=False)
    }
    draw_histograms(by_part, "Sizes and shapes by class", folder / "histograms.png")
    if good["source"].any():
        groups = list(good.groupby(["label", "source"]))
        groups.sort(key=lambda item: -len(item[1]))
        by_source = {
            f"{label}/{source or '(none)'}": {str(label): rows}
            for (label, source), rows in groups[:MOST_SOURCES]
        }
        draw_histograms(by_source, "Sizes and shapes by source", folder / "histograms_sources.png")
    for (part, label), rows in good.groupby(["part", "label"], sort=False):
        chosen = pd.concat(
            group.sample(min(len(group), SAMPLES if rows["source"].nunique() > 1 else 4 * SAMPLES),
                         random_state=SEED)
            for _, group in list(rows.groupby("source"))[:MOST_SOURCES]
        )  # fmt: skip
        captions = [
            f"{row.path.name}\n{row.width} x {row.height} {row.format}"
            + (f", {row.source}" if row.source else "")
            for row in chosen.itertuples()
        ]
        tiles = read_tiles(list(chosen["path"]), captions, workers)
        draw_sheet(tiles, SAMPLES, f"Samples of {part} {label}", folder / f"samples_{part}-{label}.png")


def _find_duplicates(settings: Settings, console: Console, good: pd.DataFrame) -> list[Pair]:
    """Exact and near duplicates, as pairs of index values of `good`."""
    paths = list(good["path"])
    exact = find_exact(paths, list(good["bytes"]))
    copies = {pair.second for pair in exact}
    numbers = {path: number for number, path in enumerate(paths) if number not in copies}
    results = map_images(fingerprint, list(numbers), settings.workers)
    prints = {}
    for path, result in console.track(results, len(numbers), "duplicates"):
        if isinstance(result, str):
            console.warn(f"not compared: {path}: {result}")
        else:
            prints[numbers[path]] = result
    return exact + find_near(sorted(prints.items()))


def _where(good: pd.DataFrame, pair: Pair) -> str:
    first, second = good.iloc[pair.first], good.iloc[pair.second]
    if first["part"] != second["part"]:
        return "train and test"
    return "both classes" if first["label"] != second["label"] else f"within {first['label']}"


def _folder(good: pd.DataFrame, number: int) -> str:
    """'train fake, gan': the folder and, if any, the source that a picture lies in."""
    row = good.iloc[number]
    return f"{row['part']} {row['label']}" + (f", {row['source']}" if row["source"] else "")


def _tabulate(good: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """The pairs as a table: leaks between train and test first, then pictures with both labels."""
    table = pd.DataFrame(
        [
            (
                pair.kind,
                *(good["path"].iloc[number] for number in (pair.first, pair.second)),
                pair.distance,
                _where(good, pair),
                *(_folder(good, number) for number in (pair.first, pair.second)),
            )
            for pair in pairs
        ],
        columns=["kind", "path_a", "path_b", "distance", "where", "folder_a", "folder_b"],
    )
    order = table["where"].map({"train and test": 0, "both classes": 1}).fillna(2)
    table = table.assign(order=order).sort_values(["order", "distance"], kind="stable")
    return table.drop(columns="order")


def _write_duplicates(table: pd.DataFrame, folder: Path, workers: int) -> None:
    """duplicates.csv, and a sheet of the first pairs where there are any."""
    write_text(folder / DUPLICATES, frame_to_csv(table))
    sheet = folder / "duplicates.png"
    if table.empty:
        sheet.unlink(missing_ok=True)
        return
    shown = table.head(MOST_PAIRS)
    paths, captions = [], []
    for row in shown.itertuples():
        paths += [row.path_a, row.path_b]
        note = f"{row.kind}, distance {row.distance}, {row.where}"
        captions += [f"{row.path_a.name}\n{row.folder_a}\n{note}", f"{row.path_b.name}\n{row.folder_b}"]
    tiles = read_tiles(paths, captions, workers)
    draw_sheet(tiles, 4, f"Pairs of duplicates ({len(shown)} of {len(table):,})", sheet)


def _describe_duplicates(table: pd.DataFrame, folder: Path) -> list[str]:
    if table.empty:
        return ["Duplicates: none found (same file, or looking alike, mirrored or not)."]
    lines = [f"Duplicates: {plural(len(table), 'pair')}, all in {folder / DUPLICATES}"]
    for where, rows in table.groupby("where", sort=False):
        kinds = rows["kind"].value_counts()
        lines.append(f"  {where}: {', '.join(f'{count:,} {kind}' for kind, count in kinds.items())}")
    if (table["where"] == "train and test").any():
        lines.append(
            "  Warning: the test pictures among them inflate the accuracy. Remove them from one side."
        )
    if (table["where"] == "both classes").any():
        lines.append("  Warning: some pictures are labelled both fake and real. Remove the wrong ones.")
    return lines + [f"  {row.kind}: {row.path_a}  =  {row.path_b}" for row in table.head(5).itertuples()]


def explore(settings: Settings, console: Console, on: str = "original") -> Outcome:
    """Tables and figures of the data set, the shortcut audit, and duplicates.

    Writes into explore/<on>/: pictures.csv, summary.csv, figures, audit.json, duplicates.csv.
    """
    places, left_out = (_list_original if on == "original" else _list_resized)(settings, console)
    if not places:
        raise UserError(f"The {on} folders hold no pictures. Put them there, or see {settings.file}.")
    folder, workers = settings.explore / on, settings.workers
    frame = _read_all(settings, console, places)
    write_text(folder / "pictures.csv", frame_to_csv(frame))
    good = frame[frame["reason"] == ""].reset_index(drop=True)
    if good.empty:
        raise UserError(f"None of the {on} pictures can be read; the reasons: {folder / 'pictures.csv'}")
    summary = _summarise(good)
    write_text(folder / "summary.csv", frame_to_csv(summary))
    console.show(_print_summary(summary))
    console.note("Drawing the figures …")
    _draw_figures(good, folder, workers)
    console.note("Trying to tell the classes apart without the pictures …")
    audit = audit_shortcuts(good, on)
    write_audit(folder, audit)
    text, warning = describe_audit(audit, settings)
    (console.warn if warning else console.show)("\n" + text)
    duplicates = _tabulate(good, _find_duplicates(settings, console, good))
    _write_duplicates(duplicates, folder, workers)
    lines = ["", *_describe_duplicates(duplicates, folder)]
    bad = frame[frame["reason"] != ""]
    if left_out:
        lines.append(f"{plural(left_out, 'listed bad picture')} left out")
    if len(bad):
        lines.append(f"{plural(len(bad), 'picture')} {'was' if len(bad) == 1 else 'were'} skipped:")
        lines += [f"  {row.path}: {row.reason}" for row in bad.head(10).itertuples()]
    lines.append(f"Tables and figures: {folder}")
    return Outcome("\n".join(lines), 1 if len(bad) else 0)
