"""Option 3.6: calibrate the model's probabilities and set the thresholds of its three verdicts."""

import msgspec
import numpy as np

from fakedetect.core.console import Console, Outcome
from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock
from fakedetect.core.model_folder import TRAINING
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.core.training_record import (
    CalibrationRecord,
    TrainingRecord,
    ValidationRecord,
    write_training,
)
from fakedetect.dataset.samples import describe_faults
from fakedetect.models.calibration import (
    PLAIN,
    Calibration,
    fit_temperature,
    fit_thresholds,
    rate_of_a_bad_fit,
)
from fakedetect.models.detector import load_detector, predict_samples, validation_samples
from fakedetect.testing.measures import calibration_error, measure_verdicts


def set_thresholds(
    settings: Settings, console: Console, max_false_alarms: float = 0.05, max_missed: float = 0.05
) -> Outcome:
    """Fit temperature and thresholds on the validation pictures; they go into training.json.

    Args:
        max_false_alarms: of the real pictures, the share that may be called fake (0 to 0.5).
        max_missed: of the fakes, the share that may be called real (0 to 0.5).
    """
    for option, value in (("--max-false-alarms", max_false_alarms), ("--max-missed", max_missed)):
        if not 0 < value <= 0.5:
            raise UserError(f"{option} has to be above 0 and at most 0.5 (0.05 is 5 %), not {value}.")
    with run_lock(settings.model_folder):
        detector = load_detector(settings)
        samples = validation_samples(settings, detector.facts)
        read, margins, bad = predict_samples(detector, console, samples, "validation")
        is_fake = np.array([sample.label == 0 for sample in read], bool)
        if not 0 < is_fake.sum() < len(is_fake):
            raise UserError("The validation pictures are all of one class. Train with more pictures.")
        temperature = fit_temperature(margins, is_fake)
        p_fake = Calibration(temperature).probability(margins)
        fitted = Calibration(
            temperature, *fit_thresholds(p_fake, is_fake, max_false_alarms, max_missed), fitted=True
        )
        counts = {"fake": int(is_fake.sum()), "real": int((~is_fake).sum())}
        found = measure_verdicts(fitted, margins, is_fake)
        called_fake, called_real, unsure = found.real_called_fake, found.fake_called_real, found.unsure
        before = calibration_error(PLAIN.probability(margins), is_fake)
        after = found.ece_calibrated
        saved = CalibrationRecord(
            temperature=temperature,
            fake_from=fitted.fake_from,
            real_below=fitted.real_below,
            checkpoint=detector.checkpoint_hash,
            max_false_alarms=max_false_alarms,
            max_missed=max_missed,
            validation=ValidationRecord(
                **counts,
                real_called_fake=called_fake,
                fake_called_real=called_real,
                unsure=unsure,
                ece_before=before,
                ece_after=after,
            ),
        )
        write_training(settings.model_folder, _with_calibration(settings, detector.facts, saved))
    lines = [
        f"{settings.model}, fitted on {counts['fake']:,} fake and {counts['real']:,} real validation "
        "pictures:",
        f"  temperature {temperature:.3f}: expected calibration error {before:.3f} before, {after:.3f} "
        "after",
        f"  fake from {100 * fitted.fake_from:.2f} %, real below {100 * fitted.real_below:.2f} %"
        + (", unsure between them" if fitted.fake_from > fitted.real_below else ": no picture is unsure"),
    ]
    for what, share, count, most in (
        ("real called fake", called_fake, counts["real"], max_false_alarms),
        ("fake called real", called_real, counts["fake"], max_missed),
    ):
        lines.append(
            f"  {what}: {share:.1%} of the validation pictures; promised: at most {most:.1%} on average "
            f"over such fits (with {count:,} pictures to fit on, one in twenty fits gives more than "
            f"{rate_of_a_bad_fit(count, most):.1%})"
        )
    lines.append(f"  unsure: {unsure:.1%} of the validation pictures")
    lines.append(
        "The promise holds for pictures like those of the data set; for others: "
        + settings.command("evaluate", "--data", "FOLDER")
    )
    lines += describe_faults(bad)
    lines.append(f"Stored in {settings.model_folder / TRAINING}")
    return Outcome("\n".join(lines), 1 if bad else 0)


def _with_calibration(
    settings: Settings, facts: TrainingRecord, saved: CalibrationRecord
) -> TrainingRecord:
    """The run's record with its calibration; one that names the model where there was none."""
    if facts == TrainingRecord():
        classes = {str(number): name for number, name in enumerate(CLASSES)}
        facts = TrainingRecord(model=settings.model, classes=classes)
    return msgspec.structs.replace(facts, calibration=saved)
