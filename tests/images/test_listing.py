"""Folders with pictures, other files, and what systems leave behind."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import leave_figures_out, paint, run, shorten
from PIL import Image

from fakedetect.images.listing import EXTENSIONS, Skipped, list_images, stream_images
from fakedetect.images.reading import find_fault

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def fill(folder: Path) -> set[str]:
    """Make a folder like a user's; return the names of its pictures."""
    pictures = {"a.JPG", "b.tar.png", "with space.jp2", "sub/c.mpo", "sub/d.ppm"}
    formats = {"jpg": "JPEG", "png": "PNG", "jp2": "JPEG2000", "mpo": "MPO", "ppm": "PPM"}
    for name in pictures:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(NOISE).save(path, format=formats[name.rpartition(".")[2].lower()])
    junk = (
        "._a.JPG",
        ".decoded.bin",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/._a.jpg",
        "__MACOSX/real.jpg",
    )
    others = ("notes.pdf", "more.PDF", "old.zip", "film.mp4", "README", "x.svg")
    for name in (*junk, *others):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"other")
    return pictures


def test_pictures_are_listed_and_the_rest_is_counted_by_kind(tmp_path: Path) -> None:
    pictures = fill(tmp_path)
    skipped, streamed = Skipped(), Skipped()
    listed = {path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path, skipped)}
    found = {path.relative_to(tmp_path).as_posix() for path in stream_images([tmp_path], print, streamed)}
    expected = {"PDF": 2, "ZIP": 1, "MP4": 1, "SVG": 1, "without an extension": 1}
    assert listed == found == pictures
    assert skipped.kinds == streamed.kinds == expected
    assert skipped.folders == streamed.folders == {"__MACOSX": 1}
    assert (skipped.hidden, skipped.in_cloud) == (0, 0)
    assert str(skipped).startswith(f"skipped {sum(expected.values())} files")
    assert ": 2 PDF, " in str(skipped)
    assert str(Skipped()) == ""


def test_every_ending_is_one_that_pillow_reads_and_writes(tmp_path: Path) -> None:
    Image.init()
    known = Image.registered_extensions()
    for ending in EXTENSIONS:
        path = tmp_path / f"a{ending}"
        Image.fromarray(NOISE).save(path, format=known[ending])
        assert find_fault(path) is None, ending


