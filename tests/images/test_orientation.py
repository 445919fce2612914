"""Pictures with an EXIF orientation: no EXIF field makes one unusable, and all readers agree."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import run
from PIL import Image

from fakedetect.core.settings.model_input import REFERENCE_SCALING
from fakedetect.dataset.decoded import load_or_explain
from fakedetect.images.copies import CopyKind
from fakedetect.images.reading import find_fault, open_image, to_rgb_or_grey
from fakedetect.images.views import ViewRequest, load_view, read_thumbnail
from fakedetect.preprocessing.headers import Header, read_header
from fakedetect.preprocessing.resize import CopyJob, resize_image
from fakedetect.reporting.parity import prepare_picture

TAGS = (
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x0213, 0x8298),
    *(0x8769, 0x8825, 0x9000, 0x9003, 0x927C, 0x9286, 0x9C9B, 0x9C9C, 0xA000, 0xA001, 0xA002, 0xA005),
    *(0xA300, 0xA301, 0x4746, 0xC4A5, 0xEA1C, 0x0102),
)
KINDS = range(19)
"""Types of a field: those of TIFF and BigTIFF, and some that nobody knows."""

UPRIGHT = np.zeros((16, 24, 3), np.uint8)
UPRIGHT[:8, :12] = 250
UPRIGHT[8:, 12:, 0] = 120


def exif_of(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF as bytes: entries of tag, type, count and value (4 bytes), with 60 bytes behind them."""
    parts = [struct.pack("<HHI", *entry[:3]) + entry[3] for entry in sorted(entries)]
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(parts)) + b"".join(parts) + bytes(4)
    return b"Exif\0\0" + content.ljust(60, b"\0") + b"abc\0" * 15


def orientation(number: int) -> tuple[int, int, int, bytes]:
    return 0x0112, 3, 1, struct.pack("<HH", number, 0)


def stored(number: int) -> Image.Image:
    """The pixels as a camera held in this way stores them."""
    ways = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    picture = Image.fromarray(UPRIGHT)
    return picture.transpose(Image.Transpose(ways[number])) if number in ways else picture


def upright(path: Path) -> np.ndarray:
    with open_image(path) as opened:
        return np.asarray(to_rgb_or_grey(opened).convert("RGB"))


@pytest.mark.parametrize("number", range(2, 9))
def test_no_field_takes_a_turned_picture_away(tmp_path: Path, number: int) -> None:
    path, data = tmp_path / "a.png", io.BytesIO()
    picture = stored(number)
    for tag in TAGS:
        for kind in KINDS:
            exif = exif_of(orientation(number), (tag, kind, 3, struct.pack("<I", 66)))
            data.seek(0)
            picture.save(data, "PNG", exif=exif, compress_level=1)
            path.write_bytes(data.getvalue())
            assert number != 6 or find_fault(path) is None, (tag, kind)
            assert np.array_equal(upright(path), UPRIGHT), (tag, kind)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_every_way_to_read_a_turned_picture_gives_its_upright_twin(tmp_path: Path, ending: str) -> None:
    # A description that is a fraction, as some phones write it; Pillow reads it and cannot write it.
    exif = exif_of(orientation(6), (0x010E, 5, 1, struct.pack("<I", 66)))
    turned, twin = tmp_path / f"turned.{ending}", tmp_path / f"twin.{ending}"
    more = {"lossless": True} if ending == "webp" else {"quality": 95, "subsampling": 0}
    big = Image.fromarray(UPRIGHT).resize((240, 160), Image.Resampling.NEAREST)
    big.save(twin, **more)
    big.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif, **more)

    def alike(first: object, second: object) -> bool:
        a, b = np.asarray(first, np.int16), np.asarray(second, np.int16)
        return a.shape == b.shape and np.abs(a - b).mean() < 1.5

    seen = [load_view(ViewRequest(path, (CopyKind(), CopyKind(aligned=True)))) for path in (twin, turned)]
    assert not any(isinstance(view, str) for view in seen), seen
    for first, second in zip(seen[0].images, seen[1].images, strict=True):  # type: ignore[union-attr]
        assert alike(first, second)
    for kind in (CopyKind(), CopyKind(fast=True), CopyKind(aligned=True)):
        copies = [tmp_path / f"copy {path.name}" for path in (twin, turned)]
        for path, copy in zip((twin, turned), copies, strict=True):
            assert resize_image(CopyJob(path, copy, kind)) is None
        # Read as any program reads it: the copy does not say that it is still to be turned.
        assert alike(*(Image.open(copy).convert("RGB") for copy in copies))
        assert alike(*(load_or_explain(copy, REFERENCE_SCALING) for copy in copies))
    assert alike(read_thumbnail(twin), read_thumbnail(turned))
    if ending != "webp":
        assert alike(prepare_picture(twin, CopyKind()), prepare_picture(turned, CopyKind()))
    assert isinstance(read_header(turned), Header)


def test_tiff_and_avif_with_such_fields_are_read(tmp_path: Path) -> None:
    tiff = tmp_path / "a.tif"
    for tag in (0x010E, 0x8769, 0x8825, 0xA005, 0x9C9B):
        for kind in KINDS:
            stored(6).save(tiff)
            data = tiff.read_bytes()
            start = struct.unpack("<I", data[4:8])[0]
            count = struct.unpack("<H", data[start : start + 2])[0]
            table = data[start + 2 : start + 2 + 12 * count]
            entries = [table[place : place + 12] for place in range(0, len(table), 12)]
            entries += [struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), struct.pack("<HHII", tag, kind, 3, 8)]
            entries.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
            directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
            tiff.write_bytes(data[:4] + struct.pack("<I", len(data)) + data[8:] + directory)
            assert find_fault(tiff) is None, (tag, kind)
            assert np.array_equal(upright(tiff), UPRIGHT), (tag, kind)
    avif = tmp_path / "a.avif"
    benign = exif_of(orientation(6), (0x010E, 2, 40, struct.pack("<I", 66)), (0x010F, 2, 3, b"abc\0"))
    stored(6).save(avif, exif=benign, quality=100, subsampling="4:4:4")
    whole = avif.read_bytes()
    place = whole.index(struct.pack("<HH", 0x010E, 2))
    for kind in KINDS:
        avif.write_bytes(whole[: place + 2] + struct.pack("<H", kind) + whole[place + 4 :])
        assert find_fault(avif) is None, kind
        assert np.abs(upright(avif).astype(int) - UPRIGHT).mean() < 8, kind
        with Image.open(avif) as opened:
            # What can be written again still says which camera it was.
            assert opened.getexif().get(0x010F) == "abc", kind


def test_a_turned_picture_gets_the_answer_of_its_upright_twin(trained: Path) -> None:
    exif = exif_of(orientation(6), (0x010E, 5, 1, struct.pack("<I", 66)))
    big = Image.fromarray(UPRIGHT).resize((240, 160), Image.Resampling.NEAREST)
    twin, turned = trained.parent / "twin.png", trained.parent / "turned.png"
    big.save(twin)
    big.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    result = run("--paths", trained, "check", twin, turned, "--json")
    assert result.returncode == 0, result.stderr
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["p_fake"] == second["p_fake"] and first["verdict"]
