"""Option 3.6, `fit-thresholds --own`: measure the chosen model on the user's own photographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, hash_text, run_lock
from fakedetect.core.records.record import write_record
from fakedetect.core.settings.model_folder import OWN_PHOTOGRAPHS, require_checkpoint
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.identical import count_identical, try_hash_file
from fakedetect.dataset.samples import describe_faults
from fakedetect.images.listing import list_images
from fakedetect.images.named import parse_paths
from fakedetect.metrics.calibration import FAKE, Calibration
from fakedetect.metrics.intervals import measure_share
from fakedetect.models.detector import load_detector
from fakedetect.models.predictions import predict_pictures
from fakedetect.models.verdicts import (
    FEWEST_PHOTOGRAPHS,
    MAX_CALLED_FAKE,
    OwnPhotographs,
    fit_own_threshold,
)

MOST_LISTED = 5


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
    each = _drop_copies(paths)
    _require_enough(len(each), folder)
    detector = load_detector(settings, console)
    _warn_about_known(settings, console, each)
    margins, faults = predict_pictures(detector, console, each, "photographs")
    read = list(margins)
    _require_enough(len(read), folder)
    calibration = detector.calibration
    p_fake = calibration.probability(np.array([margins[path][0] for path in read]))
    called = {path: p for path, p in zip(read, p_fake, strict=True) if calibration.verdict(p) == FAKE}
    found = OwnPhotographs(
        checkpoint=detector.checkpoint_hash,
        temperature=calibration.temperature,
        photographs=len(read),
        hashes=hash_text("\n".join(sorted(hash_file(path) for path in read))),
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


def _drop_copies(paths: Sequence[Path]) -> list[Path]:
    """Return one path for each content: a photograph that exists twice counts once."""
    first: dict[str, Path] = {}
    for path in paths:
        # A file that cannot be read gets its reason later.
        first.setdefault(try_hash_file(path) or str(path), path)
    return list(first.values())


def _require_enough(count: int, folder: str) -> None:
    if count < FEWEST_PHOTOGRAPHS:
        raise UserError(
            f"{folder} has {plural(count, 'usable photograph')}. At least {FEWEST_PHOTOGRAPHS} different "
            f"ones are needed to promise that at most {percent(MAX_CALLED_FAKE, 0)} of others are called "
            "fake."
        )


def _warn_about_known(settings: Settings, console: Console, paths: Sequence[Path]) -> None:
    """Warn about photographs that the model may have been trained on."""
    own = [path for folder in settings.original.values() if folder.is_dir() for path in list_images(folder)]
    if count := count_identical(paths, own):
        console.warn(
            f"{count:,} of {len(paths):,} photographs are in the dataset too. If the model was trained on "
            "them, the threshold is too low for others."
        )


def _list_called(called: dict[Path, float]) -> list[str]:
    """List the photographs that are called fake, highest p(fake) first."""
    if not called:
        return []
    ranked = sorted(called.items(), key=lambda pair: -pair[1])
    lines = [f"  p(fake) {100 * p:5.1f} %  {printable(path)}" for path, p in ranked[:MOST_LISTED]]
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
