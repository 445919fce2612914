"""A picture as models see it, clean and degraded, and its thumbnail for a sheet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from fakedetect.core.settings.model_input import SIZE, Scaling
from fakedetect.images.copies import CopyKind, format_for_copy, make_copy, open_for_copy
from fakedetect.images.degradations import (
    Degradation,
    degrade,
    degrade_at_random,
    make_random,
    scale_to_shared_side,
)
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import format_of, load_reduced, open_checked, open_image, to_rgb_or_grey

T = TypeVar("T")

THUMBNAIL_SIDE = 320

LEAST_PICTURE_SIDE = 32
"""Pixels per side below which a picture is too small to judge. Models would see it enlarged many times, and
were not trained on such pictures; the smallest ones in datasets have 32."""


@dataclass(frozen=True)
class ViewRequest:
    """The views to make of a picture: the kinds of copies, and the degradations."""

    path: Path
    kinds: tuple[CopyKind, ...]
    degradations: tuple[Degradation, ...] = ()


@dataclass(frozen=True)
class View:
    """The views of a picture: `images` holds, for each kind of copy, (1 + D, S, W, 3) uint8: the clean
    picture, then its degradations. `width` and `height` are those of the file, in pixels."""

    images: tuple[np.ndarray, ...]
    width: int
    height: int
    format: str

    @property
    def too_small(self) -> str:
        """Why the picture gets no verdict; '' if it is large enough."""
        if min(self.width, self.height) >= LEAST_PICTURE_SIDE:
            return ""
        size = f"{self.width} x {self.height} pixels"
        return f"too small to judge: {size}, at least {LEAST_PICTURE_SIDE} a side needed"


@dataclass(frozen=True)
class DecodedPicture:
    """A picture's pixels, and the size in pixels and the format of its file."""

    image: Image.Image
    width: int
    height: int
    format: str


def load_view(request: ViewRequest) -> View | str:
    """Open a picture and make its views; return why it cannot be used otherwise.

    Never raises for a file's content.
    """
    try:
        with open_checked(request.path) as opened:
            decoded = decode_picture(opened, request)
    except Exception as error:
        return explain_fault(error, request.path)
    try:
        return make_view(decoded, request)
    except (MemoryError, OSError) as error:
        # A picture that decodes may still be too large to process. Any other error is a bug here.
        return explain_fault(error, request.path)


def decode_picture(opened: Image.Image, request: ViewRequest) -> DecodedPicture:
    """Decode an opened picture at the resolution that the request needs."""
    width, height = opened.size
    file_format = format_of(opened)
    image = open_for_copy(opened, decoding_kind(request), srgb=True)
    return DecodedPicture(image=image, width=width, height=height, format=file_format)


def decoding_kind(request: ViewRequest) -> CopyKind:
    """Return the kind with which to decode a picture for all requested kinds of copies."""
    largest = max((kind.scaling.size for kind in request.kinds), default=SIZE)
    return CopyKind(fast=all(kind.fast for kind in request.kinds), scaling=Scaling(largest))


def make_view(decoded: DecodedPicture, request: ViewRequest) -> View:
    """Make the copies of a decoded picture and of its degradations."""
    images = _make_copies(decoded, request) if request.kinds else ()
    return View(images=images, width=decoded.width, height=decoded.height, format=decoded.format)


def _make_copies(decoded: DecodedPicture, request: ViewRequest) -> tuple[np.ndarray, ...]:
    """Return (1 + D, S, W, 3) uint8 for each kind of copy."""
    image = decoded.image
    shared = scale_to_shared_side(image) if request.degradations else image
    versions = [image, *(degrade(shared, how) for how in request.degradations)]
    copy_format = format_for_copy(request.path, decoded.format)
    return tuple(
        np.stack([make_copy(version, copy_format, kind) for version in versions]) for kind in request.kinds
    )


@dataclass(frozen=True)
class ProbeViewRequest:
    """The views of a picture that a probe needs: 0 is the clean view, other numbers are seeds.

    `kind` is the kind of copies that the probe sees.
    """

    path: Path
    views: tuple[int, ...]
    seed: int
    kind: CopyKind


def load_probe_views(request: ProbeViewRequest) -> np.ndarray | str:
    """Load the views (V, S, W, 3) uint8 of a picture, all encoded as JPEG; return why it cannot be used
    otherwise.

    Degradations are applied at the picture's own size, of at most 1,024 pixels a side.
    """
    try:
        with open_checked(request.path) as opened:
            image = open_for_copy(opened, request.kind, srgb=True)
    except Exception as error:
        return explain_fault(error, request.path)
    found = []
    for view in request.views:
        version = image
        if view:
            pixels = np.asarray(scale_to_shared_side(image))
            version = Image.fromarray(
                degrade_at_random(pixels, make_random(request.seed + view, request.path.name))
            )
        found.append(make_copy(version, "JPEG", request.kind))
    return np.stack(found)


def read_thumbnail(path: Path) -> np.ndarray | str:
    """Read a picture as (H, W, 3) uint8 of at most 320 pixels a side; return why it cannot be used
    otherwise."""
    try:
        with open_image(path) as opened:
            image = to_rgb_or_grey(
                load_reduced(opened, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)), srgb=True
            ).convert("RGB")
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    except Exception as error:
        return explain_fault(error, path)
    return np.asarray(image)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of up to `size`, as they arrive."""
    batch: list[T] = []
    for each in items:
        batch.append(each)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
