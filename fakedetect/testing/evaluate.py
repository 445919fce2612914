"""Option 3.5: how good is the model really, on what, and how far does that carry?"""

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
    read_or_begin,
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
from fakedetect.dataset.folders import check_apart, class_folders, list_pictures, source_of
from fakedetect.dataset.identical import count_known
from fakedetect.dataset.samples import (
    Sample,
    check_both_classes,
    describe_faults,
    find_originals,
    find_shape,
    find_shapes,
    warn_about_skipped,
)
from fakedetect.images.listing import list_images
from fakedetect.images.named import parse_paths
from fakedetect.metrics.calibration import UNCALIBRATED
from fakedetect.metrics.intervals import describe_shape_effect
from fakedetect.metrics.measures import list_measures, measure_entry
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import load_pictures, predict_pictures, predict_samples
from fakedetect.testing.figures import draw_reliability, draw_robustness
from fakedetect.testing.results import (
    auc_of,
    confusion_of,
    format_predictions,
    tell_gap,
    tell_left_out,
    tell_one_sided,
    tell_sources,
)
from fakedetect.testing.robustness import measure_robustness, tell_robustness


@dataclass(frozen=True)
class Tested:
    """The test dataset as it was measured, the sources that could be left out of training, and the reasons
    of the unreadable pictures."""

    entry: TestEntry
    sources: tuple[str, ...]
    bad: Mapping[Path, str]


def measure_test(detector: Detector, console: Console) -> Tested:
    """Measure the model on the test dataset, also after degrading its pictures.

    Raises:
        UserError: no picture of one of the classes can be read.
    """
    dataset = load_pictures(detector.settings, "test")
    warn_about_skipped(dataset, console)
    samples, margins, bad = predict_samples(detector, console, dataset.samples, "test")
    folders = [(dataset.folder, 0), (dataset.folder, 1)]
    check_both_classes(samples, folders, "readable ", "Scan and resize again.")
    originals = find_originals(detector.settings, "test", [sample.path for sample in samples])
    shapes = find_shapes(originals, samples, dataset.resized)
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    sources = [sample.source for sample in samples]
    found = measure_entry(detector.calibration, is_fake, sources, margins, shapes)
    robustness = measure_robustness(detector, console, samples, margins)
    by_class = [{s.source for s in dataset.samples if s.label == label} for label in (0, 1)]
    several = sorted(source for found in by_class if len(found) > 1 for source in found if source)
    return Tested(
        entry=TestEntry(**msgspec.structs.asdict(found), robustness=robustness),
        sources=tuple(several),
        bad=bad,
    )


@dataclass(frozen=True)
class Foreign:
    """A folder of other pictures as it was measured: the name that it is kept by, its figures, the answers
    as CSV, and the reasons of the unreadable pictures."""

    name: str
    entry: ForeignEntry
    predictions: str
    bad: Mapping[Path, str]


def _read_foreign(folder: Path, console: Console) -> list[Sample]:
    folders = class_folders(folder, lambda name: f"Put {name or 'real and fake'} pictures there.")
    samples = [
        Sample(path, label, source_of(path, class_folder))
        for class_folder, label in folders
        for path in list_pictures(class_folder, console)[0]
    ]
    check_both_classes(samples, folders, "", "Put some there.")
    return samples


def _list_own(settings: Settings) -> list[Path]:
    """The pictures of the project, originals and copies."""
    folders = (*settings.original.values(), *settings.resized.values())
    return [path for folder in folders if folder.is_dir() for path in list_images(folder)]


def _name_of(folder: Path, known: Mapping[str, ForeignEntry]) -> str:
    """What a folder's figures are kept by: its own name, with those above it where others have that one."""
    place = folder.resolve()
    whole = printable(str(place))
    for name, entry in known.items():
        if entry.folder == whole:
            return name
    # The name becomes that of a file too, on systems that tell no capitals apart.
    taken = {name.casefold() for name in known}
    ends = (PurePath(*place.parts[-count:]).as_posix() for count in range(1, len(place.parts)))
    return next((name for name in map(printable, ends) if name.casefold() not in taken), whole)


def measure_foreign(
    detector: Detector, console: Console, known: Mapping[str, ForeignEntry], folder: Path
) -> Foreign:
    """Measure the model on a folder of other pictures, scaled in memory as the resized copies are.

    Args:
        known: the folders that were measured before, by name.

    Raises:
        UserError: it holds no readable pictures of both classes.
    """
    by_path = {sample.path: sample for sample in _read_foreign(folder, console)}
    found, bad = predict_pictures(detector, console, list(by_path), folder.name)
    samples = [sample for path, sample in by_path.items() if path in found]
    check_both_classes(samples, [(folder, 0), (folder, 1)], "readable ", "Put some there.")
    margins = np.array([found[sample.path][0] for sample in samples])
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    sources = [sample.source for sample in samples]
    table = format_predictions(samples, np.where(margins >= 0, 0, 1), UNCALIBRATED.probability(margins))
    shapes = [find_shape(sample.path) for sample in samples]
    entry = ForeignEntry(
        **msgspec.structs.asdict(measure_entry(detector.calibration, is_fake, sources, margins, shapes)),
        folder=printable(folder.resolve()),
        predictions=hash_text(table),
        own=count_known([sample.path for sample in samples], _list_own(detector.settings)),
    )
    return Foreign(name=_name_of(folder, known), entry=entry, predictions=table, bad=bad)


