"""The tested models as a table: what was measured, and beside it what the reference published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fakedetect.core.records.evaluation import say_interval
from fakedetect.core.records.repeats import FIGURES, TESTED, Repeats
from fakedetect.core.records.test import TestResults
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import BOLD, PLAIN, Console
from fakedetect.metrics.intervals import measure_auc, measure_share

PUBLISHED = {
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

GAP = 2
"""Blanks between the columns on the screen."""


@dataclass(frozen=True)
class Compared:
    """A tested model: its results, by the names of the pictures its predictions, and its repeated runs."""

    name: str
    results: TestResults
    predictions: pd.DataFrame
    repeats: Repeats | None = None

    @property
    def right(self) -> pd.Series:
        """(N,) bool by name: which pictures the model got right."""
        return self.predictions["label"] == self.predictions["predicted"]


def _row(model: Compared, epochs: int) -> dict[str, str | float | None]:
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
        **_over_runs(model.repeats),
    }


def _over_runs(repeats: Repeats | None) -> dict[str, float | None]:
    """The number of runs, and of the figures in TESTED mean and standard deviation over them."""
    columns: dict[str, float | None] = {"runs": len(repeats.runs) if repeats else None}
    for name in TESTED:
        found = repeats.spread.get(name) if repeats else None
        columns[f"{name}_mean"] = found.mean if found else None
        columns[f"{name}_deviation"] = found.deviation if found else None
    return columns


def build_table(tested: Sequence[Compared], epochs: Mapping[str, int]) -> pd.DataFrame:
    rows = []
    for model in tested:
        rows.append(_row(model, epochs[model.name]))
        if model.name in PUBLISHED:
            published = dict(zip(MEASURES, PUBLISHED[model.name], strict=True))
            rows.append({"model": model.name, "from": "reference", "pictures": 11_997, **published})
    table = pd.DataFrame(rows)
    whole = ["pictures", *LOWER_IS_BETTER, "epochs", "parameters", "runs"]
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


def _cells(row: pd.Series, repeated: bool) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Heading -> (text, the columns whose best makes it bold).

    Args:
        repeated: some model was trained several times.
    """

    def number(column: str, form: str) -> str:
        return "-" if pd.isna(row[column]) else format(row[column], form)

    def interval(column: str, low: str, form: str, scale: float) -> str:
        if pd.isna(row[low]):
            return number(column, form) if scale == 1 else f"{scale * row[column]:{form}}"
        high = row[low.replace("low", "high")]
        return say_interval(scale * row[column], scale * row[low], scale * high, form, "-")

    def pair(measure: str) -> tuple[str, tuple[str, ...]]:
        names = (f"{measure}_fake", f"{measure}_real")
        return "/".join(number(name, ".2f") for name in names), names

    def over_runs(name: str) -> tuple[str, tuple[str, ...]]:
        if pd.isna(row[f"{name}_mean"]):
            return "-", ()
        form = FIGURES[name][1]
        return f"{row[f'{name}_mean']:{form}} ± {row[f'{name}_deviation']:{form}}", ()

    runs = {
        "runs": (number("runs", "d"), ()),
        "accuracy of runs": over_runs("accuracy"),
        "AUC of runs": over_runs("roc_auc"),
    }
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
        **(runs if repeated else {}),
    }


@dataclass(frozen=True)
class _Cell:
    """A cell's text, and whether all of its values are the best."""

    text: str
    best: bool


_Rows = list[dict[str, _Cell]]
"""A row a model: heading -> cell."""


def lay_out(table: pd.DataFrame, console: Console) -> tuple[str, str]:
    """The table for the screen and as Markdown; a cell is bold when all of its values are the best.

    On the screen a model is a row where its columns fit, and a column otherwise: as many models side by
    side as there is room for, and one block a model on a narrow terminal.
    """
    best, repeated = _best(table), bool(table["runs"].notna().any())
    rows: _Rows = [
        {
            heading: _Cell(text, bool(columns) and all((index, column) in best for column in columns))
            for heading, (text, columns) in _cells(row, repeated).items()
        }
        for index, row in table.iterrows()
    ]
    wide = _in_rows(rows, console)
    fits = max(_width(line) for line in wide) <= console.columns
    return "\n".join(wide if fits else _in_columns(rows, console)), _as_markdown(rows)


def _as_markdown(rows: _Rows) -> str:
    headings = list(rows[0])
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for row in rows:
        cells = (f"**{cell.text}**" if cell.best else cell.text for cell in row.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_rows(rows: _Rows, console: Console) -> list[str]:
    headings = {heading: _Cell(heading, False) for heading in rows[0]}
    all_rows = [headings, *rows]
    widths = {heading: max(len(row[heading].text) for row in all_rows) for heading in headings}
    return [
        "  ".join(_shown(cell, widths[heading], console) for heading, cell in row.items()).rstrip()
        for row in all_rows
    ]


def _in_columns(rows: _Rows, console: Console) -> list[str]:
    """Blocks of lines, one line a heading; each block has as many models as fit beside the headings."""
    headings = list(rows[0])
    first = max(map(len, headings))
    widths = [max(len(cell.text) for cell in row.values()) for row in rows]
    lines: list[str] = []
    start = 0
    while start < len(rows):
        end, room = start + 1, console.columns - first - GAP - widths[start]
        while end < len(rows) and room >= GAP + widths[end]:
            room -= GAP + widths[end]
            end += 1
        for heading in headings:
            cells = [
                _shown(row[heading], width, console)
                for row, width in zip(rows[start:end], widths[start:end], strict=True)
            ]
            lines.append((" " * GAP).join([heading.ljust(first), *cells]).rstrip())
        lines += [""] if end < len(rows) else []
        start = end
    return lines


def _shown(cell: _Cell, width: int, console: Console) -> str:
    text = cell.text.ljust(width)
    return console.bold(text) if cell.best else text


def _width(line: str) -> int:
    return len(line.replace(BOLD, "").replace(PLAIN, "").rstrip())
