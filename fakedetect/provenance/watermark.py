"""Marks in the pixels that anybody can read: they say which program made a picture, never that none did.

The mark 'dwtDct' is that of the package invisible-watermark (ShieldMnt, MIT licence) as Stable Diffusion,
SDXL and the reference code of FLUX set it: of the channel U of YUV the Haar wavelet's approximation is cut
into blocks of 4 x 4, and the largest number in each (its first left out) says one bit by the half of the
step of 36 in which it lies. It survives PNG and JPEG 4:4:4 of a high quality; hardly any other JPEG, and
no resizing. NovelAI writes its parameters into the lowest bit of the alpha channel, column by column.
"""

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fakedetect.provenance.rules import Finding, shorten

if TYPE_CHECKING:
    from PIL import Image

STEP = 36.0
BLOCK = 4
OFFSETS = (128.0, 0.5)
"""What stands for no colour in U: of whole numbers from 0 to 255, and of floating-point ones."""

LEAST_SIDE = 2 * BLOCK
"""Pixels of a block."""

LEAST_PIXELS, MOST_PIXELS = 256 * 256, 2048 * 2048
"""The encoder refuses smaller pictures; larger ones were scaled up, which the mark does not survive."""

LEAST_QUALITY = 85
"""JPEG quality below which nothing of the mark is left."""


@dataclass(frozen=True)
class Payload:
    """The bits that a program repeats over a picture, and how many of them may be misread.

    If the bits of a picture without the mark were chance, they would fit in one of 10^8 pictures: in four
    readings of it, the 32 bits of Stable Diffusion 2 have to be exact (2 * 10^-9 each, since about as many
    are read as 1 as there are), of the 48 two may differ, of the 136 ten (far rarer).
    """

    of: str
    bits: str
    misread: int


def _bits(text: str) -> str:
    return "".join(f"{byte:08b}" for byte in text.encode("ascii"))


PAYLOADS = (
    Payload("Stable Diffusion 1", _bits("StableDiffusionV1"), 10),
    Payload("Stable Diffusion 2", _bits("SDV2"), 0),
    Payload("SDXL", "101100111110110010010000011110111011000110011110", 2),
    Payload("FLUX", "001010101111111010000111100111001111010100101110", 2),
)

STEALTH = {b"stealth_pngcomp": True, b"stealth_pnginfo": False}
"""How a text in the alpha channel begins, and whether it is compressed."""

HEAD = 19
"""Bytes before the text: how it begins, and its length in bits."""

MOST_TEXT = 64 * 1024


def may_hide_marks(image: "Image.Image") -> bool:
    """Whether an opened picture is of a kind in which a mark can have survived; nothing is decoded."""
    width, height = image.size
    if image.mode not in ("RGB", "RGBA") or min(width, height) < LEAST_SIDE:
        return False
    if not LEAST_PIXELS <= width * height <= MOST_PIXELS:
        return False
    if image.format not in ("JPEG", "MPO"):
        return True
    sampling = {(across, down) for _, across, down, _ in getattr(image, "layer", [])}
    table = getattr(image, "quantization", {}).get(0, [])
    # The standard's table adds up to 3,689 at quality 50 and is scaled by 2 - quality / 50 above it.
    limit = 3689 * (2 - LEAST_QUALITY / 50)
    return len(sampling) == 1 and 0 < sum(table) <= limit


def find_hidden(image: "Image.Image") -> list[Finding]:
    """The marks in a picture's own pixels, which were neither scaled nor converted."""
    found = _find_alpha_text(image.getchannel("A")) if image.mode == "RGBA" else None
    whose = find_dwt_dct(np.asarray(image)[..., :3])
    marked = Finding("watermark", f"invisible watermark: {whose} (dwtDct)", "found") if whose else None
    return [finding for finding in (found, marked) if finding]


