"""The records of results: what is written can be read again, whatever was measured."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from conftest import run
from scipy.special import expit
from sklearn.metrics import average_precision_score

from fakedetect.core.records.evaluation import Measures, read_results
from fakedetect.core.records.record import write_record
from fakedetect.core.settings.settings import load_settings
from fakedetect.dataset.samples import Sample
from fakedetect.metrics import measures
from fakedetect.testing.test import Predictions, build_results


def test_a_perfect_model_has_results_that_can_be_read(project: Path, tmp_path: Path) -> None:
    settings = load_settings(project)
    random = np.random.default_rng(0)
    beyond = 0
    for count in range(20, 100):
        labels = np.arange(count) % 2
        p_fake = np.where(labels == 0, 0.6, 0.1) + random.random(count) / 4
        found = Predictions(
            samples=tuple(Sample(Path(f"{n}.jpg"), int(label), "") for n, label in enumerate(labels)),
            p_fake=p_fake,
            labels=labels,
            predicted=labels,
            bad={},
            left_out=0,
            parameters=1,
            images_per_second=1.0,
        )
        write_record(tmp_path / "r.json", build_results(settings, "test", found, "hash"))
        results = read_results(tmp_path / "r.json", "again")
        assert results and results.average_precision is not None and results.accuracy == 1
        assert 1 - 1e-9 < results.average_precision <= 1
        beyond += average_precision_score(labels == 0, p_fake) > 1
    assert beyond, "scikit-learn's own sum stays within 1 on these; choose others"


@pytest.mark.parametrize("kind", range(5))
def test_measures_fit_their_own_record(kind: int) -> None:
    random = np.random.default_rng(kind)
    for _ in range(40):
        count = int(random.integers(2, 300))
        is_fake = random.random(count) < random.random()
        side = np.where(is_fake, 1.0, -1.0)
        margins = (
            side * random.random(count) * 30,
            -side * random.random(count) * 30,
            random.normal(size=count),
            side * 50,
            random.normal(size=count).round(1) + side,
        )[kind]
        found = Measures(**measures.compute_measures(margins, expit(margins), is_fake))
        assert msgspec.json.decode(msgspec.json.encode(found), type=Measures) == found


def test_the_menu_does_not_praise_a_model_for_the_results_of_another(trained: Path) -> None:
    checkpoint = trained.parent / "model_folders/tiny/classifier_model.pth"
    assert "trained, tested: accuracy" in run("--paths", trained, keys="0\n").stdout
    state = torch.load(checkpoint, weights_only=True)
    torch.save({key: value + 1 for key, value in state.items()}, checkpoint)
    assert "(trained; not tested since)" in run("--paths", trained, keys="0\n").stdout
