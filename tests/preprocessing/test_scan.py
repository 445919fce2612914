"""Option 1 through the command and its files."""

import csv
import json
import os
import re
import sys
from collections.abc import Callable
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


def test_shards_share_a_scan_and_the_last_brings_the_lists_together(project: Path) -> None:
    dataset = project.parent / "dataset"
    for number in range(10):
        path = paint(dataset / "train/real" / f"{number}.jpg", number)
        paint(dataset / "test/fake" / f"{number}.jpg", number)
        if number % 4 == 0:
            path.write_bytes(b"x")
    folders = ("train-real", "test-fake")
    paint(dataset / "train/fake/old.jpg", 1).write_bytes(b"x")
    assert run("--paths", project, "scan", "train-fake").returncode == 0
    counted = 0
    for number in (2, 3, 1):
        assert listed(project) == {"old.jpg"}
        result = run("--paths", project, "scan", *folders, "--shard", f"{number}/3")
        assert result.returncode == 0, result.stderr
        counted += int(re.search(r"(\d+) pictures of 20", result.stdout)[1])
        assert ("All 3 shards are done" in result.stdout) == (number == 1)
    assert counted == 20
    assert listed(project) == {"old.jpg", "0.jpg", "4.jpg", "8.jpg"}
    assert not list(project.parent.glob("*.shard-*"))
    for wrong in ("0/3", "4/3", "x", "1/"):
        refused = run("--paths", project, "scan", "--shard", wrong)
        assert refused.returncode == 2 and "3/16" in refused.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda share: {key: value for key, value in share.items() if key != "bad"},
        lambda share: {**share, "bad": [["a.jpg", "cut"]]},
        lambda share: {**share, "bad": [[99, "cut"]]},
        lambda share: {**share, "done": "yes"},
        lambda share: [],
        None,
    ],
)
def test_a_damaged_share_is_one_that_is_not_done(project: Path, change: Callable | None) -> None:
    folder = project.parent / "dataset/train/real"
    odd = "b\udcff.jpg" if sys.platform == "linux" else "b.jpg"
    for number, name in enumerate(("a.jpg", odd)):
        paint(folder / "x.jpg", number, (8, 8)).rename(folder / name).write_bytes(b"x")
    shard = ("--paths", project, "scan", "train-real", "--shard")
    assert run(*shard, "2/2").returncode == 0
    (file,) = project.parent.glob("*.shard-2-of-2.json")
    whole = file.read_text(encoding="utf-8")
    file.write_text(json.dumps(change(json.loads(whole))) if change else "[" * 200_000, encoding="utf-8")
    assert "Not done yet for these pictures: 1 shard (2)" in run(*shard, "1/2").stdout
    assert "All 2 shards are done; 2 listed" in run(*shard, "2/2").stdout
    lines = (project.parent / "list_of_bad_images.txt").read_bytes().splitlines()
    assert lines == [os.fsencode(folder / name) for name in ("a.jpg", odd)]


def test_a_shard_of_other_pictures_does_not_count(project: Path) -> None:
    folder = project.parent / "dataset/train/real"
    paint(folder / "a.jpg", 1)
    assert run("--paths", project, "scan", "train-real", "--shard", "1/2").returncode == 0
    paint(folder / "b.jpg", 1).write_bytes(b"x")
    late = run("--paths", project, "scan", "train-real", "--shard", "2/2")
    assert "Not done yet for these pictures: 1 shard (1)" in late.stdout
    again = run("--paths", project, "scan", "train-real", "--shard", "1/2")
    assert "All 2 shards are done" in again.stdout and listed(project) == {"b.jpg"}
