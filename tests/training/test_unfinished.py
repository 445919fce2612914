"""Runs that are killed, stopped, started twice or fed with mistakes."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, paint, run
from PIL import Image

from fakedetect.core.console import Console
from fakedetect.core.errors import UserError
from fakedetect.core.settings import load_settings

KILLS = 6


@pytest.fixture
def long_run(data: Path) -> Path:
    """The data resized, and a run of six epochs with dropout ahead, saved after every step; returns the
    paths.toml."""
    text = data.read_text(encoding="utf-8")
    text = text.replace("max_epochs = 2", "max_epochs = 6\npatience = 6\nsave_minutes = 1e-6")
    data.write_text(text, encoding="utf-8")
    assert run("--paths", data, "resize").returncode == 0
    return data


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "menu.py"), "--paths", str(project), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], pattern: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return
    pytest.fail(f"{pattern!r} was not printed:\n{''.join(seen)}")


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
        process = start(long_run, "train", way)
        wait_for(process, r"^Epoch \d")
        time.sleep(chance.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
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
def test_a_stopped_run_is_told_and_a_second_one_is_refused(long_run: Path) -> None:
    short = long_run.read_text(encoding="utf-8")
    text = short.replace("= 6", "= 500")
    long_run.write_text(text, encoding="utf-8")
    process = start(long_run, "train")
    wait_for(process, r"^Epoch 1")
    second = run("--paths", long_run, "train", "--overwrite")
    assert second.returncode == 2 and f"process {process.pid}" in second.stderr
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "train --resume" in rest and "Traceback" not in rest
    assert re.search(
        r"Stopped\. Saved: \d+ epochs?( and \d of 5 steps of epoch \d+)?; lost: the last \d", rest
    )
    assert "tiny (trained; a run was stopped)" in run("--paths", long_run, keys="0\n").stdout
    plain = run("--paths", long_run, "train")
    assert plain.returncode == 2 and "--resume" in plain.stderr and "--overwrite" in plain.stderr
    long_run.write_text(text.replace("3e-3", "1e-3"), encoding="utf-8")
    other = run("--paths", long_run, "train", "--resume")
    assert other.returncode == 2 and "learning_rate was 0.003 and is 0.001 now" in other.stderr
    long_run.write_text(short, encoding="utf-8")
    assert run("--paths", long_run, "train", "--resume").returncode == 0
    nothing = run("--paths", long_run, "train", "--resume")
    assert nothing.returncode == 2 and "no unfinished run" in nothing.stderr


def test_a_loss_that_is_no_number_stops_the_run_with_advice(data: Path) -> None:
    text = data.read_text(encoding="utf-8").replace("3e-3", "1e30")
    data.write_text(text, encoding="utf-8")
    assert run("--paths", data, "resize").returncode == 0
    result = run("--paths", data, "train")
    assert result.returncode == 2 and "Lower learning_rate" in result.stderr
    assert not (data.parent / "model_folders/tiny/classifier_model.pth").exists()


def test_too_little_memory_names_a_batch_that_is_half(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakedetect.training import loop, train

    assert run("--paths", data, "resize").returncode == 0
    sizes = []

    def no_memory(run: loop.Run, *_: object) -> None:
        sizes.append(run.settings.recipe.batch_size)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "train_epoch", no_memory)
    settings = load_settings(data)
    with pytest.raises(UserError, match="batch_size = 4"):
        train.train(settings, Console(quiet=True))
    agreeing = Console(quiet=True)
    monkeypatch.setattr(agreeing, "confirm", lambda question: True)
    with pytest.raises(UserError, match="smaller model"):
        train.train(settings, agreeing)
    assert sizes == [8, 8, 4, 2, 1]


def test_mistakes_in_the_data_are_told_before_the_first_epoch(data: Path) -> None:
    train, test = (data.parent / f"dataset/resized_{part}" for part in ("train", "test"))
    assert run("--paths", data, "resize").returncode == 0
    for number in range(5, 20):
        (train / f"real/{number:04}.png").unlink()
    for path in (train / "fake/gan").iterdir():
        Image.new("RGB", (1, 1), "red").save(path)
    (train / "real/twin.png").write_bytes((test / "real/0001.png").read_bytes())
    text = data.read_text(encoding="utf-8")
    data.write_text(text.replace("batch_size = 8", "batch_size = 64"), encoding="utf-8")
    result = run("--paths", data, "train")
    assert result.returncode == 0, result.stderr
    before = result.stderr.split("epoch 1/")[0]
    assert "Only 23% of the training pictures are real" in before
    assert "smaller than one batch (64)" in before
    assert "Most fake pictures" in before and "smaller than 32 pixels" in before
    assert "1 picture of the test folder is in the training folder too" in before


@pytest.mark.parametrize("test_folder", ["dataset/resized_train", "dataset/resized_train/test"])
def test_a_test_folder_inside_the_training_folder_is_refused(data: Path, test_folder: str) -> None:
    assert run("--paths", data, "resize", "train-real", "train-fake").returncode == 0
    text = data.read_text(encoding="utf-8") + f'\n[resized]\ntest = "{test_folder}"\n'
    data.write_text(text, encoding="utf-8")
    result = run("--paths", data, "train")
    assert result.returncode == 2 and "one lies in the other" in result.stderr


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


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix limits")
def test_a_checkpoint_that_cannot_be_written_is_one_line_and_the_old_one_stays(data: Path) -> None:
    import resource

    folder = data.parent / "model_folders/tiny"
    assert run("--paths", data, "resize").returncode == 0
    assert run("--paths", data, "train").returncode == 0
    before = (folder / "classifier_model.pth").read_bytes()
    (data.parent / "dataset/resized_train/.decoded.npz").unlink()
    limit = len(before) // 2
    result = subprocess.run(
        [sys.executable, str(ROOT / "menu.py"), "--paths", str(data), "train", "--overwrite"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
    assert "decoded each time they are needed" in result.stderr
    assert "Cannot write" in result.stderr and "classifier_model.pth" in result.stderr
    assert (folder / "classifier_model.pth").read_bytes() == before
    assert not list(data.parent.rglob("*.partial"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps open folders")
def test_pictures_that_vanish_in_an_epoch_end_the_run_in_one_line(long_run: Path) -> None:
    text = long_run.read_text(encoding="utf-8").replace("= 6", "= 500")
    long_run.write_text(text, encoding="utf-8")
    process = start(long_run, "train")
    wait_for(process, r"^Epoch 1")
    shutil.rmtree(long_run.parent / "dataset/resized_train")
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in rest, rest
    assert ".decoded.bin" in rest and "Check the disk" in rest
    folder = long_run.parent / "model_folders/tiny"
    assert weights(folder) and (folder / "unfinished_run.pth").is_file()


def test_a_model_folder_that_cannot_be_made_is_one_line(data: Path) -> None:
    (data.parent / "model_folders").write_text("a file is in the way")
    # What timm says cannot be kept then, and is asked each time.
    assert run("--paths", data, "resize").returncode == 0
    result = run("--paths", data, "train")
    assert result.returncode == 2 and "Cannot write" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