def _sum_squares(channel: np.ndarray) -> np.ndarray:
    """The Haar wavelet's approximation: half the sum of each 2 x 2 pixels, (H, W) -> (H / 2, W / 2)."""
    rows = channel[0::2] + channel[1::2]
    halves: np.ndarray = (rows[:, 0::2] + rows[:, 1::2]).astype(np.float32) / 2
    return halves


def _largest_in_blocks(approximation: np.ndarray) -> np.ndarray:
    """The largest magnitude in each 4 x 4 block without its first number, (H, W) -> (blocks,)."""
    rows, columns = (length // BLOCK for length in approximation.shape)
    sized = np.abs(approximation[: rows * BLOCK, : columns * BLOCK])
    blocks = sized.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK * BLOCK)
    largest: np.ndarray = blocks[:, 1:].max(axis=1)
    return largest


def find_dwt_dct(pixels: np.ndarray) -> str | None:
    """Whose dwtDct mark is in a picture (H, W, 3) uint8 in RGB; None for nobody's.

    Programs hand their pixels to the encoder in either order and as either kind of number, so there are
    four readings.
    """
    height, width = (length // 4 * 4 for length in pixels.shape[:2])
    channels = pixels[:height, :width].astype(np.uint16)
    red, green, blue = (_sum_squares(channels[..., channel]) for channel in range(3))
    for first, last in ((red, blue), (blue, red)):
        colour = 0.492 * (last - (0.299 * first + 0.587 * green + 0.114 * last))
        for offset in OFFSETS:
            # Each of the four pixels has the offset once, and their sum is halved.
            if found := _match(_largest_in_blocks(colour + 2 * offset) % STEP):
                return found
    return None


def _match(rests: np.ndarray) -> str | None:
    """Whose payload the blocks' numbers repeat, given their rests from whole steps.

    The encoder leaves a quarter of a step for 0 and three for 1, so a block counts the more the nearer it
    is to either. Where colours are even it misses its own mark, and all such blocks say the same: so a bit
    is one where its blocks say so more than those of the other bits.
    """
    votes = np.abs(rests - STEP / 2) / (STEP / 4)
    votes = np.where(votes > 1, 2 - votes, votes) * np.sign(rests - STEP / 2)
    for payload in PAYLOADS:
        length = len(payload.bits)
        sums = np.bincount(np.arange(len(votes)) % length, votes, length)
        bits = "".join("1" if one else "0" for one in sums > sums.mean())
        if sum(read != bit for read, bit in zip(bits, payload.bits, strict=True)) <= payload.misread:
            return payload.of
    return None


def _unpack(alpha: np.ndarray, start: int, count: int) -> bytes:
    """`count` bytes of the lowest bits of pixels (W, H), from their `start`th byte on."""
    bits = alpha.reshape(-1)[8 * start : 8 * (start + count)] & 1
    return np.packbits(bits).tobytes()


def _find_alpha_text(alpha: "Image.Image") -> Finding | None:
    """Parameters in the lowest bits of an alpha channel."""
    columns = np.asarray(alpha).T
    head = _unpack(columns[: -(-HEAD * 8 // alpha.height)], 0, HEAD)
    if head[:15] not in STEALTH:
        return None
    count = min(int.from_bytes(head[15:], "big") // 8, 16 * MOST_TEXT)
    text = _unpack(columns, HEAD, count)
    if STEALTH[head[:15]]:
        try:
            text = zlib.decompressobj(wbits=31).decompress(text, MOST_TEXT)
        except zlib.error:
            return None
    return Finding("generator", f"generator: {_name_program(text)} (text in the alpha channel)", "found")


def _name_program(text: bytes) -> str:
    """The program that a text of parameters names."""
    try:
        parameters = json.loads(text)
    except (ValueError, RecursionError):
        return "Stable Diffusion"
    named = parameters.get("Software") if isinstance(parameters, dict) else None
    return shorten(named) if isinstance(named, str) and named else "Stable Diffusion"
