"""Pictures that `check` takes from a list, and names that are not there."""

import json
import os
from pathlib import Path

import pytest
from conftest import run


def judged(paths: Path, *arguments: object, keys: str | None = None) -> tuple[int, list[str], str]:
    """The exit code of a check, the names that it checked, and its other output."""
    result = run("--paths", paths, "check", "--no-stability", "--json", *arguments, keys=keys)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return result.returncode, [row["path"] for row in rows], result.stderr


@pytest.fixture
def names(trained: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three pictures of the current folder, in the order of their names."""
    monkeypatch.chdir(trained.parent)
    return [f"dataset/test/real/camera/{number:04}.jpg" for number in (1, 3, 5)]


def test_a_list_comes_from_a_file_or_a_pipe(trained: Path, names: list[str]) -> None:
    Path("list.txt").write_text("\n".join(names), encoding="utf-8")
    assert judged(trained, "--files-from", "list.txt")[:2] == (0, names)
    assert judged(trained, "-", keys="\0".join(names))[:2] == (0, names)
    assert judged(trained, "--files-from", "-", keys="\n".join(names))[:2] == (0, names)
    for wrong in ([], [names[0], "--files-from", "list.txt"], ["-", names[0]]):
        code, found, said = judged(trained, *wrong)
        assert code == 2 and not found and said.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_list_may_contain_names_that_are_not_text(trained: Path, names: list[str]) -> None:
    strange = os.fsdecode(b"caf\xe9.jpg")
    Path(names[0]).rename(strange)
    code, found, _ = judged(trained, "-", keys=f"{strange}\0")
    assert code == 0 and len(found) == 1


def test_one_misspelt_name_is_skipped_and_all_are_an_error(trained: Path, names: list[str]) -> None:
    first, second, third = names
    code, found, said = judged(trained, first, second.replace("0003", "0033"), third)
    assert code == 1 and found == [first, third]
    assert "0033.jpg" in said and "0003.jpg" in said
    Path("list.txt").write_text(f"{first}\nnothing.jpg\n", encoding="utf-8")
    code, found, said = judged(trained, "--files-from", "list.txt")
    assert code == 1 and found == [first] and "nothing.jpg" in said
    code, found, said = judged(trained, "nothing.jpg", "nowhere")
    assert code == 2 and not found and "nothing.jpg" in said and "nowhere" in said
