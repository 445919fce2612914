"""Option 7: the tested models side by side."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.installation import STARTERS
from fakedetect.core.records.cells import frame_to_csv
from fakedetect.core.records.repeats import TESTED, Repeats, read_several, say_spread
from fakedetect.core.records.training import Epoch
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural
from fakedetect.dataset.samples import find_originals, name_pictures
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.reporting.comparison_table import (
    Compared,
    build_sources,
    build_table,
    lay_out,
    lay_out_sources,
)
from fakedetect.testing.figures import draw_roc_curves
from fakedetect.testing.results import draw_confusion_matrices, find_mistakes, read_tested, tell_one_sided
from fakedetect.training.log import draw_loss_curves, read_epochs

SIGNIFICANT = 0.05
GALLERY = 12
LISTED = 3


@dataclass(frozen=True)
class Pair:
    """Two models, which of them was right more often, and whether that is chance.

    `p` is of McNemar's test, adjusted for the number of pairs; None where they were tested on different
    pictures. `overlap`: the accuracies of their runs with several seeds do; None where one has one run.
    """

    first: str
    second: str
    better: str
    worse: str
    p: float | None
    overlap: bool | None = None


@dataclass(frozen=True)
class Comparison:
    """The tested models side by side: a row a model and, if asked for, one for what was published; a row a
    model and source; the pairs, and by model's name its epochs and its wrong answers."""

    models: tuple[Compared, ...]
    epochs: Mapping[str, tuple[Epoch, ...]]
    table: pd.DataFrame
    sources: pd.DataFrame
    pairs: tuple[Pair, ...]
    mistakes: Mapping[str, pd.DataFrame]


def _read_models(settings: Settings, console: Console) -> list[Compared]:
    found, unusable = [], 0
    for name in settings.models:
        try:
            tested = read_tested(settings.model_folders / name, settings.with_model(name).command("test"))
        except UserError as error:
            console.warn(f"Skipped {name}: {error}")
            unusable += 1
            continue
        if tested:
            table = tested.predictions
            names = name_pictures(settings, "test", [Path(path) for path in table["path"]])
            by_name = table.set_index(pd.Index(names)).sort_index()
            repeats = _read_runs(settings.with_model(name), console, tested.results.checkpoint)
            found.append(Compared(name=name, results=tested.results, predictions=by_name, repeats=repeats))
    if not found and unusable:
        raise UserError("No model has usable test results.")
    if not found:
        raise UserError(
            "No model has been tested yet. Train and test one: "
            f"{settings.command('train')}, then {settings.command('test')}"
        )
    return found


def _read_runs(settings: Settings, console: Console, checkpoint: str | None) -> Repeats | None:
    """The chosen model's repeated runs, two or more of them; a file that cannot be used is a warning."""
    again = settings.command("train", "--repeat", "3")
    try:
        return read_several(settings.model_folder, checkpoint or "", again)
    except UserError as error:
        console.warn(f"Skipped the runs of {settings.model}: {error}")
        return None


def _overlap(a: Compared, b: Compared) -> bool | None:
    """Whether the accuracies of two models' runs overlap; None where one has a single run."""
    first, second = (model.repeats.spread.get("accuracy") if model.repeats else None for model in (a, b))
    if first is None or second is None:
        return None
    return first.lowest <= second.highest and second.lowest <= first.highest


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """p of McNemar's exact test (1947) that two models are right on the same pictures equally often.

    Args:
        right_a: (N,) bool, where the first is right; right_b: likewise on the same pictures.
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def compare_pairs(models: Sequence[Compared]) -> tuple[Pair, ...]:
    """McNemar's test of each pair, the clearest first; p adjusted for their number (Holm 1979)."""
    tests, untested = [], []
    for a, b in itertools.combinations(models, 2):
        better, worse = (a, b) if a.right.mean() >= b.right.mean() else (b, a)
        # A review between the two tests changes labels.
        if a.predictions["label"].equals(b.predictions["label"]):
            tests.append((mcnemar(a.right.to_numpy(), b.right.to_numpy()), a, b, better, worse))
        else:
            untested.append(Pair(first=a.name, second=b.name, better=better.name, worse=worse.name, p=None))
    highest = 0.0
    found = []
    for number, (p, a, b, better, worse) in enumerate(sorted(tests, key=lambda test: test[0])):
        highest = max(highest, min(1.0, p * (len(tests) - number)))
        found.append(
            Pair(
                first=a.name,
                second=b.name,
                better=better.name,
                worse=worse.name,
                p=highest,
                overlap=_overlap(a, b),
            )
        )
    return (*found, *untested)


