"""explore --labels: the pictures whose label is probably wrong, as a table, a sheet and words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fakedetect.core.files import write_text
from fakedetect.core.records.csv_files import frame_to_csv
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.folders import ListedPicture, list_dataset_pictures
from fakedetect.dataset.samples import Sample, describe_faults
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.preprocessing.label_scores import doubt_labels, score_pictures

FILE_NAME = "labels.csv"
SHEET = "labels.png"
ON_SHEET = 24
IN_A_ROW = 6
TOLD = 5
WEAK = 0.93
"""ROC AUC below which most suspicions were wrong, with 3 % wrong labels (docs/research/experiments.md)."""


@dataclass(frozen=True)
class ReviewedLabels:
    """What is to be thought of the labels of a data set's original or resized pictures, by `on`.

    Attributes:
        table: a row a readable picture, the likeliest mistakes first: `path`, `part`, `label`,
            `suggested_label`, `p_fake` by a line that was fitted without it, `source`, and whether its
            label is `suspected` or, if not, `leaning`: the other class is still the more probable one.
        network: the model whose pretrained network has looked at them.
        auc: how well p_fake tells the labels apart.
        bad: the reasons of the unreadable ones.
        left_out: how many listed bad pictures were not looked at.
    """

    on: str
    table: pd.DataFrame
    network: str
    auc: float
    bad: Mapping[Path, str]
    left_out: int

    @property
    def suspected(self) -> pd.DataFrame:
        """The pictures whose label is suspected."""
        return self.table[self.table["suspected"]]


def review_labels(settings: Settings, console: Console, on: str = "original") -> ReviewedLabels:
    """Compare every picture's label with what the other pictures say of it.

    Args:
        on: 'original' or 'resized', which of the data set's pictures.

    Raises:
        UserError: there are too few pictures, or the network's weights are not to be had.
    """
    places, left_out = list_dataset_pictures(settings, console, on)
    samples = [Sample(place.path, CLASSES.index(place.label), place.source) for place in places]
    found = score_pictures(settings, console, samples)
    table = pd.DataFrame([_row(places[place]) for place in found.places])
    doubts = doubt_labels(found.p_fake, (table["label"] == "fake").to_numpy())
    table = table.assign(
        p_fake=found.p_fake.round(4), suspected=doubts.suspected, leaning=doubts.leaning
    ).iloc[doubts.order]
    return ReviewedLabels(
        on=on,
        table=table.reset_index(drop=True),
        network=found.network,
        auc=found.auc,
        bad=found.bad,
        left_out=left_out,
    )


def _row(place: ListedPicture) -> dict[str, object]:
    return {
        "path": place.path,
        "part": place.part,
        "label": place.label,
        "suggested_label": _other(place.label),
        "source": place.source,
    }


def _other(label: str) -> str:
    return CLASSES[1 - CLASSES.index(label)]


def _write(settings: Settings, folder: Path, found: ReviewedLabels) -> None:
    """labels.csv with all doubtful pictures, and a sheet of the first suspected ones if there are any."""
    doubtful = found.table[found.table["suspected"] | found.table["leaning"]]
    columns = ["path", "part", "label", "suggested_label", "p_fake", "suspected", "source"]
    words = doubtful["suspected"].map({True: "yes", False: "no"})
    write_text(folder / FILE_NAME, frame_to_csv(doubtful.assign(suspected=words)[columns]))
    shown = found.suspected.head(ON_SHEET)
    if shown.empty:
        (folder / SHEET).unlink(missing_ok=True)
        return
    captions = [
        f"{printable(row.path.name)}\nlabelled {row.label}, looks {row.suggested_label}\n"
        f"p(fake) {row.p_fake:.2f}, {row.part}" + (f", {printable(row.source)}" if row.source else "")
        for row in shown.itertuples()
    ]
    tiles = read_tiles(list(shown["path"]), captions, settings.workers)
    title = f"Suspected wrong labels ({len(shown)} of {len(found.suspected):,})"
    draw_sheet(tiles, IN_A_ROW, title, folder / SHEET)


def _tell(settings: Settings, folder: Path, found: ReviewedLabels) -> list[str]:
    """The suspicions in words."""
    suspected, count = found.suspected, len(found.table)
    lines = _tell_folders(found.table)
    if len(suspected):
        lines += [
            f"  labelled {row.label}, looks {row.suggested_label}, p(fake) {row.p_fake:.2f}: "
            + printable(row.path)
            for row in suspected.head(TOLD).itertuples()
        ]
    if leaning := int(found.table["leaning"].sum()):
        lines.append(f"{leaning:,} more lean towards the other class; they follow in {FILE_NAME}")
    lines.append(
        f"Method: cross-validated logistic regression on frozen features of {found.network}; ROC AUC "
        f"{found.auc:.3f} (0.5 is chance)"
    )
    if len(suspected):
        lines += _advise(settings, found)
    if found.left_out:
        lines.append(f"{plural(found.left_out, 'listed bad picture')} skipped")
    sheet = f" and {SHEET}" if len(suspected) else ""
    how_many = f"{len(suspected):,} of" if len(suspected) else "none among"
    return [
        *lines,
        *describe_faults(found.bad),
        f"Results: {folder / FILE_NAME}{sheet}",
        f"Suspected wrong labels: {how_many} {plural(count, 'picture')}",
    ]


def _tell_folders(table: pd.DataFrame) -> list[str]:
    lines = []
    for name in FOLDERS:
        part, label = name.split("-")
        suspected = table["suspected"][(table["part"] == part) & (table["label"] == label)]
        if len(suspected):
            lines.append(f"  {part} {label}: {suspected.sum():,} of {len(suspected):,}")
    return lines


def _advise(settings: Settings, found: ReviewedLabels) -> list[str]:
    lines = [
        "These are candidates, not confirmed errors; unusual but correct pictures also appear. Look at "
        "each before you change anything."
    ]
    if found.auc < WEAK:
        lines.append(
            "The network separates the classes poorly; most suspected labels are probably correct."
        )
    where = ["--on", found.on] if found.on != "original" else []
    lines.append(
        "What to do: move the original of a picture whose label is wrong into the other class's folder, "
        f"resize ({settings.command('resize', '--prune')}), and look again: "
        + settings.command("explore", "--labels", *where)
    )
    return lines


def suspect_labels(settings: Settings, console: Console, on: str) -> Outcome:
    """Name the pictures whose label is probably wrong.

    Writes into explore/<on>/: labels.csv, labels.png.
    """
    found = review_labels(settings, console, on)
    folder = settings.explore / on
    _write(settings, folder, found)
    return Outcome("\n".join(_tell(settings, folder, found)), 1 if found.bad else 0)
