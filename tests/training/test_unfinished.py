"""Runs that are killed, stopped, started twice or fed with mistakes."""

import os
import random
import re
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import halve, paint, run
from PIL import Image
from program import Program

from fakedetect.core.derived import derived_folder_of
from fakedetect.core.errors import UserError
from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console

KILLS = 6


@pytest.fixture
def long_run(resized: Path) -> Path:
    """Half of the resized data, and a run of six epochs with dropout ahead, saved after every step; returns
    the paths.toml."""
    halve(resized)
    text = resized.read_text(encoding="utf-8")
    text = text.replace("max_epochs = 2", "max_epochs = 6\npatience = 6\nsave_minutes = 1e-6")
    resized.write_text(text, encoding="utf-8")
    return resized


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "classifier_model.pth", weights_only=True)


@pytest.mark.skipif(sys.platform == "win32", reason="kills process groups")
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(long_run: Path) -> None:
    folder = long_run.parent / "model_folders/tiny"
    assert run("--paths", long_run, "train").returncode == 0
    whole, log = weights(folder), (folder / "training_log.csv").read_text()
    for path in folder.iterdir():
        path.unlink()
    chance = random.Random(5)
    for _ in range(KILLS):
        way = "--resume" if (folder / "unfinished_run.pth").exists() else "--overwrite"
        program = Program("--paths", long_run, "train", way)
        program.wait_for(r"^Epoch \d")
        time.sleep(chance.uniform(0, 0.3))
        program.send(signal.SIGKILL)
        program.end()
        assert weights(folder).keys() == whole.keys()
    if (folder / "unfinished_run.pth").exists():
        assert run("--paths", long_run, "train", "--resume").returncode == 0
    ended = weights(folder)
    assert all(torch.equal(ended[key], whole[key]) for key in whole)

    def losses(text: str) -> list[list[str]]:
        return [line.split(",")[:4] for line in text.splitlines()]

    assert losses((folder / "training_log.csv").read_text()) == losses(log)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_stopped_run_is_described_and_a_second_one_is_refused(long_run: Path) -> None:
    short = long_run.read_text(encoding="utf-8")
    text = short.replace("= 6", "= 500")
    long_run.write_text(text, encoding="utf-8")
    program = Program("--paths", long_run, "train")
    program.wait_for(r"^Epoch 1")
    second = run("--paths", long_run, "train", "--overwrite")
    assert second.returncode == 2 and f"process {program.pid}" in second.stderr
    program.send(signal.SIGINT)
    ended = program.end()
    assert ended.returncode == 130 and "train --resume" in ended.stdout and "Traceback" not in ended.stdout
    assert re.search(
        r"Stopped\. Saved: \d+ epochs?( and \d of 5 steps of epoch \d+)?; lost: the last \d", ended.stdout
    )
    assert "tiny (trained; a run was stopped)" in run("--paths", long_run, keys="0\n").stdout
    plain = run("--paths", long_run, "train")
    assert plain.returncode == 2 and "--resume" in plain.stderr and "--overwrite" in plain.stderr
    long_run.write_text(text.replace("3e-3", "1e-3"), encoding="utf-8")
    other = run("--paths", long_run, "train", "--resume")
    assert other.returncode == 2 and "learning_rate was 0.003 " in other.stderr
    long_run.write_text(short, encoding="utf-8")
    assert run("--paths", long_run, "train", "--resume").returncode == 0
    nothing = run("--paths", long_run, "train", "--resume")
    assert nothing.returncode == 2 and "no unfinished run" in nothing.stderr


def test_a_nan_loss_stops_the_run_with_advice(resized: Path) -> None:
    text = resized.read_text(encoding="utf-8").replace("3e-3", "1e30")
    resized.write_text(text, encoding="utf-8")
    result = run("--paths", resized, "train")
    assert result.returncode == 2 and "Lower learning_rate" in result.stderr
    assert not (resized.parent / "model_folders/tiny/classifier_model.pth").exists()


def test_too_little_memory_names_a_batch_that_is_half(
    resized: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakedetect.training import loop, train

    sizes = []

    def no_memory(run: loop.Run, *_: object) -> None:
        sizes.append(run.settings.recipe.batch_size)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "train_epoch", no_memory)
    settings = load_settings(resized)
    with pytest.raises(UserError, match="batch_size = 4"):
        train.train(settings, Console(quiet=True))
    agreeing = Console(quiet=True)
    monkeypatch.setattr(agreeing, "confirm", lambda question: True)
    with pytest.raises(UserError, match="smaller model"):
        train.train(settings, agreeing)
    assert sizes == [8, 8, 4, 2, 1]


