"""The version that a report and a training run name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from fakedetect.core.version import VERSION, describe_citation, describe_version


def described_at(root: Path) -> str:
    """What a copy of the program in that folder says."""
    code = "from fakedetect.core.version import describe_version; print(describe_version())"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    return found.stdout.strip()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        [shutil.which("git"), "-C", folder, *who, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def copy_program(root: Path) -> None:
    for name in ("__init__.py", "core/__init__.py", "core/installation.py", "core/version.py"):
        name = f"fakedetect/{name}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)


def test_without_git_there_is_a_version_alone(tmp_path: Path) -> None:
    copy_program(tmp_path)
    assert described_at(tmp_path) == VERSION
    assert describe_version().startswith(VERSION)


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
def test_a_checkout_names_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    root = tmp_path / "program"
    copy_program(root)
    # Somebody's own repository around the program is none of its commits.
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "theirs")
    assert "commit" not in described_at(root)
    git(root, "init", "-q")
    assert "commit" not in described_at(root)
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "ours")
    commit = git(root, "rev-parse", "--short=12", "HEAD")
    assert described_at(root).endswith(f" (commit {commit})")
    # Settings, and files of the user's own, are no changes to the code.
    (root / "paths.toml").write_text("model = 'x'")
    (root / "fakedetect/notes.txt").write_text("mine")
    git(root, "add", "paths.toml")
    assert described_at(root).endswith(f" (commit {commit})")
    with (root / "fakedetect/core/version.py").open("a") as file:
        file.write("\n")
    assert described_at(root).endswith(f" (commit {commit} with changes)")


def test_the_citation_is_that_of_the_file() -> None:
    said = describe_citation("1.2.3 (commit abc)")
    assert "  title = {{fakedetect: tell real photographs from AI-generated images}}," in said.splitlines()
    assert "  author = {{The fakedetect authors}}," in said.splitlines()
    assert (
        "  version = {1.2.3 (commit abc)}," in said.splitlines()
        and "  license = {MIT}," in said.splitlines()
    )
