"""Samples drawn of a large set: a rare class is among them."""

from pathlib import Path

import numpy as np
import pytest

from fakedetect.dataset.samples import Sample, draw_places


@pytest.mark.parametrize(
    ("fakes", "reals", "drawn"), [(30_000, 40, 20), (3_000, 10, 10), (5_000, 5_000, None)]
)
def test_a_rare_class_is_among_the_drawn(fakes: int, reals: int, drawn: int | None) -> None:
    samples = [Sample(Path("a"), int(place < reals), "") for place in range(fakes + reals)]
    places = draw_places(samples, 1000, 42)
    assert len(set(places.tolist())) == 1000
    if drawn is None:
        # Where none is rare, the draw is a plain one.
        assert np.array_equal(places, np.random.default_rng(42).permutation(len(samples))[:1000])
    else:
        assert sum(samples[place].label for place in places) == drawn


def test_of_a_small_set_all_are_drawn() -> None:
    samples = [Sample(Path("a"), place % 2, "") for place in range(9)]
    assert sorted(draw_places(samples, 1000, 1).tolist()) == list(range(9))
