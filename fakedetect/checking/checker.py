"""Pictures checked one after the other: read in processes, judged by the models in batches."""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fakedetect.checking.judged import Judged, Judges, ModelAnswer, Stamp, weigh
from fakedetect.checking.look import CloseLook, Seen, look_closely, look_without_verifier
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

AT_A_TIME = 16
"""Pictures that are judged together."""

SECONDS_A_BATCH = 0.5
"""How long the models may work before answers are given out: a slow model's come one by one."""

Tried = tuple[Degradation, ...]


def stamp_of(path: Path) -> Stamp:
    """The state of a file; it is modified when its inode is, too: exchanged files may share their times."""
    try:
        state = path.stat()
    except OSError:
        return Stamp()
    return Stamp(state.st_size, _in_words(max(state.st_mtime_ns, state.st_ctime_ns)))


def _in_words(nanoseconds: int) -> str:
    """'2026-09-24T12:00:00.123456789Z'; the bare number for a time that no calendar has."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
    except (OverflowError, OSError, ValueError):
        return str(nanoseconds)


def judges_of(detectors: Sequence[Detector], stability: str) -> Judges:
    """The models as a row names them.

    What else a verdict depends on is an option: thresholds, and the input of a checkpoint whose training is
    not known.

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
    """What the pictures' files say of themselves, which needs no model; in about their order."""
    looks = (CloseLook(path, (), thumbnail=thumbnails) for path in paths)
    # Its processes start here and now, before the thread of a progress bar makes that slower.
    found = map_images(look_closely, looks, workers, look_without_verifier)
    return (_without_verdict(look, seen) for look, seen in found)


def _without_verdict(look: CloseLook, seen: Seen | str) -> Judged:
    if isinstance(seen, str):
        return Judged(path=look.path, reason=seen)
    return Judged(
        path=look.path,
        sha256=seen.sha256,
        width=seen.view.width,
        height=seen.view.height,
        format=seen.view.format,
        provenance=seen.provenance,
        origin=seen.origin,
        thumbnail=seen.thumbnail,
    )


