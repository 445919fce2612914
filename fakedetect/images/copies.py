"""Small copies of a picture: those that a model sees, with their names, and thumbnails for pages."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fakedetect.core.settings.model_input import REFERENCE_SCALING, Scaling
from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

ALIGNED_QUALITY = 95
MARKER_FILES = (".aligned", ".fast")
"""Empty files in a class folder that name the kind of its copies; plain copies have none."""

BILEVEL_COMPRESSIONS = ("group3", "group4", "tiff_ccitt")
"""Compressions of black-and-white TIFFs, which Pillow cannot use for a grey picture."""

LOSSLESS_FORMATS = ("PNG", "BMP", "DIB", "TIFF")

CARD_THUMBNAIL_SIDE = 240
"""Pixels of a thumbnail's longer side: twice its size on the page on a small screen."""

THUMBNAIL_QUALITY = 72


@dataclass(frozen=True)
class CopyKind:
    """A kind of copies: `aligned` copies are RGB JPEGs of one `quality`; `fast` ones are nearly plain.

    With `centre_square`, the picture's centre square stands to the right of the whole, squeezed picture.
    """

    aligned: bool = False
    fast: bool = False
    quality: int = ALIGNED_QUALITY
    scaling: Scaling = REFERENCE_SCALING
    centre_square: bool = False

    @property
    def width(self) -> int:
        """The copy's width in pixels; its height is that of the scaling."""
        return self.scaling.size * (2 if self.centre_square else 1)

    def scaled(self, scaling: Scaling) -> "CopyKind":
        """Return this kind with another scaling."""
        return replace(self, scaling=scaling)

    @property
    def marker_files(self) -> set[str]:
        """The names of MARKER_FILES that a folder of such copies has."""
        wanted = zip(MARKER_FILES, (self.aligned, self.fast), strict=True)
        return {name for name, is_wanted in wanted if is_wanted}


PLAIN_COPIES = CopyKind()
PROBE_COPIES = CopyKind(aligned=True, quality=75)
"""What a probe sees of every picture. Most generators write PNG and most cameras JPEG, and without one
encoder for all, a linear classifier on features would learn that first."""


def probe_copies(centre_square: bool) -> CopyKind:
    """Return PROBE_COPIES, with the centre square or without it."""
    return replace(PROBE_COPIES, centre_square=centre_square)


def find_marker_files(folder: Path) -> set[str]:
    """Return the names of the MARKER_FILES in a class folder."""
    return {name for name in MARKER_FILES if (folder / name).is_file()}


def find_copy_kind(folder: Path) -> CopyKind:
    """Return the kind of the copies in a class folder, except their scaling (see the folder's name)."""
    aligned, fast = (name in find_marker_files(folder) for name in MARKER_FILES)
    return CopyKind(aligned, fast)


def name_copies(originals: Sequence[Path], aligned: bool) -> dict[Path, Path]:
    """Return the path of each original's copy; all paths are relative to the class folder.

    Plain copies keep the names. Aligned copies end in .jpg; if two would get the same name, they keep their
    whole names before it. Names that differ only in case get a hash, since some file systems ignore case.
    Pass all pictures of a folder, including bad ones, so that names depend only on the folder's content.
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
            # The paths with the longer name have already given way to another one.
            least = min(ways[path] for path in paths)
            ways.update({path: least + 1 for path in paths if ways[path] == least})


def _name_copy(path: Path, way: int, aligned: bool) -> Path:
    if way == 0:
        return path.with_suffix(".jpg") if aligned else path
    # More of the hash each time, in the unlikely case that two start alike.
    hashed = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
    shown = hashed[: 8 * (way - 1 if aligned else way)]
    name, suffix = (path.name, ".jpg") if aligned else (path.stem, path.suffix)
    return path.with_name(f"{name}.{shown}{suffix}" if shown else f"{name}{suffix}")


def format_for_copy(path: Path, file_format: str) -> str:
    """Return the format of a picture's plain copy: by the name's extension, as for the copy on disk, or the
    file's own format if the extension is unknown."""
    from PIL import Image

    suffix = path.suffix.lower()
    # preinit() registers the few formats that most names have, and saves loading the others.
    Image.preinit()
    named = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix, file_format)
    return "JPEG" if named == "MPO" else named


