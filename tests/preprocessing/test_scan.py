"""Option 1 through the command and its files."""

import csv
from pathlib import Path

import pytest
from conftest import paint, run
from PIL import Image


def listed(project: Path) -> set[str]:
    text = (project.parent / "list_of_bad_images.txt").read_text(encoding="utf-8")
    return {Path(line).name for line in text.splitlines()}


def test_each_fault_is_listed_with_its_reason_and_good_pictures_are_not(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    for name in ("good.JPG", "good.webp", "nested/good.png", "good.bmp", "good.gif", "good.tif"):
        paint(folder / name, 1)
    paint(folder / "rgba.png", 1, mode="RGBA")
    whole = paint(folder / "cut.jpg", 2).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    flipped = bytearray(paint(folder / "flipped.png", 3).read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    (folder / "flipped.png").write_bytes(flipped)
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("no picture either")
    result = run("--paths", project, "scan", "train-real")
    assert result.returncode == 0, result.stderr
    assert listed(project) == {"cut.jpg", "flipped.png", "empty.jpg", "text.jpg"}
    assert "11 pictures, 4 bad" in result.stdout
    with (project.parent / "list_of_bad_images.csv").open(encoding="utf-8", newline="") as file:
        assert all(row["reason"] for row in csv.DictReader(file))


def test_a_huge_claim_is_refused_unread(project: Path) -> None:
    path = paint(project.parent / "dataset/train/real/bomb.png", 1)
    data = bytearray(path.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    result = run("--paths", project, "scan", "train-real")
    assert result.returncode == 0
    assert "60000 x 60000" in result.stderr


def test_scanning_one_folder_replaces_only_its_lines(project: Path) -> None:
    dataset = project.parent / "dataset"
    for name in ("train/real", "test/fake"):
        paint(dataset / name / "bad.jpg", 1).write_bytes(b"x")
    assert run("--paths", project, "scan").returncode == 1
    assert len((project.parent / "list_of_bad_images.txt").read_text().splitlines()) == 2
    paint(dataset / "train/real/bad.jpg", 1)
    assert run("--paths", project, "scan", "train-real").returncode == 0
    lines = (project.parent / "list_of_bad_images.txt").read_text().splitlines()
    assert [Path(line).parent.name for line in lines] == ["fake"]
    assert lines[0] in run("--paths", project, "bad-images").stdout


def test_missing_folders_and_names_end_with_one_line(project: Path) -> None:
    result = run("--paths", project, "scan")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert run("--paths", project, "scan", "nonsense").returncode == 2
    assert run("--paths", project, "bad-images").returncode == 2


def test_many_pictures_over_processes_agree_with_one(project: Path) -> None:
    folder = project.parent / "dataset/train/fake"
    for number in range(80):
        path = paint(folder / f"{number:03}.jpg", number, (40, 40))
        if number % 10 == 0:
            path.write_bytes(path.read_bytes()[:200])
    assert run("--paths", project, "scan", "train-fake").returncode == 0
    assert listed(project) == {f"{number:03}.jpg" for number in range(0, 80, 10)}
    with Image.open(folder / "001.jpg") as image:
        assert image.size == (40, 40)


def test_a_scan_is_one_job(project: Path) -> None:
    paint(project.parent / "dataset/train/real/a.jpg", 1)
    for shard in ("3/16", "x"):
        refused = run("--paths", project, "scan", "--shard", shard)
        assert refused.returncode == 2 and not refused.stdout
        assert refused.stderr.count("\n") == 1 and "one job" in refused.stderr
    assert "--shard" not in run("scan", "--help").stdout


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_that_an_editor_has_saved_is_read(project: Path, encoding: str) -> None:
    folder = project.parent / "dataset/train/real"
    bad = [paint(folder / name, 1) for name in ("ä.png", "b.png")]
    paint(folder / "good.png", 2)
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    gone = folder / "gone.png"
    text = mark + "".join(f"{path}\r\n" for path in (*bad, gone))
    (project.parent / "list_of_bad_images.txt").write_bytes(text.encode(encoding))
    result = run("--paths", project, "resize", "train-real")
    assert "1 picture resized" in result.stdout and "2 bad pictures skipped" in result.stdout
    assert result.stderr.count("is not there") == 1 and str(gone) in result.stderr
    copies = project.parent / "dataset/resized_train/real"
    assert [path.name for path in copies.iterdir()] == ["good.png"]
    listed = run("--paths", project, "bad-images")
    assert str(bad[0]) in listed.stdout and str(gone) in listed.stderr
