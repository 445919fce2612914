"""What a file's metadata holds, as named texts: the containers' own fields and nothing else.

By: EXIF 2.32; the IPTC Photo Metadata Standard and IPTC-IIM 4.2; for the fields that Windows adds to EXIF
(XPTitle, …) and for Samsung's trailer, ExifTool's lists.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fakedetect.core.errors import is_bug
from fakedetect.provenance.containers import read_manifest
from fakedetect.provenance.field import MOST_TEXT, Field, decode
from fakedetect.provenance.png_text import PngText, read_png_text
from fakedetect.provenance.xmp import MOST_XMP, read_xmp

if TYPE_CHECKING:
    from PIL import Image, ImageFile

EXIF_TAGS = {
    0x010D: "DocumentName",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x8298: "Copyright",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9D: "XPAuthor",
    0x9C9F: "XPSubject",
}
EXIF_FOLDER, USER_COMMENT = 0x8769, 0x9286
IIM_FIELDS = {
    (2, 5): "Title",
    (2, 65): "Program",
    (2, 80): "Byline",
    (2, 105): "Headline",
    (2, 110): "Credit",
    (2, 115): "Source",
    (2, 116): "Copyright",
    (2, 120): "Caption",
}
SAMSUNG_EDIT = "Samsung PhotoEditor_Re_Edit_Data"
"""Where it says that a picture was edited on the phone."""

MOST_ENTRIES = 100
"""Entries of a trailer that are looked at."""


@dataclass(frozen=True)
class Metadata:
    """A file's fields, and its C2PA manifest's bytes (up to MOST_METADATA), None for none.

    `broken` says that a part could not be read.
    """

    fields: tuple[Field, ...]
    manifest: bytes | None = None
    broken: bool = False


def _user_comment(value: object) -> Iterable[str]:
    """The readings of a UserComment: its first eight bytes name the encoding, but not the byte order."""
    if isinstance(value, bytes) and value[:7] == b"UNICODE":
        return [value[8 : 2 * MOST_TEXT].decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
    if isinstance(value, bytes) and value[:8] in (b"ASCII\0\0\0", bytes(8)):
        return [decode(value[8:])]
    return [decode(value)]


def _exif_fields(image: "Image.Image", png: PngText) -> Iterator[Field]:
    exif = _read_exif(image, png)
    for tag, name in EXIF_TAGS.items():
        value = exif.get(tag)
        if name.startswith("XP") and isinstance(value, bytes):
            value = value[: 2 * MOST_TEXT].decode("utf-16-le", "replace")
        if value:
            yield Field(f"EXIF {name}", decode(value).strip("\0 "))
    for text in _user_comment(exif.get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")):
        if text:
            yield Field("EXIF UserComment", text)


def _read_exif(image: "Image.Image", png: PngText) -> "Image.Exif":
    if image.format != "PNG":
        return image.getexif()
    from PIL import Image

    # Without EXIF before the pixels, Pillow would decode a whole PNG to look for it at its end.
    exif = Image.Exif()
    if png.exif:
        exif.load(png.exif)
    return exif


def _text_fields(image: "Image.Image", png: PngText) -> Iterator[Field]:
    yield from png.fields
    if image.format == "PNG":
        return
    for key, value in image.info.items():
        if key == "comment" and isinstance(value, bytes | str):
            yield Field(f"{image.format} comment", decode(value))
        elif isinstance(key, str) and isinstance(value, str):
            yield Field(f"{image.format} {key.lower()[:80]}", decode(value))


def _xmp_fields(image: "Image.Image", png: PngText) -> Iterator[Field]:
    packet = png.xmp if image.format == "PNG" else image.info.get("xmp", b"")
    raw = packet if isinstance(packet, bytes) else str(packet).encode("utf-8", "replace")
    yield from read_xmp(raw[:MOST_XMP]) if raw else ()


def _iim_fields(image: "Image.Image", _: PngText) -> Iterator[Field]:
    if image.format not in ("JPEG", "MPO", "TIFF"):
        return
    from PIL import IptcImagePlugin

    found = IptcImagePlugin.getiptcinfo(cast("ImageFile.ImageFile", image))
    for number, value in (found or {}).items():
        if number in IIM_FIELDS:
            for each in value if isinstance(value, list) else [value]:
                yield Field(f"IPTC {IIM_FIELDS[number]}", decode(each))


def _samsung_fields(path: Path) -> Iterator[Field]:
    """The texts in the trailer that Samsung's phones put behind a JPEG: a directory at its very end, whose
    entries lie before it."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_TEXT))
        end = file.read()
        if end[-4:] != b"SEFT":
            return
        length = int.from_bytes(end[-8:-4], "little")
        directory = end[-8 - length : -8]
        if directory[:4] != b"SEFH":
            return
        start = size - 8 - length
        for place in range(12, min(len(directory), 12 + 12 * MOST_ENTRIES) - 11, 12):
            back, amount = struct.unpack("<II", directory[place + 4 : place + 12])
            file.seek(max(0, start - back))
            entry = file.read(min(amount, MOST_TEXT))
            name_end = 8 + int.from_bytes(entry[4:8], "little")
            if entry[8:name_end] == b"PhotoEditor_Re_Edit_Data":
                yield Field(SAMSUNG_EDIT, decode(entry[name_end:]))


def read_metadata(image: "Image.Image", path: Path) -> Metadata:
    """The fields of an opened picture's file. Never raises for what the file holds."""
    fields: list[Field] = []
    manifest, png, broken = None, PngText(), False
    try:
        manifest = read_manifest(image, path)
        png = read_png_text(path) if image.format == "PNG" else png
    except Exception as error:
        # Pillow's and struct's errors on broken metadata are of every kind; the picture is still good.
        if is_bug(error):
            raise
        broken = True
    for read in (_text_fields, _exif_fields, _xmp_fields, _iim_fields):
        try:
            fields += read(image, png)
        except Exception as error:
            if is_bug(error):
                raise
            broken = True
    if image.format in ("JPEG", "MPO"):
        try:
            fields += _samsung_fields(path)
        except OSError:
            broken = True
    return Metadata(tuple(fields), manifest, broken)
