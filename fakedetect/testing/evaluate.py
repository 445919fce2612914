"""Option 3.5: measure the model on test data and on other pictures, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec
import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_text, run_lock, write_text
from fakedetect.core.records.evaluation import (
    Entry,
    Evaluation,
    ForeignEntry,
    TestEntry,
    VerdictRates,
    read_or_create_evaluation,
    write_evaluation,
)
from fakedetect.core.settings.model_folder import (
    EVALUATION,
    RELIABILITY_FIGURE,
    ROBUSTNESS_FIGURE,
    foreign_predictions_file,
    require_checkpoint,
)
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.folders import (
    check_folders_apart,
    find_class_folders,
    list_folder_pictures,
    list_project_pictures,
    source_of,
)
from fakedetect.dataset.identical import count_identical
from fakedetect.dataset.samples import (
    Sample,
    check_both_classes,
    describe_faults,
    find_originals,
    list_shapes,
    read_file_facts,
    read_original_facts,
    warn_about_skipped,
)
from fakedetect.images.named import parse_paths
from fakedetect.metrics.calibration import UNCALIBRATED
from fakedetect.metrics.intervals import describe_shape_effect
from fakedetect.metrics.measures import list_measures, measure_entry
from fakedetect.metrics.null import describe_null, measure_null
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import load_pictures, predict_pictures, predict_samples
from fakedetect.testing.figures import write_reliability_figure, write_robustness_figure
from fakedetect.testing.results import (
    build_confusion_matrix,
    describe_gap,
    describe_left_out_source,
    describe_one_sided,
    describe_sources,
    find_auc,
    format_predictions,
)
from fakedetect.testing.robustness import describe_robustness, measure_robustness


@dataclass(frozen=True)
class MeasuredTest:
    """The figures on the test dataset, the sources that could be held out of training, and the reasons
    of unreadable pictures."""

    entry: TestEntry
    sources: tuple[str, ...]
    bad: Mapping[Path, str]


def measure_test(detector: Detector, console: Console) -> MeasuredTest:
    """Measure the model on the test dataset and on degraded versions of it.

    Raises:
        UserError: no picture of one of the classes can be read.
    """
    dataset = load_pictures(detector.settings, "test")
    warn_about_skipped(dataset, console)
    samples, margins, bad = predict_samples(detector, console, dataset.samples, "test")
    folders = [(dataset.folder, 0), (dataset.folder, 1)]
    check_both_classes(samples, folders, "readable ", "Scan and resize again.")
    originals = find_originals(detector.settings, "test", [sample.path for sample in samples])
    files = read_original_facts(originals, samples, dataset.resized)
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    sources = [sample.source for sample in samples]
    found = measure_entry(detector.calibration, is_fake, sources, margins, list_shapes(files))
    found = msgspec.structs.replace(found, null_auc=measure_null(files, is_fake))
    robustness = measure_robustness(detector, console, samples, margins)
    by_class = [{s.source for s in dataset.samples if s.label == label} for label in (0, 1)]
    several = sorted(source for found in by_class if len(found) > 1 for source in found if source)
    return MeasuredTest(
        entry=TestEntry(**msgspec.structs.asdict(found), robustness=robustness),
        sources=tuple(several),
        bad=bad,
    )


@dataclass(frozen=True)
class MeasuredFolder:
    """The figures on a folder of other pictures: its name in evaluation.json, the entry, the
    predictions as CSV, and the reasons of unreadable pictures."""

    name: str
    entry: ForeignEntry
    predictions: str
    bad: Mapping[Path, str]


def _read_foreign(folder: Path, console: Console) -> list[Sample]:
    folders = find_class_folders(folder, lambda name: f"Put {name or 'real and fake'} pictures there.")
    samples = [
        Sample(path, label, source_of(path, class_folder))
        for class_folder, label in folders
        for path in list_folder_pictures(class_folder, console)[0]
    ]
    check_both_classes(samples, folders, "", "Put some there.")
    return samples


def _choose_name(folder: Path, known: Mapping[str, ForeignEntry]) -> str:
    """Return a folder's name in evaluation.json: its own, with parent folders if that name is taken."""
    place = folder.resolve()
    whole = printable(str(place))
    for name, entry in known.items():
        if entry.folder == whole:
            return name
    # The name becomes part of a file name, on file systems that ignore case too.
    taken = {name.casefold() for name in known}
    ends = (PurePath(*place.parts[-count:]).as_posix() for count in range(1, len(place.parts)))
    return next((name for name in map(printable, ends) if name.casefold() not in taken), whole)