def test_mistakes_in_the_data_are_reported_before_the_first_epoch(resized: Path) -> None:
    train, test = (resized.parent / f"dataset/resized_{part}" for part in ("train", "test"))
    for number in range(5, 20):
        (train / f"real/{number:04}.png").unlink()
    # The test folder also has the fixture's pictures; the twin must be the only one.
    for path in (train / "fake/gan").iterdir():
        Image.new("RGB", (1, 1), "red").save(path)
    (train / "real/twin.png").write_bytes((test / "real/0001.png").read_bytes())
    text = resized.read_text(encoding="utf-8")
    resized.write_text(text.replace("batch_size = 8", "batch_size = 64"), encoding="utf-8")
    result = run("--paths", resized, "train")
    assert result.returncode == 0, result.stderr
    before = result.stderr.split("epoch 1/")[0]
    assert "Only 23 % of" in before
    assert "smaller than one batch (64)" in before
    assert "Only 20 fake and 6 real pictures" in before
    assert re.search("1 picture .* exact duplicate", before)


@pytest.mark.parametrize("test_folder", ["dataset/resized_train", "dataset/resized_train/test"])
def test_a_test_folder_inside_the_training_folder_is_refused(resized: Path, test_folder: str) -> None:
    text = resized.read_text(encoding="utf-8") + f'\n[resized]\ntest = "{test_folder}"\n'
    resized.write_text(text, encoding="utf-8")
    result = run("--paths", resized, "train")
    assert result.returncode == 2
    assert "are the same folder" in result.stderr
    assert result.stderr.strip() in run("--paths", resized, keys="0\n").stdout


@pytest.mark.parametrize(
    "lines",
    ['[resized]\ntest = "dataset/resized_train"', '[original]\ntest_real = "dataset/train/real/phone"'],
)
def test_a_trained_model_is_not_tested_on_its_training_pictures(trained: Path, lines: str) -> None:
    trained.write_text(f"{trained.read_text(encoding='utf-8')}\n{lines}\n", encoding="utf-8")
    said = {run("--paths", trained, command).stderr for command in ("test", "evaluate")}
    said.add(run("--paths", trained, "train", "--overwrite").stderr)
    assert len(said) == 1 and "must be apart" in said.pop()


def test_one_folder_for_both_classes_is_refused(project: Path) -> None:
    paint(project.parent / "dataset/train/real/a.png", 1)
    text = project.read_text(encoding="utf-8") + '\n[original]\ntrain_fake = "dataset/train/real"\n'
    project.write_text(text, encoding="utf-8")
    for command in ("scan", "resize", "explore"):
        result = run("--paths", project, command)
        assert result.returncode == 2 and "train-real and train-fake" in result.stderr, command


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix permissions")
def test_a_full_disk_leaves_old_files_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakedetect.core import files

    path = data.parent / "kept.txt"
    files.write_text(path, "old")
    real = os.fsync

    def full(descriptor: int) -> None:
        real(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        files.write_text(path, "new")
    assert path.read_text() == "old" and not list(path.parent.glob(".*.partial"))


def limit_files(size: int) -> None:
    """Limit the size of files, in bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix limits")
def test_a_checkpoint_that_cannot_be_written_is_one_line_and_the_old_one_stays(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    before = (folder / "classifier_model.pth").read_bytes()
    limit = partial(limit_files, len(before) // 2)
    result = Program("--paths", trained, "train", "--overwrite", before=limit).end()
    assert result.returncode == 2 and "Traceback" not in result.stdout, result.stdout
    assert "decoded each time" in result.stdout
    assert "Cannot write" in result.stdout and "unfinished_run.pth" in result.stdout
    assert (folder / "classifier_model.pth").read_bytes() == before
    assert not list(trained.parent.rglob("*.partial"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps open folders")
def test_pictures_that_vanish_in_an_epoch_end_the_run_in_one_line(long_run: Path) -> None:
    text = long_run.read_text(encoding="utf-8").replace("= 6", "= 500")
    long_run.write_text(text, encoding="utf-8")
    program = Program("--paths", long_run, "train")
    program.wait_for(r"^Epoch 1")
    shutil.rmtree(long_run.parent / "dataset/resized_train")
    shutil.rmtree(derived_folder_of("decoded", long_run.parent / "dataset/resized_train"))
    ended = program.end()
    assert ended.returncode == 2 and "Traceback" not in ended.stdout, ended.stdout
    assert "Check the disk" in ended.stdout
    folder = long_run.parent / "model_folders/tiny"
    assert weights(folder) and (folder / "unfinished_run.pth").is_file()


def test_a_model_folder_that_cannot_be_made_is_one_line(resized: Path) -> None:
    # timm's answer cannot be saved then and is requested each time.
    shutil.rmtree(resized.parent / "model_folders")
    (resized.parent / "model_folders").write_text("a file is in the way")
    result = run("--paths", resized, "train")
    assert result.returncode == 2 and "Cannot write" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
