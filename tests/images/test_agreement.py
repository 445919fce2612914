"""One function decides whether a picture can be used, so scan, resize, training and check agree."""

import base64
import csv
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, paint, run
from PIL import Image

from fakedetect.core.settings.model_input import REFERENCE_SCALING
from fakedetect.dataset.decoded import load_or_explain
from fakedetect.images import reading
from fakedetect.images.copies import CopyKind, probe_copies
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import find_fault
from fakedetect.images.views import ViewRequest, load_view
from fakedetect.preprocessing.resize import CopyJob, resize_image
from fakedetect.reporting.parity import prepare_picture

NOISE = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)

LOSSLESS_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/8MAEQgACAAIA1IRAEcRAEIRAP/EABcAAQEBAQAAAAAAAAAAAAAAAAIFBwj/2gAMA1IARwBC"
    "AAEAAOf8AwFtttttttttt2LFhtttttttttt2LFhtttttttttt2LFhtttttttttt2LFhtttttttttt2LFhtttttttttt2LFht"
    "ttttttttt2LFhtttttttttt//9k="
)
"""8 x 8 pixels in a frame without loss (SOF3), which has no reduced scales."""


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def odd_files(folder: Path) -> dict[str, bool]:
    """Make unusual but good files and broken ones; return whether each can be used."""
    folder.mkdir(parents=True)
    picture = Image.fromarray(NOISE)
    picture.save(folder / "good.png")
    picture.save(folder / "good.jpg")
    png, jpg = (folder / "good.png").read_bytes(), (folder / "good.jpg").read_bytes()
    data = png.find(b"IDAT")
    length = struct.unpack(">I", png[data - 4 : data])[0]
    wrong_sum = bytearray(png)
    wrong_sum[data + 4 + length] ^= 1
    flipped = bytearray(png)
    flipped[data + 40] ^= 0x10
    grey = picture.convert("L")
    Image.merge("LA", (grey, grey)).save(folder / "premultiplied.tif")
    tiff = (folder / "premultiplied.tif").read_bytes()
    # Tag 338, ExtraSamples: 1 is associated alpha, which Pillow opens as mode La.
    place = tiff.find(struct.pack("<HHI", 338, 3, 1)) + 8
    (folder / "premultiplied.tif").write_bytes(tiff[:place] + struct.pack("<H", 1) + tiff[place + 2 :])
    assert Image.open(folder / "premultiplied.tif").mode == "La"
    picture.save(folder / "phone.jpg", format="MPO", save_all=True, append_images=[picture])
    (folder / "lossless.jpg").write_bytes(LOSSLESS_JPEG)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(NOISE[:, :, 0].astype(np.uint16) * 256).save(folder / "deep.png")
    picture.convert("P").save(folder / "palette.gif", transparency=3)
    picture.convert("1").save(folder / "fax.tif", compression="group4")
    # What is said beside a picture: larger than Pillow takes, and faulty.
    large = zlib.compress(bytes(3_000_000))
    beside = {
        "text.png": png_chunk(b"zTXt", b"workflow\0\0" + large),
        "texts.png": png_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_000_000))) * 80,
        "unknown.png": png_chunk(b"zTXt", b"workflow\0\7" + large),
        "profile.png": png_chunk(b"iCCP", b"wide\0\0" + large),
        "density.png": png_chunk(b"pHYs", b"\0"),
    }
    for name, chunk in beside.items():
        (folder / name).write_bytes(png[: data - 4] + chunk + png[data - 4 :])
    late = png_chunk(b"iTXt", b"workflow\0\1\0\0\0" + large)
    (folder / "late.png").write_bytes(png[: png.find(b"IEND") - 4] + late + png[png.find(b"IEND") - 4 :])
    broken = {
        "wrong_sum.png": bytes(wrong_sum),
        "flipped.png": bytes(flipped),
        "no_end.png": png[: png.find(b"IEND") - 4],
        "cut.png": png[: len(png) // 2],
        "wrong_text.png": png[: data - 4] + png_chunk(b"tEXt", b"a\0b")[:-1] + b"?" + png[data - 4 :],
        "cut.jpg": jpg[: len(jpg) // 2],
        "no_tables.jpg": jpg[:2] + jpg[-200:],
        "empty.jpg": b"",
        "text.jpg": b"no picture",
        "riff.webp": b"RIFF\x10\0\0\0WEBPVP8 \0\0",
        "header.bmp": b"BM" + bytes(20),
        "header.tif": b"II*\0\x08\0\0\0\xff\xff",
        "header.gif": b"GIF89a\x10\0",
    }
    for name, raw in broken.items():
        (folder / name).write_bytes(raw)
    return {path.name: path.name not in broken for path in sorted(folder.iterdir())}


def test_every_way_to_read_a_file_says_the_same(tmp_path: Path) -> None:
    expected = odd_files(tmp_path / "odd")
    for name, good in expected.items():
        path = tmp_path / "odd" / name
        said = {
            "scan": find_fault(path),
            "check": load_view(ViewRequest(path, (CopyKind(),))),
            "resize": resize_image(CopyJob(path, tmp_path / "copies" / name)),
            "resize --fast": resize_image(CopyJob(path, tmp_path / "fast" / name, CopyKind(fast=True))),
            "resize --align": resize_image(CopyJob(path, tmp_path / "aligned.jpg", CopyKind(aligned=True))),
            "train": load_or_explain(path, REFERENCE_SCALING),
        }
        usable = {way: not isinstance(found, str) for way, found in said.items()}
        assert set(usable.values()) == {good}, (name, said)
        reasons = {found for found in said.values() if isinstance(found, str)}
        assert len(reasons) <= 1, (name, reasons)


def test_scan_and_check_agree_through_their_commands(trained: Path) -> None:
    folder = trained.parent / "dataset/train/real/odd"
    expected = odd_files(folder)
    assert run("--paths", trained, "scan", "train-real").returncode == 0
    out = trained.parent / "out.csv"
    assert run("--paths", trained, "check", folder, "--csv", out, "--no-stability").returncode == 1
    with (trained.parent / "list_of_bad_images.csv").open(newline="", encoding="utf-8") as file:
        scanned = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(file)}
    with out.open(newline="", encoding="utf-8-sig") as file:
        checked = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(file)}
    # A good picture, but not one to judge.
    assert checked["lossless.jpg"].startswith("too small to judge")
    checked["lossless.jpg"] = ""
    assert checked == {name: scanned.get(name, "") for name in expected}
    assert {name: not reason for name, reason in checked.items()} == expected