class Checker:
    """The detectors at work on streams of pictures.

    Args:
        stability: AUTO, ALL or NONE of request.py.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        stability: str,
        heat_map: bool = False,
        thumbnails: bool = False,
    ):
        self.detectors = detectors
        self.judges = judges_of(detectors, stability)
        self.kinds = tuple(dict.fromkeys(detector.kind for detector in detectors))
        self.tried: Tried = STABILITY_DEGRADATIONS if stability == ALL else ()
        self.looks_again = stability == AUTO
        self.heat_map = heat_map
        self.thumbnails = thumbnails

    def check(self, paths: Iterator[Path], workers: int) -> Generator[Judged]:
        """Every picture checked, in about their order."""
        # Before a file is read: what changes it meanwhile makes its row one that does not hold.
        stamps: dict[Path, Stamp] = {}

        def begin(path: Path) -> CloseLook:
            stamps[path] = stamp_of(path)
            return self._first_look(path)

        seen = map_images(look_closely, map(begin, paths), workers, look_without_verifier)
        with closing(self._in_batches(seen)) as found:
            for judged in found:
                # A picture that was named twice has had its stamp before.
                stamp = stamps.pop(judged.path, None) or stamp_of(judged.path)
                yield replace(judged, stamp=stamp, judges=self.judges)

    def check_one(self, path: Path) -> Judged:
        """A picture checked in this process, where a decoder that crashes or hangs ends or stops it."""
        stamp, look = stamp_of(path), self._first_look(path)
        (judged,) = self._judge([(look, look_closely(look))])
        return replace(judged, stamp=stamp, judges=self.judges)

    def _in_batches(self, looks: Iterator[tuple[CloseLook, Seen | str]]) -> Generator[Judged]:
        """Batches grow as long as the models answer them in SECONDS_A_BATCH."""
        batch: list[tuple[CloseLook, Seen | str]] = []
        size = 1
        for look in looks:
            batch.append(look)
            if len(batch) >= size:
                start = time.monotonic()
                checked = self._judge(batch)
                seconds = (time.monotonic() - start) / len(batch)
                size = min(AT_A_TIME, max(1, int(SECONDS_A_BATCH / max(seconds, 1e-6))))
                batch = []
                yield from checked
        yield from self._judge(batch)

    def _first_look(self, path: Path) -> CloseLook:
        return CloseLook(path, self.kinds, self.tried, thumbnail=self.thumbnails)

    def _judge(self, batch: Sequence[tuple[CloseLook, Seen | str]]) -> list[Judged]:
        """The pictures of a batch in its order, without stamps."""
        large = [seen for _, seen in batch if isinstance(seen, Seen) and not seen.view.too_small]
        answers = iter(self._answer([seen.view for seen in large], self.tried))
        found = []
        for look, seen in batch:
            judged = _without_verdict(look, seen)
            if isinstance(seen, Seen) and seen.view.too_small:
                judged = replace(judged, reason=seen.view.too_small)
            elif isinstance(seen, Seen):
                judged = self._with_verdict(judged, next(answers))
                if self._may_flip(judged):
                    judged = self._look_again(judged)
                if self.heat_map:
                    judged = self._with_heat_maps(judged, seen.view)
            found.append(judged)
        return found

    def _may_flip(self, judged: Judged) -> bool:
        """Whether a second look, at changed views too, may turn a verdict."""
        if not self.looks_again or judged.p_fake is None:
            return False
        each = [by.p_fake for by in judged.answers] or [judged.p_fake]
        return any(
            may_flip(detector.thresholds, p) for detector, p in zip(self.detectors, each, strict=True)
        )

    def _look_again(self, judged: Judged) -> Judged:
        """The picture with what its changed views say; as it was if it cannot be read any more.

        Few need it, and they were just read in a process of their own.
        """
        view = load_view(ViewRequest(judged.path, self.kinds, STABILITY_DEGRADATIONS))
        if isinstance(view, str):
            return judged
        (answers,) = self._answer([view], STABILITY_DEGRADATIONS)
        return self._with_verdict(judged, answers)

    def _with_verdict(self, judged: Judged, answers: Sequence[Prediction]) -> Judged:
        together = combine_predictions(answers)
        several = zip(self.detectors, answers, strict=True) if len(answers) > 1 else ()
        return replace(
            judged,
            verdict=weigh(together.verdict, judged.claim),
            model_verdict=together.verdict,
            p_fake=together.p_fake,
            p_fake_raw=together.p_fake_raw,
            stability=together.stability,
            own_threshold=self._own_threshold(answers) if together.verdict == UNSURE else None,
            answers=tuple(
                ModelAnswer(model=detector.name, p_fake=each.p_fake, verdict=each.verdict)
                for detector, each in several
            ),
        )

    def _own_threshold(self, answers: Sequence[Prediction]) -> float | None:
        """The threshold of the user's own photographs, if a model would have said fake without it."""
        changed = [
            detector.thresholds.fake_from
            for detector, each in zip(self.detectors, answers, strict=True)
            if not each.flips and each.verdict != detector.calibration.verdict(each.p_fake)
        ]
        return max(changed, default=None)

    def _answer(self, views: Sequence[View], tried: Tried) -> list[list[Prediction]]:
        """For each view, with those degradations, the answers of all detectors."""
        if not views:
            return []
        by_detector = []
        for detector in self.detectors:
            kind = self.kinds.index(detector.kind)
            images = np.concatenate([view.images[kind] for view in views])
            margins = detector.margins(images).reshape(len(views), -1)
            by_detector.append([decide_verdict(detector.thresholds, row, tried) for row in margins])
        return [list(answers) for answers in zip(*by_detector, strict=True)]

    def _with_heat_maps(self, judged: Judged, view: View) -> Judged:
        # Without heat maps, check starts sooner than matplotlib does.
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
