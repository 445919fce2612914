"""Option 3.5: how good is the model really, on what, and how far does that carry?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec
import numpy as np

from fakedetect.core.console import Console, Outcome, plural, printable
from fakedetect.core.errors import UserError
from fakedetect.core.evaluation_record import (
    Entry,
    Evaluation,
    ForeignEntry,
    Measures,
    TestEntry,
    VerdictRates,
    read_evaluation,
    write_evaluation,
)
from fakedetect.core.files import hash_text, run_lock, write_text
from fakedetect.core.model_folder import (
    EVALUATION,
    RELIABILITY_FIGURE,
    ROBUSTNESS_FIGURE,
    foreign_predictions_file,
    require_checkpoint,
)
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.folders import class_folders, source_of
from fakedetect.dataset.identical import count_known
from fakedetect.dataset.samples import Sample, check_both_classes, describe_faults
from fakedetect.images.listing import list_images
from fakedetect.images.named import read_named
from fakedetect.models.calibration import UNCALIBRATED, Calibration
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import load_pictures, predict_pictures, predict_samples
from fakedetect.models.rates import measure_verdicts
from fakedetect.models.test_run import format_predictions
from fakedetect.testing.figures import draw_reliability, draw_robustness
from fakedetect.testing.held_out import evaluate_without, tell_held_out
from fakedetect.testing.measures import (
    CALIBRATED_CURVE,
    UNCALIBRATED_CURVE,
    measure,
    named,
    reliability,
)
from fakedetect.testing.results import confusion_of, tell_one_sided
from fakedetect.testing.robustness import measure_robustness, tell_robustness
from fakedetect.testing.sources import auc_of, measure_sources, tell_gap, tell_left_out, tell_sources


@dataclass(frozen=True)
class Evaluated:
    """What is known of a model after an evaluation, and what that one has measured.

    `part` is 'test', 'foreign' or 'left_out', and `name` the folder's or the source's; `sources` could be
    left out of training. `bad` has the reasons of the unreadable pictures, and `predictions` the answers
    to foreign ones as CSV.
    """

    evaluation: Evaluation
    part: str
    name: str
    bad: Mapping[Path, str]
    sources: tuple[str, ...] = ()
    predictions: str = ""


def measure_entry(calibration: Calibration, samples: Sequence[Sample], margins: np.ndarray) -> Entry:
    """All figures of a set of pictures.

    Args:
        margins: (N,) logit of fake minus logit of real.
    """
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    p_fake = UNCALIBRATED.probability(margins)
    curves = {UNCALIBRATED_CURVE: reliability(p_fake, is_fake)}
    if calibration.fitted:
        curves[CALIBRATED_CURVE] = reliability(calibration.probability(margins), is_fake)
    return Entry(
        count=len(samples),
        fake=int(is_fake.sum()),
        real=int((~is_fake).sum()),
        measures=Measures(**measure(margins, p_fake, is_fake)),
        sources=measure_sources(samples, margins),
        verdicts=measure_verdicts(calibration, margins, is_fake) if calibration.fitted else None,
        reliability=curves,
    )


def _check_readable(samples: Sequence[Sample], folder: Path, advice: str) -> None:
    """Refuse a folder in which no picture of one of the classes can be read."""
    check_both_classes(samples, [(folder, label) for label in range(len(CLASSES))], "readable ", advice)


def evaluate_test(detector: Detector, console: Console, earlier: Evaluation) -> Evaluated:
    """Measure the model on the test dataset, also after degrading its pictures.

    Raises:
        UserError: no picture of one of the classes can be read.
    """
    dataset = load_pictures(detector.settings, "test")
    samples, margins, bad = predict_samples(detector, console, dataset.samples, "test")
    _check_readable(samples, dataset.folder, "Scan and resize again.")
    entry = TestEntry(
        **msgspec.structs.asdict(measure_entry(detector.calibration, samples, margins)),
        robustness=measure_robustness(detector, console, samples, margins),
    )
    by_class = [{s.source for s in dataset.samples if s.label == label} for label in (0, 1)]
    sources = sorted(source for found in by_class if len(found) > 1 for source in found if source)
    return Evaluated(
        evaluation=msgspec.structs.replace(earlier, test=entry),
        part="test",
        name="",
        bad=bad,
        sources=tuple(sources),
    )


def _read_folder(text: str) -> Path:
    """The one folder that a text names."""
    paths = read_named([text], "folder")
    if len(paths) != 1 or not paths[0].is_dir():
        raise UserError(f"{paths[0]} is not a folder. Give one that contains real/ and fake/.")
    return paths[0]


def _read_foreign(folder: Path) -> list[Sample]:
    folders = class_folders(folder, lambda name: f"Put {name or 'real and fake'} pictures there.")
    samples = [
        Sample(path, label, source_of(path, class_folder))
        for class_folder, label in folders
        for path in list_images(class_folder)
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


def evaluate_foreign(detector: Detector, console: Console, earlier: Evaluation, folder: Path) -> Evaluated:
    """Measure the model on a folder of other pictures, scaled in memory as the resized copies are.

    Raises:
        UserError: it holds no readable pictures of both classes.
    """
    by_path = {sample.path: sample for sample in _read_foreign(folder)}
    found, bad = predict_pictures(detector, console, list(by_path), folder.name)
    samples = [sample for path, sample in by_path.items() if path in found]
    _check_readable(samples, folder, "Put some there.")
    margins = np.array([found[sample.path][0] for sample in samples])
    name = _name_of(folder, earlier.foreign)
    table = format_predictions(samples, np.where(margins >= 0, 0, 1), UNCALIBRATED.probability(margins))
    entry = ForeignEntry(
        **msgspec.structs.asdict(measure_entry(detector.calibration, samples, margins)),
        folder=printable(folder.resolve()),
        predictions=hash_text(table),
        own=count_known([sample.path for sample in samples], _list_own(detector.settings)),
    )
    evaluation = msgspec.structs.replace(earlier, foreign={**earlier.foreign, name: entry})
    return Evaluated(evaluation=evaluation, part="foreign", name=name, bad=bad, predictions=table)


def evaluate_left_out(detector: Detector, console: Console, earlier: Evaluation, source: str) -> Evaluated:
    """Train once more without a source, and measure that model on it."""
    entry, bad = evaluate_without(detector, console, source)
    name = printable(source)
    left_out = {**earlier.left_out, name: entry}
    return Evaluated(
        evaluation=msgspec.structs.replace(earlier, left_out=left_out), part="left_out", name=name, bad=bad
    )


def _write(folder: Path, found: Evaluated) -> None:
    """evaluation.json, and what was measured: the answers to foreign pictures, the test's figures."""
    evaluation = found.evaluation
    if found.predictions:
        write_text(foreign_predictions_file(folder, found.name), found.predictions)
    write_evaluation(folder / EVALUATION, evaluation)
    if found.part == "test" and evaluation.test:
        draw_robustness(evaluation.test.robustness, evaluation.model, folder / ROBUSTNESS_FIGURE)
        draw_reliability(evaluation.test.reliability, evaluation.model, folder / RELIABILITY_FIGURE)


