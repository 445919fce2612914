"""Results that a stranger made: one line that names the file and the field, in every command."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import copy_project, leave_figures_out, run

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


EVALUATION = [
    (("test",), DEEP),
    (("test",), "[]"),
    (("test", "count"), str(10**400)),
    (("test", "measures", "roc_auc", "value"), "1.5"),
    (("test", "measures", "accuracy"), "null"),
    (("test", "measures"), "{}"),
    (("test", "sources", 0, "right", "value"), "null"),
    (("test", "sources", 0, "class"), '"neither"'),
    (("test", "reliability", "as the model says"), "[]"),
    (("test", "reliability", "as the model says", 0), "[0.5, 0.5, 0]"),
    (("test", "reliability", "as the model says", 0), "[0.5, 2, 3]"),
    (("test", "verdicts", "unsure"), "-1"),
    (("test", "robustness", "points"), "[]"),
    (("test", "robustness", "points", 0, "strength"), "1e300"),
    (("test", "robustness", "points", 0, "low"), str(10**400)),
    (("test", "robustness", "worst"), "7"),
    (("foreign",), "[]"),
    (("foreign", "elsewhere"), "{}"),
    (("foreign", "elsewhere", "measures", "accuracy", "value"), '"0.5"'),
    (("left_out",), '{"gan": {"class": "fake"}}'),
    (("checkpoint",), "null"),
]
"""Places of evaluation.json, and what a stranger puts there as JSON text."""

AUDIT = [
    (("features",), DEEP),
    (("features",), '[{"name": "format"}]'),
    (("features",), '[{"name": "a", "fake": 2, "real": 0, "says": ""}]'),
    (("auc",), str(10**400)),
    (("auc_low",), "-0.1"),
    (("count",), "1.5"),
    (("on",), '"elsewhere"'),
]
"""Places of audit.json, and what a stranger puts there."""


@pytest.mark.parametrize(("key", "text"), [(key, text) for key in RESULTS for text in RESULTS[key]])
def test_odd_test_results_are_one_line(trained: Path, key: str, text: str) -> None:
    file = trained.parent / "model_folders/tiny/test_results.json"
    spoil(file, key, text=text)
    said = refused(trained, file, "report")
    assert "Test again: python menu.py " in said and said.rstrip().endswith(" test")
    if not text.startswith(("[[[", "NaN")):
        assert key in said or "from different tests" in said
    compared = run("--paths", trained, "compare")
    assert compared.returncode == 2 and f"Skipped tiny: {file}" in compared.stderr.replace("\n", " ")
    menu = run("--paths", trained, keys="")
    assert menu.returncode == 0, menu.stderr
    assert "(trained; its test_results.json" in menu.stdout


def test_predictions_of_another_test_are_one_line(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/test_predictions.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    for changed, says in (
        (lines[:-1], "from different tests"),
        ([*lines[:-1], "x,,fake,fake,2"], "between 0 and 1"),
        ([*lines[:-1], "x,,fake,fake,nan"], "between 0 and 1"),
        ([*lines[:-1], "x,,fake,odd,0.5"], "predicted must be fake or real"),
        (["path,source,label,p_fake", *lines[1:]], "cannot be used"),
        ([], "cannot be used"),
        (["[" * 100_000], "a column is missing"),
        (["[" * 200_000], "field larger than field limit"),
    ):
        file.write_text("\n".join(changed), encoding="utf-8")
        result = run("--paths", trained, "report")
        assert result.returncode == 2 and says in result.stderr, (says, result.stderr)
        assert "test_predictions.csv" in result.stderr and "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def explored_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained project, explored."""
    folder = tmp_path_factory.mktemp("explored") / "project"
    shutil.copytree(trained_once.parent, folder)
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_out(patch)
        result = run("--paths", folder / "paths.toml", "explore")
    assert result.returncode == 0, result.stderr
    return folder / "paths.toml"


@pytest.fixture
def explored(explored_once: Path, tmp_path: Path) -> Path:
    return copy_project(explored_once, tmp_path / "explored")


@pytest.mark.parametrize(("keys", "text"), EVALUATION)
def test_an_odd_evaluation_is_one_line(evaluated: Path, keys: tuple[str | int, ...], text: str) -> None:
    file = evaluated.parent / "model_folders/tiny/evaluation.json"
    spoil(file, *keys, text=text)
    said = refused(evaluated, file, "report")
    assert "Remove it, then evaluate again" in said and str(keys[0]) in said


def test_an_odd_evaluation_is_neither_overwritten_nor_an_end_to_check(evaluated: Path) -> None:
    file = evaluated.parent / "model_folders/tiny/evaluation.json"
    picture = next((evaluated.parent / "elsewhere").rglob("*.jpg"))
    right = file.read_bytes()
    for keys, text in EVALUATION[:4]:
        file.write_bytes(right)
        spoil(file, *keys, text=text)
        odd = file.read_bytes()
        refused(evaluated, file, "evaluate")
        assert file.read_bytes() == odd
        checked = run("--paths", evaluated, "check", picture, "--no-stability")
        assert checked.returncode == 0 and "p(fake)" in checked.stdout, checked.stderr
        assert len([line for line in checked.stderr.splitlines() if str(file) in line]) == 1


@pytest.mark.parametrize(("keys", "text"), AUDIT)
def test_an_odd_audit_is_one_line(explored: Path, keys: tuple[str | int, ...], text: str) -> None:
    file = explored.parent / "explore/original/audit.json"
    spoil(file, *keys, text=text)
    said = refused(explored, file, "report")
    assert "Explore again" in said and str(keys[0]) in said


def test_an_odd_summary_is_one_line(explored: Path) -> None:
    file = explored.parent / "explore/original/summary.csv"
    for text in ("", "a,b\n1,2\n", "[" * 200_000):
        file.write_text(text, encoding="utf-8")
        assert "Explore again" in refused(explored, file, "report")


def test_an_evaluation_of_another_checkpoint_is_left_out(evaluated: Path) -> None:
    file = evaluated.parent / "model_folders/tiny/evaluation.json"
    spoil(file, "checkpoint", text='"another"')
    result = run("--paths", evaluated, "report")
    assert result.returncode == 0 and "evaluation of this checkpoint" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are not UTF-8")
def test_names_that_are_not_utf_8_go_into_the_records_and_come_back(trained: Path) -> None:
    folder = trained.parent / "else\udcff"
    shutil.copytree(trained.parent / "dataset/test", folder)
    (folder / "fake/gan").rename(folder / "fake/gan\udcff")
    copies = trained.parent / "dataset/resized_test/fake/gan"
    copies.rename(copies.with_name("gan\udcff"))
    for command in ("test", "compare"):
        told = run("--paths", trained, command)
        assert told.returncode == 0, told.stderr[-2000:]
    result = run("--paths", trained, "evaluate", "--data", folder)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr[-2000:]
    file = trained.parent / "model_folders/tiny/evaluation.json"
    entry = json.loads(file.read_text(encoding="utf-8"))["foreign"]["else\\udcff"]
    assert {source["source"] for source in entry["sources"]} >= {"gan\\udcff", "diffusion"}
    again = run("--paths", trained, "report")
    assert again.returncode == 0, again.stderr[-2000:]


def test_a_perfect_average_precision_is_no_odd_one(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/test_results.json"
    spoil(file, "average_precision", text="1.0000000000000002")
    assert run("--paths", trained, "compare").returncode == 0
    spoil(file, "average_precision", text="1.001")
    assert "average_precision" in refused(trained, file, "report")
