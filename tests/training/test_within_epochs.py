"""Runs that are stopped within an epoch: what is saved, and how they continue."""

import csv
import json
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from conftest import halve, run
from program import run_together

from fakedetect.core.files import hash_file
from fakedetect.core.records.training import StartedEpoch
from fakedetect.models.processes import Group
from fakedetect.training import epochs, loop
from fakedetect.training.unfinished import Unfinished

DEGRADE = ("false", "true")


def save_every(data: Path, minutes: str, degrade: str = "false") -> Path:
    """Set save_minutes and degrade for half of the resized data; returns the model's folder."""
    halve(data)
    keys = f"workers = 2\nsave_minutes = {minutes}\ndegrade = {degrade}"
    text = data.read_text(encoding="utf-8").replace("workers = 2", keys)
    data.write_text(text.replace("max_epochs = 2", "max_epochs = 3"), encoding="utf-8")
    return data.parent / "model_folders/tiny"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "classifier_model.pth", weights_only=True)


def losses(folder: Path) -> list[list[str]]:
    with (folder / "training_log.csv").open(newline="") as file:
        return [row[:4] for row in csv.reader(file)]


def stop_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Press Ctrl-C in the middle of a step, after the given number of whole ones."""
    real, done = epochs._step, iter(range(steps))

    def step(*arguments: object, **keywords: object) -> torch.Tensor:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    patch.setattr(epochs, "_step", step)


Whole = dict[str, tuple[Path, CompletedProcess[str]]]


@pytest.fixture(scope="module")
def whole(resized_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """By `degrade`, the data with the model of an uninterrupted run, and that run's output."""
    runs = {}
    for degrade in DEGRADE:
        folder = tmp_path_factory.mktemp(degrade)
        shutil.copytree(resized_once.parent, folder, dirs_exist_ok=True)
        save_every(folder / "paths.toml", "10", degrade)
        result = run("--paths", folder / "paths.toml", "train")
        assert result.returncode == 0, result.stderr
        runs[degrade] = folder / "paths.toml", result
    return runs


@pytest.mark.parametrize("degrade", DEGRADE)
def test_a_run_stopped_in_epochs_ends_as_one_that_was_not(
    whole: Whole, resized: Path, monkeypatch: pytest.MonkeyPatch, degrade: str
) -> None:
    paths, said = whole[degrade]
    expected, log = (read(paths.parent / "model_folders/tiny") for read in (weights, losses))
    assert ("; every picture degraded at random" in said.stderr) == (degrade == "true")
    folder = save_every(resized, "1e-9", degrade)
    how = []
    # 18 pictures in batches of 4: five steps an epoch.
    for steps in (2, 6):
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            stopped = run("--paths", resized, "train", *how)
        assert stopped.returncode == 130, stopped.stderr
        assert " of 5 steps of epoch" in stopped.stdout and "--resume" in stopped.stdout
        how = ["--resume"]
    ended = run("--paths", resized, "train", "--resume")
    assert ended.returncode == 0, ended.stderr
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert losses(folder) == log
    assert not (folder / "unfinished_run.pth").exists()


class Killed(BaseException):
    """An error that no code catches."""


def kill_before(patch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """Let the run end before a call of that function of the loop, counted from 1."""
    real, calls = getattr(loop, name), iter(range(1, call))

    def stop(*arguments: object, **keywords: object) -> object:
        if next(calls, None) is None:
            raise Killed
        return real(*arguments, **keywords)

    patch.setattr(loop, name, stop)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("save_unfinished", 1),
        ("save_checkpoint", 1),
        ("remove_other_checkpoints", 1),
        ("write_training", 1),
        ("write_log", 1),
        ("write_log", 2),
        ("save_unfinished", 3),
    ],
)
def test_a_run_killed_while_it_saves_an_epoch_is_unfinished_and_ends_as_one_that_was_not(
    whole: Whole, resized: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: int
) -> None:
    paths, _ = whole["false"]
    expected, log = (read(paths.parent / "model_folders/tiny") for read in (weights, losses))
    folder = save_every(resized, "10")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before(patch, name, call)
        run("--paths", resized, "train")
    begun = (name, call) != ("save_unfinished", 1)
    assert (folder / "unfinished_run.pth").exists() == begun
    assert begun or not (folder / "classifier_model.pth").exists()
    ended = run("--paths", resized, "train", *(["--resume"] if begun else []))
    assert ended.returncode == 0, ended.stderr
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert losses(folder) == log and not (folder / "unfinished_run.pth").exists()
    assert json.loads((folder / "training.json").read_text())["checkpoint"] == hash_file(
        folder / "classifier_model.pth"
    )


