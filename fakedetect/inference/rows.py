"""Pictures checked one after the other: a row for the CSV and a line for the screen of each."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakedetect.core.console import printable
from fakedetect.images.degradations import STABILITY
from fakedetect.images.views import Look, View, view_batches
from fakedetect.inference.figures import default_methods, explain_image
from fakedetect.models.detector import Detector
from fakedetect.models.verdicts import Answer, agree, answer, disagreement

AT_A_TIME = 16
"""Pictures that are judged together."""

COLUMNS = (
    "path", "verdict", "p_fake", "p_fake_calibrated", "stability", "sha256", "size", "format",
    "provenance", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """A row of the CSV, with its line for the screen."""

    row: dict[str, Any]
    line: str
    unstable: bool


def _name(path: Path) -> str:
    return printable(str(path).replace("\n", "\\n"))


def _describe_answers(answers: Sequence[Answer], detectors: Sequence[Detector]) -> str:
    parts = [
        f"{detector.name} {each.verdict} {100 * each.calibrated:.1f} %"
        for detector, each in zip(detectors, answers, strict=True)
    ]
    return f"{', '.join(parts)}; {100 * disagreement(answers):.0f} points apart"


def _check(look: Look, view: View, answers: Sequence[Answer], detectors: Sequence[Detector]) -> Checked:
    together = agree(answers)
    row = {
        "path": str(look.path),
        "verdict": together.verdict,
        "p_fake": f"{together.p_fake:.6f}",
        "p_fake_calibrated": f"{together.calibrated:.6f}",
        "stability": together.stability,
        "sha256": view.sha256,
        "size": f"{view.width}x{view.height}",
        "format": view.format,
        "provenance": "; ".join(view.provenance),
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
    remarks += view.provenance
    line = f"{together.verdict:<7}{100 * together.calibrated:6.1f} %  {_name(look.path)}"
    return Checked(row, line + (f"  [{'; '.join(remarks)}]" if remarks else ""), bool(together.flips))


def _unreadable(look: Look, reason: str) -> Checked:
    row = {**dict.fromkeys(COLUMNS, ""), "path": str(look.path), "reason": reason}
    return Checked(row, f"{'-':<7}{'-':>6}    {_name(look.path)}  [{reason}]", False)


class Checker:
    """The detectors at work on streams of pictures."""

    def __init__(self, detectors: Sequence[Detector], stability: bool, heat_map: bool):
        self.detectors = detectors
        self.kinds = tuple(dict.fromkeys(detector.kind for detector in detectors))
        self.tried = STABILITY if stability else ()
        self.heat_map = heat_map

    def check(self, paths: Iterator[Path], workers: int) -> Generator[Checked]:
        """Every picture checked, in about their order."""
        looks = (Look(path, self.kinds, self.tried, with_origin=True) for path in paths)
        for batch in view_batches(looks, workers, AT_A_TIME):
            seen = [(look, view) for look, view in batch if isinstance(view, View)]
            answers = self._answer([view for _, view in seen])
            for (look, view), found in zip(seen, answers, strict=True):
                checked = _check(look, view, found, self.detectors)
                yield self._add_heat_map(checked, look, view) if self.heat_map else checked
            for look, reason in batch:
                if isinstance(reason, str):
                    yield _unreadable(look, reason)

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

    def _add_heat_map(self, checked: Checked, look: Look, view: View) -> Checked:
        lines = [checked.line]
        for detector in self.detectors:
            image = view.images[self.kinds.index(detector.kind), 0]
            explanation = explain_image(detector, look.path, image, default_methods(detector.model))
            lines += [f"{'':<17}heat map: {each.figure}" for each in explanation.maps]
        return Checked(checked.row, "\n".join(lines), checked.unstable)
