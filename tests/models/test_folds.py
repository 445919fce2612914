"""Folds that hold out whole families, real sources and collections of both classes."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from fakedetect.core.errors import UserError
from fakedetect.dataset.samples import Sample
from fakedetect.models.probe.folds import assign_folds, match_collections


def list_samples(fakes: dict[str, int], reals: dict[str, int]) -> list[Sample]:
    """Make so many samples of each source."""
    counts = [(label, *item) for label, of_class in enumerate((fakes, reals)) for item in of_class.items()]
    return [Sample(Path(), label, source) for label, source, count in counts for _ in range(count)]


def find_folds(samples: list[Sample], numbers: np.ndarray, sources: Collection[str]) -> set[int]:
    """The folds of the samples of some sources."""
    return {int(fold) for fold, sample in zip(numbers, samples, strict=True) if sample.source in sources}


def test_collections_and_families_stay_whole_and_every_fold_leaves_both_classes() -> None:
    random = np.random.default_rng(1)
    refused = 0
    for seed in range(60):
        fakes = {
            f"f{number // 2}/{number}": int(random.integers(1, 30))
            for number in range(random.integers(4, 16))
        }
        reals = {f"r{number}": int(random.integers(1, 30)) for number in range(random.integers(3, 16))}
        samples = list_samples(fakes, reals)
        collections = {
            source: f"c{random.integers(random.integers(1, 5))}"
            for source in (*fakes, *reals)
            if random.random() < 0.5
        }
        try:
            folds = assign_folds(samples, seed, collections)
        except UserError:
            refused += 1
            continue
        names = {f"c{number}" for number in range(5)} | {f"f{number}/" for number in range(8)}
        for name in names:
            whole = [s for s in (*fakes, *reals) if collections.get(s) == name or s.startswith(name)]
            assert len(find_folds(samples, folds.numbers, whole)) <= 1
        labels = np.array([sample.label for sample in samples])
        for fold in range(folds.count):
            assert set(labels[folds.numbers != fold]) == {0, 1}
            assert (folds.numbers == fold).any()
    assert refused < 30


def test_collections_that_share_a_family_are_held_out_together() -> None:
    samples = list_samples(
        {"gan/one": 3, "gan/two": 3, "flow": 3, "mixed": 3}, {"phone": 3, "film": 3, "scan": 3, "press": 3}
    )
    collections = {"gan/one": "a", "phone": "a", "gan/two": "b", "film": "b", "flow": "c"}
    numbers = assign_folds(samples, 0, collections).numbers
    assert len(find_folds(samples, numbers, ("gan/one", "gan/two", "phone", "film"))) == 1
    assert len(find_folds(samples, numbers, ("gan/one", "flow"))) == 2
    with pytest.raises(UserError, match="all fake pictures are held out with a and b,"):
        assign_folds(samples, 0, {**collections, "flow": "a", "mixed": "b"})


def test_names_and_patterns_find_the_sources_of_a_collection() -> None:
    sources = ["", "gan/one", "gan/two", "Gan", "set[1]", "caf\u00e9"]
    found = match_collections({"a": ["gan/*"], "b": ["set[1]", "cafe\u0301"]}, sources)
    assert found == {"gan/one": "a", "gan/two": "a", "set[1]": "b", "caf\u00e9": "b"}
    assert match_collections({"all": ["*"]}, sources).keys() == set(sources[1:])
    assert match_collections({}, sources) == {}
    with pytest.raises(UserError, match=r"'gan/on' in a .* matches no source .*did you mean 'gan/one'"):
        match_collections({"a": ["gan/on"]}, sources)
    with pytest.raises(UserError, match=r"gan/two is in two collections .*, a and b"):
        match_collections({"a": ["gan/*"], "b": ["*two"]}, sources)
