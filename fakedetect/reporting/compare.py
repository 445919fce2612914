"""Option 7: the tested models side by side."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_curve

from fakedetect.core.errors import UserError
from fakedetect.core.files import write_text
from fakedetect.core.installation import STARTERS
from fakedetect.core.records.csv_files import frame_to_csv
from fakedetect.core.records.repeats import TEST_FIGURES, Repeats, format_spread, read_repeats_with_spread
from fakedetect.core.records.training import Epoch
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import find_originals, name_pictures
from fakedetect.images.sheets import draw_sheet, read_tiles
from fakedetect.metrics.paired import SIGNIFICANCE_LEVEL, compute_mcnemar_p
from fakedetect.reporting.comparison_table import (
    ComparedModel,
    build_sources,
    build_table,
    format_sources,
    format_table,
)
from fakedetect.testing.figures import write_roc_figure
from fakedetect.testing.results import (
    describe_one_sided,
    find_mistakes,
    read_tested_model,
    write_confusion_figures,
)
from fakedetect.training.log import draw_loss_curves, read_epochs

GALLERY_PICTURES = 12
LISTED_MISTAKES = 3


@dataclass(frozen=True)
class ModelPair:
    """Two models, which of them is more accurate, and whether the difference may be chance.

    `p` is that of McNemar's test, adjusted for the number of pairs; None if they were tested on different
    pictures. `overlap`: whether the accuracies of their runs with several seeds overlap; None if a model
    has a single run.
    """

    first: str
    second: str
    better: str
    worse: str
    p: float | None
    overlap: bool | None = None


@dataclass(frozen=True)
class Comparison:
    """The tested models side by side.

    `table` has a row for each model and, if requested, one for its published figures. `sources` has a row
    for each model and source. `epochs` and `mistakes` are by the model's name.
    """

    models: tuple[ComparedModel, ...]
    epochs: Mapping[str, tuple[Epoch, ...]]
    table: pd.DataFrame
    sources: pd.DataFrame
    pairs: tuple[ModelPair, ...]
    mistakes: Mapping[str, pd.DataFrame]


def _read_models(settings: Settings, console: Console) -> list[ComparedModel]:
    found, unusable = [], 0
    for name in settings.models:
        try:
            tested = read_tested_model(
                settings.model_folders / name, settings.with_model(name).command("test")
            )
        except UserError as error:
            console.warn(f"Skipped {name}: {error}")
            unusable += 1
            continue
        if tested:
            table = tested.predictions
            names = name_pictures(settings, "test", [Path(path) for path in table["path"]])
            by_name = table.set_index(pd.Index(names)).sort_index()
            repeats = _read_runs(settings.with_model(name), console, tested.results.checkpoint)
            found.append(
                ComparedModel(name=name, results=tested.results, predictions=by_name, repeats=repeats)
            )
    if not found and unusable:
        raise UserError("No model has usable test results.")
    if not found:
        raise UserError(
            "No model has been tested yet. Train and test one: "
            f"{settings.command('train')}, then {settings.command('test')}"
        )
    return found


def _read_runs(settings: Settings, console: Console, checkpoint: str | None) -> Repeats | None:
    """Read the chosen model's repeated runs, if there are at least two; warn about an unusable file."""
    again = settings.command("train", "--repeat", "3")
    try:
        return read_repeats_with_spread(settings.model_folder, checkpoint or "", again)
    except UserError as error:
        console.warn(f"Skipped the runs of {settings.model}: {error}")
        return None


def _overlap(a: ComparedModel, b: ComparedModel) -> bool | None:
    """Whether the accuracies of two models' runs overlap; None if a model has a single run."""
    first, second = (model.repeats.spread.get("accuracy") if model.repeats else None for model in (a, b))
    if first is None or second is None:
        return None
    return first.lowest <= second.highest and second.lowest <= first.highest


def compare_pairs(models: Sequence[ComparedModel]) -> tuple[ModelPair, ...]:
    """Run McNemar's test on each pair, smallest p first; p is adjusted for their number (Holm 1979)."""
    tests, untested = [], []
    for a, b in itertools.combinations(models, 2):
        better, worse = (a, b) if a.right.mean() >= b.right.mean() else (b, a)
        # A review between the two tests changes labels.
        if a.predictions["label"].equals(b.predictions["label"]):
            tests.append((compute_mcnemar_p(a.right.to_numpy(), b.right.to_numpy()), a, b, better, worse))
        else:
            untested.append(
                ModelPair(first=a.name, second=b.name, better=better.name, worse=worse.name, p=None)
            )
    highest = 0.0
    found = []
    for number, (p, a, b, better, worse) in enumerate(sorted(tests, key=lambda test: test[0])):
        highest = max(highest, min(1.0, p * (len(tests) - number)))
        found.append(
            ModelPair(
                first=a.name,
                second=b.name,
                better=better.name,
                worse=worse.name,
                p=highest,
                overlap=_overlap(a, b),
            )
        )
    return (*found, *untested)


def _describe_pair(pair: ModelPair) -> str:
    if pair.p is None:
        return f"{pair.first} and {pair.second} were tested on different pictures: not compared."
    if pair.p < SIGNIFICANCE_LEVEL:
        runs = {None: "", True: ", but the accuracies of their runs overlap", False: ", in every run"}
        return f"{pair.better} is better than {pair.worse} (p = {pair.p:.2g}){runs[pair.overlap]}"
    return f"{pair.first} and {pair.second}: no significant difference (p = {pair.p:.2g})"


