"""HEIC and HEIF from phones, and AVIF if Pillow lacks it: every option reads them or names them."""

import json
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from conftest import paint, run
from PIL import AvifImagePlugin, Image

from fakedetect.images import faults, listing, pillow
from fakedetect.images.listing import Skipped, list_images
from fakedetect.images.reading import find_fault, load_reduced, open_image, read_orientation, to_rgb_or_grey

BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def write_heic(path: Path, size: tuple[int, int] = (300, 260), **more: object) -> Path:
    """A smooth picture as HEIC, whatever the file's name ends in."""
    picture = Image.open(paint(path.with_suffix(".painted.png"), 1, size))
    path.with_suffix(".painted.png").unlink()
    heif = pillow_heif.from_pillow(picture)
    heif.save(path, quality=90, **more)
    return path


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that lacks pillow-heif."""
    for module in (listing, faults, pillow):
        monkeypatch.setattr(module, "has_heif", lambda: False)
    # As before the first such file was opened.
    monkeypatch.setitem(Image.OPEN, "HEIF", (pillow._open_heif, pillow._is_heif))


def test_heic_is_read_by_every_option(trained: Path) -> None:
    folder = trained.parent / "dataset/train/real"
    exif = Image.Exif()
    exif[0x0131] = "Stable Diffusion"
    phone = write_heic(folder / "phone.HEIC", exif=exif.tobytes())
    kept = trained.parent / "model_folders/tiny"
    for command in (["scan", "train-real"], ["resize", "train-real"], ["explore"], ["explain", phone]):
        result = run("--paths", trained, *command)
        assert result.returncode == 0, (command, result.stderr)
    assert "31 pictures, 0 bad" in run("--paths", trained, "scan", "train-real").stdout
    assert (trained.parent / "dataset/resized_train/real/phone.HEIC").is_file()
    result = run("--paths", trained, "check", phone, "--json", "--no-stability")
    row = json.loads(result.stdout)
    assert row["format"] == "HEIF" and row["verdict"] in ("fake", "real", "unsure")
    assert "Stable Diffusion" in str(row)
    assert run("--paths", trained, "test", "--on", "train").returncode == 0
    assert "phone.HEIC" in (kept / "train_predictions.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("brand", BRANDS)
def test_heic_is_known_by_its_content(tmp_path: Path, brand: bytes) -> None:
    path = write_heic(tmp_path / "photo.jpg")
    content = path.read_bytes()
    path.write_bytes(content[:8] + brand + content[12:])
    assert find_fault(path) is None


def test_a_turned_heic_is_upright_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_heic(tmp_path / "a.heic", (320, 240), exif=exif.tobytes())
    with open_image(path) as opened:
        assert read_orientation(opened) == 1
        assert to_rgb_or_grey(opened).size == opened.size


def test_a_reduced_heic_comes_from_the_picture_not_from_its_thumbnail(tmp_path: Path) -> None:
    path = write_heic(tmp_path / "a.heic", (1200, 900), thumbnails=[320])
    pillow.prepare_pillow()
    with Image.open(path) as with_thumbnail:
        assert with_thumbnail.format == "HEIF"
    with open_image(path) as opened:
        reduced = load_reduced(opened, (224, 224))
        assert reduced.size == (1200, 900)
        whole = np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=True).to_pillow())
        assert np.array_equal(np.asarray(reduced), whole)


@pytest.mark.parametrize(
    "share, said", [(0.01, "starts as HEIC"), (0.5, "ends too early"), (0.95, "ends too early")]
)
def test_a_cut_heic_is_damaged(tmp_path: Path, share: float, said: str) -> None:
    path = write_heic(tmp_path / "a.heic")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert said in (find_fault(path) or "")


def test_without_its_library_heic_is_named_with_the_way_to_read_it(
    tmp_path: Path, without_heif: None
) -> None:
    path = write_heic(tmp_path / "photo.jpg")
    assert "HEIC" in (find_fault(path) or "") and "pip install pillow-heif" in (find_fault(path) or "")
    path.rename(tmp_path / "photo.heic")
    skipped = Skipped()
    assert list_images(tmp_path, skipped) == []
    assert "1 HEIC" in str(skipped) and "pip install pillow-heif" in str(skipped)


@pytest.mark.filterwarnings("ignore:image file could not be identified")
def test_avif_that_pillow_lacks_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = paint(tmp_path / "a.avif", 1)
    assert find_fault(path) is None
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    fault = find_fault(path) or ""
    assert "AVIF" in fault and "to PNG or JPEG" in fault and "damaged" not in fault
