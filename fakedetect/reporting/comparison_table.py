"""The tested models as a table, with measured figures and those that the reference published."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fakedetect.core.records.evaluation import TestResults, format_interval
from fakedetect.core.records.repeats import TEST_FIGURES, Repeats
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import BOLD, PLAIN, Console, printable
from fakedetect.metrics.intervals import measure_auc, measure_share

PUBLISHED_FIGURES = {
    "resnet18": (0.9425, 0.94, 0.94, 0.94, 0.94, 0.94, 0.94, 339, 351, 6),
    "resnet50": (0.9556, 0.96, 0.95, 0.95, 0.96, 0.96, 0.96, 310, 223, 5),
    "vit_b_16": (0.9666, 0.98, 0.96, 0.96, 0.98, 0.97, 0.97, 259, 142, 5),
    "convnext_v2_tiny": (0.9671, 0.98, 0.96, 0.96, 0.98, 0.97, 0.97, 269, 126, 7),
    "convnext_v2_base": (0.9697, 0.96, 0.98, 0.98, 0.96, 0.97, 0.97, 121, 243, 4),
}
"""The course project's published figures for 11,997 test pictures, in the order of PUBLISHED_MEASURES."""

PUBLISHED_MEASURES = (
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
HIGHER_IS_BETTER = ("accuracy", "roc_auc", *PUBLISHED_MEASURES[1:7], "images_per_second")
LOWER_IS_BETTER = PUBLISHED_MEASURES[7:9]

COLUMN_GAP = 2
"""Spaces between columns on the screen."""


@dataclass(frozen=True)
class ComparedModel:
    """A tested model: its results, its predictions indexed by picture name, and its repeated runs."""

    name: str
    results: TestResults
    predictions: pd.DataFrame
    repeats: Repeats | None = None

    @property
    def right(self) -> pd.Series:
        """Whether the model is right on each picture, (N,) bool indexed by name."""
        return self.predictions["label"] == self.predictions["predicted"]


def _build_row(model: ComparedModel, epochs: int) -> dict[str, str | float | None]:
    results, frame = model.results, model.predictions
    accuracy = measure_share(int(model.right.sum()), len(frame))
    auc = measure_auc((frame["label"] == "fake").to_numpy(), frame["p_fake"].to_numpy())
    classes = tuple(zip(CLASSES, results.classes.both(), strict=True))
    return {
        "model": model.name,
        "from": "measured",
        "pictures": len(frame),
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "roc_auc": auc.value,
        "auc_low": auc.low,
        "auc_high": auc.high,
        **{f"precision_{name}": of_class.precision for name, of_class in classes},
        **{f"recall_{name}": of_class.recall for name, of_class in classes},
        **{f"f1_{name}": of_class.f1 for name, of_class in classes},
        "fake_taken_for_real": results.confusion_matrix[0][1],
        "real_taken_for_fake": results.confusion_matrix[1][0],
        "epochs": epochs or None,
        "parameters": results.parameters,
        "images_per_second": results.images_per_second,
        **_summarise_runs(model.repeats),
    }


def _summarise_runs(repeats: Repeats | None) -> dict[str, float | None]:
    """Return the number of runs, and the mean and standard deviation of TEST_FIGURES over them."""
    columns: dict[str, float | None] = {"runs": len(repeats.runs) if repeats else None}
    for name in TEST_FIGURES:
        found = repeats.spread.get(name) if repeats else None
        columns[f"{name}_mean"] = found.mean if found else None
        columns[f"{name}_deviation"] = found.deviation if found else None
    return columns


def build_table(
    tested: Sequence[ComparedModel], epochs: Mapping[str, int], reference: bool
) -> pd.DataFrame:
    """Build a table with a row of figures for each model.

    Args:
        reference: add a row with the course project's published figures below each of its models.
    """
    rows = []
    for model in tested:
        rows.append(_build_row(model, epochs[model.name]))
        if reference and model.name in PUBLISHED_FIGURES:
            published = dict(zip(PUBLISHED_MEASURES, PUBLISHED_FIGURES[model.name], strict=True))
            rows.append({"model": model.name, "from": "reference", "pictures": 11_997, **published})
    table = pd.DataFrame(rows)
    whole = ["pictures", *LOWER_IS_BETTER, "epochs", "parameters", "runs"]
    table[whole] = table[whole].astype("Float64").astype("Int64")
    return table


def _find_best(table: pd.DataFrame) -> set[tuple[int, str]]:
    """Return the (row, column) of the best measured values in columns with at least two values."""
    measured = table[table["from"] == "measured"]
    best: set[tuple[int, str]] = set()
    for column in (*HIGHER_IS_BETTER, *LOWER_IS_BETTER):
        values = measured[column].dropna().astype(float)
        if len(values) > 1:
            top = values.min() if column in LOWER_IS_BETTER else values.max()
            best |= {(row, column) for row in values.index[values == top]}
    return best


def _format_cells(row: pd.Series, best: Container[str]) -> dict[str, str]:
    """Map headings to text; it is bold if all columns that it shows are among the best."""

    def number(column: str, form: str, scale: float = 1) -> str:
        return "-" if pd.isna(row[column]) else format(scale * row[column], form)

    def interval(column: str, name: str, form: str, scale: float = 1) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        if pd.isna(low):
            return number(column, form, scale)
        return format_interval(scale * row[column], scale * low, scale * high, form, "-")

    def mark(text: str, *columns: str) -> str:
        return f"{BOLD}{text}{PLAIN}" if all(column in best for column in columns) else text

    def pair(measure: str) -> str:
        names = (f"{measure}_fake", f"{measure}_real")
        return mark("/".join(number(name, ".2f") for name in names), *names)

    return {
        "model": row["model"] + (" (reference)" if row["from"] == "reference" else ""),
        "pictures": number("pictures", ",d"),
        "accuracy % (95 %)": mark(interval("accuracy", "accuracy", ".2f", 100), "accuracy"),
        "AUC (95 %)": mark(interval("roc_auc", "auc", ".3f"), "roc_auc"),
        "precision": pair("precision"),
        "recall": pair("recall"),
        "F1": pair("f1"),
        "fake>real": mark(number("fake_taken_for_real", "d"), "fake_taken_for_real"),
        "real>fake": mark(number("real_taken_for_fake", "d"), "real_taken_for_fake"),
        "epochs": number("epochs", "d"),
        "parameters": number("parameters", ",d"),
        "img/s": mark(number("images_per_second", ".1f"), "images_per_second"),
    }


def format_table(table: pd.DataFrame, console: Console) -> tuple[str, str]:
    """Format the table for the screen and as Markdown; a cell is bold if all of its values are the best.

    On the screen a model is a column, with as many side by side as fit.
    """
    best = _find_best(table)
    models = [
        _format_cells(row, {column for place, column in best if place == index})
        for index, row in table.iterrows()
    ]
    return "\n".join(_format_columns(models, console.columns)), _format_markdown(models)


def build_sources(tested: Sequence[ComparedModel]) -> pd.DataFrame:
    """Build a table with a row for each model and source: `pictures`, and the accuracy with its interval.

    It is empty if no class has two sources.
    """
    rows = []
    for model in tested:
        frame = model.predictions
        for (label, source), right in model.right.groupby([frame["label"], frame["source"]]):
            share = measure_share(int(right.sum()), len(right))
            facts = {"model": model.name, "class": label, "source": source, "pictures": len(right)}
            rows.append(facts | {"accuracy": share.value, "low": share.low, "high": share.high})
    table = pd.DataFrame(rows)
    return table if table.groupby(["model", "class"])["source"].nunique().max() > 1 else table.head(0)


def format_sources(table: pd.DataFrame, console: Console) -> tuple[str, str]:
    """Format the sources for the screen, one a line, and as Markdown, one a column."""
    places = list(dict.fromkeys(zip(table["class"], table["source"], strict=True)))
    models = []
    for name, rows in table.groupby("model", sort=False):
        found = {(row["class"], row["source"]): row for _, row in rows.iterrows()}
        cells = {"recall %, by source": str(name)}
        for place in places:
            row = found.get(place)
            shown = "-" if row is None else f"{100 * row['accuracy']:.1f} of {row['pictures']:,}"
            cells[f"{place[0]}/{printable(str(place[1]))}".rstrip("/")] = shown
        models.append(cells)
    return "\n".join(_format_columns(models, console.columns)), _format_markdown(models)


def _format_markdown(models: Sequence[Mapping[str, str]]) -> str:
    headings = list(models[0])
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    lines += [f"| {' | '.join(cells.values())} |" for cells in models]
    return "\n".join(lines).replace(BOLD, "**").replace(PLAIN, "**")


def _format_columns(models: Sequence[Mapping[str, str]], room: int) -> list[str]:
    """Format blocks with one line for each heading; a block has as many models as fit."""
    first = max(map(len, models[0]))
    widths = [max(map(_width, cells.values())) for cells in models]
    lines: list[str] = []
    start = 0
    while start < len(models):
        end, left = start + 1, room - first - COLUMN_GAP - widths[start]
        while end < len(models) and left >= COLUMN_GAP + widths[end]:
            left -= COLUMN_GAP + widths[end]
            end += 1
        for heading in models[0]:
            shown = heading.ljust(first)
            for cells, width in zip(models[start:end], widths[start:end], strict=True):
                shown += " " * COLUMN_GAP + cells[heading] + " " * (width - _width(cells[heading]))
            lines.append(shown.rstrip())
        lines += [""] if end < len(models) else []
        start = end
    return lines


def _width(text: str) -> int:
    return len(text.replace(BOLD, "").replace(PLAIN, ""))
