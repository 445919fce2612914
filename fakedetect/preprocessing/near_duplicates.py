"""Near duplicates among many pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fakedetect.dataset.identical import DuplicatePair
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


def find_near(
    prints: Sequence[tuple[int, Fingerprint]], advance: Callable[[int], None] = lambda _: None
) -> list[DuplicatePair]:
    """Groups of numbered pictures that look alike, mirrored or not, as the pairs that hold them together.

    A picture is paired with the first that it looks like, and again only where that joins two groups:
    N look-alikes give N - 1 pairs and not all N (N - 1) / 2, and each that looks like an earlier one is in
    one of them. The nearest come first.

    Args:
        advance: called with the number of pictures that have been compared since the last call.
    """
    if not prints:
        return []
    numbers = [number for number, _ in prints]
    bits = _signs([print_.bits for _, print_ in prints])
    mirrored = _signs([print_.mirrored for _, print_ in prints])
    looks = _Looks(np.stack([print_.thumbnail for _, print_ in prints]))
    groups = np.arange(len(prints))
    pairs = []
    for start in range(0, len(prints), ROWS):
        rows = bits[start : start + ROWS]
        # Equal bits add 1 to the product and unequal ones take 1 away, exactly; BLAS does this several
        # times as fast as counting bits.
        products = rows @ bits[start:].T, rows @ mirrored[start:].T
        for row in range(len(rows)):
            first = start + row
            apart = groups[first + 1 :] != groups[first]
            for second, distance in _find_joins(looks, first, apart, [each[row] for each in products]):
                # One pair joins a whole group: the other pictures of it that are alike need none.
                if groups[second] != groups[first]:
                    groups[groups == groups[second]] = groups[first]
                    pairs.append(
                        DuplicatePair(
                            kind="near", first=numbers[first], second=numbers[second], distance=distance
                        )
                    )
        advance(len(rows))
    return sorted(pairs, key=lambda pair: pair.distance)


class _Looks:
    """Thumbnails (N, 32, 32), compared upright and mirrored."""

    def __init__(self, thumbnails: np.ndarray):
        self.upright = thumbnails.astype(np.int16)
        self.means = thumbnails.mean(axis=(1, 2))

    def are_near(self, first: int, others: np.ndarray, mirrored: bool) -> np.ndarray:
        """Those of the other pictures that lie at most MAX_DIFFERENCE from the first."""
        # Pictures whose means lie apart lie further apart themselves; this saves most comparisons.
        others = others[np.abs(self.means[others] - self.means[first]) <= MAX_DIFFERENCE]
        one = self.upright[first][:, ::-1] if mirrored else self.upright[first]
        near = [
            part[np.abs(self.upright[part] - one).mean(axis=(1, 2)) <= MAX_DIFFERENCE]
            for part in np.array_split(others, len(others) // ROWS + 1)
        ]
        return np.concatenate(near)


def _find_joins(
    looks: _Looks, first: int, apart: np.ndarray, products: Sequence[np.ndarray]
) -> list[tuple[int, int]]:
    """The later pictures of other groups that look like this one, with their distances, the nearest first.

    Args:
        apart: (M,) bool, which of the pictures behind it are in other groups.
        products: those of the signs, upright and mirrored; the last M are of the pictures behind it.
    """
    found: dict[int, int] = {}
    for product, flip in zip(products, (False, True), strict=True):
        behind = product[len(product) - len(apart) :]
        others = np.flatnonzero(apart & (behind >= BITS - 2 * MAX_DISTANCE))
        if len(others):
            for second in looks.are_near(first, others + first + 1, flip).tolist():
                distance = (BITS - int(behind[second - first - 1])) // 2
                found[second] = min(distance, found.get(second, BITS))
    return sorted(found.items(), key=lambda item: item[1])
