"""Option 3.6: calibrate the model's probabilities and set the thresholds of its three verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_text, run_lock
from fakedetect.core.records.record import write_record
from fakedetect.core.records.training import (
    CalibrationRecord,
    HeldOutScores,
    TrainingRecord,
    ValidationRecord,
    read_held_out_scores,
    write_training,
)
from fakedetect.core.settings.model_folder import (
    HELD_OUT_SCORES,
    OWN_PHOTOGRAPHS,
    TRAINING,
    is_probe,
    model_hash,
    require_checkpoint,
)
from fakedetect.core.settings.recipes import CLASSES, PROBE, Input
from fakedetect.core.settings.settings import Settings
from fakedetect.core.settings.trained_input import as_trained, read_own_training
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.folders import list_project_pictures
from fakedetect.dataset.identical import count_identical, try_hash_file
from fakedetect.dataset.samples import describe_faults
from fakedetect.images.listing import list_images
from fakedetect.images.named import parse_paths
from fakedetect.metrics.calibration import (
    FAKE,
    UNCALIBRATED,
    Calibration,
    compute_calibration_error,
    compute_rate_bound,
    describe_thresholds,
    fit_temperature,
    fit_thresholds,
    measure_verdicts,
    smallest_guaranteed_rate,
)
from fakedetect.metrics.held_out import USUAL_ERROR_RATE, calibrate_held_out, make_guarantee
from fakedetect.metrics.intervals import measure_share
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import find_validation_samples, predict_pictures, predict_samples
from fakedetect.models.verdicts import (
    FEWEST_PHOTOGRAPHS,
    MAX_CALLED_FAKE,
    OwnPhotographs,
    fit_own_threshold,
)

LISTED_PHOTOGRAPHS = 5


@dataclass(frozen=True)
class FittedThresholds:
    """Temperature and thresholds, their results on the validation pictures, and the unreadable
    pictures."""

    calibration: Calibration
    validation: ValidationRecord
    max_false_alarms: float
    max_missed: float
    bad: Mapping[Path, str]


def fit_on_validation(
    detector: Detector, console: Console, max_false_alarms: float, max_missed: float
) -> FittedThresholds:
    """Fit temperature and thresholds on the validation pictures.

    Args:
        max_false_alarms: the share of real pictures that may be called fake (0 to 0.5).
        max_missed: the share of fakes that may be called real (0 to 0.5).

    Raises:
        UserError: the validation pictures are unknown, too few, or of one class.
    """
    samples = find_validation_samples(detector.settings, detector.training)
    read, margins, bad = predict_samples(detector, console, samples, "validation")
    is_fake = np.array([sample.label == 0 for sample in read], bool)
    if not 0 < is_fake.sum() < len(is_fake):
        raise UserError("The validation pictures are all of one class. Train with more pictures.")
    temperature = fit_temperature(margins, is_fake)
    p_fake = Calibration(temperature).probability(margins)
    fake_from, real_below = fit_thresholds(p_fake, is_fake, max_false_alarms, max_missed)
    fitted = Calibration(temperature, fake_from, real_below, fitted=True)
    found = measure_verdicts(fitted, margins, is_fake)
    validation = ValidationRecord(
        fake=int(is_fake.sum()),
        real=int((~is_fake).sum()),
        real_called_fake=found.real_called_fake,
        fake_called_real=found.fake_called_real,
        unsure=found.unsure,
        ece_before=compute_calibration_error(UNCALIBRATED.probability(margins), is_fake),
        ece_after=found.ece_calibrated,
        fake_called_fake=found.fake_called_fake,
        real_called_real=found.real_called_real,
    )
    return FittedThresholds(
        calibration=fitted,
        validation=validation,
        max_false_alarms=max_false_alarms,
        max_missed=max_missed,
        bad=bad,
    )


def _ask_rates(settings: Settings, console: Console) -> tuple[float, float] | None:
    """Ask the user for the two guaranteed rates; None if they go back."""
    counts = _count_fitted_on(settings)
    rates = []
    for label, what in ((1, "Real pictures that may be called fake"), (0, "Fakes that may be called real")):
        count = counts[label]
        smallest = smallest_guaranteed_rate(count)
        usual = min(0.5, max(USUAL_ERROR_RATE, smallest))
        least = (
            f"with {count:,} to fit on, at least {100 * smallest:g}; "
            if smallest > USUAL_ERROR_RATE
            else ""
        )
        rate = None
        while rate is None:
            answer = console.ask(f"{what}, in % ({least}Enter: {100 * usual:g})")
            if answer is None:
                return None
            rate = _parse_percent(answer) if answer else usual
            if rate is None:
                console.fail("Please enter a number above 0 and at most 50")
        rates.append(rate)
    return rates[0], rates[1]


def _count_fitted_on(settings: Settings) -> tuple[int, int]:
    """Return how many fakes and reals a guarantee is fitted on: validation pictures, or groups of
    sources."""
    if is_probe(require_checkpoint(settings)):
        scores = _require_scores(settings)
        fake, real = (make_guarantee(scores, name, USUAL_ERROR_RATE) for name in CLASSES)
        return len(fake.groups), len(real.groups)
    training = read_own_training(settings, model_hash(settings))
    samples = find_validation_samples(as_trained(settings, training), training)
    fakes = sum(sample.label == 0 for sample in samples)
    return fakes, len(samples) - fakes


def _require_scores(settings: Settings) -> HeldOutScores:
    """Read a probe's margins on held-out sources.

    Raises:
        UserError: there are none for this checkpoint.
    """
    again = settings.command("train", "--recipe", PROBE, "--overwrite")
    scores = read_held_out_scores(settings.model_folder, model_hash(settings), again)
    if scores is None:
        raise UserError(
            f"{settings.model_folder / HELD_OUT_SCORES} has no out-of-fold scores for this probe, "
            f"which thresholds are fitted on. Train again: {again}"
        )
    return scores


def _parse_percent(text: str) -> float | None:
    """Parse '5', '5 %' or '2,5' into a share; None if it is no valid rate."""
    try:
        share = float(text.rstrip("% ").replace(",", ".")) / 100
    except ValueError:
        return None
    return share if 0 < share <= 0.5 else None


def _set_on_held_out(settings: Settings, max_false_alarms: float, max_missed: float) -> Outcome:
    """Fit a probe's temperature and thresholds on held-out sources."""
    scores = _require_scores(settings)
    saved = calibrate_held_out(scores, max_false_alarms, max_missed)
    training = read_own_training(settings, scores.checkpoint)
    write_training(settings.model_folder, _with_calibration(settings, training, saved))
    stored = f"Stored in {settings.model_folder / TRAINING}"
    return Outcome("\n".join([stored, *describe_thresholds(settings.model, saved)]))


