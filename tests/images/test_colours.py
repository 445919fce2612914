"""Pictures that are not 8-bit sRGB: deep ones, HDR, other primaries. None turns black."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakedetect.core.settings.model_input import REFERENCE_SCALING
from fakedetect.dataset.decoded import load_or_explain
from fakedetect.images.copies import CopyKind
from fakedetect.images.reading import find_fault, open_image, to_rgb_or_grey
from fakedetect.images.views import ViewRequest, load_view
from fakedetect.preprocessing.resize import CopyJob, resize_image

RANDOM = np.random.default_rng(3)
PLAIN = (
    np.asarray(
        Image.fromarray(RANDOM.integers(20, 236, (6, 6), dtype=np.uint8)).resize(
            (96, 96), Image.Resampling.BICUBIC
        )
    ).astype(np.float64)
    / 255
)
"""A smooth grey picture (96, 96) in 0..1."""


def read(path: Path) -> np.ndarray:
    with open_image(path) as opened:
        return np.asarray(to_rgb_or_grey(opened).convert("RGB")).astype(int)


def tiff(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def with_hot(values: np.ndarray, *hot: float) -> np.ndarray:
    values = values.copy()
    for number, value in enumerate(hot):
        values[5 + number, 7] = value
    return values


@pytest.mark.parametrize(
    ("values", "top"),
    [
        (with_hot(PLAIN, 1.02).astype(np.float32), 1),
        ((1.02 * PLAIN / PLAIN.max()).astype(np.float32), 1),
        (with_hot(PLAIN, np.inf).astype(np.float32), 1),
        (with_hot(PLAIN, np.nan, -np.inf, np.inf).astype(np.float32), 1),
        (with_hot(PLAIN, 9000.0).astype(np.float32), 1),
        (with_hot(PLAIN * 255, 3e9).astype(np.float32), 255),
        ((PLAIN * 4095).astype(np.float32), 4095),
        ((PLAIN * 65535).astype(np.float32), 65535),
        ((PLAIN * 1023).astype(np.uint16), 1023),
        ((PLAIN * 4095).astype(np.uint16), 4095),
        (with_hot(PLAIN * 4095, 65535).astype(np.uint16), 4095),
        ((PLAIN * 65535).astype(np.uint16), 65535),
        ((PLAIN * 4095).astype(np.int32), 4095),
        ((PLAIN * 65535).astype(np.int32), 65535),
        (with_hot(PLAIN * 65535, 2**31 - 1, -5).astype(np.int32), 65535),
        ((PLAIN * 255).astype(np.int32), 255),
    ],
)
def test_deep_pictures_keep_their_brightness(tmp_path: Path, values: np.ndarray, top: float) -> None:
    path = tiff(tmp_path / "a.tif", values)
    assert find_fault(path) is None
    finite = np.nan_to_num(values.astype(np.float64), nan=0, posinf=top, neginf=0)
    expected = np.clip(finite, 0, top) * 255 / top
    assert np.abs(read(path)[..., 0] - expected).max() <= 1
    view = load_view(ViewRequest(path, (CopyKind(),)))
    assert not isinstance(view, str) and abs(view.images[0].mean() - expected.mean()) < 3


def test_the_whole_range_of_32_bits_is_not_black(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", (PLAIN * (2**31 - 1)).astype(np.int32))
    assert abs(read(path).mean() - PLAIN.mean() * 255) < 40


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((PLAIN * 2 - 1).astype(np.float32), "run from -"),
        ((PLAIN * 5).astype(np.float32), "to 4."),
        (np.full((40, 40), np.nan, np.float32), "no finite values"),
        ((PLAIN * 60000 - 30000).astype(np.int32), "run from -"),
    ],
)
def test_a_range_that_nobody_knows_is_a_reason_for_all(
    tmp_path: Path, values: np.ndarray, said: str
) -> None:
    path = tiff(tmp_path / "a.tif", values)
    reasons = {
        find_fault(path),
        load_view(ViewRequest(path, (CopyKind(),))),
        resize_image(CopyJob(path, tmp_path / "b.tif")),
        load_or_explain(path, REFERENCE_SCALING),
    }
    assert len(reasons) == 1
    reason = str(reasons.pop())
    assert said in reason and "export it in 8 or 16 bits" in reason


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(path: Path, pixels: np.ndarray, cicp: tuple[int, int] | None = None) -> Path:
    """A PNG in RGB of 8 or 16 bits by hand, which Pillow does not write."""
    height, width, _ = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    if cicp:
        chunks += png_chunk(b"cICP", bytes((*cicp, 0, 1)))
    chunks += png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_twelve_bits_in_sixteen_in_colour_are_refused_and_not_judged_as_black(tmp_path: Path) -> None:
    colour = np.stack([PLAIN, PLAIN / 2, PLAIN], axis=-1)
    dark = png(tmp_path / "dark.png", (colour * 4095).astype(np.uint16))
    reasons = {find_fault(dark), load_view(ViewRequest(dark, (CopyKind(),)))}
    assert len(reasons) == 1 and "export it in 8 bits" in str(reasons.pop())
    for name, top in (("good.png", 65535), ("empty.png", 0)):
        path = png(tmp_path / name, (colour * top).astype(np.uint16))
        assert find_fault(path) is None
        assert abs(read(path)[..., 0].mean() - PLAIN.mean() * 255 * (top > 0)) < 2


def light_of_srgb(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def pq_of(light: np.ndarray) -> np.ndarray:
    """BT.2100's values for light, where 1 is 203 cd/m2: the inverse of SMPTE ST 2084."""
    power = np.clip(light * 203 / 10_000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg_of(light: np.ndarray) -> np.ndarray:
    """BT.2100's values for displayed light, where 1 is 203 of 1,000 cd/m2."""
    shown = light * 203 / 1000
    luminance = shown @ np.array((0.2627, 0.6780, 0.0593))
    scene = shown * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


BT2020_OF_SRGB = np.linalg.inv(
    [(1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)]
)
COLOUR = np.stack([PLAIN, 0.3 + PLAIN[::-1] / 2, PLAIN.T], axis=-1)
SDR = np.rint(COLOUR * 255)


@pytest.mark.parametrize(("transfer", "encode"), [(16, pq_of), (18, hlg_of)])
@pytest.mark.parametrize("ending", ["png", "avif"])
def test_hdr_is_its_sdr_twin_for_every_way_to_read_it(
    tmp_path: Path, transfer: int, encode: object, ending: str
) -> None:
    light = light_of_srgb(COLOUR) @ BT2020_OF_SRGB.T
    coded = encode(light)  # type: ignore[operator]
    path = tmp_path / f"hdr.{ending}"
    if ending == "png":
        png(path, np.rint(coded * 65535).astype(np.uint16), (9, transfer))
    else:
        values = Image.fromarray(np.rint(coded * 255).astype(np.uint8))
        values.save(path, quality=100, subsampling="4:4:4")
        # Pillow names the primaries and the transfer function of sRGB.
        raw, named = path.read_bytes(), b"colrnclx" + struct.pack(">HH", 1, 13)
        assert raw.count(named) == 1
        path.write_bytes(raw.replace(named, b"colrnclx" + struct.pack(">HH", 9, transfer)))
    # Eight bits, which Pillow writes, are coarse in HDR.
    apart = 3 if ending == "png" else 8
    assert np.abs(np.rint(coded * 255) - SDR).mean() > 12
    assert find_fault(path) is None
    assert np.abs(read(path) - SDR).mean() < apart
    view = load_view(ViewRequest(path, (CopyKind(),)))
    assert not isinstance(view, str)
    assert np.abs(view.images[0].mean((0, 1, 2)) - SDR.mean((0, 1))).max() < apart
    for kind in (CopyKind(), CopyKind(aligned=True)):
        copy = tmp_path / f"copy.{ending if not kind.aligned else 'jpg'}"
        assert resize_image(CopyJob(path, copy, kind)) is None
        with Image.open(copy) as opened:
            assert (
                np.abs(np.asarray(opened.convert("RGB")).mean((0, 1)) - SDR.mean((0, 1))).max() < 1 + apart
            )
    direct = load_or_explain(path, REFERENCE_SCALING)
    assert not isinstance(direct, str) and np.abs(direct.mean((0, 1)) - SDR.mean((0, 1))).max() < apart


def test_a_profile_that_says_pq_counts_as_well(tmp_path: Path) -> None:
    coded = np.rint(pq_of(light_of_srgb(COLOUR) @ BT2020_OF_SRGB.T) * 255).astype(np.uint8)
    tag = b"cicp" + bytes(4) + bytes((9, 16, 0, 1))
    profile = bytes(128) + struct.pack(">I", 1) + struct.pack(">4sII", b"cicp", 144, len(tag)) + tag
    name = b"desc" + bytes(4) + "Rec. ITU-R BT.2100 PQ".encode("utf-16-be")
    named = bytes(128) + struct.pack(">I", 1) + struct.pack(">4sII", b"desc", 144, len(name)) + name
    for number, found in enumerate((profile, named)):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(coded).save(path, quality=100, subsampling=0, icc_profile=found)
        assert np.abs(read(path) - SDR).mean() < 4


def test_primaries_without_a_profile_are_converted_where_profiles_are(tmp_path: Path) -> None:
    flat = np.full((64, 64, 3), (60, 200, 60), np.uint8)
    wide, plain = png(tmp_path / "wide.png", flat, (12, 13)), png(tmp_path / "plain.png", flat, (1, 13))
    seen = {path: load_view(ViewRequest(path, (CopyKind(),))) for path in (wide, plain)}
    colours = {path: view.images[0][0].mean((0, 1)) for path, view in seen.items()}  # type: ignore[union-attr]
    assert np.array_equal(colours[plain], (60, 200, 60))
    # The same numbers are a stronger green in Display P3, beyond sRGB's in red.
    assert colours[wide][0] < 30 and colours[wide][1] > 200
    assert resize_image(CopyJob(wide, tmp_path / "copy.png")) is None
    assert np.array_equal(read(tmp_path / "copy.png").mean((0, 1)), (60, 200, 60))