def test_reasons_are_for_people(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    for name, good in odd_files(folder).items():
        reason = find_fault(folder / name)
        assert (reason is None) == good
        if reason:
            assert " " in reason and str(folder) not in reason and reason[0] not in "'\"[("
    for error in (IndexError("list index out of range"), KeyError(7), struct.error("unpack"), OSError()):
        assert "damaged" in explain_fault(error, tmp_path)


def adobe_rgb() -> bytes:
    """A minimal ICC profile (version 2) with Adobe RGB's primaries, adapted to D50, and its gamma."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0233) + bytes(2)
    name = b"Wide\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {
        b"desc": description + bytes(-len(description) % 4),
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        b"rXYZ": b"XYZ " + bytes(4) + fixed(0.60974, 0.31111, 0.01947),
        b"gXYZ": b"XYZ " + bytes(4) + fixed(0.20528, 0.62567, 0.06087),
        b"bXYZ": b"XYZ " + bytes(4) + fixed(0.14919, 0.06322, 0.74457),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for key, data in tags.items():
        table += key + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    header = struct.pack(">I", size) + bytes(4) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp"
    header = header + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_colours_of_another_profile_are_converted_where_the_references_pixels_are_not_asked_for(
    tmp_path: Path, ending: str
) -> None:
    flat = Image.new("RGB", (64, 64), (60, 200, 60))
    wide, plain = tmp_path / f"wide.{ending}", tmp_path / f"plain.{ending}"
    flat.save(wide, icc_profile=adobe_rgb())
    flat.save(plain)
    seen = {path: load_view(ViewRequest(path, (CopyKind(),))) for path in (wide, plain)}
    colours = {path: view.images[0][0].mean((0, 1)) for path, view in seen.items()}  # type: ignore[union-attr]
    # Adobe RGB's green is wider: the same numbers are a stronger green, beyond sRGB's in red.
    assert np.abs(colours[plain] - (60, 200, 60)).max() < 4
    assert colours[wide][0] < 30 and colours[wide][1] > 195
    assert resize_image(CopyJob(wide, tmp_path / "aligned.jpg", CopyKind(aligned=True))) is None
    aligned = Image.open(tmp_path / "aligned.jpg")
    assert "icc_profile" not in aligned.info and np.asarray(aligned).mean((0, 1))[0] < 30
    copy = tmp_path / f"copy.{ending}"
    assert resize_image(CopyJob(wide, copy)) is None
    assert np.abs(np.asarray(Image.open(copy).convert("RGB")).mean((0, 1)) - (60, 200, 60)).max() < 4


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_profiles_of_transparent_and_palette_pictures_count_too(
    tmp_path: Path, mode: str, transparent: bool
) -> None:
    flat = Image.new("RGBA", (64, 64), (60, 200, 60, 255))
    if transparent:
        flat.paste((60, 200, 60, 0), (0, 0, 64, 32))
    path = tmp_path / "wide.png"
    (flat.quantize(8) if mode == "P" else flat).save(path, icc_profile=adobe_rgb())
    view = load_view(ViewRequest(path, (CopyKind(),)))
    assert not isinstance(view, str)
    above, below = view.images[0][0][:100].mean((0, 1)), view.images[0][0][124:].mean((0, 1))
    assert below[0] < 30 and below[1] > 195
    assert (above.min() > 250) == transparent


@pytest.mark.parametrize("size", [(90, 40), (40, 91), (64, 64)])
def test_the_centre_square_beside_a_picture_is_that_of_the_cropped_file(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (size[1], size[0], 3), np.uint8)
    side, (left, top) = min(size), ((length - min(size)) // 2 for length in size)
    whole, centre = tmp_path / "whole.png", tmp_path / "centre.png"
    Image.fromarray(pixels).save(whole)
    Image.fromarray(pixels[top : top + side, left : left + side]).save(centre)
    both, squeezed, cropped = (
        load_view(ViewRequest(path, (probe_copies(centre_square),))).images[0][0]
        for path, centre_square in ((whole, True), (whole, False), (centre, False))
    )
    np.testing.assert_array_equal(both, np.concatenate([squeezed, cropped], axis=1))
    assert np.array_equal(squeezed, cropped) == (size[0] == size[1])
    np.testing.assert_array_equal(prepare_picture(whole, probe_copies(True)), both)


def test_a_profile_that_cannot_be_used_is_passed_over(tmp_path: Path) -> None:
    for number, profile in enumerate((b"x", adobe_rgb()[:200], bytes(500))):
        path = tmp_path / f"{number}.png"
        Image.fromarray(NOISE).save(path, icc_profile=profile)
        assert not isinstance(load_view(ViewRequest(path, (CopyKind(),))), str)
        assert find_fault(path) is None


def test_srgb_and_no_profile_give_the_same_answer(tmp_path: Path) -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = paint(tmp_path / "plain.png", 3)
    Image.open(plain).save(tmp_path / "srgb.png", icc_profile=srgb)
    first, second = (load_view(ViewRequest(path, (CopyKind(),))) for path in (plain, tmp_path / "srgb.png"))
    assert not isinstance(first, str) and not isinstance(second, str)
    assert np.array_equal(first.images[0], second.images[0])


def test_a_bug_beside_the_decoder_stays_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(LOSSLESS_JPEG)
    assert find_fault(picture) is None
    monkeypatch.setattr(reading, "LOSSLESS_FRAMES", None)
    with pytest.raises(TypeError):
        find_fault(picture)


def test_pillow_adds_no_line_of_its_own(tmp_path: Path) -> None:
    picture = tmp_path / "a.tif"
    Image.new("RGB", (8, 8)).save(picture)
    content = bytearray(picture.read_bytes())
    tag = content.index(struct.pack("<HHI", 277, 3, 1))
    struct.pack_into("<H", content, tag + 8, 278)
    picture.write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from fakedetect.images.reading import find_fault; "
        "print(find_fault(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(picture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() != "None"
    assert not done.stderr
