"""Public watermarks in the pixels: they show which program made a picture, never that none did.

The watermark 'dwtDct' is that of the package invisible-watermark (ShieldMnt, MIT licence), as Stable
Diffusion, SDXL and the reference code of FLUX embed it. It cuts the Haar wavelet's approximation of the U
channel (YUV) into blocks of 4 x 4. The largest coefficient of each block, the first one excluded, encodes a
bit: the half of the quantisation step of 36 in which it lies. The watermark survives PNG and high-quality
JPEG 4:4:4, hardly any other JPEG, and no resizing. NovelAI writes its parameters into the lowest bit of the
alpha channel, column by column.
"""

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fakedetect.provenance.rules import Finding, quote

if TYPE_CHECKING:
    from PIL import Image

DWT_STEP = 36.0
DWT_BLOCK = 4
CHROMA_OFFSETS = (128.0, 0.5)
"""The value of U for no colour: 128 in 8-bit images, 0.5 in floating-point ones."""

LEAST_WATERMARKED_SIDE = 2 * DWT_BLOCK
"""Pixels per side of a block."""

LEAST_WATERMARKED_PIXELS, MOST_WATERMARKED_PIXELS = 256 * 256, 2048 * 2048
"""The encoder refuses smaller pictures; larger ones were scaled up, which no watermark survives."""

LEAST_JPEG_QUALITY = 85
"""JPEG quality below which nothing of the watermark is left."""


@dataclass(frozen=True)
class Payload:
    """The bits that a program repeats over a picture, and how many of them may be misread.

    If the bits of a picture without a watermark were random, one in 10^8 pictures would match in one of its
    four readings. For this, the 32 bits of Stable Diffusion 2 must be exact (2 * 10^-9 each, since about as
    many bits are read as 1 as the payload has). Of 48 bits two may differ, and of 136 bits ten (far rarer).
    """

    program: str
    bits: str
    misread: int


def _to_bits(text: str) -> str:
    return "".join(f"{byte:08b}" for byte in text.encode("ascii"))


PAYLOADS = (
    Payload("Stable Diffusion 1", _to_bits("StableDiffusionV1"), 10),
    Payload("Stable Diffusion 2", _to_bits("SDV2"), 0),
    Payload("SDXL", "101100111110110010010000011110111011000110011110", 2),
    Payload("FLUX", "001010101111111010000111100111001111010100101110", 2),
)

STEALTH_HEADERS = {b"stealth_pngcomp": True, b"stealth_pnginfo": False}
"""The headers of a text in the alpha channel, and whether the text is compressed."""

STEALTH_HEADER_BYTES = 19
"""Bytes before the text: the header, and the text's length in bits."""

MOST_HIDDEN_TEXT_BYTES = 64 * 1024


def may_hold_watermark(image: "Image.Image") -> bool:
    """Whether a watermark can have survived in an opened picture, by its header; nothing is decoded."""
    width, height = image.size
    if image.mode not in ("RGB", "RGBA") or min(width, height) < LEAST_WATERMARKED_SIDE:
        return False
    if not LEAST_WATERMARKED_PIXELS <= width * height <= MOST_WATERMARKED_PIXELS:
        return False
    if image.format not in ("JPEG", "MPO"):
        return True
    sampling = {(across, down) for _, across, down, _ in getattr(image, "layer", [])}
    table = getattr(image, "quantization", {}).get(0, [])
    # The standard's table sums to 3,689 at quality 50, and is scaled by 2 - quality / 50 above that.
    limit = 3689 * (2 - LEAST_JPEG_QUALITY / 50)
    return len(sampling) == 1 and 0 < sum(table) <= limit


def find_watermarks(image: "Image.Image") -> list[Finding]:
    """Return the findings of watermarks in a picture's original pixels, neither scaled nor converted."""
    found = _find_alpha_text(image.getchannel("A")) if image.mode == "RGBA" else None
    whose = find_dwt_dct(np.asarray(image)[..., :3])
    marked = Finding("watermark", f"invisible watermark: {whose} (dwtDct)", "found") if whose else None
    return [finding for finding in (found, marked) if finding]


def _sum_squares(channel: np.ndarray) -> np.ndarray:
    """Compute the Haar wavelet's approximation, half the sum of each 2 x 2 pixels: (H, W) -> (H/2, W/2)."""
    rows = channel[0::2] + channel[1::2]
    halves: np.ndarray = (rows[:, 0::2] + rows[:, 1::2]).astype(np.float32) / 2
    return halves


