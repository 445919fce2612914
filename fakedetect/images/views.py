"""A picture as the models see it, as it is and after degradations, with what its file says."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from fakedetect.core.files import hash_file
from fakedetect.core.model_input import SIZE, Scaling
from fakedetect.images.copies import Kind, format_for_copy, make_copy, open_for_copy
from fakedetect.images.degradations import Degradation, degrade, to_shared_size
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import format_of, open_checked, open_image
from fakedetect.images.thumbnails import make_thumbnail
from fakedetect.provenance.finding import Finding, in_words
from fakedetect.provenance.metadata import Metadata, read_metadata
from fakedetect.provenance.origin import may_hold_manifest, tell_origin
from fakedetect.provenance.watermark import find_hidden, may_hide_marks

T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """What is wanted of a picture: the kinds of its copies, degradations of it, what its file says, a
    thumbnail for a page.

    `verify`: hand a manifest in the file to the verifier, which may crash or hang.
    """

    path: Path
    kinds: tuple[Kind, ...]
    degradations: tuple[Degradation, ...] = ()
    with_origin: bool = False
    verify: bool = True
    thumbnail: bool = False


@dataclass(frozen=True)
class View:
    """What was seen: `images`, for each kind of copy (1 + D, S, S, 3) uint8, the picture itself and each
    degradation of it.

    `width` and `height` are the file's own, in pixels; `sha256` and `origin` are empty unless the origin
    was wanted, and `thumbnail`, a WebP file, unless that was.
    """

    images: tuple[np.ndarray, ...]
    width: int
    height: int
    format: str
    sha256: str = ""
    origin: tuple[Finding, ...] = ()
    thumbnail: bytes = b""

    @property
    def provenance(self) -> tuple[str, ...]:
        """The origin in words."""
        return in_words(self.origin)


def look_at(look: Look) -> View | str:
    """Open a picture and make its views; why it cannot be used otherwise.

    Never raises for a file's content.
    """
    metadata, own = Metadata(()), None
    try:
        with open_checked(look.path) as opened:
            width, height = opened.size
            file_format = format_of(opened)
            may_hide = look.with_origin and may_hide_marks(opened)
            if look.with_origin:
                metadata = read_metadata(opened, look.path)
            kind = _kind_to_open(look)
            image = open_for_copy(opened, kind, srgb=True)
            if may_hide:
                own = _own_pixels(opened, look.path, kind)
        sha256 = hash_file(look.path) if look.with_origin else ""
    except Exception as error:
        return explain_fault(error, look.path)
    # Beside the decoder, so that a bug in it is a traceback.
    hidden = find_hidden(own) if own else []
    origin = tell_origin(metadata, look.path, file_format, hidden, look.verify) if look.with_origin else ()
    try:
        images = _make_views(look, image, file_format) if look.kinds else ()
        thumbnail = make_thumbnail(image) if look.thumbnail else b""
    except (MemoryError, OSError) as error:
        # A picture that decodes may still be too large to work on; anything else would be a bug here.
        return explain_fault(error, look.path)
    return View(
        images=images,
        width=width,
        height=height,
        format=file_format,
        sha256=sha256,
        origin=origin,
        thumbnail=thumbnail,
    )


def _kind_to_open(look: Look) -> Kind:
    """How a picture is decoded for all kinds of copies that are wanted of it."""
    largest = max((kind.scaling.size for kind in look.kinds), default=SIZE)
    return Kind(fast=all(kind.fast for kind in look.kinds), scaling=Scaling(largest))


def _own_pixels(opened: Image.Image, path: Path, kind: Kind) -> Image.Image:
    """A picture loaded as it is: JPEG decoders may have scaled the one that was opened."""
    if not kind.fast or format_of(opened) != "JPEG":
        return opened
    with open_image(path) as again:
        again.load()
    return again


def look_without_verifier(look: Look) -> Look | None:
    """What to try once more where a look has crashed or hung on a file with a manifest; None for no."""
    if not (look.with_origin and look.verify and may_hold_manifest(look.path)):
        return None
    return replace(look, verify=False)


def _make_views(look: Look, image: Image.Image, file_format: str) -> tuple[np.ndarray, ...]:
    """The views of a decoded picture, (1 + D, S, S, 3) uint8 for each kind of copy."""
    shared = to_shared_size(image) if look.degradations else image
    versions = [image, *(degrade(shared, how) for how in look.degradations)]
    copy_format = format_for_copy(look.path, file_format)
    return tuple(
        np.stack([make_copy(version, copy_format, kind) for version in versions]) for kind in look.kinds
    )


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
