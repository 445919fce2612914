"""Checking a stream of pictures: worker processes read them, the models predict in batches."""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture, without_verifier
from fakedetect.checking.judged import FileState, Judged, Judges, ModelAnswer, decide_shown_verdict
from fakedetect.checking.request import ALL, AUTO
from fakedetect.core.processes.pool import map_images
from fakedetect.images.degradations import STABILITY_DEGRADATIONS, Degradation
from fakedetect.images.views import View, ViewRequest, load_view
from fakedetect.metrics.calibration import UNSURE
from fakedetect.models.detector import Detector
from fakedetect.models.verdicts import (
    FLIP_MARGIN,
    Prediction,
    combine_predictions,
    decide_verdict,
    may_flip,
)

MOST_PICTURES_PER_BATCH = 16
"""Pictures of a batch."""

SECONDS_PER_BATCH = 0.5
"""Predictions are shown about this often; those of a slow model come one by one."""

Degradations = tuple[Degradation, ...]


def read_file_state(path: Path) -> FileState:
    """Read the state of a file.

    The change time of the inode counts too: a file that replaces another may have its modification time.
    """
    try:
        state = path.stat()
    except OSError:
        return FileState()
    return FileState(state.st_size, _format_time(max(state.st_mtime_ns, state.st_ctime_ns)))