def _largest_in_blocks(approximation: np.ndarray) -> np.ndarray:
    """Return the largest magnitude in each 4 x 4 block, except its first value: (H, W) -> (blocks,)."""
    rows, columns = (length // DWT_BLOCK for length in approximation.shape)
    sized = np.abs(approximation[: rows * DWT_BLOCK, : columns * DWT_BLOCK])
    blocks = (
        sized.reshape(rows, DWT_BLOCK, columns, DWT_BLOCK).swapaxes(1, 2).reshape(-1, DWT_BLOCK * DWT_BLOCK)
    )
    largest: np.ndarray = blocks[:, 1:].max(axis=1)
    return largest


def find_dwt_dct(pixels: np.ndarray) -> str | None:
    """Return the program whose dwtDct watermark is in an RGB picture (H, W, 3) uint8; None for none.

    Programs pass their pixels to the encoder as RGB or BGR, and as integers or floats, so there are four
    readings.
    """
    height, width = (length // 4 * 4 for length in pixels.shape[:2])
    channels = pixels[:height, :width].astype(np.uint16)
    red, green, blue = (_sum_squares(channels[..., channel]) for channel in range(3))
    for first, last in ((red, blue), (blue, red)):
        colour = 0.492 * (last - (0.299 * first + 0.587 * green + 0.114 * last))
        for offset in CHROMA_OFFSETS:
            # The offset is in each of the four pixels, whose sum is halved.
            if found := _find_payload(_largest_in_blocks(colour + 2 * offset) % DWT_STEP):
                return found
    return None


def _find_payload(rests: np.ndarray) -> str | None:
    """Return the program whose payload the blocks repeat, from the coefficients modulo the step.

    The encoder moves a coefficient to a quarter of a step for 0 and to three quarters for 1, so a block
    has more weight the closer it is to either. In areas of even colour the encoder misses its target, and
    all such blocks vote alike. A bit is therefore 1 if its blocks vote for 1 more than the average bit's.
    """
    votes = np.abs(rests - DWT_STEP / 2) / (DWT_STEP / 4)
    votes = np.where(votes > 1, 2 - votes, votes) * np.sign(rests - DWT_STEP / 2)
    for payload in PAYLOADS:
        length = len(payload.bits)
        sums = np.bincount(np.arange(len(votes)) % length, votes, length)
        bits = "".join("1" if one else "0" for one in sums > sums.mean())
        if sum(read != bit for read, bit in zip(bits, payload.bits, strict=True)) <= payload.misread:
            return payload.program
    return None


def _read_low_bits(alpha: np.ndarray, start: int, count: int) -> bytes:
    """Read `count` bytes from the lowest bits of pixels (W, H), starting at byte `start`."""
    bits = alpha.reshape(-1)[8 * start : 8 * (start + count)] & 1
    return np.packbits(bits).tobytes()


def _find_alpha_text(alpha: "Image.Image") -> Finding | None:
    """Return the finding of parameters in the lowest bits of an alpha channel; None for none."""
    columns = np.asarray(alpha).T
    head = _read_low_bits(columns[: -(-STEALTH_HEADER_BYTES * 8 // alpha.height)], 0, STEALTH_HEADER_BYTES)
    if head[:15] not in STEALTH_HEADERS:
        return None
    count = min(int.from_bytes(head[15:], "big") // 8, 16 * MOST_HIDDEN_TEXT_BYTES)
    text = _read_low_bits(columns, STEALTH_HEADER_BYTES, count)
    if STEALTH_HEADERS[head[:15]]:
        try:
            text = zlib.decompressobj(wbits=31).decompress(text, MOST_HIDDEN_TEXT_BYTES)
        except zlib.error:
            return None
    return Finding("generator", f"generator: {_name_program(text)} (text in the alpha channel)", "found")


def _name_program(text: bytes) -> str:
    """Return the program that a text of parameters names."""
    try:
        parameters = json.loads(text)
    except (ValueError, RecursionError):
        return "Stable Diffusion"
    named = parameters.get("Software") if isinstance(parameters, dict) else None
    return quote(named) if isinstance(named, str) and named else "Stable Diffusion"
