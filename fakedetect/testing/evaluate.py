"""Option 3.5: how good is the model really, on what, and how far does that carry?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import read_json, run_lock, write_json
from fakedetect.core.model_folder import require_checkpoint
from fakedetect.core.settings import Settings
from fakedetect.dataset.folders import class_folders, source_of
from fakedetect.dataset.samples import Sample, describe_faults, load_dataset
from fakedetect.images.listing import list_images
from fakedetect.images.views import Look, View, view_batches
from fakedetect.models.calibration import PLAIN
from fakedetect.models.detector import Detector, load_detector, predict_samples
from fakedetect.testing.figures import draw_reliability, draw_robustness
from fakedetect.testing.held_out import evaluate_without
from fakedetect.testing.measures import NAMES, Measure, measure, measure_verdicts, reliability, to_json
from fakedetect.testing.robustness import measure_robustness, tell_robustness
from fakedetect.testing.sources import auc_of, measure_sources, tell_gap, tell_left_out, tell_sources


def _describe(name: str, entry: dict[str, Any], measures: dict[str, Measure]) -> list[str]:
    lines = [
        f"{name}: {plural(entry['count'], 'picture')} "
        f"({entry['fake']:,} fake, {entry['real']:,} real; 95 % intervals)"
    ]
    lines += [f"  {NAMES[key]:<34}{value}" for key, value in measures.items()]
    return lines


def _tell_verdicts(detector: Detector, found: dict[str, Any]) -> list[str]:
    if not detector.calibration.fitted:
        return [f"  No thresholds are fitted: {detector.settings.command('fit-thresholds')}"]
    return [
        f"  {'calibration error, calibrated':<34}{found['ece_calibrated']:.3f}",
        f"  {'real called fake':<34}{found['real_called_fake']:.1%}",
        f"  {'fake called real':<34}{found['fake_called_real']:.1%}",
        f"  {'unsure':<34}{found['unsure']:.1%}; of the others {found['accuracy_of_sure']:.1%} are right, "
        f"of all {found['accuracy']:.1%} would be",
    ]


def _measure_all(
    detector: Detector, name: str, samples: Sequence[Sample], margins: np.ndarray
) -> tuple[dict[str, Any], list[str]]:
    """The entry of a set of pictures in evaluation.json, and it in words."""
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    measures = measure(margins, PLAIN.probability(margins), is_fake)
    sources = measure_sources(samples, margins)
    fitted = detector.calibration.fitted
    entry: dict[str, Any] = {
        "count": len(samples),
        "fake": int(is_fake.sum()),
        "real": int((~is_fake).sum()),
        "measures": to_json(measures),
        "sources": sources,
        "verdicts": measure_verdicts(detector.calibration, margins, is_fake) if fitted else None,
        "reliability": {
            "as the model says": reliability(PLAIN.probability(margins), is_fake),
            **(
                {"calibrated": reliability(detector.calibration.probability(margins), is_fake)}
                if fitted
                else {}
            ),
        },
    }
    lines = [
        *_describe(f"{detector.name} on {name}", entry, measures),
        *_tell_verdicts(detector, entry["verdicts"] or {}),
        *tell_sources(sources),
    ]
    return entry, lines


def _read_earlier(detector: Detector) -> dict[str, Any]:
    """evaluation.json as far as it is about this checkpoint."""
    found = read_json(detector.settings.model_folder / "evaluation.json")
    if not isinstance(found, dict) or found.get("checkpoint") != detector.checkpoint_hash:
        return {"model": detector.name, "checkpoint": detector.checkpoint_hash}
    return found


def _write(detector: Detector, results: dict[str, Any]) -> str:
    path = detector.settings.model_folder / "evaluation.json"
    write_json(path, results)
    return f"Results: {path}"


def _evaluate_test(detector: Detector, console: Console, results: dict[str, Any]) -> tuple[list[str], int]:
    settings = detector.settings
    folder = settings.model_folder
    dataset = load_dataset(settings, "test")
    samples, margins, bad = predict_samples(detector, console, dataset.samples, "test")
    if len({sample.label for sample in samples}) < 2:
        raise UserError(f"{dataset.folder} holds no readable pictures of one class. Scan and resize again.")
    entry, lines = _measure_all(detector, "the test dataset", samples, margins)
    robustness = measure_robustness(detector, console, samples, margins)
    results["test"] = {**entry, "robustness": robustness}
    lines += tell_robustness(robustness)
    draw_robustness(robustness["points"], robustness["clean"], settings.model, folder / "robustness.png")
    draw_reliability(entry["reliability"], settings.model, folder / "reliability.png")
    lines.append(f"Figures: {folder / 'robustness.png'} and reliability.png")
    lines += _tell_elsewhere(settings, results, dataset.samples)
    return [*lines, *describe_faults(bad)], len(bad)


def _tell_elsewhere(settings: Settings, results: dict[str, Any], samples: Sequence[Sample]) -> list[str]:
    """What is known, or could be, of pictures unlike the training ones."""
    own = auc_of(results.get("test"))
    lines = []
    for name, entry in results.get("foreign", {}).items():
        lines += tell_gap(own, auc_of(entry), f"on {name}")
    for source, entry in results.get("left_out", {}).items():
        lines.append(tell_left_out(source, entry))
    if not lines:
        by_class = [{sample.source for sample in samples if sample.label == label} for label in (0, 1)]
        sources = sorted(source for found in by_class if len(found) > 1 for source in found if source)
        lines.append(
            "All of these pictures are like the training ones. Whether the model generalises: "
            f"{settings.command('evaluate', '--data', 'FOLDER')} (other pictures, in real/ and fake/)"
            + (f", or --leave-out SOURCE (of {', '.join(sources)})" if sources else "")
        )
    return lines


def _read_foreign(folder: Path) -> list[Sample]:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Name one that holds real/ and fake/.")
    samples = [
        Sample(path, label, source_of(path, class_folder))
        for class_folder, label in class_folders(folder, "Put the pictures of that class there.")
        for path in list_images(class_folder)
    ]
    if len({sample.label for sample in samples}) < 2:
        raise UserError(f"{folder} holds no pictures of one class. Put some there.")
    return samples


def _evaluate_foreign(
    detector: Detector, console: Console, results: dict[str, Any], folder: Path
) -> tuple[list[str], int]:
    """Test on a folder of other pictures, scaled in memory as the resized copies are."""
    by_path = {sample.path: sample for sample in _read_foreign(folder)}
    looks = (Look(path, (detector.kind,)) for path in by_path)
    workers = detector.settings.workers
    found: dict[Path, float] = {}
    bad: dict[Path, str] = {}
    batches = view_batches(looks, workers, detector.settings.recipe.batch_size)
    for batch in console.track(batches, len(by_path), folder.name, len):
        seen = [(look, view) for look, view in batch if isinstance(view, View)]
        bad |= {look.path: view for look, view in batch if isinstance(view, str)}
        if seen:
            margins = detector.margins(np.concatenate([view.images[0] for _, view in seen]))
            found.update(zip((look.path for look, _ in seen), margins, strict=True))
    samples = [sample for path, sample in by_path.items() if path in found]
    if len({sample.label for sample in samples}) < 2:
        raise UserError(f"{folder} holds no readable pictures of one class. Put some there.")
    margins = np.array([found[sample.path] for sample in samples])
    name = folder.resolve().name
    entry, lines = _measure_all(detector, name, samples, margins)
    results.setdefault("foreign", {})[name] = {"folder": str(folder.resolve()), **entry}
    own = auc_of(results.get("test"))
    lines += tell_gap(own, auc_of(entry), f"on {name}")
    if own is None:
        lines.append(f"To compare with the project's test set: {detector.settings.command('evaluate')}")
    return [*lines, *describe_faults(bad)], len(bad)


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
        raise UserError("--data and --leave-out are two tests: give one of them at a time.")
    require_checkpoint(settings)
    with run_lock(settings.model_folder):
        detector = load_detector(settings)
        results = _read_earlier(detector)
        if data:
            lines, bad = _evaluate_foreign(detector, console, results, Path(data).expanduser())
        elif leave_out:
            lines, bad = evaluate_without(detector, console, results, leave_out)
        else:
            lines, bad = _evaluate_test(detector, console, results)
        lines.append(_write(detector, results))
    if ask and console.interactive:
        console.show("\n".join(lines))
        folder = console.ask("Test on a folder of other pictures too, with real/ and fake/ (Enter: no)")
        return evaluate(settings, console, data=folder) if folder else Outcome("", 1 if bad else 0)
    return Outcome("\n".join(lines), 1 if bad else 0)
