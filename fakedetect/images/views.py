"""A picture as the models see it, as it is and after degradations, and as people see it on a sheet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from fakedetect.core.settings.model_input import SIZE, Scaling
from fakedetect.images.copies import Kind, format_for_copy, make_copy, open_for_copy
from fakedetect.images.degradations import (
    Degradation,
    degrade,
    degrade_at_random,
    random_for,
    to_shared_size,
)
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import format_of, load_reduced, open_checked, open_image, to_rgb_or_grey

T = TypeVar("T")

THUMBNAIL_SIDE = 320

LEAST_SIDE = 32
"""Pixels of a side: a smaller picture is too small to judge. Models see it enlarged many times, and have
learnt from no such picture; the smallest ones that data sets hold have 32."""


@dataclass(frozen=True)
class Look:
    """What is wanted of a picture: the kinds of its copies, and degradations of it."""

    path: Path
    kinds: tuple[Kind, ...]
    degradations: tuple[Degradation, ...] = ()


@dataclass(frozen=True)
class View:
    """What was seen: `images`, for each kind of copy (1 + D, S, S, 3) uint8, the picture itself and each
    degradation of it. `width` and `height` are the file's own, in pixels."""

    images: tuple[np.ndarray, ...]
    width: int
    height: int
    format: str

    @property
    def too_small(self) -> str:
        """Why no verdict is given on it; '' for a picture that is large enough."""
        if min(self.width, self.height) >= LEAST_SIDE:
            return ""
        return (
            f"too small to judge: {self.width} x {self.height} pixels, at least {LEAST_SIDE} a side needed"
        )


@dataclass(frozen=True)
class Decoded:
    """A picture's pixels, with the size in pixels and the format of its file."""

    image: Image.Image
    width: int
    height: int
    format: str


def look_at(look: Look) -> View | str:
    """Open a picture and make its views; why it cannot be used otherwise.

    Never raises for a file's content.
    """
    try:
        with open_checked(look.path) as opened:
            decoded = decode(opened, look)
    except Exception as error:
        return explain_fault(error, look.path)
    try:
        return make_view(decoded, look)
    except (MemoryError, OSError) as error:
        # A picture that decodes may still be too large to work on; anything else would be a bug here.
        return explain_fault(error, look.path)


def decode(opened: Image.Image, look: Look) -> Decoded:
    """An opened picture's pixels, as fine as the look needs them."""
    width, height = opened.size
    file_format = format_of(opened)
    image = open_for_copy(opened, kind_to_open(look), srgb=True)
    return Decoded(image=image, width=width, height=height, format=file_format)


def kind_to_open(look: Look) -> Kind:
    """How a picture is decoded for all kinds of copies that are wanted of it."""
    largest = max((kind.scaling.size for kind in look.kinds), default=SIZE)
    return Kind(fast=all(kind.fast for kind in look.kinds), scaling=Scaling(largest))


def make_view(decoded: Decoded, look: Look) -> View:
    """The copies of a decoded picture and its degradations."""
    images = _make_copies(decoded, look) if look.kinds else ()
    return View(images=images, width=decoded.width, height=decoded.height, format=decoded.format)


def _make_copies(decoded: Decoded, look: Look) -> tuple[np.ndarray, ...]:
    """(1 + D, S, S, 3) uint8 for each kind of copy."""
    image = decoded.image
    shared = to_shared_size(image) if look.degradations else image
    versions = [image, *(degrade(shared, how) for how in look.degradations)]
    copy_format = format_for_copy(look.path, decoded.format)
    return tuple(
        np.stack([make_copy(version, copy_format, kind) for version in versions]) for kind in look.kinds
    )


@dataclass(frozen=True)
class ProbeLook:
    """A picture and the views of it that are wanted: 0 is the clean one, others are seeds.

    `kind` is that of the copies that the probe sees.
    """

    path: Path
    views: tuple[int, ...]
    seed: int
    kind: Kind


def look_for_probe(job: ProbeLook) -> np.ndarray | str:
    """The views (V, S, S, 3) uint8 of a picture, all through one encoder; why there are none.

    Degraded ones are made of the picture at its own size, at most 1,024 pixels.
    """
    try:
        with open_checked(job.path) as opened:
            image = open_for_copy(opened, job.kind, srgb=True)
    except Exception as error:
        return explain_fault(error, job.path)
    found = []
    for view in job.views:
        version = image
        if view:
            pixels = np.asarray(to_shared_size(image))
            version = Image.fromarray(degrade_at_random(pixels, random_for(job.seed + view, job.path.name)))
        found.append(make_copy(version, "JPEG", job.kind))
    return np.stack(found)


def read_thumbnail(path: Path) -> np.ndarray | str:
    """A picture (H, W, 3) uint8 of at most 320 pixels a side, or why it cannot be used."""
    try:
        with open_image(path) as opened:
            image = to_rgb_or_grey(
                load_reduced(opened, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)), srgb=True
            ).convert("RGB")
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    except Exception as error:
        return explain_fault(error, path)
    return np.asarray(image)


def in_batches(seen: Iterable[T], size: int) -> Iterator[list[T]]:
    """What was seen, together in lists of `size`, as it comes."""
    batch: list[T] = []
    for each in seen:
        batch.append(each)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