def measure_foreign(
    detector: Detector, console: Console, known: Mapping[str, ForeignEntry], folder: Path
) -> MeasuredFolder:
    """Measure the model on a folder of other pictures, scaled in memory like the resized copies.

    Args:
        known: the folders measured before, by name.

    Raises:
        UserError: the folder lacks readable pictures of one class.
    """
    by_path = {sample.path: sample for sample in _read_foreign(folder, console)}
    found, bad = predict_pictures(detector, console, list(by_path), folder.name)
    samples = [sample for path, sample in by_path.items() if path in found]
    check_both_classes(samples, [(folder, 0), (folder, 1)], "readable ", "Put some there.")
    margins = np.array([found[sample.path][0] for sample in samples])
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    sources = [sample.source for sample in samples]
    table = format_predictions(samples, np.where(margins >= 0, 0, 1), UNCALIBRATED.probability(margins))
    files = [read_file_facts(sample.path) for sample in samples]
    measured = measure_entry(detector.calibration, is_fake, sources, margins, list_shapes(files))
    measured = msgspec.structs.replace(measured, null_auc=measure_null(files, is_fake))
    entry = ForeignEntry(
        **msgspec.structs.asdict(measured),
        folder=printable(folder.resolve()),
        predictions=hash_text(table),
        own=count_identical([sample.path for sample in samples], list_project_pictures(detector.settings)),
    )
    return MeasuredFolder(name=_choose_name(folder, known), entry=entry, predictions=table, bad=bad)


def _evaluate_test(detector: Detector, console: Console, earlier: Evaluation) -> Outcome:
    settings, folder = detector.settings, detector.settings.model_folder
    found = measure_test(detector, console)
    evaluation = msgspec.structs.replace(earlier, test=found.entry)
    write_evaluation(folder / EVALUATION, evaluation)
    write_robustness_figure(found.entry.robustness, evaluation.model, folder / ROBUSTNESS_FIGURE)
    write_reliability_figure(found.entry.reliability, evaluation.model, folder / RELIABILITY_FIGURE)
    lines = [
        *_describe_entry(settings, f"{evaluation.model} on the test dataset", found.entry),
        *describe_robustness(found.entry.robustness),
        f"Figures: {folder / ROBUSTNESS_FIGURE} and {RELIABILITY_FIGURE}",
    ]
    elsewhere = _describe_elsewhere(settings, evaluation, found.sources)
    return _make_outcome(lines, found.bad, folder, [*elsewhere, *_describe_result(found.entry)])


def _evaluate_foreign(detector: Detector, console: Console, earlier: Evaluation, data: Path) -> Outcome:
    settings, folder = detector.settings, detector.settings.model_folder
    found = measure_foreign(detector, console, earlier.foreign, data)
    write_text(foreign_predictions_file(folder, found.name), found.predictions)
    foreign = {**earlier.foreign, found.name: found.entry}
    write_evaluation(folder / EVALUATION, msgspec.structs.replace(earlier, foreign=foreign))
    auc = found.entry.measures.roc_auc
    lines = _describe_entry(settings, f"{earlier.model} on {found.name}", found.entry)
    if earlier.test is None:
        lines.append(f"To compare with your own test set: {settings.command('evaluate')}")
    gap = describe_gap(find_auc(earlier.test), auc, f"on {found.name}", known=found.entry.own)
    return _make_outcome(lines, found.bad, folder, [*gap, *_describe_result(found.entry)])


def _make_outcome(
    lines: Sequence[str], bad: Mapping[Path, str], folder: Path, result: Sequence[str]
) -> Outcome:
    """Join the lines, with the most important ones at the end."""
    where = f"Results: {folder / EVALUATION}"
    return Outcome("\n".join([*lines, *describe_faults(bad), where, *result]), 1 if bad else 0)


