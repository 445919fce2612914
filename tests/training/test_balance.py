"""Classes and sources of unequal size: sampling, validation and messages."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REFERENCE_INPUT, paint, run
from PIL import Image

from fakedetect.core.settings.settings import load_settings
from fakedetect.dataset.samples import Sample, load_dataset, split_dataset
from fakedetect.training import epochs
from fakedetect.training.balance import draw_epoch
from fakedetect.training.epochs import make_random_degradation

COPIES = {"fake/gan": 22, "fake/flow": 3, "real": 6}


@pytest.fixture
def unequal(tmp_path: Path) -> Path:
    """Copies for training, four fakes for each real picture, and most fakes of one source."""
    random = np.random.default_rng(1)
    for seed, (folder, count) in enumerate(COPIES.items()):
        for number in range(count):
            file = tmp_path / f"dataset/resized_train/{folder}/{number}.jpg"
            paint(file, 99 * seed + number, (224, 224))
            if folder == "real":
                Image.fromarray(random.integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(file)
    return tmp_path / "paths.toml"


def use(paths: Path, balance: str) -> Path:
    paths.write_text(
        f'model = "tiny"\n[training]\nbalance = "{balance}"\npretrained = false\nprecision = "fp32"\n'
        "workers = 1\nmax_epochs = 1\nvalidation_share = 0.3\nsave_minutes = 1e-9\n[models.tiny]\n"
        f'timm = "test_resnet"\nbatch_size = 8\nlearning_rate = 3e-3\n{REFERENCE_INPUT}',
        encoding="utf-8",
    )
    return paths


def samples_of(counts: dict[str, int]) -> list[Sample]:
    """Make the given number of samples of each 'class/source'."""
    return [
        Sample(Path(f"{name}/{number}"), ("fake", "real").index(name.split("/")[0]), name.partition("/")[2])
        for name, count in counts.items()
        for number in range(count)
    ]


def test_an_epoch_shows_classes_or_sources_equally_often() -> None:
    samples = samples_of({"fake/gan": 81, "fake/flow": 9, "real/phone": 7, "real/scan": 3})

    def draw(balance: str, seed: int) -> list[Sample]:
        return draw_epoch(samples, balance, torch.Generator().manual_seed(seed))

    order = torch.randperm(100, generator=torch.Generator().manual_seed(5)).tolist()
    assert draw("none", 5) == [samples[place] for place in order]
    for balance, shares in (
        ("classes", {"fake": 50, "real": 50}),
        ("sources", {"fake/gan": 25, "fake/flow": 25, "real/phone": 25, "real/scan": 25}),
    ):
        epoch = draw(balance, 5)
        assert epoch == draw(balance, 5) != draw(balance, 6)
        for name, share in shares.items():
            times = Counter(str(sample.path) for sample in epoch if str(sample.path).startswith(name))
            assert times.total() == share
            of_all = sum(str(sample.path).startswith(name) for sample in samples)
            missing = of_all - len(times)
            assert max(times.values()) - (0 if missing else min(times.values())) <= 1
            turns = Counter((sample.path, sample.turn) for sample in epoch)
            assert max(turns.values()) == 1, "each time that a picture is shown has its own number"
    # More sources than the class has places in the epoch: chance decides which are missing.
    many = samples_of({**{f"fake/{number}": 1 for number in range(30)}, "real": 10})
    shown = [
        {sample.source for sample in draw_epoch(many, "sources", torch.Generator().manual_seed(seed))}
        for seed in range(20)
    ]
    assert len(set.union(*shown)) == 31


def test_a_run_describes_what_balancing_would_change(unequal: Path) -> None:
    told = run("--paths", use(unequal, "none"), "train")
    assert told.returncode == 0, told.stderr
    assert "Only 19 % of" in told.stderr
    assert 'balance = "classes" under [training]' in told.stderr
    assert "a real picture 2.6 times an epoch" in told.stderr
    assert "22 of the 25" in told.stderr and 'are of gan: balance = "sources"' in told.stderr
    assert "an epoch shows" not in told.stderr
    shutil.rmtree(unequal.parent / "dataset")
    use(unequal, "sources")
    probe = run("--paths", unequal, "train", "--overwrite", "--recipe", "probe")
    assert probe.returncode == 2, "there is nothing to learn from any more"
    assert "and balance under [training]" in probe.stderr


def test_validation_uses_the_weights_of_a_balanced_run(unequal: Path) -> None:
    folder = unequal.parent / "model_folders/tiny"
    assert run("--paths", use(unequal, "classes"), "train").returncode == 0
    record = json.loads((folder / "training.json").read_text())
    assert record["run"]["balance"] == "classes"
    assert run("--paths", unequal, "test", "--on", "train").returncode == 0
    settings = load_settings(unequal)
    validation = split_dataset(load_dataset(settings, "train"), 0.3, settings.training.seed)[1]
    with (folder / "train_predictions.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    recalls = []
    for label in (0, 1):
        own = [rows[str(sample.path)] for sample in validation if sample.label == label]
        recalls.append(sum(row["label"] == row["predicted"] for row in own) / len(own))
    assert record["best"]["val_accuracy"] == pytest.approx(sum(recalls) / 2)


def test_a_stopped_run_continues_only_with_the_same_balance(
    unequal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    weights, step = [], iter((epochs._step, stop))
    with monkeypatch.context() as patch:
        patch.setattr(epochs, "_step", lambda *given, **named: next(step)(*given, **named))
        stopped = run("--paths", use(unequal, "sources"), "train")
    assert stopped.returncode == 130 and "1 of 3 steps" in stopped.stdout
    assert 'balance = "sources": an epoch' in stopped.stderr and "(gan) to" in stopped.stderr
    assert "% of the training pictures" not in stopped.stderr and "would" not in stopped.stderr
    other = run("--paths", use(unequal, "classes"), "train", "--resume")
    assert other.returncode == 2 and "balance was sources and" in other.stderr
    for how in ("--resume", "--overwrite"):
        assert run("--paths", use(unequal, "sources"), "train", how).returncode == 0
        file = unequal.parent / "model_folders/tiny/classifier_model.pth"
        weights.append(torch.load(file, weights_only=True))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


def test_a_repeated_picture_is_degraded_differently_each_time() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    change = make_random_degradation(7)
    first, second = (change(pixels, Sample(Path("a.jpg"), 0, "", turn)) for turn in (0, 1))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, change(pixels, Sample(Path("a.jpg"), 0, "")))
