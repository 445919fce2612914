"""The sources of a class, and which of them are of one kind."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
BySource = Mapping[str, Sequence[T]]
"""What is known of each picture, by source."""


def group_of(source: str) -> str:
    """The family of a source 'family/generator', and the source itself where it names none.

    Generators of one family leave like traces, so a family is left out as a whole.
    """
    return source.partition("/")[0]


def by_group(values: BySource[T]) -> dict[str, np.ndarray]:
    """Values of the pictures of each group of sources, a family of generators say: their margins."""
    found: dict[str, list[T]] = {}
    for source, of_source in sorted(values.items()):
        found.setdefault(group_of(source), []).extend(of_source)
    return {group: np.array(of_group) for group, of_group in found.items()}
