"""What a folder really holds: pictures, files that are none, and what systems leave behind."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run
from PIL import Image

from fakedetect.images.listing import EXTENSIONS, Skipped, list_images, stream_images
from fakedetect.images.reading import find_fault

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def fill(folder: Path) -> set[str]:
    """A folder as users have them; the names of its pictures."""
    pictures = {"a.JPG", "..jpg", "b.tar.png", "with space.jp2", "sub/c.mpo", "sub/d.ppm"}
    formats = {"jpg": "JPEG", "png": "PNG", "jp2": "JPEG2000", "mpo": "MPO", "ppm": "PPM"}
    for name in pictures:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(NOISE).save(path, format=formats[name.rpartition(".")[2].lower()])
    junk = ("._a.JPG", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._a.jpg", "__MACOSX/real.jpg")
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
    assert str(skipped).startswith(f"skipped {sum(expected.values())} files that are not pictures: 2 PDF, ")
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
    assert re.search(r"train fake +Cannot read the folder \S+: Permission denied\.", shown.stdout)


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