def set_thresholds(
    settings: Settings,
    console: Console,
    max_false_alarms: float = USUAL_ERROR_RATE,
    max_missed: float = USUAL_ERROR_RATE,
    own: str | None = None,
    forget_own: bool = False,
    ask: bool = False,
) -> Outcome:
    """Fit temperature and thresholds on the validation pictures; writes them to training.json.

    Args:
        max_false_alarms: the share of real pictures that may be called fake (0 to 0.5).
        max_missed: the share of fakes that may be called real (0 to 0.5).
        own: a folder of photographs that are known to be real; only the threshold for them is fitted.
        forget_own: remove that threshold.
        ask: on a terminal, ask for these.
    """
    if own and forget_own:
        raise UserError("Give --own FOLDER or --forget-own, not both.")
    if forget_own:
        return forget_own_photographs(settings)
    if own is None and ask and console.interactive:
        require_checkpoint(settings)
        own = console.ask("Measure it on your own photographs? (their folder; Enter: no)", path=True)
        if own is None:
            return Outcome("The thresholds are unchanged.", left=True)
    if own:
        return measure_own_photographs(settings, console, own)
    if ask and console.interactive:
        require_checkpoint(settings)
        rates = _ask_rates(settings, console)
        if rates is None:
            return Outcome("The thresholds are unchanged.", left=True)
        max_false_alarms, max_missed = rates
    for option, value in (("--max-false-alarms", max_false_alarms), ("--max-missed", max_missed)):
        if not 0 < value <= 0.5:
            raise UserError(f"{option} must be above 0 and at most 0.5 (0.05 is 5 %), not {value}.")
    with run_lock(settings.model_folder):
        if is_probe(require_checkpoint(settings)):
            return _set_on_held_out(settings, max_false_alarms, max_missed)
        detector = load_detector(settings, console)
        found = fit_on_validation(detector, console, max_false_alarms, max_missed)
        _write(detector, found)
    return Outcome("\n".join(_describe(settings, found)), 1 if found.bad else 0)


