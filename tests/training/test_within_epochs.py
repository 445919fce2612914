"""Runs that are stopped within an epoch: what is saved, and how they go on."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, run

from fakedetect.core.recipes import REFERENCE, ROBUST
from fakedetect.core.training_record import StartedEpoch
from fakedetect.models.processes import Group
from fakedetect.training import epochs
from fakedetect.training.unfinished import Unfinished


def save_every(data: Path, minutes: str) -> Path:
    """Resize the data and set save_minutes; returns the model's folder."""
    text = data.read_text(encoding="utf-8").replace("workers = 2", f"workers = 2\nsave_minutes = {minutes}")
    # The learning rate follows the whole run's length, which is three epochs here.
    data.write_text(text.replace("max_epochs = 2", "max_epochs = 3"), encoding="utf-8")
    assert run("--paths", data, "resize").returncode == 0
    return data.parent / "model_folders/tiny"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "classifier_model.pth", weights_only=True)


def losses(folder: Path) -> list[list[str]]:
    with (folder / "training_log.csv").open(newline="") as file:
        return [row[:4] for row in csv.reader(file)]


def stop_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Ctrl-C in the middle of a step, after so many whole ones."""
    real, done = epochs._step, iter(range(steps))

    def step(*arguments: object, **keywords: object) -> torch.Tensor:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    patch.setattr(epochs, "_step", step)


@pytest.mark.parametrize("recipe", [REFERENCE, ROBUST])
def test_a_run_stopped_in_epochs_ends_as_one_that_was_not(
    data: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    folder = save_every(data, "1e-9")
    whole = run("--paths", data, "train", "--recipe", recipe)
    assert whole.returncode == 0, whole.stderr
    expected, log = weights(folder), losses(folder)
    how = ["--overwrite", "--recipe", recipe]
    # 36 pictures in batches of 8: five steps an epoch. The robust recipe's first has none.
    for steps in (2, 6):
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            stopped = run("--paths", data, "train", *how)
        assert stopped.returncode == 130, stopped.stderr
        assert " of 5 steps of epoch" in stopped.stdout and "train --resume" in stopped.stdout
        how = ["--resume"]
    ended = run("--paths", data, "train", "--resume")
    assert ended.returncode == 0, ended.stderr
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert losses(folder) == log
    assert not (folder / "unfinished_run.pth").exists()
    if recipe == ROBUST:
        with (folder / "training_log.csv").open(newline="") as file:
            assert [row["head_only"] for row in csv.DictReader(file)] == ["1", "0", "0"]
        assert "Epoch 1: head fitted" in whole.stdout and "Epoch 2: training loss" in whole.stdout


def test_ctrl_c_before_the_first_save_loses_this_epoch_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_every(data, "10")
    stop_after(monkeypatch, 3)
    first = run("--paths", data, "train")
    assert first.returncode == 130
    assert first.stdout.startswith("Stopped in the first epoch: nothing is lost but this epoch (the last ")
    assert "earlier run" not in first.stdout and not list(folder.glob("*.pth"))
    monkeypatch.undo()
    assert run("--paths", data, "train").returncode == 0
    (folder / "texture_vote.json").write_text("{}")
    before = weights(folder)
    stop_after(monkeypatch, 3)
    again = run("--paths", data, "train", "--overwrite")
    assert "classifier_model.pth is still the model of an earlier run" in again.stdout
    after = weights(folder)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert (folder / "texture_vote.json").exists(), "an earlier run's vote goes with its checkpoint"


def test_a_finished_run_says_how_long_it_took_where_all_lies_and_what_is_next(data: Path) -> None:
    folder = save_every(data, "10")
    result = run("--paths", data, "train")
    assert result.returncode == 0, result.stderr
    assert "Trained tiny: 3 epochs in " in result.stdout
    for name in ("classifier_model.pth", "loss_plot.jpg", "training_log.csv", "training.json"):
        assert name in result.stdout and (folder / name).is_file()
    assert result.stdout.splitlines()[-1].startswith("Next, test it: python menu.py --paths ")
    assert result.stdout.splitlines()[-1].endswith(" test")


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from fakedetect import menu
from fakedetect.training import epochs

real, steps = epochs._step, iter(range(int(os.environ["STEPS"])))

def step(*arguments, **keywords):
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **keywords)

if __name__ == "__main__":
    epochs._step = step
    sys.exit(menu.main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes")
def test_two_processes_killed_in_an_epoch_end_as_two_that_were_not(data: Path, tmp_path: Path) -> None:
    folder = save_every(data, "1e-9")
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(root=str(ROOT)))

    def train(how: str, steps: str) -> subprocess.CompletedProcess[str]:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.run(
            [*torchrun, str(script), "--paths", str(data), "train", how],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "STEPS": steps},
            timeout=240,
            check=False,
        )

    whole = train("--overwrite", "1000")
    assert whole.returncode == 0, whole.stderr
    expected, log = weights(folder), losses(folder)
    # The second epoch's third step is never done: two of five are saved.
    assert train("--overwrite", "7").returncode != 0
    state = torch.load(folder / "unfinished_run.pth", weights_only=True)
    assert len(state["random"]) == 2
    assert [part["steps"] for part in state["started"]] == [2, 2]
    resumed = train("--resume", "1000")
    assert resumed.returncode == 0, resumed.stderr
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert losses(folder) == log


def test_another_number_of_processes_shares_what_was_done() -> None:
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


def test_an_unfinished_run_of_an_older_version_goes_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_every(data, "10")
    assert run("--paths", data, "train").returncode == 0
    expected = weights(folder)
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        assert run("--paths", data, "train", "--overwrite").returncode == 130
    file = folder / "unfinished_run.pth"
    state = torch.load(file, weights_only=True)
    del state["started"]
    state["random"] = state["random"][0]
    for row in state["rows"]:
        del row["head_only"]
    torch.save(state, file)
    assert run("--paths", data, "train", "--resume").returncode == 0
    found = weights(folder)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    torch.save({**state, "model": {}}, file)
    refused = run("--paths", data, "train", "--resume")
    assert refused.returncode == 2 and refused.stderr.splitlines()[-1].startswith(f"{file} is damaged")
