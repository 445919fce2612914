"""Samples drawn from a large dataset include a rare class."""

from pathlib import Path

import numpy as np
import pytest

from fakedetect.dataset.samples import Sample, draw_sample_indices


@pytest.mark.parametrize(
    ("fakes", "reals", "drawn"), [(30_000, 40, 20), (3_000, 10, 10), (5_000, 5_000, None)]
)
def test_a_draw_includes_a_rare_class(fakes: int, reals: int, drawn: int | None) -> None:
    samples = [Sample(Path("a"), int(place < reals), "") for place in range(fakes + reals)]
    places = draw_sample_indices(samples, 1000, 42)
    assert len(set(places.tolist())) == 1000
    if drawn is None:
        # Without a rare class, the draw is a plain one.
        assert np.array_equal(places, np.random.default_rng(42).permutation(len(samples))[:1000])
    else:
        assert sum(samples[place].label for place in places) == drawn


def test_a_small_dataset_is_drawn_whole() -> None:
    samples = [Sample(Path("a"), place % 2, "") for place in range(9)]
    assert sorted(draw_sample_indices(samples, 1000, 1).tolist()) == list(range(9))