def _write(detector: Detector, found: FittedThresholds) -> None:
    """Write the calibration of this checkpoint to training.json."""
    settings = detector.settings
    saved = CalibrationRecord(
        temperature=found.calibration.temperature,
        fake_from=found.calibration.fake_from,
        real_below=found.calibration.real_below,
        checkpoint=detector.checkpoint_hash,
        max_false_alarms=found.max_false_alarms,
        max_missed=found.max_missed,
        validation=found.validation,
        input=Input.of(settings.recipe) if detector.has_assumed_input else None,
    )
    write_training(settings.model_folder, _with_calibration(settings, detector.training, saved))


def _describe(settings: Settings, found: FittedThresholds) -> list[str]:
    calibration, validation = found.calibration, found.validation
    sure = calibration.fake_from == calibration.real_below
    return [
        f"{settings.model}, fitted on {validation.fake:,} fake and {validation.real:,} real validation "
        "pictures:",
        f"  temperature {calibration.temperature:.3f}: expected calibration error "
        f"{validation.ece_before:.3f} before, {validation.ece_after:.3f} after",
        _describe_promise(
            "real called fake", validation.real_called_fake, validation.real, found.max_false_alarms
        ),
        _describe_promise(
            "fake called real", validation.fake_called_real, validation.fake, found.max_missed
        ),
        f"  unsure: {percent(validation.unsure)} of the validation pictures",
        "The guarantee holds for pictures like those of the dataset; for others: "
        + settings.command("evaluate", "--data", "FOLDER"),
        *describe_faults(found.bad),
        f"Stored in {settings.model_folder / TRAINING}",
        f"Thresholds: fake from {percent(calibration.fake_from, 2)}, real below "
        f"{percent(calibration.real_below, 2)}"
        + (": no picture is unsure" if sure else ", unsure in between"),
    ]


def _describe_promise(what: str, rate: float, count: int, most: float) -> str:
    return (
        f"  {what}: {percent(rate)} of the validation pictures; guaranteed: at most {percent(most)} on "
        f"average over such fits (with {count:,} pictures to fit on, one in twenty fits gives more than "
        f"{percent(compute_rate_bound(count, most))})"
    )


def _with_calibration(
    settings: Settings, training: TrainingRecord, saved: CalibrationRecord
) -> TrainingRecord:
    """Return the training record with the calibration; a new one with the model name if it was empty."""
    if training == TrainingRecord():
        classes = {str(number): name for number, name in enumerate(CLASSES)}
        training = TrainingRecord(model=settings.model, classes=classes)
    return msgspec.structs.replace(training, calibration=saved)


