"""Tables that options write and read, after a spreadsheet or an accident: rows, or one line."""

from pathlib import Path

import pytest
from conftest import paint, run

HEAD = "epoch,train_loss,val_loss,val_accuracy,seconds,images_per_second"
LONG = "x" * 200_000


def bad_list(project: Path, table: str) -> list[Path]:
    """A list of two bad images with this table of reasons; {0} and {1} in it are their paths."""
    folder = project.parent / "dataset/train/real"
    paths = [paint(folder / f"{number}.jpg", number, (8, 8)) for number in range(2)]
    (project.parent / "list_of_bad_images.txt").write_text("".join(f"{path}\n" for path in paths), "utf-8")
    file = project.parent / "list_of_bad_images.csv"
    file.write_text(table.format(*paths), encoding="utf-8")
    return paths


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_list_of_bad_images_is_read_as_a_spreadsheet_saves_it(
    project: Path, separator: str, mark: str
) -> None:
    table = "path,reason\r\n{0},empty file\r\n{1},'=x\r\n".replace(",", separator)
    first, second = bad_list(project, mark + table)
    result = run("--paths", project, "bad-images")
    assert result.stdout.splitlines()[:2] == [f"{first}: empty file", f"{second}: =x"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "a column is missing: path, reason"),
        ("name;reason\n{0};x\n", "a column is missing: path"),
        ("path,reason\n{0}\n", "line 2 has fewer cells than the header"),
        ("path,reason\n{0},x,y\n", "line 2 has more cells than the header"),
        (f"path,reason\n{{0}},{LONG}\n", "field larger than field limit"),
        (f"{LONG}\n", "field larger than field limit"),
    ],
)
def test_a_damaged_list_of_bad_images_is_one_line_everywhere(project: Path, table: str, said: str) -> None:
    bad_list(project, table)
    file = project.parent / "list_of_bad_images.csv"
    for command in (["bad-images"], ["scan", "train-real"], ["resize", "train-real"]):
        result = run("--paths", project, *command)
        last = result.stderr.strip().splitlines()[-1]
        assert result.returncode == 2 and last.startswith(f"{file} cannot be used: {said}")
        assert last.endswith(f": python menu.py --paths {project} scan")
    file.unlink()
    assert run("--paths", project, "scan", "train-real").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}\ninf,0.5,0.5,0.9,1,9\n", "$[0].epoch"),
        (f"{HEAD}\n1,0.5,0.5,0.9,1,9\n2,0.5,nan,0.9,1,9\n", "$[1].val_loss"),
        (f"{HEAD}\n1,inf,0.5,0.9,1,9\n", "$[0].train_loss"),
        (f"{HEAD}\n1,0.5,0.5,5,1,9\n", "$[0].val_accuracy"),
        (f"{HEAD}\n1,0.5,0.5,0.9,-1,9\n", "$[0].seconds"),
        (f"{HEAD}\n{'9' * 400},0.5,0.5,0.9,1,9\n", "$[0].epoch"),
        (f"{HEAD}\n1,0.5,0.5,0.9,1,{LONG}\n", "field limit"),
        (f"{HEAD}\n1,0.5,0.5\n", "line 2 has fewer cells"),
        (f"{HEAD}\n1;0,5;0,5;0,9;1;9\n".replace(",", ";", 5), "$[0].train_loss"),
        ("epoch,val_loss\n1,0.5\n", "a column is missing: images_per_second"),
        (HEAD, "contains no epochs"),
    ],
)
def test_a_damaged_log_is_one_line(project: Path, text: str, said: str) -> None:
    log = project.parent / "model_folders/tiny/training_log.csv"
    log.parent.mkdir(parents=True)
    log.write_text(text, encoding="utf-8")
    result = run("--paths", project, "loss-graph")
    (line,) = result.stderr.strip().splitlines()
    assert result.returncode == 2 and str(log) in line and said in line and len(line) < 500
    assert line.endswith("Train again to rewrite it.")


def test_a_log_of_an_earlier_version_is_read(project: Path) -> None:
    log = project.parent / "model_folders/tiny/training_log.csv"
    log.parent.mkdir(parents=True)
    log.write_text(f"{HEAD},head_only\n1.0,0.5,0.5,0.9,1,9,1\n", encoding="utf-8")
    result = run("--paths", project, "loss-graph")
    assert result.returncode == 0 and "90.00 %" in result.stdout


def test_a_loss_beyond_all_measure_is_drawn(project: Path) -> None:
    log = project.parent / "model_folders/tiny/training_log.csv"
    log.parent.mkdir(parents=True)
    log.write_text(f"{HEAD}\n1,1e200,1e200,0.9,1e200,1e200\n2,0,0,0,0,0\n", encoding="utf-8")
    assert run("--paths", project, "loss-graph").returncode == 0
