"""The program as a package: what its wheel holds, and the command `fakedetect` in a folder of its own."""

import ast
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, paint, run

from fakedetect import __main__
from fakedetect.core import installation
from fakedetect.core.installation import STARTERS
from fakedetect.core.terminal.console import Console


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which `fakedetect` is typed, as a program that is installed elsewhere."""
    home, here = tmp_path / "installed", tmp_path / "here"
    for name in STARTERS:
        # Without what runs have kept beside them.
        ignore = shutil.ignore_patterns("*openvino*", "*.bin")
        shutil.copytree(ROOT / "model_folders" / name, home / "model_folders" / name, ignore=ignore)
    here.mkdir()
    program = tmp_path / "bin" / "fakedetect"
    program.parent.mkdir()
    program.write_text("", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(installation, "HOME", home)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.chdir(here)
    return here


def test_a_picture_is_checked_where_there_is_nothing_but_it(folder: Path) -> None:
    paint(folder / "mine.jpg", 99)
    result = run("check", "--no-stability", "mine.jpg")
    assert result.returncode == 0, result.stderr
    assert "using starter" in result.stderr
    assert re.search(r"^(fake|real|unsure)\?? +p\(fake\)", result.stdout, re.MULTILINE)
    assert not (folder / "model_folders" / "starter_small").exists()


def test_what_needs_folders_names_the_way_to_a_settings_file(folder: Path) -> None:
    for command in (["train"], ["scan"], ["choose", "vit_b_16"], ["--model", "starter", "test"]):
        result = run(*command)
        assert result.returncode == 2
        assert re.fullmatch(r".*no paths\.toml .*: fakedetect .*init\n", result.stderr)
    assert not list(folder.iterdir())
    menu = run(keys="3\n1\n0\n0\n")
    assert "No paths.toml in" in menu.stdout and "fakedetect init" in menu.stderr
    assert run("--paths", "elsewhere.toml", "check", "x.jpg").stderr.startswith("There is no settings file")


def test_init_writes_the_programs_own_settings_once(folder: Path) -> None:
    result = run("init")
    assert result.returncode == 0, result.stderr
    written = folder / "paths.toml"
    assert written.read_bytes() == (ROOT / "paths.toml").read_bytes()
    written.write_text("model =", encoding="utf-8")
    again = run("init")
    assert again.returncode == 2 and "already exists" in again.stderr
    assert written.read_text(encoding="utf-8") == "model ="
    assert run("--paths", "other/paths.toml", "init").returncode == 0
    assert (folder / "other" / "paths.toml").is_file()


def test_messages_and_help_name_the_command_that_was_typed(folder: Path) -> None:
    run("init")
    assert "fakedetect train" in run("test").stderr
    assert "menu.py" not in run("--help").stdout
    assert run("train", "--help").stdout.startswith("usage: fakedetect train")


def test_a_command_that_is_on_no_path_is_named_by_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init")
    monkeypatch.setenv("PATH", "")
    program = folder.parent / "bin" / "fakedetect"
    assert f"{program} train" in run("test").stderr
    monkeypatch.chdir(folder.parent)
    assert "bin/fakedetect" in run("--paths", "here/paths.toml", "test").stderr
    assert run("train", "--help").stdout.startswith("usage: fakedetect train")


@pytest.mark.parametrize("name", ["menu.py", "fakedetect/__main__.py", "fakedetect/core/installation.py"])
def test_an_older_python_can_read_what_tells_it_so(name: str) -> None:
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_an_older_python_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(installation, "HOME", tmp_path)
    monkeypatch.setattr(sys, "argv", ["menu.py", "check", "my picture.jpg"])
    monkeypatch.chdir(tmp_path)
    assert __main__.run() == 2
    assert re.fullmatch(r".*3\.11.*3\.9\..*README\.md.*\n", capsys.readouterr().err)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("", encoding="utf-8")
    assert __main__.run() == 2
    assert capsys.readouterr().err.endswith(": .venv/bin/python menu.py check 'my picture.jpg'\n")


@pytest.mark.parametrize("environment", [True, False])
def test_without_the_requirements_one_line_says_what_to_type(tmp_path: Path, environment: bool) -> None:
    for name in ("menu.py", "paths.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "fakedetect", tmp_path / "fakedetect")
    if environment:
        (tmp_path / ".venv/bin").mkdir(parents=True)
        (tmp_path / ".venv/bin/python").write_text("", encoding="utf-8")
    # -S: without the packages that are installed.
    found = subprocess.run(
        [sys.executable, "-S", "menu.py", "scan"], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    meant = ".venv/bin/python menu.py scan" if environment else "-m pip install -r requirements.txt"
    assert found.stderr.strip().endswith(meant)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """The program's end ignores Ctrl-C, which the process of the tests may not."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_package_that_the_menu_itself_needs_is_the_same_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(Console, "choose", choose)
    monkeypatch.setattr(sys, "argv", ["menu.py"])
    missing = "questionary"
    assert __main__.run() == 2
    assert "questionary is not installed" in capsys.readouterr().err
    missing = "fakedetect.core.erors"
    with pytest.raises(ModuleNotFoundError):
        __main__.run()


def test_results_of_a_starter_are_written_to_ones_own_models(folder: Path) -> None:
    run("init")
    assert "has not been tested" in run("--model", "starter", "report").stderr
    own = folder / "model_folders" / "starter"
    names = {path.name for path in (ROOT / "model_folders" / "starter").glob("*.json")}
    assert names <= {path.name for path in own.iterdir()}


def test_the_wheel_holds_what_the_program_reads(tmp_path: Path) -> None:
    builders = pytest.importorskip("hatchling.builders.wheel")
    builder = builders.WheelBuilder(str(ROOT))
    assert builder.metadata.core.scripts == {"fakedetect": "fakedetect.__main__:run"}
    forced = builder.config.get_force_include()
    held = {file.distribution_path for file in builder.recurse_included_files()} | set(forced.values())
    command = ["git", "-C", str(ROOT), "ls-files", "fakedetect", "model_folders/starter*"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    expected = {re.sub("^model_folders/", "fakedetect/model_folders/", name) for name in listed}
    assert expected <= held
    named = ("paths.toml", "CITATION.cff", "templates/report.html", "docs/reading-a-verdict.md")
    assert {f"fakedetect/{name}" for name in named} <= held
    assert all(name.startswith("fakedetect/") for name in held)
    assert not [name for name in held if "/openvino." in name or "__pycache__" in name]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the current folder")
def test_a_deleted_current_folder_does_not_matter_to_absolute_paths(trained: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    picture = next((trained.parent / "dataset/test/real").rglob("*.jpg"))
    command = [sys.executable, ROOT / "menu.py", "--paths", trained, "check", picture, "--json"]
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$0" && exec "$@"', here, *command],
        cwd=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(picture) in done.stdout
