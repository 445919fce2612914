"""Option 7: the tested models side by side."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.intervals import roc_auc_interval, share_interval
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.core.test_record import TestResults
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.testing.figures import draw_confusion_matrices, draw_roc_curves
from fakedetect.testing.results import find_mistakes, read_tested
from fakedetect.training.log import draw_loss_curves, read_epochs

SIGNIFICANT = 0.05
GALLERY = 12
LISTED = 3
REFERENCE = {
    "resnet18": (0.9425, 0.94, 0.94, 0.94, 0.94, 0.94, 0.94, 339, 351, 6),
    "resnet50": (0.9556, 0.96, 0.95, 0.95, 0.96, 0.96, 0.96, 310, 223, 5),
    "vit_b_16": (0.9666, 0.98, 0.96, 0.96, 0.98, 0.97, 0.97, 259, 142, 5),
    "convnext_v2_tiny": (0.9671, 0.98, 0.96, 0.96, 0.98, 0.97, 0.97, 269, 126, 7),
    "convnext_v2_base": (0.9697, 0.96, 0.98, 0.98, 0.96, 0.97, 0.97, 121, 243, 4),
}
"""What the course project published for 11,997 test pictures, in the order of MEASURES."""

MEASURES = (
    "accuracy",
    "precision_fake",
    "precision_real",
    "recall_fake",
    "recall_real",
    "f1_fake",
    "f1_real",
    "fake_taken_for_real",
    "real_taken_for_fake",
    "epochs",
)
HIGHER_IS_BETTER = ("accuracy", "roc_auc", *MEASURES[1:7], "images_per_second")
LOWER_IS_BETTER = MEASURES[7:9]


@dataclass(frozen=True)
class Compared:
    """A tested model: its results and, by path, its predictions."""

    name: str
    results: TestResults
    predictions: pd.DataFrame

    @property
    def right(self) -> pd.Series:
        """(N,) bool by path: which pictures the model got right."""
        return self.predictions["label"] == self.predictions["predicted"]


def _read_models(settings: Settings, console: Console) -> list[Compared]:
    found, unusable = [], 0
    for name in settings.recipes:
        try:
            tested = read_tested(settings.model_folders / name, settings.with_model(name).command("test"))
        except UserError as error:
            console.warn(f"{name} left out: {error}")
            unusable += 1
            continue
        if tested:
            by_path = tested.predictions.set_index("path").sort_index()
            found.append(Compared(name, tested.results, by_path))
    if not found and unusable:
        raise UserError("No model has test results that can be used.")
    if not found:
        raise UserError(
            "No model has been tested yet. Train and test one: "
            f"{settings.command('train')}, then {settings.command('test')}"
        )
    return found


def _row(model: Compared, epochs: int) -> dict[str, str | float | None]:
    results, frame = model.results, model.predictions
    fake = (frame["label"] == "fake").to_numpy()
    scores = frame["p_fake"].to_numpy()
    both = 0 < fake.sum() < len(fake)
    low, high = share_interval(int(model.right.sum()), len(frame))
    auc = float(roc_auc_score(fake, scores)) if both else None
    auc_low, auc_high = (
        (None, None) if auc is None else roc_auc_interval(auc, int(fake.sum()), int((~fake).sum()))
    )
    classes = tuple(zip(CLASSES, results.classes.both(), strict=True))
    return {
        "model": model.name,
        "from": "measured",
        "pictures": len(frame),
        "accuracy": float(model.right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "roc_auc": auc,
        "auc_low": auc_low,
        "auc_high": auc_high,
        **{f"precision_{name}": of_class.precision for name, of_class in classes},
        **{f"recall_{name}": of_class.recall for name, of_class in classes},
        **{f"f1_{name}": of_class.f1 for name, of_class in classes},
        "fake_taken_for_real": results.confusion_matrix[0][1],
        "real_taken_for_fake": results.confusion_matrix[1][0],
        "epochs": epochs or None,
        "parameters": results.parameters,
        "images_per_second": results.images_per_second,
    }


def _build_table(tested: list[Compared], epochs: dict[str, int]) -> pd.DataFrame:
    rows = []
    for model in tested:
        rows.append(_row(model, epochs[model.name]))
        if model.name in REFERENCE:
            published = dict(zip(MEASURES, REFERENCE[model.name], strict=True))
            rows.append({"model": model.name, "from": "reference", "pictures": 11_997, **published})
    table = pd.DataFrame(rows)
    whole = ["pictures", *LOWER_IS_BETTER, "epochs", "parameters"]
    table[whole] = table[whole].astype("Float64").astype("Int64")
    return table


def _best(table: pd.DataFrame) -> set[tuple[int, str]]:
    """The (row, column) places of the best measured values, where there is something to compare."""
    measured = table[table["from"] == "measured"]
    best: set[tuple[int, str]] = set()
    for column in (*HIGHER_IS_BETTER, *LOWER_IS_BETTER):
        values = measured[column].dropna().astype(float)
        if len(values) > 1:
            top = values.min() if column in LOWER_IS_BETTER else values.max()
            best |= {(row, column) for row in values.index[values == top]}
    return best


def _cells(row: pd.Series) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Heading -> (text, the columns whose best makes it bold)."""

    def number(column: str, form: str) -> str:
        return "-" if pd.isna(row[column]) else format(row[column], form)

    def interval(column: str, low: str, form: str, scale: float) -> str:
        if pd.isna(row[low]):
            return number(column, form) if scale == 1 else f"{scale * row[column]:{form}}"
        high = row[low.replace("low", "high")]
        return f"{scale * row[column]:{form}} ({scale * row[low]:{form}}-{scale * high:{form}})"

    def pair(measure: str) -> tuple[str, tuple[str, ...]]:
        names = (f"{measure}_fake", f"{measure}_real")
        return "/".join(number(name, ".2f") for name in names), names

    return {
        "model": (row["model"] + (" (reference)" if row["from"] == "reference" else ""), ()),
        "pictures": (number("pictures", ",d"), ()),
        "accuracy % (95 %)": (interval("accuracy", "accuracy_low", ".2f", 100), ("accuracy",)),
        "AUC (95 %)": (interval("roc_auc", "auc_low", ".3f", 1), ("roc_auc",)),
        "precision": pair("precision"),
        "recall": pair("recall"),
        "F1": pair("f1"),
        "fake>real": (number("fake_taken_for_real", "d"), ("fake_taken_for_real",)),
        "real>fake": (number("real_taken_for_fake", "d"), ("real_taken_for_fake",)),
        "epochs": (number("epochs", "d"), ()),
        "parameters": (number("parameters", ",d"), ()),
        "img/s": (number("images_per_second", ".1f"), ("images_per_second",)),
    }


