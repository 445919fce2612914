"""Repeated training: what is saved, how it continues, and which commands show it."""

import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REFERENCE_INPUT, paint, run
from PIL import Image

from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.training import epochs


@pytest.fixture(scope="module")
def repeated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tiny model was trained twice on a few copies; returns its paths.toml."""
    folder = tmp_path_factory.mktemp("repeated")
    random = np.random.default_rng(4)
    for part, count in (("train", 12), ("test", 4)):
        for number in range(count):
            of_part = folder / f"dataset/resized_{part}"
            paint(of_part / f"fake/{number}.png", number + 50 * (part == "test"), (224, 224))
            (of_part / "real").mkdir(exist_ok=True)
            noise = random.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            Image.fromarray(noise).save(of_part / f"real/{number}.png")
    paths = folder / "paths.toml"
    paths.write_text(
        'model = "tiny"\n[training]\npretrained = false\nprecision = "fp32"\nworkers = 1\n'
        "max_epochs = 1\nvalidation_share = 0.25\nsave_minutes = 1e-9\n[models.tiny]\n"
        f'timm = "test_resnet"\nbatch_size = 8\nlearning_rate = 1e-4\n{REFERENCE_INPUT}'
        # Converting each model would take longer than the rest of the test.
        '[inference]\nengine = "torch"\n',
        encoding="utf-8",
    )
    result = run("--paths", paths, "train", "--repeat", "2")
    assert result.returncode == 0, result.stderr
    (folder / "told.txt").write_text(result.stdout + result.stderr, encoding="utf-8")
    return paths


@pytest.fixture
def repeated(repeated_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(repeated_once.parent, tmp_path / "project")
    return tmp_path / "project/paths.toml"


def read(paths: Path, name: str = "repeats.json") -> dict:
    return json.loads((paths.parent / "model_folders/tiny" / name).read_text(encoding="utf-8"))


def test_runs_differ_in_their_seed_and_every_figure_has_a_mean_and_a_spread(repeated_once: Path) -> None:
    folders = ("", "repeats/seed_43/")
    runs = [read(repeated_once, f"{folder}training.json") for folder in folders]
    assert [each["seed"] for each in runs] == [42, 43]
    assert {**runs[0]["run"], "seed": 0} == {**runs[1]["run"], "seed": 0}
    assert runs[0]["checkpoint"] != runs[1]["checkpoint"]
    tests = [read(repeated_once, f"{folder}test_results.json") for folder in folders]
    found = read(repeated_once)
    assert [each["checkpoint"] for each in found["runs"]] == [test["checkpoint"] for test in tests]
    for name, values in {
        "validation_loss": [each["best"]["val_loss"] for each in runs],
        "validation_accuracy": [each["best"]["val_accuracy"] for each in runs],
        "accuracy": [test["accuracy"] for test in tests],
        "roc_auc": [test["roc_auc"] for test in tests],
        "recall_fake": [test["classes"]["fake"]["recall"] for test in tests],
        "precision_real": [test["classes"]["real"]["precision"] for test in tests],
    }.items():
        spread = found["spread"][name]
        assert [each["figures"][name] for each in found["runs"]] == values
        assert spread["mean"] == pytest.approx(statistics.fmean(values))
        assert spread["deviation"] == pytest.approx(statistics.stdev(values))
        assert (spread["lowest"], spread["highest"]) == (min(values), max(values))
    assert len(found["spread"]) == 11
    told = (repeated_once.parent / "told.txt").read_text(encoding="utf-8")
    assert "tiny, 2 runs (seeds 42, 43), mean ±" in told
    assert "  test accuracy " in told and "a rough estimate" in told


def test_a_stopped_series_continues_and_keeps_finished_runs(
    repeated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repeated.parent / "model_folders/tiny"
    kept = [folder / name for name in ("classifier_model.pth", "repeats/seed_43/classifier_model.pth")]
    before = [path.stat().st_mtime_ns for path in kept]
    step, done = epochs._step, iter(range(2))

    def stop(*arguments: object, **keywords: object) -> torch.Tensor:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return step(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "_step", stop)
        stopped = run("--paths", repeated, "train", "--repeat", "3")
    assert stopped.returncode == 130, stopped.stderr
    assert "2 of 3 steps of epoch 1" in stopped.stdout
    assert "with seed 44; finished: seeds 42, 43." in stopped.stdout
    assert stopped.stdout.rstrip().endswith("train --repeat 3 --resume")
    assert len(read(repeated)["runs"]) == 2
    ended = run("--paths", repeated, "train", "--repeat", "3", "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "(seeds 42, 43, 44)" in ended.stdout and "Two runs" not in ended.stdout
    assert "Run 2 of 3, seed 43: already finished" in ended.stderr
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert [each["seed"] for each in read(repeated)["runs"]] == [42, 43, 44]
    text = repeated.read_text(encoding="utf-8")
    repeated.write_text(text.replace("1e-4", "2e-4"), encoding="utf-8")
    for way in ([], ["--resume"]):
        other = run("--paths", repeated, "train", "--repeat", "3", *way)
        assert other.returncode == 2 and "learning_rate was 0.0001 " in other.stderr
    assert run("--paths", repeated, "train", "--overwrite").returncode == 0
    assert not (folder / "repeats").exists() and not (folder / "repeats.json").exists()


def test_compare_and_report_show_the_spread_of_this_checkpoint_alone(
    repeated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakedetect.reporting import compare

    monkeypatch.setattr(compare, "_write_comparison", lambda *_: None)
    compared = run("--paths", repeated, "compare")
    assert compared.returncode == 0, compared.stderr
    assert "- tiny, 2 runs: test accuracy " in compared.stdout
    (row,) = compare.compare_models(load_settings(repeated), Console(quiet=True)).table.to_dict("records")
    spread = read(repeated)["spread"]["roc_auc"]
    assert (row["runs"], row["roc_auc_mean"]) == (2, spread["mean"])
    assert row["roc_auc_deviation"] == spread["deviation"]
    assert run("--paths", repeated, "report").returncode == 0
    page = (repeated.parent / "model_folders/tiny/report.html").read_text(encoding="utf-8")
    assert "Runs with several seeds" in page and "seed 43" in page and "--repeat 2" in page
    file = repeated.parent / "model_folders/tiny/repeats.json"
    right = read(repeated)
    file.write_text(json.dumps({**right, "checkpoint": "another"}), encoding="utf-8")
    assert "runs:" not in run("--paths", repeated, "compare").stdout
    right["runs"][0]["figures"]["roc_auc"] = 1.5
    file.write_text(json.dumps(right), encoding="utf-8")
    odd = run("--paths", repeated, "compare")
    assert odd.returncode == 0 and f"Skipped the runs of tiny: {file}" in odd.stderr
    refused = run("--paths", repeated, "report")
    assert refused.returncode == 2 and "roc_auc" in refused.stderr


def test_what_cannot_be_repeated_is_refused(repeated: Path) -> None:
    one = run("--paths", repeated, "train", "--repeat", "1")
    assert one.returncode == 2 and "2 or more" in one.stderr
    shutil.rmtree(repeated.parent / "dataset")
    probe = run("--paths", repeated, "train", "--repeat", "2", "--recipe", "probe", "--overwrite")
    assert probe.returncode == 2 and "--repeat has no effect" in probe.stderr