def _tell(settings: Settings, found: Evaluated) -> list[str]:
    """What an evaluation has measured, in words."""
    evaluation, folder = found.evaluation, settings.model_folder
    lines: list[str] = []
    if found.part == "test" and evaluation.test:
        lines = [
            *_tell_entry(settings, f"{evaluation.model} on the test dataset", evaluation.test),
            *tell_robustness(evaluation.test.robustness),
            f"Figures: {folder / ROBUSTNESS_FIGURE} and {RELIABILITY_FIGURE}",
            *_tell_elsewhere(settings, evaluation, found.sources),
        ]
    elif found.part == "foreign":
        entry = evaluation.foreign[found.name]
        lines = _tell_entry(settings, f"{evaluation.model} on {found.name}", entry)
        own = auc_of(evaluation.test)
        lines += tell_gap(own, entry.measures.roc_auc, f"on {found.name}", known=entry.own)
        if evaluation.test is None:
            lines.append(f"To compare with your own test set: {settings.command('evaluate')}")
    elif found.part == "left_out":
        lines = tell_held_out(evaluation.model, found.name, evaluation.left_out[found.name])
    return [*lines, *describe_faults(found.bad), f"Results: {folder / EVALUATION}"]


def _tell_entry(settings: Settings, name: str, entry: Entry) -> list[str]:
    return [
        f"{name}: {plural(entry.count, 'picture')} "
        f"({entry.fake:,} fake, {entry.real:,} real; 95 % intervals)",
        *(f"  {said:<34}{value}" for said, value in named(entry.measures)),
        *_tell_verdicts(settings, entry.verdicts),
        *tell_sources(entry.sources),
        *tell_one_sided(confusion_of(entry)),
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
            + (f", or --leave-out SOURCE (of {', '.join(map(printable, sources))})" if sources else "")
        )
    return lines


def evaluate_model(
    settings: Settings, console: Console, data: Path | None = None, leave_out: str | None = None
) -> Evaluated:
    """Measure the chosen model and keep the results in its folder.

    Args:
        data: test on this folder of other pictures, which holds class folders, instead.
        leave_out: train once more without this source and test on it, instead.

    Raises:
        UserError: the model is not trained, its evaluation.json does not fit, or pictures are missing.
    """
    require_checkpoint(settings)
    folder = settings.model_folder
    with run_lock(folder):
        detector = load_detector(settings, console)
        earlier = read_evaluation(
            folder / EVALUATION, detector.checkpoint_hash, settings.command("evaluate")
        ) or Evaluation(model=detector.name, checkpoint=detector.checkpoint_hash)
        if data:
            found = evaluate_foreign(detector, console, earlier, data)
        elif leave_out:
            found = evaluate_left_out(detector, console, earlier, leave_out)
        else:
            found = evaluate_test(detector, console, earlier)
        _write(folder, found)
    return found


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
        leave_out: train once more without this source and test on it, instead.
        ask: on a terminal, ask for such a folder after the test dataset.
    """
    if data and leave_out:
        raise UserError("--data and --leave-out are different tests: use one at a time.")
    found = evaluate_model(settings, console, _read_folder(data) if data else None, leave_out)
    text = "\n".join(_tell(settings, found))
    status = 1 if found.bad else 0
    if ask and console.interactive:
        console.show(text)
        question = "Also test on a folder of other pictures, with real/ and fake/ (Enter: no)"
        folder = console.ask(question, path=True)
        return evaluate(settings, console, data=folder) if folder else Outcome("", status)
    return Outcome(text, status)
