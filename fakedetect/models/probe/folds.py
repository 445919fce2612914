"""Cross-validation folds that hold out whole sources, or whole collections of sources of both classes."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from fakedetect.core.errors import UserError, did_you_mean
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import printable
from fakedetect.dataset.samples import Sample
from fakedetect.metrics.intervals import group_of

MOST_FOLDS = 8
FOLDS_OF_ONE_SOURCE = 5
"""Folds if both classes have one source each, so that pictures are held out instead of sources."""

SourceGroup = tuple[int, str]
"""A label and a group of sources of that class."""


@dataclass(frozen=True)
class Folds:
    """For each picture the fold (N,) in which it is held out.

    `by_source` says for each class, fake first, whether whole groups of sources are held out. A class with
    one group is split by pictures, which does not measure performance on other sources.
    """

    numbers: np.ndarray
    count: int
    by_source: tuple[bool, bool]


def match_collections(collections: Mapping[str, Sequence[str]], sources: Iterable[str]) -> dict[str, str]:
    """Return the collection of each source that is in one.

    Args:
        collections: the names or fnmatch patterns of each collection's sources.

    Raises:
        UserError: a pattern matches no source, or a source is in two collections.
    """
    named = sorted(filter(None, sources))
    found: dict[str, str] = {}
    for name, patterns in collections.items():
        for pattern in patterns:
            # source_of() returns NFC; the user may have typed another form.
            wanted = unicodedata.normalize("NFC", pattern)
            matching = [source for source in named if source == wanted or fnmatchcase(source, wanted)]
            if not matching:
                raise UserError(
                    f"{pattern!r} in {name} under [probe.collections] matches no source of the training "
                    f"pictures{did_you_mean(wanted, named)}. Correct or remove it."
                )
            for source in matching:
                if found.setdefault(source, name) != name:
                    raise UserError(
                        f"The source {printable(source)} is in two collections under [probe.collections], "
                        f"{found[source]} and {name}. Leave it in one."
                    )
    return found


def assign_folds(
    samples: Sequence[Sample], seed: int, collections: Mapping[str, str] | None = None
) -> Folds:
    """Assign pictures to folds of similar size that hold out whole groups of sources.

    Args:
        collections: the collection of each source that is in one. A collection is held out as a whole,
            with its pictures of both classes.

    Raises:
        UserError: a collection has all pictures of a class.
    """
    labels = np.array([sample.label for sample in samples])
    units = _find_units(samples, collections or {})
    sizes = np.array([np.bincount(labels[places], minlength=2) for places in units])
    counts = (sizes > 0).sum(axis=0)
    several = counts[counts > 1].tolist()
    count = min([MOST_FOLDS, *several]) if several else FOLDS_OF_ONE_SOURCE
    numbers, filled = np.zeros(len(samples), int), np.zeros((count, 2), int)
    random = np.random.default_rng(seed)
    for label in np.flatnonzero(counts == 1):
        alone = next(places for places, size in zip(units, sizes, strict=True) if size[label])
        _refuse_collection([samples[place] for place in alone], collections or {}, CLASSES[label])
        numbers[random.permutation(alone)] = np.arange(len(alone)) % count
    # Units of both classes come first, each into an empty fold while there is one: what follows then leaves
    # pictures of both classes outside every fold.
    for unit in sorted(range(len(units)), key=lambda unit: (-(sizes[unit] > 0).sum(), -sizes[unit].sum())):
        present = sizes[unit] > 0
        if (counts[present] > 1).all():
            fold = filled[:, present].max(axis=1).argmin()
            numbers[units[unit]] = fold
            filled[fold] += sizes[unit]
    return Folds(numbers, count, (bool(counts[0] > 1), bool(counts[1] > 1)))


def _find_units(samples: Sequence[Sample], collections: Mapping[str, str]) -> list[list[int]]:
    """Return the indices of the samples that are held out together, in the order of their groups' names.

    They are a group of sources of one class, or all groups that a collection touches. Collections that
    touch the same group are held out together.
    """
    groups: list[SourceGroup] = [(sample.label, group_of(sample.source)) for sample in samples]
    touched: dict[str, set[SourceGroup]] = {}
    for sample, group in zip(samples, groups, strict=True):
        if sample.source in collections:
            touched.setdefault(collections[sample.source], set()).add(group)
    unit_of = {group: group for group in groups}
    for of_collection in touched.values():
        joined = {unit_of[group] for group in of_collection}
        unit_of = {group: min(joined) if unit in joined else unit for group, unit in unit_of.items()}
    units: dict[SourceGroup, list[int]] = {}
    for place, group in enumerate(groups):
        units.setdefault(unit_of[group], []).append(place)
    return [units[group] for group in sorted(units)]


def _refuse_collection(samples: Sequence[Sample], collections: Mapping[str, str], label: str) -> None:
    """Refuse to hold out all pictures of a class, unless a source is the only one of its class."""
    names = sorted({collections[sample.source] for sample in samples if sample.source in collections})
    if names:
        raise UserError(
            f"[probe.collections]: all {label} pictures are held out with {' and '.join(names)}, which "
            f"leaves none to learn from. Name fewer sources, or add {label} pictures from elsewhere."
        )