def _tell_pair(pair: Pair) -> str:
    if pair.p is None:
        return f"{pair.first} and {pair.second} were tested on different pictures: not compared."
    if pair.p < SIGNIFICANT:
        runs = {None: "", True: ", but the accuracies of their runs overlap", False: ", in every run"}
        return f"{pair.better} is better than {pair.worse} (p = {pair.p:.2g}){runs[pair.overlap]}"
    return f"{pair.first} and {pair.second}: no significant difference (p = {pair.p:.2g})"


def _draw_gallery(settings: Settings, model: Compared, wrong: pd.DataFrame) -> None:
    folder = settings.model_folders
    write_text(folder / f"wrong_answers_{model.name}.csv", frame_to_csv(wrong))
    figure = _gallery_file(folder, model)
    if wrong.empty:
        figure.unlink(missing_ok=True)
        return
    shown = pd.concat([rows.head(GALLERY) for _, rows in wrong.groupby("label")])
    captions = [
        f"{Path(row.path).name}\nis {row.label}, classified as {row.predicted} {row.confidence:.1%}"
        for row in shown.itertuples()
    ]
    originals = find_originals(settings, "test", [Path(path) for path in shown["path"]])
    tiles = read_tiles(originals, captions, settings.workers)
    draw_sheet(tiles, 6, f"{model.name}: most confident mistakes, fake classified as real first", figure)


def _gallery_file(folder: Path, model: Compared) -> Path:
    return folder / f"wrong_answers_{model.name}.png"


def _tell_mistakes(folder: Path, model: Compared, wrong: pd.DataFrame) -> list[str]:
    if wrong.empty:
        return [f"{model.name}: no wrong predictions"]
    name = _gallery_file(folder, model).name
    lines = [f"{model.name}: {plural(len(wrong), 'wrong prediction')}, the most confident in {name}"]
    for _, rows in wrong.groupby("label"):
        for row in rows.head(LISTED).itertuples():
            lines.append(f"  {row.label} classified as {row.predicted} ({row.confidence:.1%}): {row.path}")
    return lines


def compare_models(settings: Settings, console: Console, reference: bool = False) -> Comparison:
    """Compare every model that has test results; what cannot be used is a warning.

    Args:
        reference: with what the course project published.

    Raises:
        UserError: no model has been tested, or none has results that can be used.
    """
    models = _read_models(settings, console)
    runs = {
        model.name: tuple(read_epochs(settings.model_folders / model.name, model.results.checkpoint or ""))
        for model in models
    }
    return Comparison(
        models=tuple(models),
        epochs=runs,
        table=build_table(models, {name: len(epochs) for name, epochs in runs.items()}, reference),
        sources=build_sources(models),
        pairs=compare_pairs(models),
        mistakes={model.name: find_mistakes(model.predictions.reset_index(drop=True)) for model in models},
    )


