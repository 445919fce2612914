"""Commands that messages name: they work as printed, on the model and settings of the call."""

import ast
import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, run

from fakedetect.command_line import build_parser
from fakedetect.core import installation
from fakedetect.core.installation import default_paths
from fakedetect.core.settings.settings import load_settings
from fakedetect.options import commands


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
    assert load_settings(project).command("scan") == f"python {ROOT / 'menu.py'} --paths paths.toml scan"


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
    words = shlex.split(refused.stderr.rpartition(": ")[2])
    assert words[:2] == ["python", "menu.py"]
    again = run(*words[2:])
    assert again.returncode == 2 and "other has no checkpoint" in again.stderr


def test_the_model_that_paths_toml_chooses_is_not_repeated(project: Path) -> None:
    result = run("--paths", with_two_models(project), "report")
    assert f"--paths {project} test" in result.stderr


def environment(folder: Path, name: str) -> Path:
    """A folder of an environment's programs with a Python that links to this one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(Path(sys.executable).resolve())
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_command_names_the_interpreter_unless_its_environment_is_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_system, own = (
        environment(tmp_path / "bin", "python"),
        environment(tmp_path / "my venv/bin", "python"),
    )
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setattr(sys, "argv", ["menu.py"])
    monkeypatch.chdir(tmp_path)
    # Both link to one Python: only the folder tells them apart.
    monkeypatch.setenv("PATH", str(of_system))
    assert installation.program_words() == ("my venv/bin/python", "menu.py")
    assert load_settings(ROOT / "paths.toml").command("scan").startswith("'my venv/bin/python' menu.py ")
    assert installation.install_command("onnx") == "'my venv/bin/python' -m pip install onnx"
    monkeypatch.setenv("PATH", f"{own}{os.pathsep}{of_system}")
    assert installation.program_words() == ("python", "menu.py")
    monkeypatch.setattr(sys, "executable", str(environment(tmp_path / "usr", "python3") / "python3"))
    monkeypatch.setenv("PATH", str(tmp_path / "usr"))
    assert installation.program_words() == ("python3", "menu.py")
    monkeypatch.chdir(tmp_path / "usr")
    monkeypatch.setenv("PATH", "")
    assert installation.program_words() == ("python3", str(tmp_path / "menu.py"))


def test_windows_quotes_blanks_alone_and_keeps_backslashes() -> None:
    words = (r".venv\Scripts\python", "menu.py", "--paths", r"C:\my data\a&b.toml", "scan")
    expected = r'.venv\Scripts\python menu.py --paths "C:\my data\a&b.toml" scan'
    assert installation.join_words(words, windows=True) == expected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["chek", "a.jpg", "--json"], "python menu.py check a.jpg --json"),
        (["--model", "vit_b_16", "Evaluat"], "python menu.py --model vit_b_16 evaluate"),
        (["my pictures/scan.jpg"], "python menu.py check 'my pictures/scan.jpg'"),
        (["tests"], "python menu.py check tests"),
        (["zzzz"], "scan"),
        (["check", "--hmtl", "x.html"], "--html"),
        (["--verison"], "--version"),
        (["test", "--on", "test", "more"], "python menu.py test --help"),
    ],
)
def test_a_slip_in_the_call_is_one_line_with_what_was_meant(typed: list[str], meant: str) -> None:
    result = run(*typed)
    assert result.returncode == 2
    assert meant in result.stderr and result.stderr.count("\n") == 1


def test_quiet_leaves_results_warnings_and_errors(data: Path) -> None:
    (data.parent / "dataset/train/real/0000.png").write_bytes(b"x")
    loud = run("--paths", data, "scan", "train-real")
    quiet = run("--paths", data, "scan", "train-real", "--quiet")
    assert quiet.stdout == loud.stdout
    assert "bad: " in loud.stderr and quiet.stderr == ""
    assert "--sheet" in run("--paths", data, "--quiet", "explain", "--sheet", "0").stderr


def test_a_shell_completes_commands_and_options() -> None:
    shtab = pytest.importorskip("shtab")
    script = shtab.complete(build_parser(), "bash")
    words = {"--files-from", "--dry-run", "--quiet", *(option.command for option in commands())}
    assert not [word for word in words if not re.search(rf"(?<![\w-]){word}(?![\w-])", script)]


def test_no_other_module_words_a_command() -> None:
    for path in sorted((ROOT / "fakedetect").rglob("*.py")):
        if path.name in ("settings.py", "installation.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # Constants are also the fixed parts of f-strings.
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"python menu\.py", node.value), f"{path.name}: {node.value}"
