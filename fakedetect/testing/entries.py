"""All figures of a set of pictures, and what an evaluation has measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakedetect.core.evaluation_record import Entry, Evaluation, Measures
from fakedetect.core.recipes import CLASSES
from fakedetect.dataset.samples import Sample, check_both_classes
from fakedetect.metrics.calibration import UNCALIBRATED, Calibration, measure_verdicts
from fakedetect.metrics.measures import CALIBRATED_CURVE, UNCALIBRATED_CURVE, measure, reliability
from fakedetect.metrics.ranking import measure_same_shape
from fakedetect.testing.sources import measure_sources


@dataclass(frozen=True)
class Evaluated:
    """What is known of a model after an evaluation, and what that one has measured.

    `part` is 'test' or 'foreign', and `name` that of the foreign folder; `sources` could be left out of
    training. `bad` has the reasons of the unreadable pictures, and `predictions` the answers to foreign
    ones as CSV.
    """

    evaluation: Evaluation
    part: str
    name: str
    bad: Mapping[Path, str]
    sources: tuple[str, ...] = ()
    predictions: str = ""


def measure_entry(
    calibration: Calibration, samples: Sequence[Sample], margins: np.ndarray, shapes: Sequence[str]
) -> Entry:
    """All figures of a set of pictures.

    Args:
        margins: (N,) logit of fake minus logit of real.
        shapes: those of find_shape(), '' where one is not known.
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
        auc_same_shape=measure_same_shape(
            (_each(margins[is_fake]), _each(margins[~is_fake])),
            (_each(np.array(shapes)[is_fake]), _each(np.array(shapes)[~is_fake])),
        ),
    )


def _each(values: np.ndarray) -> list[np.ndarray]:
    """Every picture as a unit of its own."""
    return list(values[:, None])


def check_readable(samples: Sequence[Sample], folder: Path, advice: str) -> None:
    """Refuse a folder in which no picture of one of the classes can be read."""
    check_both_classes(samples, [(folder, label) for label in range(len(CLASSES))], "readable ", advice)