def _describe_result(entry: Entry) -> list[str]:
    """Return the main figures with their intervals, and a warning if they are meaningless."""
    found = entry.measures
    return [
        *describe_one_sided(build_confusion_matrix(entry)),
        f"Accuracy: {found.accuracy.describe('.1%')}; ROC AUC: {found.roc_auc}",
    ]


def _describe_entry(settings: Settings, name: str, entry: Entry) -> list[str]:
    return [
        f"{name}: {plural(entry.count, 'picture')} "
        f"({entry.fake:,} fake, {entry.real:,} real; 95 % intervals)",
        *(f"  {name:<36}{value}" for name, value in list_measures(entry)),
        *_describe_verdicts(settings, entry.verdicts),
        *describe_sources(entry.sources),
        *describe_shape_effect(entry.measures.roc_auc, entry.auc_same_shape),
        *describe_null(entry.measures.roc_auc, entry.null_auc),
    ]


def _describe_verdicts(settings: Settings, found: VerdictRates | None) -> list[str]:
    if found is None:
        return [f"  No thresholds are fitted: {settings.command('fit-thresholds')}"]
    return [
        f"  {'calibration error, calibrated':<36}{found.ece_calibrated:.3f}",
        f"  {'real called fake':<36}{percent(found.real_called_fake)}",
        f"  {'fake called real':<36}{percent(found.fake_called_real)}",
        f"  {'unsure':<36}{percent(found.unsure)}; accuracy of the rest "
        f"{percent(found.accuracy_of_sure)}, overall {percent(found.accuracy)}",
    ]


def _describe_elsewhere(settings: Settings, evaluation: Evaluation, sources: Sequence[str]) -> list[str]:
    """Return what is known about pictures unlike the training ones, or how to measure it."""
    own = find_auc(evaluation.test)
    lines = []
    for name, entry in evaluation.foreign.items():
        lines += describe_gap(own, entry.measures.roc_auc, f"on {name}", known=entry.own)
    for source, left_out in evaluation.left_out.items():
        lines.append(describe_left_out_source(source, left_out))
    if not lines:
        lines.append(
            "These pictures are like the training ones. To measure whether the model generalises: "
            f"{settings.command('evaluate', '--data', 'FOLDER')} (other pictures, in real/ and fake/)"
            + (
                f", or {settings.command('train', '--leave-out', 'SOURCE')} (one of "
                f"{', '.join(map(printable, sources))})"
                if sources
                else ""
            )
        )
    return lines


def _read_folder(text: str) -> Path:
    """Return the folder that a text names."""
    paths = parse_paths([text], "folder")
    if len(paths) != 1 or not paths[0].is_dir():
        raise UserError(f"{paths[0]} is not a folder. Give one that contains real/ and fake/.")
    return paths[0]


def _evaluate(settings: Settings, console: Console, data: Path | None) -> Outcome:
    require_checkpoint(settings)
    if not data:
        check_folders_apart(settings)
    folder = settings.model_folder
    with run_lock(folder):
        detector = load_detector(settings, console)
        again = settings.command("evaluate")
        earlier = read_or_create_evaluation(
            folder / EVALUATION, detector.name, detector.checkpoint_hash, again
        )
        if data:
            return _evaluate_foreign(detector, console, earlier, data)
        return _evaluate_test(detector, console, earlier)


def evaluate(
    settings: Settings,
    console: Console,
    data: str | None = None,
    leave_out: str | None = None,
    ask: bool = False,
) -> Outcome:
    """Measure the chosen model in detail; writes evaluation.json and figures into its folder.

    Args:
        data: a folder of other pictures with class folders, to test on instead.
        leave_out: an option until version 0.5, now one of `train`.
        ask: on a terminal, ask for such a folder after the test dataset.

    Raises:
        UserError: the model is not trained, its evaluation.json cannot be used, or pictures are missing.
    """
    if leave_out:
        raise UserError(
            f"--leave-out is now an option of train: {settings.command('train', '--leave-out', leave_out)}"
        )
    outcome = _evaluate(settings, console, _read_folder(data) if data else None)
    if ask and console.interactive:
        console.show(outcome.text)
        question = "Also test on a folder of other pictures, with real/ and fake/ (Enter: no)"
        folder = console.ask(question, path=True)
        return evaluate(settings, console, data=folder) if folder else Outcome("", outcome.status)
    return outcome