def test_a_run_continues_only_with_the_same_degradation(
    whole: Whole, resized: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, degraded = (whole[degrade][0].parent / "model_folders/tiny" for degrade in DEGRADE)
    first = [losses(folder)[1] for folder in (plain, degraded)]
    assert first[0] != first[1], "the pictures are others"
    assert json.loads((degraded / "training.json").read_text())["run"]["degrade"] is True
    save_every(resized, "1e-9", "true")
    stop_after(monkeypatch, 2)
    assert run("--paths", resized, "train").returncode == 130
    text = resized.read_text(encoding="utf-8")
    resized.write_text(text.replace("degrade = true", "degrade = false"), encoding="utf-8")
    refused = run("--paths", resized, "train", "--resume")
    assert refused.returncode == 2 and "degrade was True " in refused.stderr


def test_ctrl_c_before_the_first_save_loses_this_epoch_alone(
    resized: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_every(resized, "10")
    stop_after(monkeypatch, 3)
    first = run("--paths", resized, "train")
    assert first.returncode == 130
    assert first.stdout.startswith("Stopped in the first epoch")
    assert "earlier run" not in first.stdout and not list(folder.glob("*.pth"))
    monkeypatch.undo()
    assert run("--paths", resized, "train").returncode == 0
    before = weights(folder)
    stop_after(monkeypatch, 3)
    again = run("--paths", resized, "train", "--overwrite")
    assert "from an earlier run" in again.stdout
    after = weights(folder)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_finished_run_prints_its_duration_its_files_and_the_next_step(whole: Whole) -> None:
    paths, result = whole["false"]
    folder = paths.parent / "model_folders/tiny"
    assert "Trained tiny: 3 epochs in " in result.stdout
    for name in ("classifier_model.pth", "loss_plot.jpg", "training_log.csv", "training.json"):
        assert name in result.stdout and (folder / name).is_file()
    *_, following, last = result.stdout.splitlines()
    assert ": python menu.py --paths " in following and following.endswith(" test")
    assert last.startswith("Best epoch: ")


def kill_after(steps: int) -> None:
    """Kill this process in the middle of a step, after the given number of whole ones."""
    real, done = epochs._step, iter(range(steps))

    def step(*arguments: object, **keywords: object) -> torch.Tensor:
        if next(done, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **keywords)

    epochs._step = step


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes")
def test_two_processes_killed_in_an_epoch_end_as_two_that_were_not(resized: Path) -> None:
    folder = save_every(resized, "1e-9")
    train = ("--paths", resized, "train")
    whole = run_together(2, *train)
    assert whole.returncode == 0, whole.stdout
    expected, log = weights(folder), losses(folder)
    # The second epoch's third step is never done: two of five are saved.
    assert run_together(2, *train, "--overwrite", before=partial(kill_after, 7)).returncode != 0
    state = torch.load(folder / "unfinished_run.pth", weights_only=True)
    assert len(state["random"]) == 2
    assert [part["steps"] for part in state["started"]] == [2, 2]
    resumed = run_together(2, *train, "--resume")
    assert resumed.returncode == 0, resumed.stdout
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert losses(folder) == log


def test_another_number_of_processes_shares_a_stopped_epoch() -> None:
    parts = tuple(
        StartedEpoch(steps=2, of_steps=5, loss=loss, count=count, seconds=1.0, faults={name: "bad"})
        for loss, count, name in ((1.5, 8, "a"), (2.0, 7, "b"))
    )
    state = Unfinished(
        model={}, optimizer={}, random=[{"cpu": 0}, {"cpu": 1}], rows=[], conditions=None, started=parts
    )
    assert [state.started_by(Group(rank, 2)) for rank in (0, 1)] == list(parts)
    alone = state.started_by(Group())
    assert alone and (alone.steps, alone.loss, alone.count, set(alone.faults)) == (2, 3.5, 15, {"a", "b"})
    third = state.started_by(Group(2, 3))
    assert third and (third.steps, third.loss, third.count, third.faults) == (2, 0, 0, {})
    assert [state.random_of(Group(rank, 2))["cpu"] for rank in (0, 1)] == [0, 1]
    assert state.random_of(Group(2, 3))["cpu"] == 0


def test_an_unfinished_run_of_an_older_version_continues(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole["false"][0].parent, tmp_path, dirs_exist_ok=True)
    data, folder = tmp_path / "paths.toml", tmp_path / "model_folders/tiny"
    expected = weights(folder)
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        assert run("--paths", data, "train", "--overwrite").returncode == 130
    file = folder / "unfinished_run.pth"
    state = torch.load(file, weights_only=True)
    del state["started"]
    state["random"] = state["random"][0]
    for row in state["rows"]:
        row["head_only"] = False
    torch.save({**state, "average": None}, file)
    assert run("--paths", data, "train", "--resume").returncode == 0
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    torch.save({**state, "facts": {**state["facts"], "recipe": "robust"}}, file)
    robust = run("--paths", data, "train", "--resume")
    assert robust.returncode == 2 and robust.stderr.splitlines()[-1].startswith("The unfinished run cannot")
    torch.save({**state, "model": {}}, file)
    refused = run("--paths", data, "train", "--resume")
    assert refused.returncode == 2 and refused.stderr.splitlines()[-1].startswith(f"{file} is damaged")