def _format_time(nanoseconds: int) -> str:
    """Format as '2026-09-24T12:00:00.123456789Z'; return the number if no calendar has the time."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
    except (OverflowError, OSError, ValueError):
        return str(nanoseconds)


def make_judges(detectors: Sequence[Detector], stability: str) -> Judges:
    """Return the models and options that a row records.

    The options are all else that a verdict depends on: thresholds, and the input of a checkpoint whose
    training is unknown.

    Args:
        stability: AUTO, ALL or NONE of request.py.
    """
    options = []
    for detector in detectors:
        found, unknown = detector.thresholds, detector.has_assumed_input
        bounds = f"fake from {found.fake_from:.6g}, real below {found.real_below:.6g}"
        options.append(f"temperature {found.temperature:.6g}, {bounds}")
        options += [str(detector.settings.recipe.input)] if unknown else []
    where = {ALL: "", AUTO: f" within {FLIP_MARGIN:g} of one half"}.get(stability)
    tried = "not tried" if where is None else f"{', '.join(map(str, STABILITY_DEGRADATIONS))}{where}"
    return Judges(
        model="; ".join(detector.name for detector in detectors),
        checkpoint="; ".join(detector.checkpoint_hash for detector in detectors),
        options="; ".join([*options, f"stability: {tried}"]),
        calibrations={detector.name: detector.thresholds for detector in detectors},
    )


def read_origins(paths: Iterable[Path], workers: int, thumbnails: bool) -> Generator[Judged]:
    """Read what the files say about their origin, without a model; yield them in about their order."""
    inspections = (Inspection(path, (), thumbnail=thumbnails) for path in paths)
    # Not a generator function: the processes must start before the thread of a progress bar does.
    found = map_images(inspect_picture, inspections, workers, without_verifier)
    return (_without_verdict(inspection, inspected) for inspection, inspected in found)


def _without_verdict(inspection: Inspection, inspected: InspectedPicture | str) -> Judged:
    if isinstance(inspected, str):
        return Judged(path=inspection.path, reason=inspected)
    return Judged(
        path=inspection.path,
        sha256=inspected.sha256,
        width=inspected.view.width,
        height=inspected.view.height,
        format=inspected.view.format,
        provenance=inspected.provenance,
        origin=inspected.origin,
        thumbnail=inspected.thumbnail,
    )


class Checker:
    """Checks streams of pictures with detectors.

    Args:
        detectors: all predict each picture.
        stability: AUTO, ALL or NONE of request.py.
        heat_map: draw heat maps.
        thumbnails: make thumbnails.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        stability: str,
        heat_map: bool = False,
        thumbnails: bool = False,
    ):
        self.detectors = detectors
        self.judges = make_judges(detectors, stability)
        self.kinds = tuple(dict.fromkeys(detector.kind for detector in detectors))
        self.degradations: Degradations = STABILITY_DEGRADATIONS if stability == ALL else ()
        self.tests_close_calls = stability == AUTO
        self.heat_map = heat_map
        self.thumbnails = thumbnails

    def check(self, paths: Iterator[Path], workers: int) -> Generator[Judged]:
        """Check every picture, and yield them in about their order."""
        # The state before a file is read: a change during the check then makes the row invalid.
        states: dict[Path, FileState] = {}

        def make_inspection(path: Path) -> Inspection:
            states[path] = read_file_state(path)
            return self._make_inspection(path)

        inspected = map_images(inspect_picture, map(make_inspection, paths), workers, without_verifier)
        with closing(self._check_in_batches(inspected)) as found:
            for judged in found:
                # The state of a picture that is named twice was popped before.
                stamp = states.pop(judged.path, None) or read_file_state(judged.path)
                yield replace(judged, stamp=stamp, judges=self.judges)

    def check_one(self, path: Path) -> Judged:
        """Check a picture in this process, which a decoder that crashes or hangs takes with it."""
        stamp, inspection = read_file_state(path), self._make_inspection(path)
        (judged,) = self._check_batch([(inspection, inspect_picture(inspection))])
        return replace(judged, stamp=stamp, judges=self.judges)

    def _check_in_batches(
        self, pairs: Iterator[tuple[Inspection, InspectedPicture | str]]
    ) -> Generator[Judged]:
        """Check pictures in batches, which grow while the models predict them within SECONDS_PER_BATCH."""
        batch: list[tuple[Inspection, InspectedPicture | str]] = []
        size = 1
        for pair in pairs:
            batch.append(pair)
            if len(batch) >= size:
                start = time.monotonic()
                checked = self._check_batch(batch)
                seconds = (time.monotonic() - start) / len(batch)
                size = min(MOST_PICTURES_PER_BATCH, max(1, int(SECONDS_PER_BATCH / max(seconds, 1e-6))))
                batch = []
                yield from checked
        yield from self._check_batch(batch)

    def _make_inspection(self, path: Path) -> Inspection:
        return Inspection(path, self.kinds, self.degradations, thumbnail=self.thumbnails)

    def _check_batch(self, batch: Sequence[tuple[Inspection, InspectedPicture | str]]) -> list[Judged]:
        """Check a batch, in its order; `stamp` and `judges` are not set."""
        usable = [
            inspected
            for _, inspected in batch
            if isinstance(inspected, InspectedPicture) and not inspected.view.too_small
        ]
        predictions = iter(self._predict([inspected.view for inspected in usable], self.degradations))
        found = []
        for inspection, inspected in batch:
            judged = _without_verdict(inspection, inspected)
            if isinstance(inspected, InspectedPicture) and inspected.view.too_small:
                judged = replace(judged, reason=inspected.view.too_small)
            elif isinstance(inspected, InspectedPicture):
                judged = self._with_verdict(judged, next(predictions))
                if self._may_flip(judged):
                    judged = self._test_stability(judged)
                if self.heat_map:
                    judged = self._with_heat_maps(judged, inspected.view)
            found.append(judged)
        return found

    def _may_flip(self, judged: Judged) -> bool:
        """Whether degradations may flip a verdict, and have not been tried."""
        if not self.tests_close_calls or judged.p_fake is None:
            return False
        each = [by.p_fake for by in judged.answers] or [judged.p_fake]
        return any(
            may_flip(detector.thresholds, p) for detector, p in zip(self.detectors, each, strict=True)
        )

    def _test_stability(self, judged: Judged) -> Judged:
        """Predict the picture's degradations too; return it unchanged if it cannot be read any more.

        It is read in this process: few pictures need it, and a worker has just read them without a crash.
        """
        view = load_view(ViewRequest(judged.path, self.kinds, STABILITY_DEGRADATIONS))
        if isinstance(view, str):
            return judged
        (predictions,) = self._predict([view], STABILITY_DEGRADATIONS)
        return self._with_verdict(judged, predictions)

    def _with_verdict(self, judged: Judged, predictions: Sequence[Prediction]) -> Judged:
        combined = combine_predictions(predictions)
        several = zip(self.detectors, predictions, strict=True) if len(predictions) > 1 else ()
        return replace(
            judged,
            verdict=decide_shown_verdict(combined.verdict, judged.claim),
            model_verdict=combined.verdict,
            p_fake=combined.p_fake,
            p_fake_raw=combined.p_fake_raw,
            stability=combined.stability,
            own_threshold=self._own_threshold(predictions) if combined.verdict == UNSURE else None,
            least_measured_side=self._least_measured_side(judged),
            answers=tuple(
                ModelAnswer(model=detector.name, p_fake=each.p_fake, verdict=each.verdict)
                for detector, each in several
            ),
        )

    def _least_measured_side(self, judged: Judged) -> int | None:
        """Return the shorter side of the smallest picture behind the thresholds if this one is smaller."""
        probes = [detector.training.probe for detector in self.detectors]
        least = max((probe.least_side for probe in probes if probe), default=0)
        return least if min(judged.width or 0, judged.height or 0) < least else None

    def _own_threshold(self, predictions: Sequence[Prediction]) -> float | None:
        """Return the threshold of the user's own photographs if it changed a verdict."""
        changed = [
            detector.thresholds.fake_from
            for detector, each in zip(self.detectors, predictions, strict=True)
            if not each.flips and each.verdict != detector.calibration.verdict(each.p_fake)
        ]
        return max(changed, default=None)

    def _predict(self, views: Sequence[View], tried: Degradations) -> list[list[Prediction]]:
        """Return all detectors' predictions for each view with these degradations."""
        if not views:
            return []
        by_detector = []
        for detector in self.detectors:
            kind = self.kinds.index(detector.kind)
            images = np.concatenate([view.images[kind] for view in views])
            margins = detector.margins(images).reshape(len(views), -1)
            by_detector.append([decide_verdict(detector.thresholds, row, tried) for row in margins])
        return [list(predictions) for predictions in zip(*by_detector, strict=True)]

    def _with_heat_maps(self, judged: Judged, view: View) -> Judged:
        # Imported only for heat maps: matplotlib starts slowly.
        from fakedetect.explaining.figures import HeatMap, MapRequest, choose_methods, explain_image

        verdicts = [by.verdict for by in judged.answers] or [judged.verdict]
        maps: list[HeatMap] = []
        for detector, verdict in zip(self.detectors, verdicts, strict=True):
            image = view.images[self.kinds.index(detector.kind)][0]
            wanted = MapRequest(choose_methods(detector.model))
            maps += explain_image(detector, judged.path, image, wanted, verdict).maps
        return replace(
            judged,
            heat_maps=tuple(each.figure for each in maps),
            heat_map_trust=tuple(each.trust for each in maps),
        )
