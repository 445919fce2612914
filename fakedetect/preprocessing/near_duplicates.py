"""Near duplicates among many pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fakedetect.dataset.identical import Pair
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

SIDE = 32
KEPT = 16
BITS = KEPT * KEPT
MAX_DISTANCE = 40
"""Bits of 256 in which near duplicates may differ; unrelated pictures differ in about 128."""

MAX_DIFFERENCE = 10.0
"""Grey levels of 255 that two near duplicates' thumbnails may lie apart on average: the hash knows
the shapes only, and two plain areas of different brightness have none."""

ROWS = 256
"""Hashes compared with all others at a time; bounds the memory."""


@dataclass(frozen=True)
class Fingerprint:
    """A picture's perceptual hash, its mirror image's (each 4 uint64), and a 32 x 32 thumbnail."""

    bits: np.ndarray
    mirrored: np.ndarray
    thumbnail: np.ndarray


def _pack(coefficients: np.ndarray) -> np.ndarray:
    return np.packbits(coefficients > np.median(coefficients)).view(np.uint64)


def fingerprint(path: Path) -> Fingerprint | str:
    """The perceptual hash of a picture, or why it cannot be read.

    The signs of the lowest 16 x 16 DCT coefficients against their median (Zauner 2010,
    'Implementation and benchmarking of perceptual image hash functions', section 3.2.1).
    """
    try:
        with open_image(path) as opened:
            # A JPEG decodes straight to a small size that still oversamples the thumbnail.
            grey = to_rgb_or_grey(load_reduced(opened, (4 * SIDE, 4 * SIDE))).convert("L")
            thumbnail = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    except Exception as error:
        return explain_fault(error, path)
    coefficients = cv2.dct(thumbnail.astype(np.float32))[:KEPT, :KEPT].copy()
    # The mean brightness says nothing of the shapes.
    coefficients[0, 0] = 0
    mirror = np.where(np.arange(KEPT) % 2, -1, 1)
    return Fingerprint(_pack(coefficients), _pack(coefficients * mirror), thumbnail)


def _signs(hashes: Sequence[np.ndarray]) -> np.ndarray:
    """Hashes (4,) uint64 as (N, 256) float32 of -1 and 1."""
    return np.unpackbits(np.stack(hashes).view(np.uint8), axis=1).astype(np.float32) * 2 - 1


def find_near(prints: Sequence[tuple[int, Fingerprint]]) -> list[Pair]:
    """All pairs of numbered pictures that look alike, mirrored or not, the nearest first."""
    if len(prints) < 2:
        return []
    numbers = [number for number, _ in prints]
    bits = _signs([print_.bits for _, print_ in prints])
    mirrored = _signs([print_.mirrored for _, print_ in prints])
    thumbnails = np.stack([print_.thumbnail for _, print_ in prints])
    pairs = []
    for start in range(0, len(prints), ROWS):
        rows = bits[start : start + ROWS]
        for others, flip in ((bits, False), (mirrored, True)):
            # Equal bits add 1 to the product and unequal ones take 1 away, exactly; BLAS does this
            # several times as fast as counting bits.
            products = rows @ others[start:].T
            for row, column in np.argwhere(products >= BITS - 2 * MAX_DISTANCE):
                if column <= row:
                    continue
                first, second = start + int(row), start + int(column)
                view = thumbnails[second][:, ::-1] if flip else thumbnails[second]
                apart = np.abs(thumbnails[first].astype(np.int16) - view).mean()
                if apart <= MAX_DIFFERENCE:
                    distance = (BITS - int(products[row, column])) // 2
                    pairs.append(
                        Pair(kind="near", first=numbers[first], second=numbers[second], distance=distance)
                    )
    nearest: dict[tuple[int, int], Pair] = {}
    for pair in sorted(pairs, key=lambda pair: pair.distance):
        nearest.setdefault((pair.first, pair.second), pair)
    return list(nearest.values())