def test_scan_check_and_the_menu_say_what_they_skipped(trained: Path) -> None:
    folder = trained.parent / "dataset/train/real"
    for name in ("notes.pdf", "more.pdf", "old.zip"):
        (folder / name).write_bytes(b"other")
    said = "kipped 3 files that are not pictures: 2 PDF, 1 ZIP"
    assert said in run("--paths", trained, "scan", "train-real").stdout
    checked = run("--paths", trained, "check", folder, "--no-stability")
    assert checked.returncode == 0 and said in checked.stderr
    assert said in run("--paths", trained, keys="0\n").stdout


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
@pytest.mark.parametrize("backwards", [False, True])
def test_a_folder_goes_by_its_own_name_and_not_by_that_of_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    whole = os.scandir

    @contextmanager
    def ordered(folder: str) -> Iterator[list[os.DirEntry[str]]]:
        with whole(folder) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=backwards)

    monkeypatch.setattr("os.scandir", ordered)
    for name in ("a/x.jpg", "c/deep/y.jpg", "elsewhere/e/z.jpg"):
        paint(tmp_path / "set" / name if name[0] != "e" else tmp_path / name, 1, (8, 8))
    (tmp_path / "set/b").symlink_to(tmp_path / "set/a")
    (tmp_path / "set/a/to_c").symlink_to(tmp_path / "set/c")
    (tmp_path / "set/c/again").symlink_to(tmp_path / "set")
    for name in ("p", "o"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "elsewhere")
    listed = [path.relative_to(tmp_path / "set").as_posix() for path in list_images(tmp_path / "set")]
    assert listed == ["a/x.jpg", "c/deep/y.jpg", "o/e/z.jpg"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
def test_the_menu_counts_what_scan_finds(project: Path) -> None:
    for number in range(3):
        paint(project.parent / f"far/gan/{number}.png", number, (8, 8))
    folder = project.parent / "dataset/train/fake"
    paint(folder / "own/0.png", 5, (8, 8))
    (folder / "gan").symlink_to(project.parent / "far/gan")
    (folder / "again").symlink_to(folder / "own")
    assert "train-fake: 4 pictures" in run("--paths", project, "scan", "train-fake").stdout
    assert re.search(r"train fake +4 pictures\n", run("--paths", project, keys="0\n").stdout)


def test_a_folder_that_cannot_be_read_leaves_the_menu_open(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    paint(project.parent / "dataset/train/fake/0.png", 5, (8, 8))
    monkeypatch.setattr("os.scandir", refuse)
    shown = run("--paths", project, keys="0\n")
    assert shown.returncode == 0 and "Goodbye" in shown.stdout
    assert re.search(r"train fake .*: Permission denied", shown.stdout)


HIDDEN = (
    *(".ipynb_checkpoints", "#recycle", "@Recycle", "$RECYCLE.BIN", ".@__thumb", ".Trash-1000", "@eaDir"),
    *(".thumbnails", ".stversions", "lost+found", "System Volume Information", ".snapshot", "~snapshot"),
)
"""Folders that systems leave among pictures."""


def hide(folder: Path) -> None:
    """Put copies of pictures where systems keep them below a folder."""
    for number, name in enumerate(HIDDEN):
        paint(folder / name / "deep" / f"{number}.png", number, (40, 40))
    for name in (".trashed-1700000000-a.jpg", ".pending-1700000000-b.jpg"):
        paint(folder / name, 1, (40, 40))
    (folder / ".c.heic.icloud").write_bytes(b"bplist00")
    (folder / ".d.jpg.icloud").write_bytes(b"bplist00")


def hidden_in(text: str) -> None:
    """Assert that the text reports once what hide() has put there."""
    assert len(re.findall(rf"kipped {len(HIDDEN)} hidden or system folders: ", text)) == 1, text
    assert "hidden pictures: 2" in text and "not downloaded from iCloud: 2" in text


def test_what_systems_leave_behind_is_no_picture_for_any_command(trained: Path) -> None:
    folder = trained.parent / "dataset/train/real"
    count = len(list_images(folder))
    hide(folder)
    hide(trained.parent / "dataset/resized_train/real")
    scanned = run("--paths", trained, "scan", "train-real")
    assert f"train-real: {count} pictures, 0 bad; " in scanned.stdout
    hidden_in(scanned.stdout)
    resized = run("--paths", trained, "resize", "train-real")
    assert f"{count} already done" in resized.stdout and resized.returncode == 0
    hidden_in(resized.stderr)
    checked = run("--paths", trained, "check", folder, "--no-stability")
    assert f"{count} pictures: " in checked.stdout
    hidden_in(checked.stderr)
    tested = run("--paths", trained, "test", "--on", "train")
    assert tested.returncode == 0
    hidden_in(tested.stderr)
    hidden_in(run("--paths", trained, keys="0\n").stdout.split("resized")[0])


def test_explore_evaluate_and_train_pass_over_what_systems_leave_behind(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_figures_out(monkeypatch)
    shorten(trained)
    for name in ("train/real", "resized_train/real", "resized_test/real", "test/real"):
        hide(trained.parent / "dataset" / name)
    explored = run("--paths", trained, "explore")
    assert "ipynb" not in explored.stdout and "120" not in explored.stdout
    assert explored.stderr.count(f"skipped {len(HIDDEN)} hidden") == 2
    hidden_in(run("--paths", trained, "evaluate", "--data", trained.parent / "dataset/test").stderr)
    learned = run("--paths", trained, "train", "--overwrite")
    assert learned.returncode == 0
    hidden_in(learned.stderr)


def test_what_the_user_names_is_read_whatever_its_name(trained: Path) -> None:
    named = trained.parent / ".hidden/#recycle"
    paint(named / "sub" / "a.png", 1)
    alone = paint(trained.parent / ".b.png", 2)
    checked = run("--paths", trained, "check", named, alone, "--no-stability")
    assert checked.returncode == 0 and "2 pictures: " in checked.stdout
    assert [path.name for path in list_images(named)] == ["a.png"]


def test_a_folder_below_that_cannot_be_read_is_skipped_with_a_line(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is concluded from its missing pictures: no copy is stale, no bad picture is gone."""
    folder, whole = trained.parent / "dataset/train/real", os.scandir
    (folder / "phone/0000.jpg").write_bytes(b"bad")
    assert "1 bad" in run("--paths", trained, "scan", "train-real").stdout

    copies = trained.parent / "dataset/resized_train/real/phone"
    before = sorted(copies.iterdir())

    def refuse(path: str) -> object:
        if str(path).endswith("phone"):
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr("os.scandir", refuse)
    leave_figures_out(monkeypatch)
    commands = (
        *(["scan", "train-real"], ["resize", "--prune", "train-real"], ["explore"]),
        *(["test"], ["check", str(folder), "--no-stability"]),
    )
    for command in commands:
        result = run("--paths", trained, *command)
        assert result.returncode in (0, 1), (command, result.stderr)
        assert re.search(r"folder \S+phone: Permission denied", result.stderr), command
        if command[0] in ("scan", "resize", "check"):
            assert result.returncode == 1, command
    assert re.search(r"Skipped the folder \S+phone", run("--paths", trained, keys="0\n").stdout)
    monkeypatch.undo()
    assert before and sorted(copies.iterdir()) == before
    assert "0000.jpg" in (trained.parent / "list_of_bad_images.txt").read_text()


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b"\0\0\0\x18ftypisom" + bytes(30), "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"<!doctype html><html>", "web page"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\x01\0\x01\0", "ICO"),
        (b"qoif\0\0", "QOI"),
        (b"\xef\xbb\xbf\n <svg xmlns='x'>", "SVG"),
        (b"\n\n<html>", "web page"),
        (b"<?xml version='1.0'?>\n<svg>", "SVG"),
        (b"ID3\x04", "sound"),
        (b"MZ\x90\0", "program"),
        (b"\0\0\0\x1cftypavif" + bytes(30), "starts as AVIF"),
        (b"\xff\xd8\xff\xe0", "starts as JPEG"),
        (b"\x89PNG\r\n\x1a\n", "starts as PNG"),
        (b"nothing known", "no known format"),
    ],
)
def test_a_file_under_a_pictures_name_is_called_what_it_is(tmp_path: Path, start: bytes, said: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(start)
    assert said in (find_fault(path) or "")