def _evaluate_test(detector: Detector, console: Console, earlier: Evaluation) -> Outcome:
    settings, folder = detector.settings, detector.settings.model_folder
    found = measure_test(detector, console)
    evaluation = msgspec.structs.replace(earlier, test=found.entry)
    write_evaluation(folder / EVALUATION, evaluation)
    draw_robustness(found.entry.robustness, evaluation.model, folder / ROBUSTNESS_FIGURE)
    draw_reliability(found.entry.reliability, evaluation.model, folder / RELIABILITY_FIGURE)
    lines = [
        *_tell_entry(settings, f"{evaluation.model} on the test dataset", found.entry),
        *tell_robustness(found.entry.robustness),
        f"Figures: {folder / ROBUSTNESS_FIGURE} and {RELIABILITY_FIGURE}",
    ]
    elsewhere = _tell_elsewhere(settings, evaluation, found.sources)
    return _finish(lines, found.bad, folder, [*elsewhere, *_describe_result(found.entry)])


def _evaluate_foreign(detector: Detector, console: Console, earlier: Evaluation, data: Path) -> Outcome:
    settings, folder = detector.settings, detector.settings.model_folder
    found = measure_foreign(detector, console, earlier.foreign, data)
    write_text(foreign_predictions_file(folder, found.name), found.predictions)
    foreign = {**earlier.foreign, found.name: found.entry}
    write_evaluation(folder / EVALUATION, msgspec.structs.replace(earlier, foreign=foreign))
    auc = found.entry.measures.roc_auc
    lines = _tell_entry(settings, f"{earlier.model} on {found.name}", found.entry)
    if earlier.test is None:
        lines.append(f"To compare with your own test set: {settings.command('evaluate')}")
    gap = tell_gap(auc_of(earlier.test), auc, f"on {found.name}", known=found.entry.own)
    return _finish(lines, found.bad, folder, [*gap, *_describe_result(found.entry)])


def _finish(lines: Sequence[str], bad: Mapping[Path, str], folder: Path, result: Sequence[str]) -> Outcome:
    """The lines, with what matters most at their end."""
    where = f"Results: {folder / EVALUATION}"
    return Outcome("\n".join([*lines, *describe_faults(bad), where, *result]), 1 if bad else 0)


def _describe_result(entry: Entry) -> list[str]:
    """The figures to remember, with their intervals, and whether they mean anything."""
    found = entry.measures
    return [
        *tell_one_sided(confusion_of(entry)),
        f"Accuracy: {found.accuracy.describe('.1%')}; ROC AUC: {found.roc_auc}",
    ]


def _tell_entry(settings: Settings, name: str, entry: Entry) -> list[str]:
    return [
        f"{name}: {plural(entry.count, 'picture')} "
        f"({entry.fake:,} fake, {entry.real:,} real; 95 % intervals)",
        *(f"  {said:<34}{value}" for said, value in list_measures(entry)),
        *_tell_verdicts(settings, entry.verdicts),
        *tell_sources(entry.sources),
        *describe_shape_effect(entry.measures.roc_auc, entry.auc_same_shape),
    ]


def _tell_verdicts(settings: Settings, found: VerdictRates | None) -> list[str]:
    if found is None:
        return [f"  No thresholds are fitted: {settings.command('fit-thresholds')}"]
    return [
        f"  {'calibration error, calibrated':<34}{found.ece_calibrated:.3f}",
        f"  {'real called fake':<34}{found.real_called_fake:.1%}",
        f"  {'fake called real':<34}{found.fake_called_real:.1%}",
        f"  {'unsure':<34}{found.unsure:.1%}; accuracy of the rest "
        f"{found.accuracy_of_sure:.1%}, overall {found.accuracy:.1%}",
    ]


def _tell_elsewhere(settings: Settings, evaluation: Evaluation, sources: Sequence[str]) -> list[str]:
    """What is known, or could be, of pictures unlike the training ones."""
    own = auc_of(evaluation.test)
    lines = []
    for name, entry in evaluation.foreign.items():
        lines += tell_gap(own, entry.measures.roc_auc, f"on {name}", known=entry.own)
    for source, left_out in evaluation.left_out.items():
        lines.append(tell_left_out(source, left_out))
    if not lines:
        lines.append(
            "All of these pictures are like the training ones. Whether the model generalises: "
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
    """The one folder that a text names."""
    paths = parse_paths([text], "folder")
    if len(paths) != 1 or not paths[0].is_dir():
        raise UserError(f"{paths[0]} is not a folder. Give one that contains real/ and fake/.")
    return paths[0]


def _evaluate(settings: Settings, console: Console, data: Path | None) -> Outcome:
    require_checkpoint(settings)
    if not data:
        check_apart(settings)
    folder = settings.model_folder
    with run_lock(folder):
        detector = load_detector(settings, console)
        again = settings.command("evaluate")
        earlier = read_or_begin(folder / EVALUATION, detector.name, detector.checkpoint_hash, again)
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
    """Measure the chosen model thoroughly; writes evaluation.json and figures into its folder.

    Args:
        data: test on this folder of other pictures, which holds class folders, instead.
        leave_out: of version 0.5; `train` has it now.
        ask: on a terminal, ask for such a folder after the test dataset.

    Raises:
        UserError: the model is not trained, its evaluation.json does not fit, or pictures are missing.
    """
    if leave_out:
        raise UserError(
            f"--leave-out is an option of train now: {settings.command('train', '--leave-out', leave_out)}"
        )
    outcome = _evaluate(settings, console, _read_folder(data) if data else None)
    if ask and console.interactive:
        console.show(outcome.text)
        question = "Also test on a folder of other pictures, with real/ and fake/ (Enter: no)"
        folder = console.ask(question, path=True)
        return evaluate(settings, console, data=folder) if folder else Outcome("", outcome.status)
    return outcome
