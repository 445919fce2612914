"""A training.json that does not fit: one line, whichever command reads it."""

import json
import os
from pathlib import Path

import pytest
from conftest import run

CALIBRATION = {"temperature": 1.0, "fake_from": 0.9, "real_below": 0.1, "checkpoint": "a"}

STRANGE = [
    ("[" * 200_000, "object"),
    ('{"other": ' + "[" * 200_000, "nested too deeply"),
    (json.dumps({"calibration": {**CALIBRATION, "temperature": 10**400}}), "temperature"),
    (json.dumps({"calibration": {**CALIBRATION, "temperature": 1e-320}}), "temperature"),
    (json.dumps({"recipe": {"std": [0, 0, 0]}}), "$.recipe.std[0]"),
    (json.dumps({"calibration": {**CALIBRATION, "fake_from": -5}}), "fake_from"),
    (json.dumps({"calibration": {**CALIBRATION, "real_below": 0.95}}), "real_below"),
    (json.dumps({"split": {"validation_share": "a tenth"}}), "$.split.validation_share"),
    (json.dumps({"data": []}), "$.data"),
]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    picture = next((trained.parent / "dataset/test/fake/gan").iterdir())
    places = [
        (folder / "training.json", ["check", picture]),
        (folder / "test_predictions.csv", ["report"]),
        (trained.parent / "list_of_bad_images.txt", ["test"]),
        (trained.parent / "o.csv", ["check", picture, "--csv", trained.parent / "o.csv"]),
        (trained.parent / "o.html", ["check", picture, "--html", trained.parent / "o.html"]),
        (trained, ["test"]),
    ]
    for file, command in places:
        kept = file.read_bytes() if file.exists() else None
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        result = run("--paths", trained, *command)
        assert result.returncode == 2, (file, result.stdout)
        assert str(file) in result.stderr and "a pipe or a device" in result.stderr
        file.unlink()
        if kept is not None:
            file.write_bytes(kept)


@pytest.mark.parametrize(("content", "says"), STRANGE, ids=range(len(STRANGE)))
def test_a_record_that_does_not_fit_ends_every_command_in_one_line(
    trained: Path, content: str, says: str
) -> None:
    file = trained.parent / "model_folders/tiny/training.json"
    file.write_text(content)
    picture = next((trained.parent / "dataset/test/fake/gan").iterdir())
    for command in (["test"], ["check", picture], ["fit-thresholds"]):
        result = run("--paths", trained, *command)
        assert result.returncode == 2, (command, result.stdout, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1
        assert str(file) in result.stderr and says in result.stderr