def _tell_notes(settings: Settings, found: Comparison) -> list[str]:
    """What the table does not show: one-sided models, the tests of the pairs, runs with several seeds."""
    lines = [
        f"{model.name}: {line}"
        for model in found.models
        for line in tell_one_sided(model.results.confusion_matrix)
    ]
    lines += [
        f"{model.name} came trained: its training pictures may include your test pictures, and its figures "
        "too good."
        for model in found.models
        if model.name in STARTERS
    ]
    if found.pairs:
        lines += [""] if lines else []
        lines.append("Pairs by McNemar's test, p adjusted for their number (Holm):")
        lines += [f"- {_tell_pair(pair)}" for pair in found.pairs]
        lines += _tell_single_runs(settings, found)
    if repeated := [(model.name, model.repeats) for model in found.models if model.repeats]:
        lines += [""] if lines else []
        lines.append("Runs with several seeds, mean ± sample standard deviation (lowest to highest):")
        lines += [
            f"- {name}, {len(runs)} runs: {say_spread(runs, TESTED) or 'not tested'}"
            for name, runs in repeated
        ]
    return lines


def _tell_single_runs(settings: Settings, found: Comparison) -> list[str]:
    """That a difference may be the luck of a seed, where a model of the pair has a single run."""
    better = [pair for pair in found.pairs if pair.p is not None and pair.p < SIGNIFICANT]
    in_doubt = {name for pair in better if pair.overlap is None for name in (pair.first, pair.second)}
    trainable = [model for model in found.models if model.name not in STARTERS]
    single = [model.name for model in trainable if model.name in in_doubt and not model.repeats]
    if not single:
        return []
    command = settings.with_model(single[0]).command("train", "--repeat", "3")
    trained = "was trained once" if len(single) == 1 else "were each trained once"
    return [
        f"p covers the choice of test pictures only. Another seed may train a better or a worse model, and "
        f"{' and '.join(single)} {trained}. To measure the variation between runs: {command}"
    ]


def _write(settings: Settings, found: Comparison, tables: Sequence[str]) -> None:
    """The tables and figures of a comparison.

    Args:
        tables: in Markdown.
    """
    folder = settings.model_folders
    write_text(folder / "comparison.csv", frame_to_csv(found.table))
    write_text(folder / "comparison_sources.csv", frame_to_csv(found.sources))
    notes = _tell_notes(settings, found)
    write_text(folder / "comparison.md", "\n".join([*tables, *notes]).rstrip() + "\n")
    curves = {}
    aucs = found.table.loc[found.table["from"] == "measured", "roc_auc"]
    for model, auc in zip(found.models, aucs, strict=True):
        if not pd.isna(auc):
            fake = model.predictions["label"] == "fake"
            false_rate, true_rate, _ = roc_curve(fake, model.predictions["p_fake"])
            curves[f"{model.name} (AUC {auc:.3f})"] = (false_rate, true_rate)
    draw_roc_curves(curves, "ROC curves on the test dataset", folder / "comparison_roc.png")
    matrices = {model.name: model.results.confusion_matrix for model in found.models}
    draw_confusion_matrices(matrices, CLASSES, folder / "comparison_confusion.png")
    if logged := {name: epochs for name, epochs in found.epochs.items() if epochs}:
        draw_loss_curves(logged, folder / "comparison_loss.png")
    for model in found.models:
        _draw_gallery(settings, model, found.mistakes[model.name])


def compare(settings: Settings, console: Console, reference: bool = False) -> Outcome:
    """Compare every model that has test results.

    Writes into model_folders/: comparison.csv, comparison_sources.csv, comparison.md, comparison_roc.png,
    comparison_confusion.png, comparison_loss.png, and for each model its wrong answers.

    Args:
        reference: show what the course project published, too.
    """
    found = compare_models(settings, console, reference)
    folder = settings.model_folders
    screen, markdown = lay_out(found.table, console)
    shown, tables = [screen, "precision, recall and F1: fake/real"], [markdown, ""]
    if len(found.sources):
        screen, markdown = lay_out_sources(found.sources, console)
        shown, tables = [screen, "", *shown], [*tables, markdown, ""]
    _write(settings, found, tables)
    lines = [*_tell_notes(settings, found), ""]
    for model in found.models:
        lines += _tell_mistakes(folder, model, found.mistakes[model.name])
    lines += [f"Tables and figures: {folder}", "", *shown]
    return Outcome("\n".join(lines))
