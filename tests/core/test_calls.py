"""Commands that messages name: they work as printed, on the model and settings of the call."""

import ast
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, run

from fakedetect.core.installation import default_paths
from fakedetect.core.settings.settings import load_settings


def with_two_models(project: Path) -> Path:
    """The project with a second model beside the chosen one."""
    with project.open("a", encoding="utf-8") as file:
        file.write('\n[models.other]\ntimm = "test_vit"\n')
    return project


def test_a_command_carries_only_what_is_not_the_default(project: Path) -> None:
    elsewhere = Path("/data/my set/paths.toml")
    usual = replace(load_settings(project), file=default_paths(), chosen="a", called="a")
    assert usual.command("test") == "python menu.py test"
    assert replace(usual, called="b").command("test") == "python menu.py --model b test"
    other = replace(usual, file=elsewhere, called="b")
    words = shlex.split(other.command("evaluate", "--data", "my folder"))
    assert words == [
        "python", "menu.py", "--paths", str(elsewhere), "--model", "b", "evaluate", "--data", "my folder",
    ]  # fmt: skip


def test_a_settings_file_below_the_current_folder_is_named_from_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    assert load_settings(project).command("scan") == "python menu.py --paths paths.toml scan"


@pytest.mark.parametrize(
    ("command", "advised"),
    [
        (["report"], "test"),
        (["test"], "train"),
        (["loss-graph"], "train"),
        (["explain", "picture.png"], "train"),
        (["fit-thresholds"], "train"),
        (["evaluate"], "train"),
        (["train"], "resize"),
        (["train", "--resume"], "train"),
        (["bad-images"], "scan"),
        (["explore", "--on", "resized"], "resize"),
        (["compare"], "train"),
        (["check", "--model", "all", "."], "train"),
    ],
)
def test_the_command_of_a_message_acts_on_this_calls_model_and_settings(
    project: Path, command: list[str], advised: str
) -> None:
    paths = with_two_models(project)
    result = run("--paths", paths, "--model", "other", *command)
    assert result.returncode == 2
    model = "" if "all" in command else " --model other"
    assert f"python menu.py --paths {paths}{model} {advised}" in result.stderr


def test_the_command_of_a_message_can_be_typed(project: Path) -> None:
    paths = with_two_models(project)
    refused = run("--paths", paths, "--model", "other", "report")
    words = shlex.split(refused.stderr.partition("python menu.py ")[2])
    again = run(*words)
    assert again.returncode == 2 and "other has no checkpoint" in again.stderr


def test_the_model_that_paths_toml_chooses_is_not_repeated(project: Path) -> None:
    result = run("--paths", with_two_models(project), "report")
    assert f"--paths {project} test" in result.stderr


def test_no_other_module_words_a_command() -> None:
    for path in sorted((ROOT / "fakedetect").rglob("*.py")):
        if path.name in ("settings.py", "installation.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # Constants are also the fixed parts of f-strings.
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"python menu\.py", node.value), f"{path.name}: {node.value}"
