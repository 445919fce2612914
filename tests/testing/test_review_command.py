"""The command review: what it takes over, from where, and what it refuses; the page of wrong answers."""

import csv
import re
from pathlib import Path

import pytest
from conftest import paint, run

from fakedetect.core.files import hash_file

HEAD = "folder,path,sha256,decision\r\n"


@pytest.fixture
def pictures(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of four real training pictures, and a home of its own; returns the folder of downloads."""
    for number in range(4):
        paint(project.parent / f"dataset/train/real/ä{number}.png", number, (40, 40))
    downloads = project.parent / "home/Downloads"
    downloads.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(downloads.parent))
    monkeypatch.setenv("USERPROFILE", str(downloads.parent))
    return downloads


def held(project: Path) -> dict[str, str]:
    """The decisions in force by the pictures' paths."""
    with (project.parent / "review.csv").open(encoding="utf-8-sig", newline="") as opened:
        return {row["path"]: row["decision"] for row in csv.DictReader(opened)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_that_an_editor_or_a_spreadsheet_has_saved_is_taken(
    project: Path, pictures: Path, encoding: str, separator: str
) -> None:
    text = f"{HEAD}train-real,ä0.png,,remove\r\ntrain-real,ä1.png,,move\r\n".replace(",", separator)
    file = pictures / "review.csv"
    file.write_bytes(text.encode(encoding))
    result = run("--paths", project, "review", file)
    assert result.returncode == 0, result.stderr
    assert "csv: 0 kept, 1 moved" in result.stdout and result.stdout.endswith(", 1 left out\n")
    assert held(project) == {"ä0.png": "remove", "ä1.png": "move"}
    assert "1 picture left out, 1 moved" in run("--paths", project, "scan", "train-real").stdout


def test_the_newest_download_is_taken_and_joins_the_decisions_before_it(
    project: Path, pictures: Path
) -> None:
    (pictures / "review.csv").write_text(f"{HEAD}train-real,ä0.png,,remove\ntrain-real,ä1.png,,move\n")
    assert run("--paths", project, "review").returncode == 0
    second = pictures / "review (1).csv"
    second.write_text(f"{HEAD}train-real,ä1.png,,keep\ntrain-real,ä2.png,,remove\n", encoding="utf-8")
    result = run("--paths", project, keys="5\n5\n\n0\n0\n")
    assert f"Enter: {second}" in result.stdout and f"from {second}" in result.stdout
    assert held(project) == {"ä0.png": "remove", "ä1.png": "keep", "ä2.png": "remove"}
    assert "0 moved" in run("--paths", project, "scan", "train-real").stdout


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("train-real,ä0.png,,delete\n", "'delete'"),
        ("train-cats,ä0.png,,keep\n", "train-cats/ä0.png"),
        ("train-real,../../a.png,,keep\n", r"\.\./a.png"),
        ("train-real,ä0.png,,keep\ntrain-real,ä0.png,,move\n", "two decisions on train-real/ä0.png"),
        ("train-real,ä0.png,keep\n", "fewer cells"),
        ("train-real,gone.png,,keep\n", "no decision on a picture"),
        ("", "no decision on a picture"),
    ],
)
def test_a_file_that_cannot_be_meant_changes_nothing(
    project: Path, pictures: Path, rows: str, why: str
) -> None:
    file = pictures / "mine.csv"
    file.write_text(HEAD.strip() + "\n" + rows, encoding="utf-8")
    result = run("--paths", project, "review", file)
    assert result.returncode == 2 and re.search(why, result.stderr.splitlines()[-1])
    assert not (project.parent / "review.csv").exists()


def test_a_wrong_or_a_missing_file_is_one_line(project: Path, pictures: Path) -> None:
    for words, why in (
        (["review", project], "a column is missing"),
        (["review", pictures / "none.csv"], "is not there"),
        (["review"], "Downloads"),
        (["review", "--answers"], "has not been tested"),
    ):
        result = run("--paths", project, *words)
        assert result.returncode == 2 and result.stderr.count("\n") == 1 and why in result.stderr


def test_decisions_on_pictures_that_are_gone_or_changed_are_skipped(project: Path, pictures: Path) -> None:
    folder = project.parent / "dataset/train/real"
    file = pictures / "review.csv"
    rows = [
        f"train-real,ä{number}.png,{hash_file(folder / f'ä{number}.png')},remove\n" for number in range(3)
    ]
    file.write_text(HEAD + "".join(rows), encoding="utf-8")
    (folder / "ä0.png").unlink()
    paint(folder / "ä1.png", 9)
    result = run("--paths", project, "review")
    assert result.returncode == 1 and "Skipped 2 decisions" in result.stderr and "ä0.png" in result.stderr
    assert held(project) == {"ä2.png": "remove"}


def test_the_wrong_answers_of_a_test_are_a_page(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/test_predictions.csv"
    text = file.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    first = Path(rows[0]["path"])
    # The fixture's answers are all right, and belong to a folder that was copied.
    text = text.replace(str(first.parents[4]), str(trained.parent))
    text = text.replace("diffusion,fake,fake,0.", "diffusion,fake,real,0.")
    file.write_text(text, encoding="utf-8")
    result = run("--paths", trained, keys="3\n9\n0\n0\n")
    page = trained.parent / "model_folders/tiny/review.html"
    assert "5 wrong answers" in result.stdout and f": {page}\n" in result.stdout, result.stderr
    html = page.read_text(encoding="utf-8")
    assert html.count('<li class="card"') == 5 == html.count("dataset/test/fake/diffusion</p>")
    assert "labelled <b>fake</b>" in html and "labelled <b>real</b>" not in html
    file.write_text(text.replace(",fake,real,", ",fake,fake,"), encoding="utf-8")
    assert "no wrong answers" in run("--paths", trained, "review", "--answers").stdout
