"""Finding near duplicates among many pictures with a perceptual hash."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fakedetect.dataset.identical import DuplicatePair
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

HASH_SIDE = 32
"""Pixels of a side of the thumbnail that is hashed."""

KEPT_COEFFICIENTS = 16
HASH_BITS = KEPT_COEFFICIENTS * KEPT_COEFFICIENTS
MOST_BITS_APART = 40
"""Bits of 256 by which near duplicates may differ; unrelated pictures differ by about 128."""

MOST_GREY_LEVELS_APART = 10.0
"""Mean difference of 255 grey levels between thumbnails of near duplicates. The hash knows only shapes, and
plain areas of different brightness have none."""

HASHES_PER_BLOCK = 256
"""Hashes that are compared with all others at a time; bounds the memory."""


@dataclass(frozen=True)
class Fingerprint:
    """The perceptual hashes (4,) uint64 of a picture and its mirror image, and a 32 x 32 thumbnail."""

    bits: np.ndarray
    mirrored: np.ndarray
    thumbnail: np.ndarray


def _pack_bits(coefficients: np.ndarray) -> np.ndarray:
    return np.packbits(coefficients > np.median(coefficients)).view(np.uint64)


def compute_fingerprint(path: Path) -> Fingerprint | str:
    """Compute a picture's perceptual hash; return the reason as a str if it cannot be read.

    The hash is the signs of the lowest 16 x 16 DCT coefficients against their median (Zauner 2010,
    'Implementation and benchmarking of perceptual image hash functions', section 3.2.1).
    """
    try:
        with open_image(path) as opened:
            # A JPEG is decoded at a small size that still oversamples the thumbnail.
            grey = to_rgb_or_grey(load_reduced(opened, (4 * HASH_SIDE, 4 * HASH_SIDE))).convert("L")
            thumbnail = np.asarray(grey.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.LANCZOS))
    except Exception as error:
        return explain_fault(error, path)
    coefficients = cv2.dct(thumbnail.astype(np.float32))[:KEPT_COEFFICIENTS, :KEPT_COEFFICIENTS].copy()
    # The mean brightness has no information on shapes.
    coefficients[0, 0] = 0
    mirror = np.where(np.arange(KEPT_COEFFICIENTS) % 2, -1, 1)
    return Fingerprint(_pack_bits(coefficients), _pack_bits(coefficients * mirror), thumbnail)


def _unpack_signs(hashes: Sequence[np.ndarray]) -> np.ndarray:
    """Convert N hashes (4,) uint64 to (N, 256) float32 of -1 and 1."""
    return np.unpackbits(np.stack(hashes).view(np.uint8), axis=1).astype(np.float32) * 2 - 1


def find_near_duplicates(
    prints: Sequence[tuple[int, Fingerprint]], advance: Callable[[int], None] = lambda _: None
) -> list[DuplicatePair]:
    """Find pictures that look alike, mirrored or not, as pairs that connect each group; the nearest first.

    A picture is paired with the first one that it resembles, and with another only if that joins two
    groups. So N look-alikes give N - 1 pairs, not all N (N - 1) / 2, and each picture that resembles an
    earlier one is in a pair.

    Args:
        advance: called with the number of pictures that have been compared since the last call.
    """
    if not prints:
        return []
    numbers = [number for number, _ in prints]
    bits = _unpack_signs([print_.bits for _, print_ in prints])
    mirrored = _unpack_signs([print_.mirrored for _, print_ in prints])
    thumbnails = _Thumbnails(np.stack([print_.thumbnail for _, print_ in prints]))
    groups = np.arange(len(prints))
    pairs = []
    for start in range(0, len(prints), HASHES_PER_BLOCK):
        rows = bits[start : start + HASHES_PER_BLOCK]
        # Equal bits add 1 to the product and unequal ones subtract 1, exactly. BLAS is several times faster
        # than counting bits.
        products = rows @ bits[start:].T, rows @ mirrored[start:].T
        for row in range(len(rows)):
            first = start + row
            apart = groups[first + 1 :] != groups[first]
            for second, distance in _find_joins(thumbnails, first, apart, [each[row] for each in products]):
                # One pair joins a whole group, so its other look-alikes need no pair.
                if groups[second] != groups[first]:
                    groups[groups == groups[second]] = groups[first]
                    pairs.append(
                        DuplicatePair(
                            kind="near", first=numbers[first], second=numbers[second], distance=distance
                        )
                    )
        advance(len(rows))
    return sorted(pairs, key=lambda pair: pair.distance)


class _Thumbnails:
    """Compares thumbnails (N, 32, 32), upright and mirrored."""

    def __init__(self, thumbnails: np.ndarray):
        self.upright = thumbnails.astype(np.int16)
        self.means = thumbnails.mean(axis=(1, 2))

    def find_near(self, first: int, others: np.ndarray, mirrored: bool) -> np.ndarray:
        """Return the other pictures that differ by at most MOST_GREY_LEVELS_APART from the first."""
        # The difference of the means is a lower bound, which saves most comparisons.
        others = others[np.abs(self.means[others] - self.means[first]) <= MOST_GREY_LEVELS_APART]
        one = self.upright[first][:, ::-1] if mirrored else self.upright[first]
        near = [
            part[np.abs(self.upright[part] - one).mean(axis=(1, 2)) <= MOST_GREY_LEVELS_APART]
            for part in np.array_split(others, len(others) // HASHES_PER_BLOCK + 1)
        ]
        return np.concatenate(near)


def _find_joins(
    thumbnails: _Thumbnails, first: int, apart: np.ndarray, products: Sequence[np.ndarray]
) -> list[tuple[int, int]]:
    """Return later pictures of other groups that resemble this one, and distances, the nearest first.

    Args:
        apart: (M,) bool, which of the later pictures are in other groups.
        products: of the signs, upright and mirrored; the last M are those of the later pictures.
    """
    found: dict[int, int] = {}
    for product, flip in zip(products, (False, True), strict=True):
        later = product[len(product) - len(apart) :]
        others = np.flatnonzero(apart & (later >= HASH_BITS - 2 * MOST_BITS_APART))
        if len(others):
            for second in thumbnails.find_near(first, others + first + 1, flip).tolist():
                distance = (HASH_BITS - int(later[second - first - 1])) // 2
                found[second] = min(distance, found.get(second, HASH_BITS))
    return sorted(found.items(), key=lambda item: item[1])
