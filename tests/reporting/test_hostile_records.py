"""Results that a stranger made: one line that names the file and the field, in every command."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import run

DEEP = "[" * 200_000
RESULTS = {
    "accuracy": [DEEP, str(10**400), "1e400", "1.5", "-0.5", "NaN", '"0.5"', "true", "null", "{}"],
    "count": [str(10**400), "-1", "0.5", "{}"],
    "confusion_matrix": ["[]", "[[1, 2], [3]]", '[[1, 2], [3, "4"]]', f"[[1, 2], [3, {10**400}]]"],
    "classes": ["[]", '{"fake": {}}', "null"],
    "parameters": [str(10**400), '"many"'],
    "roc_auc": ["2", "[]"],
}
"""Keys of test_results.json, and what a stranger puts there as JSON text."""


def spoil(file: Path, *keys: str | int, text: str) -> None:
    """Put JSON text, or what is none, in the place of a key of a file."""
    value: Any = json.loads(file.read_text(encoding="utf-8"))
    place = value
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = "@@@"
    file.write_text(json.dumps(value).replace('"@@@"', text), encoding="utf-8")


def refused(project: Path, file: Path, *command: object) -> str:
    """What a command says of a file that it cannot use, in one line."""
    result = run("--paths", project, *command)
    assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr[-2000:]
    lines = [line for line in result.stderr.splitlines() if str(file) in line]
    assert len(lines) == 1 and len(lines[0]) < 1000, result.stderr[-2000:]
    return lines[0]


@pytest.mark.parametrize(("key", "text"), [(key, text) for key in RESULTS for text in RESULTS[key]])
def test_odd_test_results_are_one_line(trained: Path, key: str, text: str) -> None:
    file = trained.parent / "model_folders/tiny/test_results.json"
    spoil(file, key, text=text)
    said = refused(trained, file, "report")
    assert "Test again: python menu.py " in said and said.rstrip().endswith(" test")
    if not text.startswith(("[[[", "NaN")):
        assert key in said or "not of one test" in said
    compared = run("--paths", trained, "compare")
    assert compared.returncode == 2 and f"tiny left out: {file}" in compared.stderr.replace("\n", " ")
    menu = run("--paths", trained, keys="")
    assert menu.returncode == 0, menu.stderr
    assert "tiny (trained; its test_results.json cannot be used)" in menu.stdout


def test_predictions_of_another_test_are_one_line(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/test_predictions.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    for changed, says in (
        (lines[:-1], "not of one test"),
        ([*lines[:-1], "x,,fake,fake,2"], "between 0 and 1"),
        ([*lines[:-1], "x,,fake,fake,nan"], "between 0 and 1"),
        ([*lines[:-1], "x,,fake,odd,0.5"], "predicted has to be fake or real"),
        (["path,source,label,p_fake", *lines[1:]], "cannot be used"),
        ([], "cannot be used"),
        (["[" * 200_000], "a column is missing"),
    ):
        file.write_text("\n".join(changed), encoding="utf-8")
        result = run("--paths", trained, "report")
        assert result.returncode == 2 and says in result.stderr, (says, result.stderr)
        assert "test_predictions.csv" in result.stderr and "Traceback" not in result.stderr
