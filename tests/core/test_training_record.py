"""Files of a run that others wrote or that were damaged: read where they fit, refused in one line."""

import json
from pathlib import Path

import pytest
import torch
from conftest import ROOT, run

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import TrainingRecord, read_training, write_training
from fakedetect.core.settings.model_input import IMAGENET_MEAN, IMAGENET_STD
from fakedetect.core.settings.recipes import REFERENCE_INPUT

HUGE = b"1" + b"0" * 400
DEEP = b"[" * 200_000
FITTED = b'{"calibration": {"temperature": %s, "fake_from": %s, "real_below": %s, "checkpoint": "a"}}'

TRAINING = {
    "empty": b"",
    "not JSON": b"\xff\xfe",
    "another type": b"[]",
    "no value": b"null",
    "deep": DEEP,
    "deep in a field of ours": b'{"recipe": ' + DEEP,
    "deep in another field": b'{"other": ' + DEEP,
    "a temperature without end": FITTED % (HUGE, b"0.9", b"0.1"),
    "a temperature of 0": FITTED % (b"0", b"0.9", b"0.1"),
    "a negative threshold": FITTED % (b"1", b"-5", b"-6"),
    "a threshold above 1": FITTED % (b"1", b"1.5", b"0.1"),
    "thresholds that cross": FITTED % (b"1", b"0.1", b"0.9"),
    "half a calibration": b'{"calibration": {"temperature": 1}}',
    "a list of classes": b'{"classes": ["fake", "real"]}',
    "a share above 1": b'{"split": {"validation_share": 2}}',
    "fewer than no pictures": b'{"data": {"count": -1}}',
    "a kind that is a word": b'{"data": {"kind": "fast"}}',
    "a seed that is a word": b'{"seed": "42"}',
    "a seed without end": b'{"seed": ' + HUGE + b"}",
    "one channel": b'{"recipe": {"mean": [0.5]}}',
}


@pytest.mark.parametrize("content", TRAINING.values(), ids=TRAINING)
def test_a_training_json_that_does_not_fit_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "training.json"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_training(tmp_path)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_evaluate_and_report_refuse_it_too(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/training.json"
    file.write_bytes(DEEP)
    for command in ("evaluate", "report"):
        result = run("--paths", trained, command)
        assert result.returncode == 2, (command, result.stdout, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1 and str(file) in result.stderr
    assert file.read_bytes() == DEEP


def test_a_training_json_of_version_0_4_is_read(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/training.json"
    facts = json.loads(file.read_text())
    del facts["run"], facts["calibration"], facts["recipe"]["recipe"]
    for key in ("kind", "pictures", "leave_out"):
        del facts["data"][key]
    file.write_text(json.dumps(facts))
    for command in (
        ["test"],
        ["fit-thresholds", "--max-false-alarms", 0.2, "--max-missed", 0.2],
        ["report"],
    ):
        result = run("--paths", trained, *command)
        assert result.returncode == 0, result.stderr
    saved = json.loads(file.read_text())
    assert saved["calibration"]["temperature"] > 0 and saved["recipe"]["recipe"] == "reference"
    assert {key: saved[key] for key in facts if key != "recipe"} == {
        key: facts[key] for key in facts if key != "recipe"
    }


def test_a_record_is_read_as_it_was_written(trained: Path, tmp_path: Path) -> None:
    record = read_training(trained.parent / "model_folders/tiny")
    assert record.calibration and record.run and record.best and record.data
    write_training(tmp_path, record)
    assert read_training(tmp_path) == record
    before = json.loads((trained.parent / "model_folders/tiny/training.json").read_text())
    assert json.loads((tmp_path / "training.json").read_text()) == before
    assert read_training(tmp_path / "nowhere") == TrainingRecord()


@pytest.mark.parametrize(
    "change",
    [{"facts": []}, {"facts": {"seed": 1}}, {"rows": [{"epoch": "one"}]}, {"rows": None}, {"model": 3}],
    ids=str,
)
def test_an_unfinished_run_that_does_not_fit_is_one_line(trained: Path, change: dict[str, object]) -> None:
    file = trained.parent / "model_folders/tiny/unfinished_run.pth"
    facts = json.loads((file.parent / "training.json").read_text())
    whole = {"model": {}, "optimizer": {}, "random": {}, "rows": [facts["best"]], "facts": facts["run"]}
    torch.save({**whole, **change}, file)
    result = run("--paths", trained, "train", "--resume")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    assert f"{file} is damaged" in result.stderr


VERSION_0_5 = {
    "name": "tiny", "library": "timm", "architecture": "test_resnet", "batch_size": 8, "optimizer": "AdamW",
    "learning_rate": 1e-3, "weight_decay": 1e-5, "mean": IMAGENET_MEAN, "std": IMAGENET_STD,
    "weights": None, "layer": None, "recipe": "robust",
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"size": None, "interpolation": None}], ids=["0.5", "written anew"])
def test_a_recipe_from_before_there_were_sizes_takes_the_reference_s_input(
    tmp_path: Path, more: dict[str, None]
) -> None:
    (tmp_path / "training.json").write_text(json.dumps({"recipe": {**VERSION_0_5, **more}}))
    found = read_training(tmp_path)
    assert found.input == REFERENCE_INPUT and found.recipe and found.recipe.method == "robust"


@pytest.mark.parametrize("name", ["starter", "starter_small"])
def test_the_starters_records_are_read_and_written_as_they_are(tmp_path: Path, name: str) -> None:
    folder = ROOT / "model_folders" / name
    found = read_training(folder)
    assert found.recipe and found.recipe.method == "probe" and found.input.as_model_input()
    write_training(tmp_path, found)
    saved, before = (json.loads((each / "training.json").read_text()) for each in (tmp_path, folder))
    assert saved == before | {"run": before["run"] | {"degrade": False}}
