"""Several processes that train and test together, on the CPU."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT, run
from program import Program, run_together

from fakedetect.models.processes import launch


def use(project: Path, architecture: str, rate: str) -> Path:
    """Set the tiny model's architecture and learning rate; returns its folder."""
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace("test_resnet", architecture).replace("3e-3", rate), encoding="utf-8")
    return project.parent / "model_folders/tiny"


def test_two_processes_end_with_the_weights_and_figures_of_one(resized: Path) -> None:
    folder = use(resized, "test_vit", "2e-5")
    # 36 training pictures in batches of 8, 11 test pictures: neither divides by two everywhere.
    (resized.parent / "dataset/resized_test/real/0000.png").unlink()
    assert run("--paths", resized, "train").returncode == 0
    assert run("--paths", resized, "test").returncode == 0
    alone = torch.load(folder / "classifier_model.pth", weights_only=True)
    figures = json.loads((folder / "test_results.json").read_text())
    together = run_together(2, "--paths", resized, "train", "--overwrite")
    assert together.returncode == 0, together.stdout
    assert together.stdout.count("Epoch 1:") == 1
    assert json.loads((folder / "training.json").read_text())["processes"] == 2
    shared = torch.load(folder / "classifier_model.pth", weights_only=True)
    assert alone.keys() == shared.keys()
    assert max((alone[key] - shared[key]).abs().max().item() for key in alone) < 1e-5
    tested = run_together(2, "--paths", resized, "test")
    assert tested.returncode == 0 and "11 images" in tested.stdout, tested.stdout
    again = json.loads((folder / "test_results.json").read_text())
    assert again["count"] == 11
    for name in ("accuracy", "classes", "confusion_matrix", "roc_auc"):
        assert again[name] == figures[name]


def test_a_batch_smaller_than_the_number_of_processes_is_trained_on(resized: Path) -> None:
    folder = use(resized, "test_resnet", "1e-3")
    text = resized.read_text(encoding="utf-8").replace("batch_size = 8", "batch_size = 5")
    resized.write_text(text, encoding="utf-8")
    # 36 in batches of 5 leave one for the last step.
    together = run_together(2, "--paths", resized, "train")
    assert together.returncode == 0, together.stdout
    assert (folder / "classifier_model.pth").is_file()


def test_the_menus_own_start_of_processes_gives_one_message_for_a_mistake(data: Path) -> None:
    use(data, "test_vit", "2e-5")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from fakedetect.models.processes import launch; sys.exit(launch(2, sys.argv[2:]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), "--paths", str(data), "train"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        timeout=240,
        check=False,
    )
    assert result.returncode == 2
    assert [line for line in result.stderr.splitlines() if "Resize first" in line] == (
        result.stderr.strip().splitlines()
    )


def test_what_one_process_does_holds_up_no_other(trained: Path) -> None:
    left_out = run_together(2, "--paths", trained, "train", "--leave-out", "gan")
    assert left_out.returncode == 0 and "gan (fake" in left_out.stdout, left_out.stdout
    fitted = run_together(
        2, "--paths", trained, "fit-thresholds", "--max-false-alarms", "0.3", "--max-missed", "0.3"
    )
    assert fitted.returncode == 0 and fitted.stdout.count("Stored in") == 1, fitted.stdout


def test_what_logging_was_disabled_before_processes_start_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def launches(config: object, program: str) -> Callable[..., None]:
        return lambda *arguments: None

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", launches)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    logging.disable(logging.INFO)
    try:
        assert launch(2, ["scan"]) == 0
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("size", [{}, {"WORLD_SIZE": "1"}])
def test_a_process_that_joined_no_group_ends_as_any_other(data: Path, size: dict[str, str]) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from fakedetect.menu import main;"
        "status = main(sys.argv[2:]); print('ended with', status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), "--paths", str(data), "loss-graph"],
        capture_output=True,
        text=True,
        env={**os.environ, "RANK": "0", **size},
        timeout=120,
        check=False,
    )
    assert result.stdout.endswith("ended with 2\n"), result.stderr


ALONE = {"WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("command", "variables", "said"),
    [
        ("train", {"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', not a number from 1 to"),
        ("train", {"WORLD_SIZE": ""}, "WORLD_SIZE is '', not a number from 1 to"),
        ("train", {"WORLD_SIZE": "0"}, "WORLD_SIZE is '0', not a number from 1 to"),
        ("train", ALONE, "WORLD_SIZE is 2 but RANK is not set."),
        ("test", ALONE, "WORLD_SIZE is 2 but RANK is not set."),
        ("train", {**ALONE, "RANK": "2"}, "RANK is '2', not a number from 0 to 1."),
        ("train", {**ALONE, "RANK": "0"}, "WORLD_SIZE is 2 but MASTER_PORT is not set."),
        ("train", {**ALONE, "RANK": "0", "MASTER_PORT": "-1"}, "MASTER_PORT is '-1', not a number from 1"),
        ("train", {**ALONE, "RANK": "0", "MASTER_PORT": "29500"}, "WORLD_SIZE is 2 but MASTER_ADDR is"),
    ],
)
def test_variables_of_a_group_that_do_not_fit_are_reported_in_one_line(
    trained: Path, command: str, variables: dict[str, str], said: str
) -> None:
    options = ["--overwrite"] if command == "train" else []
    ended = Program("--paths", trained, command, *options, environment=variables).end()
    lines = [line for line in ended.stdout.splitlines() if line]
    assert ended.returncode == 2 and said in lines[-1], ended.stdout
    assert "unset WORLD_SIZE" in lines[-1]
    assert "Traceback" not in ended.stdout
