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
from fakedetect.core.processes.pool import map_images
from fakedetect.images.degradations import STABILITY
from fakedetect.images.views import View
from fakedetect.models.detector import Detector
from fakedetect.models.verdicts import Answer, agree, answer

AT_A_TIME = 16
"""Pictures that are judged together."""

SECONDS_A_BATCH = 0.5
"""How long the models may work before answers are given out: a slow model's come one by one."""

Batch = Sequence[tuple[CloseLook, Seen | str]]


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


def judges_of(detectors: Sequence[Detector], stability: bool) -> Judges:
    """The models as a row names them.

    What else a verdict depends on is an option: thresholds, and the input of a checkpoint whose training is
    not known.
    """
    options = []
    for detector in detectors:
        found, unknown = detector.calibration, detector.input_by_settings
        bounds = f"fake from {found.fake_from:.6g}, real below {found.real_below:.6g}"
        options.append(f"temperature {found.temperature:.6g}, {bounds}")
        options += [str(detector.settings.recipe.input)] if unknown else []
    tried = ", ".join(map(str, STABILITY)) if stability else "not tried"
    return Judges(
        model="; ".join(detector.name for detector in detectors),
        checkpoint="; ".join(detector.checkpoint_hash for detector in detectors),
        options="; ".join([*options, f"stability: {tried}"]),
        calibrations={detector.name: detector.calibration for detector in detectors},
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
    """The detectors at work on streams of pictures."""

    def __init__(
        self, detectors: Sequence[Detector], stability: bool, heat_map: bool, thumbnails: bool = False
    ):
        self.detectors = detectors
        self.judges = judges_of(detectors, stability)
        self.kinds = tuple(dict.fromkeys(detector.kind for detector in detectors))
        self.tried = STABILITY if stability else ()
        self.heat_map = heat_map
        self.thumbnails = thumbnails

    def check(self, paths: Iterator[Path], workers: int) -> Generator[Judged]:
        """Every picture checked, in about their order."""
        # Before a file is read: what changes it meanwhile makes its row one that does not hold.
        stamps: dict[Path, Stamp] = {}

        def begin(path: Path) -> CloseLook:
            stamps[path] = stamp_of(path)
            return CloseLook(path, self.kinds, self.tried, thumbnail=self.thumbnails)

        seen = map_images(look_closely, map(begin, paths), workers, look_without_verifier)
        with closing(self._in_batches(seen)) as found:
            for judged in found:
                # A picture that was named twice has had its stamp before.
                stamp = stamps.pop(judged.path, None) or stamp_of(judged.path)
                yield replace(judged, stamp=stamp, judges=self.judges)

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

    def _judge(self, batch: Batch) -> list[Judged]:
        """The pictures of a batch in its order, without stamps."""
        large = [seen for _, seen in batch if isinstance(seen, Seen) and not seen.view.too_small]
        answers = iter(self._answer([seen.view for seen in large]))
        found = []
        for look, seen in batch:
            judged = _without_verdict(look, seen)
            if isinstance(seen, Seen) and seen.view.too_small:
                judged = replace(judged, reason=seen.view.too_small)
            elif isinstance(seen, Seen):
                judged = self._with_verdict(judged, next(answers))
                if self.heat_map:
                    judged = replace(judged, heat_maps=self._draw_heat_maps(look.path, seen.view))
            found.append(judged)
        return found

    def _with_verdict(self, judged: Judged, answers: Sequence[Answer]) -> Judged:
        together = agree(answers)
        several = zip(self.detectors, answers, strict=True) if len(answers) > 1 else ()
        return replace(
            judged,
            verdict=weigh(together.verdict, judged.claim),
            model_verdict=together.verdict,
            p_fake=together.p_fake,
            p_fake_raw=together.p_fake_raw,
            stability=together.stability,
            answers=tuple(
                ModelAnswer(model=detector.name, p_fake=each.p_fake, verdict=each.verdict)
                for detector, each in several
            ),
        )

    def _answer(self, views: Sequence[View]) -> list[list[Answer]]:
        """For each view the answers of all detectors."""
        if not views:
            return []
        by_detector = []
        for detector in self.detectors:
            kind = self.kinds.index(detector.kind)
            images = np.concatenate([view.images[kind] for view in views])
            margins = detector.margins(images).reshape(len(views), -1)
            by_detector.append([answer(detector.calibration, row, self.tried) for row in margins])
        return [list(answers) for answers in zip(*by_detector, strict=True)]

    def _draw_heat_maps(self, path: Path, view: View) -> tuple[Path, ...]:
        # Without heat maps, check starts sooner than matplotlib does.
        from fakedetect.explaining.figures import default_methods, explain_image

        figures: list[Path] = []
        for detector in self.detectors:
            image = view.images[self.kinds.index(detector.kind)][0]
            explanation = explain_image(detector, path, image, default_methods(detector.model))
            figures += [each.figure for each in explanation.maps]
        return tuple(figures)