def _lay_out(table: pd.DataFrame, console: Console) -> tuple[str, str]:
    """The table for the screen and as Markdown; a cell is bold when all of its values are the best."""
    best = _best(table)
    rows = [(index, _cells(row)) for index, row in table.iterrows()]
    headings = list(rows[0][1])
    widths = [max(len(h), *(len(cells[h][0]) for _, cells in rows)) for h in headings]
    screen = ["  ".join(h.ljust(width) for h, width in zip(headings, widths, strict=True)).rstrip()]
    markdown = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for index, cells in rows:
        shown, written = [], []
        for heading, width in zip(headings, widths, strict=True):
            text, columns = cells[heading]
            bold = bool(columns) and all((index, column) in best for column in columns)
            shown.append(console.bold(text.ljust(width)) if bold else text.ljust(width))
            written.append(f"**{text}**" if bold else text)
        screen.append("  ".join(shown).rstrip())
        markdown.append(f"| {' | '.join(written)} |")
    return "\n".join(screen), "\n".join(markdown)


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """p of McNemar's exact test (1947) that two models are right on the same pictures equally often.

    Args:
        right_a: (N,) bool, where the first is right; right_b: likewise on the same pictures.
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def _compare_pairs(tested: list[Compared]) -> list[str]:
    """A sentence for each pair; p adjusted for the number of pairs (Holm 1979)."""
    tests, lines = [], []
    for a, b in itertools.combinations(tested, 2):
        if a.predictions.index.equals(b.predictions.index):
            tests.append((mcnemar(a.right.to_numpy(), b.right.to_numpy()), a, b))
        else:
            lines.append(f"{a.name} and {b.name} were tested on different pictures: not compared.")
    highest = 0.0
    said = []
    for number, (p, a, b) in enumerate(sorted(tests, key=lambda test: test[0])):
        highest = max(highest, min(1.0, p * (len(tests) - number)))
        better, worse = (a, b) if a.right.mean() >= b.right.mean() else (b, a)
        if highest < SIGNIFICANT:
            said.append(f"{better.name} is better than {worse.name} (p = {highest:.2g})")
        else:
            said.append(f"{a.name} and {b.name}: no difference shown (p = {highest:.2g})")
    return said + lines


def _draw_gallery(model: Compared, wrong: pd.DataFrame, folder: Path, workers: int) -> list[str]:
    write_text(folder / f"wrong_answers_{model.name}.csv", wrong.to_csv(index=False))
    figure = folder / f"wrong_answers_{model.name}.png"
    if wrong.empty:
        figure.unlink(missing_ok=True)
        return [f"{model.name}: no wrong answers"]
    shown = pd.concat([rows.head(GALLERY) for _, rows in wrong.groupby("label")])
    captions = [
        f"{Path(row.path).name}\nis {row.label}, taken for {row.predicted} {row.confidence:.1%}"
        for row in shown.itertuples()
    ]
    tiles = read_tiles([Path(path) for path in shown["path"]], captions, workers)
    draw_sheet(tiles, 6, f"{model.name}: most confident mistakes, fake taken for real first", figure)
    lines = [f"{model.name}: {plural(len(wrong), 'wrong answer')}, the most confident in {figure.name}"]
    for _, rows in wrong.groupby("label"):
        for row in rows.head(LISTED).itertuples():
            lines.append(f"  {row.label} taken for {row.predicted} ({row.confidence:.1%}): {row.path}")
    return lines


def compare(settings: Settings, console: Console) -> Outcome:
    """Compare every model that has test results.

    Writes into model_folders/: comparison.csv, comparison.md, comparison_roc.png,
    comparison_confusion.png, comparison_loss.png, and for each model its wrong answers.
    """
    tested = _read_models(settings, console)
    folder = settings.model_folders
    runs = {model.name: read_epochs(folder / model.name) for model in tested}
    table = _build_table(tested, {name: len(epochs) for name, epochs in runs.items()})
    screen, markdown = _lay_out(table, console)
    sentences = _compare_pairs(tested)
    intro = "Pairs by McNemar's test, p adjusted for their number (Holm):" if sentences else ""
    notes = [intro, *(f"- {sentence}" for sentence in sentences)] if sentences else []
    write_text(folder / "comparison.csv", table.to_csv(index=False))
    write_text(folder / "comparison.md", "\n".join([markdown, "", *notes]).rstrip() + "\n")
    curves = {}
    for model, auc in zip(tested, table.loc[table["from"] == "measured", "roc_auc"], strict=True):
        if not pd.isna(auc):
            fake = model.predictions["label"] == "fake"
            false_rate, true_rate, _ = roc_curve(fake, model.predictions["p_fake"])
            curves[f"{model.name} (AUC {auc:.3f})"] = (false_rate, true_rate)
    draw_roc_curves(curves, "ROC curves on the test dataset", folder / "comparison_roc.png")
    matrices = {model.name: model.results.confusion_matrix for model in tested}
    draw_confusion_matrices(matrices, CLASSES, folder / "comparison_confusion.png")
    if logged := {name: epochs for name, epochs in runs.items() if epochs}:
        draw_loss_curves(logged, folder / "comparison_loss.png")
    workers = settings.workers
    lines = [screen, "precision, recall and F1: fake/real", "", *notes, ""]
    for model in tested:
        lines += _draw_gallery(model, find_mistakes(model.predictions.reset_index()), folder, workers)
    lines.append(f"Tables and figures: {folder}")
    return Outcome("\n".join(lines))
