"""What a folder really holds: pictures, files that are none, and what systems leave behind."""

from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run
from PIL import Image

from fakedetect.images.listing import EXTENSIONS, Skipped, has_heif, list_images, stream_images
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
    others = ("notes.pdf", "more.PDF", "old.zip", "film.mp4", "README", "phone.HEIC", "x.svg")
    for name in (*junk, *others):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"other")
    return pictures


def test_pictures_are_listed_and_the_rest_is_counted_by_kind(tmp_path: Path) -> None:
    pictures = fill(tmp_path)
    skipped, streamed = Skipped(), Skipped()
    listed = {path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path, skipped)}
    found = {path.relative_to(tmp_path).as_posix() for path in stream_images([tmp_path], print, streamed)}
    expected = {"PDF": 2, "ZIP": 1, "MP4": 1, "SVG": 1, "HEIC": 1, "without an extension": 1}
    if has_heif():
        pictures.add("phone.HEIC")
        del expected["HEIC"]
    assert listed == found == pictures
    assert skipped.kinds == streamed.kinds == expected
    assert str(skipped).startswith(f"skipped {sum(expected.values())} files that are not pictures: 2 PDF, ")
    assert ("pillow-heif" in str(skipped)) != has_heif()
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
        (b"nothing known", "no known format"),
    ],
)
def test_a_file_under_a_pictures_name_is_called_what_it_is(tmp_path: Path, start: bytes, said: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(start)
    assert said in (find_fault(path) or "")


@pytest.mark.skipif(has_heif(), reason="pillow-heif reads them")
def test_a_heic_under_another_name_is_called_a_heic(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    assert "HEIC" in (find_fault(path) or "") and "pillow-heif" in (find_fault(path) or "")


@pytest.mark.skipif(not has_heif(), reason="needs pillow-heif")
def test_heic_is_read_everywhere(trained: Path) -> None:
    folder = trained.parent / "dataset/train/real"
    Image.open(paint(trained.parent / "a.png", 1)).save(folder / "phone.heic")
    for command in (
        ["scan", "train-real"],
        ["resize", "train-real"],
        ["check", str(folder / "phone.heic")],
    ):
        result = run("--paths", trained, *command)
        assert result.returncode == 0, (command, result.stderr)
    assert (trained.parent / "dataset/resized_train/real/phone.heic").is_file()