def measure_own_photographs(settings: Settings, console: Console, folder: str) -> Outcome:
    """Measure how many of the user's own photographs the chosen model calls fake, and store a threshold
    that holds for further ones.

    Args:
        folder: photographs that are known to be real.

    Raises:
        UserError: there are too few of them, or the model cannot be used.
    """
    require_checkpoint(settings)
    paths = [path for named in parse_paths([folder], "folder") for path in list_images(named)]
    hashes = _hash_each(paths)
    _require_enough(len(hashes), folder)
    detector = load_detector(settings, console)
    _warn_about_known(settings, console, list(hashes))
    margins, faults = predict_pictures(detector, console, list(hashes), "photographs")
    read = list(margins)
    _require_enough(len(read), folder)
    calibration = detector.calibration
    p_fake = calibration.probability(np.array([margins[path][0] for path in read]))
    called = {path: p for path, p in zip(read, p_fake, strict=True) if calibration.verdict(p) == FAKE}
    found = OwnPhotographs(
        checkpoint=detector.checkpoint_hash,
        temperature=calibration.temperature,
        photographs=len(read),
        hashes=hash_text("\n".join(sorted(hashes[path] for path in read))),
        called_fake=len(called),
        max_called_fake=MAX_CALLED_FAKE,
        fake_from=fit_own_threshold(p_fake),
    )
    file = settings.model_folder / OWN_PHOTOGRAPHS
    with run_lock(settings.model_folder):
        write_record(file, found)
    lines = [
        *_list_called(called),
        *describe_faults(faults),
        f"Stored in {file}; to undo: {settings.command('fit-thresholds', '--forget-own')}",
        f"At its own threshold, {settings.model} calls {found.called_fake:,} of "
        f"{plural(len(read), 'photograph')} fake: "
        f"{measure_share(found.called_fake, len(read)).describe('.1%')}",
        _describe_threshold(found, calibration),
    ]
    return Outcome("\n".join(lines), 1 if faults else 0)


def forget_own_photographs(settings: Settings) -> Outcome:
    """Remove own_photographs.json, so that the model's own threshold holds again."""
    file = settings.model_folder / OWN_PHOTOGRAPHS
    if not file.is_file():
        return Outcome(f"There is no {file}: nothing to forget.")
    with run_lock(settings.model_folder):
        file.unlink(missing_ok=True)
    return Outcome(f"Removed {file}: the threshold of {settings.model} holds again.")


def _hash_each(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the hash of each photograph; one that exists twice counts once, by its first path."""
    first: dict[str, Path] = {}
    for path in paths:
        # A file that cannot be read gets its reason later.
        first.setdefault(try_hash_file(path) or str(path), path)
    return {path: content for content, path in first.items()}


def _require_enough(count: int, folder: str) -> None:
    if count < FEWEST_PHOTOGRAPHS:
        raise UserError(
            f"{folder} has {plural(count, 'usable photograph')}. At least {FEWEST_PHOTOGRAPHS} different "
            f"ones are needed to promise that at most {percent(MAX_CALLED_FAKE, 0)} of others are called "
            "fake."
        )


def _warn_about_known(settings: Settings, console: Console, paths: Sequence[Path]) -> None:
    """Warn about photographs that the model may have been trained on."""
    if count := count_identical(paths, list_project_pictures(settings)):
        console.warn(
            f"{count:,} of {len(paths):,} photographs are in the dataset too. If the model was trained on "
            "them, the threshold is too low for others."
        )


def _list_called(called: dict[Path, float]) -> list[str]:
    """List the photographs that are called fake, highest p(fake) first."""
    if not called:
        return []
    ranked = sorted(called.items(), key=lambda pair: -pair[1])
    lines = [f"  p(fake) {100 * p:5.1f} %  {printable(path)}" for path, p in ranked[:LISTED_PHOTOGRAPHS]]
    more = len(ranked) - len(lines)
    return ["Photographs called fake:", *lines, *([f"  and {more:,} more"] if more else [])]


def _describe_threshold(found: OwnPhotographs, calibration: Calibration) -> str:
    promise = f"at most {100 * found.max_called_fake:g} % of further photographs like these are called fake"
    if found.fake_from <= calibration.fake_from:
        return f"Its threshold, {percent(calibration.fake_from, 2)}, holds for them: {promise}."
    return (
        f"check now calls a picture fake from {percent(found.fake_from, 2)} on, not from "
        f"{percent(calibration.fake_from, 2)}, and unsure in between: {promise}."
    )
