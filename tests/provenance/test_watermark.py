"""Watermarks in pixels: those embedded by an encoder written here are found, and nothing else."""

import gzip
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture
from fakedetect.images.copies import CopyKind
from fakedetect.provenance.rules import Finding
from fakedetect.provenance.watermark import PAYLOADS, find_dwt_dct

STEP = 36


def scene(seed: int, height: int = 512, width: int = 512) -> np.ndarray:
    """A smooth picture with some noise, (H, W, 3) uint8."""
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 236, (9, 9, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def embed(rgb: np.ndarray, payload: str, reverse: bool, floats: bool) -> np.ndarray:
    """Embed a watermark in the picture as the published encoder does, through OpenCV's YUV.

    Args:
        reverse: hand the channels over as blue, green, red.
        floats: as floating-point numbers instead of whole ones.
    """
    pixels = rgb[..., ::-1] if reverse else rgb
    # The encoder takes what it is given for BGR.
    yuv = cv2.cvtColor(
        np.ascontiguousarray(pixels.astype(np.float32) if floats else pixels), cv2.COLOR_BGR2YUV
    )
    height, width = (length // 4 * 4 for length in rgb.shape[:2])
    colour = yuv[:height, :width, 1].astype(np.float64)
    low = (colour[0::2, 0::2] + colour[1::2, 0::2] + colour[0::2, 1::2] + colour[1::2, 1::2]) / 2
    number = 0
    for top in range(0, low.shape[0] // 4 * 4, 4):
        for left in range(0, low.shape[1] // 4 * 4, 4):
            block = low[top : top + 4, left : left + 4]
            place = np.unravel_index(np.abs(block.flatten()[1:]).argmax() + 1, (4, 4))
            value = abs(block[place])
            bit = int(payload[number % len(payload)])
            wanted = (value // STEP + 0.25 + 0.5 * bit) * STEP
            step = (wanted - value) * (1 if block[place] >= 0 else -1)
            row, column = 2 * (top + place[0]), 2 * (left + place[1])
            colour[row : row + 2, column : column + 2] += step / 2
            number += 1
    yuv[:height, :width, 1] = colour
    marked = cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR)
    marked = np.clip(marked, 0, 255).astype(np.uint8)
    return marked[..., ::-1] if reverse else marked


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.program)
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("floats", [True, False])
def test_a_mark_is_read_in_every_colour_order_and_kind_of_number(
    payload, reverse: bool, floats: bool
) -> None:
    marked = embed(scene(1), payload.bits, reverse, floats)
    assert find_dwt_dct(marked) == payload.program


def origin(path: Path, kind: CopyKind | None = None) -> tuple[Finding, ...]:
    view = inspect_picture(Inspection(path, (kind,) if kind else ()))
    assert isinstance(view, InspectedPicture), view
    return view.origin


SDXL = next(payload for payload in PAYLOADS if payload.program == "SDXL")


def test_the_mark_is_told_of_files_that_kept_it(tmp_path: Path) -> None:
    marked = Image.fromarray(embed(scene(2), SDXL.bits, True, True))
    said = Finding("watermark", "invisible watermark: SDXL (dwtDct)", "found")
    marked.save(tmp_path / "a.png")
    marked.save(tmp_path / "a.webp", lossless=True)
    marked.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    for name in ("a.png", "a.webp", "a.jpg"):
        for kind in (None, CopyKind(), CopyKind(fast=True)):
            assert origin(tmp_path / name, kind) == (said,), (name, kind)


def test_what_the_mark_does_not_survive_says_nothing(tmp_path: Path) -> None:
    marked = Image.fromarray(embed(scene(2), SDXL.bits, True, True))
    marked.save(tmp_path / "a.jpg", quality=75)
    marked.resize((300, 300)).save(tmp_path / "b.png")
    marked.crop((3, 5, 500, 500)).save(tmp_path / "c.png")
    marked.convert("L").save(tmp_path / "d.png")
    for path in tmp_path.iterdir():
        assert origin(path) == ()


@pytest.mark.parametrize("seed", range(6))
def test_pictures_without_a_mark_have_none(seed: int) -> None:
    random = np.random.default_rng(seed)
    plain = scene(seed)
    assert find_dwt_dct(plain) is None
    assert find_dwt_dct(random.integers(0, 256, (320, 336, 3), dtype=np.uint8)) is None
    flat = np.broadcast_to(random.integers(0, 256, (1, 1, 3), dtype=np.uint8), (256, 256, 3))
    assert find_dwt_dct(flat) is None
    stripes = np.where(np.arange(512) // 8 % (seed + 2) == 0, 255, random.integers(255))
    assert (
        find_dwt_dct(np.broadcast_to(stripes[:, None], (512, 512, 1)).repeat(3, 2).astype(np.uint8)) is None
    )
    bits = "".join(random.choice(["0", "1"], 48))
    assert find_dwt_dct(embed(plain, bits, False, False)) is None


def hide(text: bytes, magic: bytes, size: tuple[int, int] = (64, 80)) -> Image.Image:
    """A picture with a text in the lowest bits of its alpha channel, column by column."""
    data = magic + (8 * len(text)).to_bytes(4, "big") + text
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    alpha = np.full(size[0] * size[1], 254, np.uint8)
    alpha[: len(bits)] |= bits
    pixels = np.full((size[1], size[0], 4), 90, np.uint8)
    pixels[..., 3] = alpha.reshape(size).T
    return Image.fromarray(pixels)


def test_a_text_in_the_alpha_channel_is_read(tmp_path: Path) -> None:
    parameters = json.dumps({"Software": "NovelAI", "Comment": "{}"}).encode()
    path = tmp_path / "a.png"
    hide(gzip.compress(parameters), b"stealth_pngcomp", (256, 256)).save(path)
    (found,) = origin(path)
    assert found.says.startswith("generator: NovelAI (") and "alpha channel" in found.says
    assert found.sure == "found"
    hide(b"a cat\nSteps: 20, Sampler: Euler a", b"stealth_pnginfo", (300, 256)).save(path)
    (found,) = origin(path)
    assert found.says.startswith("generator: Stable Diffusion (") and "alpha channel" in found.says


@pytest.mark.parametrize(
    "text", [b"not gzip", gzip.compress(b"0" * 50_000_000)[:-9], gzip.compress(b"[" * 100_000), b""]
)
def test_a_broken_text_in_the_alpha_channel_harms_nothing(tmp_path: Path, text: bytes) -> None:
    file = io.BytesIO()
    hide(text[:8000], b"stealth_pngcomp", (256, 256)).save(file, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(file.getvalue())
    assert len(origin(path)) <= 1


@pytest.mark.parametrize("size", [(1, 70_000), (7, 10_000), (8, 9_000), (70_000, 8), (257, 259)])
def test_odd_shapes_harm_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGBA", size, (1, 2, 3, 4)).save(tmp_path / "a.png")
    assert origin(tmp_path / "a.png") == ()