def open_for_copy(opened: "Image.Image", kind: CopyKind, srgb: bool = False) -> "Image.Image":
    """Decode an opened picture for its copy: upright, in mode RGB or L.

    Args:
        srgb: convert colours to sRGB. Aligned copies always are; plain ones keep the file's values.
    """
    if kind.fast:
        # A JPEG can be decoded at a half, a quarter or an eighth of its size.
        size = 2 * kind.scaling.size
        opened = load_reduced(opened, (size, size))
    return to_rgb_or_grey(opened, srgb or kind.aligned)


def scale(image: "Image.Image", scaling: Scaling, reducing_gap: float | None = None) -> "Image.Image":
    """Scale a decoded picture (mode RGB or L) to the model's square size; the aspect ratio is not kept.

    Args:
        reducing_gap: passed to Pillow's resize().
    """
    from PIL import Image

    how = Image.Resampling[scaling.interpolation.upper()]
    return image.resize((scaling.size, scaling.size), how, reducing_gap=reducing_gap)


def shrink(image: "Image.Image", kind: CopyKind) -> "Image.Image":
    """Scale a decoded picture (mode RGB or L) to its copy's size."""
    if kind.aligned:
        image = image.convert("RGB")
    image = scale(image, kind.scaling, 2.0 if kind.fast else None)
    image.info.pop("transparency", None)
    if image.info.get("compression") in BILEVEL_COMPRESSIONS:
        del image.info["compression"]
    return image


def encode(image: "Image.Image", file: BinaryIO, file_format: str, kind: CopyKind) -> None:
    """Write a shrunk picture as a copy of this kind."""
    # Aligned copies carry no metadata or colour profile. 4:4:4 keeps the detail of colours; a low quality
    # loses it anyway.
    subsampling = 0 if kind.quality >= ALIGNED_QUALITY else 2
    aligned = {"quality": kind.quality, "subsampling": subsampling, "exif": b"", "icc_profile": None}
    image.save(file, format=file_format, **(aligned if kind.aligned else {}))


def make_copy(image: "Image.Image", file_format: str, kind: CopyKind) -> "np.ndarray":
    """Return a decoded picture (mode RGB or L) as the model sees its copy: (S, W, 3) uint8.

    W is S, or 2 S with the centre square.

    The copy is encoded and decoded, as one on disk is, because the models learn the traces of encoding too.
    """
    import numpy as np

    copy = _make_square_copy(image, file_format, kind)
    if not kind.centre_square:
        return copy
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    is_square = image.size == (side, side)
    centre = (
        copy
        if is_square
        else _make_square_copy(image.crop((left, top, left + side, top + side)), file_format, kind)
    )
    return np.concatenate([copy, centre], axis=1)


def _make_square_copy(image: "Image.Image", file_format: str, kind: CopyKind) -> "np.ndarray":
    """Return a whole picture as a copy (S, S, 3) uint8."""
    import numpy as np
    from PIL import Image

    small = shrink(image, kind)
    file_format = "JPEG" if kind.aligned else file_format
    if file_format in LOSSLESS_FORMATS:
        return np.asarray(small.convert("RGB"))
    file = io.BytesIO()
    encode(small, file, file_format, kind)
    with Image.open(file, formats=(file_format,)) as copy:
        return np.asarray(copy.convert("RGB"))


def make_thumbnail(image: "Image.Image", side: int = CARD_THUMBNAIL_SIDE) -> bytes:
    """Encode a decoded picture (mode RGB or L) as a WebP file of at most `side` pixels a side."""
    from PIL import Image

    ratio = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * ratio)) for length in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    # Without colour profile and metadata, which would be larger than the thumbnail.
    small.save(file, "WEBP", quality=THUMBNAIL_QUALITY, method=2, exif=b"", icc_profile=b"")
    return file.getvalue()


def load_thumbnail(path: Path, side: int = CARD_THUMBNAIL_SIDE) -> bytes:
    """Make a thumbnail of a picture in a file."""
    with open_image(path) as opened:
        return make_thumbnail(to_rgb_or_grey(load_reduced(opened, (side, side)), srgb=True), side)
