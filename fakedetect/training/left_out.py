"""What a probe said of pictures that were left out of it, and their shapes, by class and source."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from fakedetect.core.console import printable
from fakedetect.core.out_of_fold import OutOfFold
from fakedetect.core.recipes import CLASSES
from fakedetect.dataset.samples import Sample
from fakedetect.models.lines import JudgedLine

T = TypeVar("T")


def by_source(
    samples: Sequence[Sample], values: Iterable[T]
) -> tuple[dict[str, tuple[T, ...]], dict[str, tuple[T, ...]]]:
    """Values of pictures by source, those of fakes and those of real ones."""
    by_class: tuple[dict[str, list[T]], dict[str, list[T]]] = ({}, {})
    for sample, value in zip(samples, values, strict=True):
        source = printable(sample.source) or CLASSES[sample.label]
        by_class[sample.label].setdefault(source, []).append(value)
    fakes, reals = ({source: tuple(of_source) for source, of_source in found.items()} for found in by_class)
    return fakes, reals


def collect_scores(checkpoint: str, samples: Sequence[Sample], judged: JudgedLine) -> OutOfFold:
    """The margins of the pictures left out of the probe with that hash."""
    fake, real = by_source(samples, (round(float(margin), 4) for margin in judged.margins))
    return OutOfFold(
        checkpoint=checkpoint,
        fakes_by_source=judged.folds.by_source[0],
        reals_by_source=judged.folds.by_source[1],
        fake=fake,
        real=real,
    )
