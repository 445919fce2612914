"""The small copy of a picture that a model sees: how it is scaled, encoded and marked."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fakedetect.core.settings.model_input import REFERENCE_SCALING, Scaling
from fakedetect.images.reading import load_reduced, to_rgb_or_grey

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

ALIGNED_QUALITY = 95
MARKS = (".aligned", ".fast")
"""A file of such a name in a class folder says of what kind its copies are; plain ones have none."""

BILEVEL = ("group3", "group4", "tiff_ccitt")
"""Compressions of a TIFF in black and white, with which Pillow cannot write it in grey."""

LOSSLESS = ("PNG", "BMP", "DIB", "TIFF")


@dataclass(frozen=True)
class Kind:
    """How copies are made: `aligned` ones are RGB JPEG of one `quality`, `fast` ones nearly the plain."""

    aligned: bool = False
    fast: bool = False
    quality: int = ALIGNED_QUALITY
    scaling: Scaling = REFERENCE_SCALING

    def scaled(self, scaling: Scaling) -> "Kind":
        """The same kind of copies, scaled in this way."""
        return replace(self, scaling=scaling)

    @property
    def marks(self) -> set[str]:
        """The names of MARKS that say so."""
        return {mark for mark, wanted in zip(MARKS, (self.aligned, self.fast), strict=True) if wanted}


PLAIN_COPIES = Kind()
PROBE_COPIES = Kind(aligned=True, quality=75)
"""What a probe sees of every picture: most generators write PNG and most cameras JPEG, and a line on
features finds that before anything else."""


def present_marks(folder: Path) -> set[str]:
    """The marks of the copies in a class folder."""
    return {mark for mark in MARKS if (folder / mark).is_file()}


def find_kind(folder: Path) -> Kind:
    """The kind of the copies in a class folder, but for their scaling, which the folder's name says."""
    aligned, fast = (mark in present_marks(folder) for mark in MARKS)
    return Kind(aligned, fast)


def name_copies(originals: Sequence[Path], aligned: bool) -> dict[Path, Path]:
    """The name of each original's copy, from the class folder on, as theirs are.

    Plain copies keep the names. Aligned ones end in .jpg; where that makes two the same, they keep their
    whole names before it. Names that differ in case alone, which not every disk keeps apart, get a hash.
    All pictures of a folder have to be given, the bad ones too: so a name depends on what is there alone.
    """
    ways = dict.fromkeys(originals, 0)
    while True:
        names = {path: _name_copy(path, way, aligned) for path, way in ways.items()}
        sharing: dict[str, list[Path]] = {}
        for path, name in names.items():
            sharing.setdefault(str(name).casefold(), []).append(path)
        rivals = [paths for paths in sharing.values() if len(paths) > 1]
        if not rivals:
            return names
        for paths in rivals:
            # Those with the longer name already had to leave another one.
            least = min(ways[path] for path in paths)
            ways.update({path: least + 1 for path in paths if ways[path] == least})


def _name_copy(path: Path, way: int, aligned: bool) -> Path:
    if way == 0:
        return path.with_suffix(".jpg") if aligned else path
    # Ever more of the hash, for the unlikely case that its beginnings are the same.
    hashed = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
    shown = hashed[: 8 * (way - 1 if aligned else way)]
    name, suffix = (path.name, ".jpg") if aligned else (path.stem, path.suffix)
    return path.with_name(f"{name}.{shown}{suffix}" if shown else f"{name}{suffix}")


def format_for_copy(path: Path, file_format: str) -> str:
    """The format of a picture's plain copy: by the name's ending, as the copy on the disk has it; the
    file's own where the ending says nothing."""
    from PIL import Image

    suffix = path.suffix.lower()
    # Most names end as those of the few formats that are known before all are loaded.
    Image.preinit()
    named = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix, file_format)
    return "JPEG" if named == "MPO" else named


def open_for_copy(opened: "Image.Image", kind: Kind, srgb: bool = False) -> "Image.Image":
    """An opened picture decoded for its copy: upright, in mode RGB or L.

    Args:
        srgb: convert colours to sRGB, as aligned copies always do; plain ones keep the file's values.
    """
    if kind.fast:
        # JPEG's own transform halves, quarters or eighths a picture as it is decoded.
        size = 2 * kind.scaling.size
        opened = load_reduced(opened, (size, size))
    return to_rgb_or_grey(opened, srgb or kind.aligned)


def scale(image: "Image.Image", scaling: Scaling, reducing_gap: float | None = None) -> "Image.Image":
    """A decoded picture (mode RGB or L) scaled for a model; the aspect ratio is not kept.

    Args:
        reducing_gap: as Pillow's resize() takes it.
    """
    from PIL import Image

    how = Image.Resampling[scaling.interpolation.upper()]
    return image.resize((scaling.size, scaling.size), how, reducing_gap=reducing_gap)


def shrink(image: "Image.Image", kind: Kind) -> "Image.Image":
    """A decoded picture (mode RGB or L) scaled as its copy is."""
    if kind.aligned:
        image = image.convert("RGB")
    image = scale(image, kind.scaling, 2.0 if kind.fast else None)
    image.info.pop("transparency", None)
    if image.info.get("compression") in BILEVEL:
        del image.info["compression"]
    return image


def encode(image: "Image.Image", file: BinaryIO, file_format: str, kind: Kind) -> None:
    """Write a shrunk picture as the copies of its kind are written."""
    # Metadata and colour profile stay behind with one encoder; 4:4:4 keeps the colours' detail, which is
    # not worth having at a quality that loses it anyway.
    subsampling = 0 if kind.quality >= ALIGNED_QUALITY else 2
    aligned = {"quality": kind.quality, "subsampling": subsampling, "exif": b"", "icc_profile": None}
    image.save(file, format=file_format, **(aligned if kind.aligned else {}))


def make_copy(image: "Image.Image", file_format: str, kind: Kind) -> "np.ndarray":
    """A decoded picture (mode RGB or L) as the model sees its copy: (S, S, 3) uint8.

    Encoded and decoded again, as a copy on the disk is: the models learn its traces too.
    """
    import numpy as np
    from PIL import Image

    small = shrink(image, kind)
    file_format = "JPEG" if kind.aligned else file_format
    if file_format in LOSSLESS:
        return np.asarray(small.convert("RGB"))
    file = io.BytesIO()
    encode(small, file, file_format, kind)
    with Image.open(file, formats=(file_format,)) as copy:
        return np.asarray(copy.convert("RGB"))