def _draw_gallery(settings: Settings, model: ComparedModel, wrong: pd.DataFrame) -> None:
    folder = settings.model_folders
    write_text(folder / f"wrong_answers_{model.name}.csv", frame_to_csv(wrong))
    figure = _gallery_file(folder, model)
    if wrong.empty:
        figure.unlink(missing_ok=True)
        return
    shown = pd.concat([rows.head(GALLERY_PICTURES) for _, rows in wrong.groupby("label")])
    captions = [
        f"{Path(row.path).name}\nis {row.label}, classified as {row.predicted} {percent(row.confidence)}"
        for row in shown.itertuples()
    ]
    originals = find_originals(settings, "test", [Path(path) for path in shown["path"]])
    tiles = read_tiles(originals, captions, settings.workers)
    draw_sheet(tiles, 6, f"{model.name}: most confident mistakes, fake classified as real first", figure)


def _gallery_file(folder: Path, model: ComparedModel) -> Path:
    return folder / f"wrong_answers_{model.name}.png"


def _describe_mistakes(folder: Path, model: ComparedModel, wrong: pd.DataFrame) -> list[str]:
    if wrong.empty:
        return [f"{model.name}: no wrong predictions"]
    name = _gallery_file(folder, model).name
    lines = [f"{model.name}: {plural(len(wrong), 'wrong prediction')}, the most confident in {name}"]
    for _, rows in wrong.groupby("label"):
        for row in rows.head(LISTED_MISTAKES).itertuples():
            lines.append(
                f"  {row.label} classified as {row.predicted} ({percent(row.confidence)}): {row.path}"
            )
    return lines


def compare_models(settings: Settings, console: Console, reference: bool = False) -> Comparison:
    """Compare every model that has test results; warn about results that cannot be used.

    Args:
        reference: include the figures that the course project published.

    Raises:
        UserError: no model has been tested, or no test results are usable.
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


def _describe_notes(settings: Settings, found: Comparison) -> list[str]:
    """Describe what the table does not show: one-sided models, pair tests, runs with several seeds."""
    lines = [
        f"{model.name}: {line}"
        for model in found.models
        for line in describe_one_sided(model.results.confusion_matrix)
    ]
    lines += [
        f"{model.name} was trained elsewhere: its training pictures may include your test pictures, so its "
        "figures may be too good."
        for model in found.models
        if model.name in STARTERS
    ]
    if found.pairs:
        lines += [""] if lines else []
        lines.append("Pairs by McNemar's test, p adjusted for their number (Holm):")
        lines += [f"- {_describe_pair(pair)}" for pair in found.pairs]
        lines += _describe_single_runs(settings, found)
    if repeated := [(model.name, model.repeats) for model in found.models if model.repeats]:
        lines += [""] if lines else []
        lines.append("Runs with several seeds, mean ± sample standard deviation (lowest to highest):")
        lines += [
            f"- {name}, {len(runs)} runs: {format_spread(runs, TEST_FIGURES) or 'not tested'}"
            for name, runs in repeated
        ]
    return lines


def _describe_single_runs(settings: Settings, found: Comparison) -> list[str]:
    """Describe significant differences that may depend on the seed, because a model has a single run."""
    better = [pair for pair in found.pairs if pair.p is not None and pair.p < SIGNIFICANCE_LEVEL]
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


def _write_comparison(settings: Settings, found: Comparison, tables: Sequence[str]) -> None:
    """Write the tables and figures of a comparison.

    Args:
        tables: in Markdown.
    """
    folder = settings.model_folders
    write_text(folder / "comparison.csv", frame_to_csv(found.table))
    write_text(folder / "comparison_sources.csv", frame_to_csv(found.sources))
    notes = _describe_notes(settings, found)
    write_text(folder / "comparison.md", "\n".join([*tables, *notes]).rstrip() + "\n")
    curves = {}
    aucs = found.table.loc[found.table["from"] == "measured", "roc_auc"]
    for model, auc in zip(found.models, aucs, strict=True):
        if not pd.isna(auc):
            fake = model.predictions["label"] == "fake"
            false_rate, true_rate, _ = roc_curve(fake, model.predictions["p_fake"])
            curves[f"{model.name} (AUC {auc:.3f})"] = (false_rate, true_rate)
    write_roc_figure(curves, "ROC curves on the test dataset", folder / "comparison_roc.png")
    matrices = {model.name: model.results.confusion_matrix for model in found.models}
    write_confusion_figures(matrices, CLASSES, folder / "comparison_confusion.png")
    if logged := {name: epochs for name, epochs in found.epochs.items() if epochs}:
        draw_loss_curves(logged, folder / "comparison_loss.png")
    for model in found.models:
        _draw_gallery(settings, model, found.mistakes[model.name])


def compare(settings: Settings, console: Console, reference: bool = False) -> Outcome:
    """Compare every model that has test results.

    Writes into model_folders/: comparison.csv, comparison_sources.csv, comparison.md, comparison_roc.png,
    comparison_confusion.png, comparison_loss.png, and for each model its wrong predictions.

    Args:
        reference: include the figures that the course project published.
    """
    found = compare_models(settings, console, reference)
    folder = settings.model_folders
    screen, markdown = format_table(found.table, console)
    shown, tables = [screen, "precision, recall and F1: fake/real"], [markdown, ""]
    if len(found.sources):
        screen, markdown = format_sources(found.sources, console)
        shown, tables = [screen, "", *shown], [*tables, markdown, ""]
    _write_comparison(settings, found, tables)
    lines = [*_describe_notes(settings, found), ""]
    for model in found.models:
        lines += _describe_mistakes(folder, model, found.mistakes[model.name])
    lines += [f"Tables and figures: {folder}", "", *shown]
    return Outcome("\n".join(lines))
