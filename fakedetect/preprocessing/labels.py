"""explore --labels: table, sheet, page and description of pictures whose label is probably wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fakedetect.core.files import write_text
from fakedetect.core.records.csv_files import frame_to_csv
from fakedetect.core.settings.model_folder import REVIEW_PAGE
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.dataset.listed import ListedPicture, list_dataset_pictures
from fakedetect.dataset.review_page import DoubtfulPicture, write_review_page
from fakedetect.dataset.samples import Sample, describe_faults
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.preprocessing.label_scores import find_label_issues, score_pictures

LABELS_CSV = "labels.csv"
LABELS_SHEET = "labels.png"
MOST_SHEET_PICTURES = 24
PICTURES_PER_ROW = 6
MOST_PRINTED_PICTURES = 5
WEAK_AUC = 0.93
"""Below this ROC AUC, most suspected labels were correct, with 3 % wrong (docs/research/experiments.md)."""


@dataclass(frozen=True)
class ReviewedLabels:
    """The findings on a dataset's labels.

    Attributes:
        on: 'original' or 'resized'.
        table: a row for each readable picture, the likeliest errors first: `path`, `part`, `label`,
            `suggested_label`, held-out `p_fake`, `source`, `suspected`, and `leaning`: the label is not
            suspected, but the other class is more probable.
        network: the model whose pretrained network computed the features.
        auc: the ROC AUC of p_fake against the labels.
        bad: the unreadable pictures and their reasons.
        listed_bad: the number of bad pictures that scan has listed, which were skipped.
    """

    on: str
    table: pd.DataFrame
    network: str
    auc: float
    bad: Mapping[Path, str]
    listed_bad: int

    @property
    def suspected(self) -> pd.DataFrame:
        """The pictures whose label is suspected."""
        return self.table[self.table["suspected"]]


def review_labels(settings: Settings, console: Console, on: str = "original") -> ReviewedLabels:
    """Compare every picture's label with a prediction by a classifier that was fitted on other pictures.

    Args:
        on: 'original' or 'resized' pictures.

    Raises:
        UserError: there are too few pictures, or the network's weights are unavailable.
    """
    places, listed_bad = list_dataset_pictures(settings, console, on)
    samples = [Sample(place.path, CLASSES.index(place.label), place.source) for place in places]
    found = score_pictures(settings, console, samples)
    table = pd.DataFrame([_make_row(places[place]) for place in found.indices])
    issues = find_label_issues(found.p_fake, (table["label"] == "fake").to_numpy())
    table = table.assign(
        p_fake=found.p_fake.round(4), suspected=issues.suspected, leaning=issues.leaning
    ).iloc[issues.order]
    return ReviewedLabels(
        on=on,
        table=table.reset_index(drop=True),
        network=found.network,
        auc=found.auc,
        bad=found.bad,
        listed_bad=listed_bad,
    )


def _make_row(place: ListedPicture) -> dict[str, object]:
    return {
        "path": place.path,
        "part": place.part,
        "label": place.label,
        "suggested_label": _other_class(place.label),
        "source": place.source,
    }


def _other_class(label: str) -> str:
    return CLASSES[1 - CLASSES.index(label)]


def _write(settings: Settings, folder: Path, found: ReviewedLabels) -> None:
    """Write labels.csv with all doubtful pictures, and a sheet of the first suspected ones if any."""
    doubtful = found.table[found.table["suspected"] | found.table["leaning"]]
    columns = ["path", "part", "label", "suggested_label", "p_fake", "suspected", "source"]
    words = doubtful["suspected"].map({True: "yes", False: "no"})
    write_text(folder / LABELS_CSV, frame_to_csv(doubtful.assign(suspected=words)[columns]))
    shown = found.suspected.head(MOST_SHEET_PICTURES)
    if shown.empty:
        (folder / LABELS_SHEET).unlink(missing_ok=True)
        return
    captions = [
        f"{printable(row.path.name)}\nlabelled {row.label}, looks {row.suggested_label}\n"
        f"p(fake) {row.p_fake:.2f}, {row.part}" + (f", {printable(row.source)}" if row.source else "")
        for row in shown.itertuples()
    ]
    tiles = read_tiles(list(shown["path"]), captions, settings.workers)
    title = f"Suspected wrong labels ({len(shown)} of {len(found.suspected):,})"
    draw_sheet(tiles, PICTURES_PER_ROW, title, folder / LABELS_SHEET)


def _write_page(settings: Settings, console: Console, folder: Path, found: ReviewedLabels) -> str:
    """Write the page with the suspected pictures and return how to use it; '' if there are none."""
    if found.suspected.empty:
        (folder / REVIEW_PAGE).unlink(missing_ok=True)
        return ""
    doubtful = [DoubtfulPicture(row.path, row.part, row.p_fake) for row in found.suspected.itertuples()]
    return write_review_page(settings, console, folder / REVIEW_PAGE, "Suspected wrong labels", doubtful)


def _describe_review(folder: Path, found: ReviewedLabels, advice: str) -> list[str]:
    """Describe the findings.

    Args:
        advice: what to do about suspected labels.
    """
    suspected, count = found.suspected, len(found.table)
    lines = _describe_folders(found.table)
    if len(suspected):
        lines += [
            f"  labelled {row.label}, looks {row.suggested_label}, p(fake) {row.p_fake:.2f}: "
            + printable(row.path)
            for row in suspected.head(MOST_PRINTED_PICTURES).itertuples()
        ]
    if leaning := int(found.table["leaning"].sum()):
        lines.append(f"{leaning:,} more lean towards the other class; they follow in {LABELS_CSV}")
    lines.append(
        f"Method: cross-validated logistic regression on frozen features of {found.network}; ROC AUC "
        f"{found.auc:.3f} (0.5 is chance)"
    )
    if len(suspected):
        lines += _describe_next_steps(found, advice)
    if found.listed_bad:
        lines.append(f"{plural(found.listed_bad, 'listed bad picture')} skipped")
    sheet = f" and {LABELS_SHEET}" if len(suspected) else ""
    how_many = f"{len(suspected):,} of" if len(suspected) else "none among"
    return [
        *lines,
        *describe_faults(found.bad),
        f"Results: {folder / LABELS_CSV}{sheet}",
        f"Suspected wrong labels: {how_many} {plural(count, 'picture')}",
    ]


def _describe_folders(table: pd.DataFrame) -> list[str]:
    lines = []
    for name in FOLDERS:
        part, label = name.split("-")
        suspected = table["suspected"][(table["part"] == part) & (table["label"] == label)]
        if len(suspected):
            lines.append(f"  {part} {label}: {suspected.sum():,} of {len(suspected):,}")
    return lines


def _describe_next_steps(found: ReviewedLabels, advice: str) -> list[str]:
    lines = [
        "These are candidates, not confirmed errors; unusual but correct pictures also appear. Look at "
        "each before you decide."
    ]
    if found.auc < WEAK_AUC:
        lines.append(
            "The network separates the classes poorly; most suspected labels are probably correct."
        )
    return [*lines, advice]


def suspect_labels(settings: Settings, console: Console, on: str) -> Outcome:
    """Find and describe the pictures whose label is probably wrong.

    Writes into explore/<on>/: labels.csv, labels.png, review.html.
    """
    found = review_labels(settings, console, on)
    folder = settings.explore / on
    _write(settings, folder, found)
    advice = _write_page(settings, console, folder, found)
    return Outcome("\n".join(_describe_review(folder, found, advice)), 1 if found.bad else 0)
