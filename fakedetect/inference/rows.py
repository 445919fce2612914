"""Pictures checked one after the other: a row for the CSV and a line for the screen of each."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fakedetect.core.console import printable
from fakedetect.core.pool import map_images
from fakedetect.images.degradations import STABILITY
from fakedetect.images.views import View
from fakedetect.inference.look import CloseLook, Seen, look_closely, look_without_verifier
from fakedetect.inference.request import COLUMNS
from fakedetect.inference.stamps import Stamp, judges_of, stamp_of
from fakedetect.metrics.calibration import UNSURE
from fakedetect.models.detector import Detector
from fakedetect.models.verdicts import Answer, agree, answer, disagreement
from fakedetect.provenance.finding import Finding

AT_A_TIME = 16
"""Pictures that are judged together."""

SECONDS_A_BATCH = 0.5
"""How long the models may work before answers are given out: a slow model's come one by one."""


@dataclass(frozen=True)
class Checked:
    """A row of the CSV, with its line for the screen, the findings about the picture's origin, and for a
    page its thumbnail and the files of its heat maps."""

    row: dict[str, str]
    line: str
    unstable: bool
    origin: tuple[Finding, ...] = ()
    thumbnail: bytes = b""
    heat_maps: tuple[Path, ...] = ()


def _describe_answers(answers: Sequence[Answer], detectors: Sequence[Detector]) -> str:
    parts = [
        f"{detector.name} {each.verdict}, p(fake) {100 * each.calibrated:.1f} %"
        for detector, each in zip(detectors, answers, strict=True)
    ]
    return f"{'; '.join(parts)}; {100 * disagreement(answers):.0f} points apart"


def _check(
    look: CloseLook, seen: Seen, answers: Sequence[Answer], detectors: Sequence[Detector], weak: bool
) -> Checked:
    """A picture's row, still without the columns JUDGED."""
    together = agree(answers)
    row = {
        "path": str(look.path),
        "verdict": together.verdict,
        "p_fake": f"{together.p_fake:.6f}",
        "p_fake_calibrated": f"{together.calibrated:.6f}",
        "stability": together.stability,
        "sha256": seen.sha256,
        "size": f"{seen.view.width}x{seen.view.height}",
        "format": seen.view.format,
        "provenance": "; ".join(seen.provenance),
        "reason": "",
    }
    remarks = []
    if len(answers) > 1:
        row["disagreement"] = f"{disagreement(answers):.6f}"
        for detector, each in zip(detectors, answers, strict=True):
            row[f"p_fake_{detector.name}"] = f"{each.calibrated:.6f}"
        remarks.append(_describe_answers(answers, detectors))
    if together.flips:
        said = f"{together.side}, but " if len(answers) == 1 else ""
        remarks.append(f"{said}{', '.join(together.flips)}")
    remarks += seen.provenance
    mark = "?" if weak and together.verdict != UNSURE else ""
    name = printable(look.path)
    line = f"{together.verdict + mark:<8}p(fake) {100 * together.calibrated:5.1f} %  {name}"
    line += f"  [{'; '.join(remarks)}]" if remarks else ""
    return Checked(
        row=row, line=line, unstable=bool(together.flips), origin=seen.origin, thumbnail=seen.thumbnail
    )


def _unreadable(look: CloseLook, reason: str) -> Checked:
    row = {**dict.fromkeys(COLUMNS, ""), "path": str(look.path), "reason": reason}
    return Checked(row, f"{'-':<8}{'-':>15}  {printable(look.path)}  [{reason}]", False)


class Checker:
    """The detectors at work on streams of pictures."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        stability: bool,
        heat_map: bool,
        weak: bool,
        thumbnails: bool = False,
    ):
        self.detectors = detectors
        self.judges = judges_of(detectors, stability)
        self.kinds = tuple(dict.fromkeys(detector.kind for detector in detectors))
        self.tried = STABILITY if stability else ()
        self.heat_map = heat_map
        self.weak = weak
        self.thumbnails = thumbnails

    def check(self, paths: Iterator[Path], workers: int) -> Generator[Checked]:
        """Every picture checked, in about their order."""
        # Before a file is read: what changes it meanwhile makes its row one that does not hold.
        stamps: dict[Path, Stamp] = {}

        def begin(path: Path) -> CloseLook:
            stamps[path] = stamp_of(path)
            return CloseLook(path, self.kinds, self.tried, thumbnail=self.thumbnails)

        batch: list[tuple[CloseLook, Seen | str]] = []
        size = 1
        for seen in map_images(look_closely, map(begin, paths), workers, look_without_verifier):
            batch.append(seen)
            if len(batch) >= size:
                start = time.monotonic()
                checked = self._check_batch(batch)
                seconds = (time.monotonic() - start) / len(batch)
                size = min(AT_A_TIME, max(1, int(SECONDS_A_BATCH / max(seconds, 1e-6))))
                batch = []
                yield from self._sign(checked, stamps)
        yield from self._sign(self._check_batch(batch), stamps)

    def _sign(self, checked: Sequence[Checked], stamps: dict[Path, Stamp]) -> Iterator[Checked]:
        """The rows with the columns JUDGED."""
        for each in checked:
            path = Path(each.row["path"])
            # A picture that was named twice has been signed before.
            stamp = stamps.pop(path, None) or stamp_of(path)
            yield replace(each, row={**each.row, **asdict(stamp), **self.judges.columns()})

    def _check_batch(self, batch: Sequence[tuple[CloseLook, Seen | str]]) -> list[Checked]:
        """The rows of a batch in its order."""
        answers = iter(self._answer([seen.view for _, seen in batch if isinstance(seen, Seen)]))
        rows = []
        for look, seen in batch:
            if isinstance(seen, str):
                rows.append(_unreadable(look, seen))
                continue
            checked = _check(look, seen, next(answers), self.detectors, self.weak)
            rows.append(self._add_heat_map(checked, look, seen.view) if self.heat_map else checked)
        return rows

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

    def _add_heat_map(self, checked: Checked, look: CloseLook, view: View) -> Checked:
        # Without heat maps, check starts sooner than matplotlib does.
        from fakedetect.inference.figures import default_methods, explain_image

        lines = [checked.line]
        figures: list[Path] = []
        for detector in self.detectors:
            image = view.images[self.kinds.index(detector.kind)][0]
            explanation = explain_image(detector, look.path, image, default_methods(detector.model))
            lines += [f"{'':<25}heat map: {each.figure}" for each in explanation.maps]
            figures += [each.figure for each in explanation.maps]
        return replace(checked, line="\n".join(lines), heat_maps=tuple(figures))
