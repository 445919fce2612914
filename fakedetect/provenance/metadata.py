"""What a file's metadata holds: its C2PA manifest, and as named texts the containers' own fields.

By: EXIF 2.32; the IPTC Photo Metadata Standard and IPTC-IIM 4.2; for the fields that Windows adds to EXIF
(XPTitle, …) and for Samsung's trailer, ExifTool's lists; C2PA 2.1, section 'Embedding manifests' and its
appendix on formats (JPEG APP11 with JUMBF, PNG caBX, RIFF C2PA, TIFF tag 0xCD41, GIF application extension,
ISO box uuid).
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fakedetect.core.errors import is_bug
from fakedetect.images.containers import MOST_METADATA, read_parts
from fakedetect.provenance.packets import Packets, read_packets
from fakedetect.provenance.texts import MOST_TEXT, MOST_XMP, Field, decode, read_xmp

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
JUMBF = b"\xeb"
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")

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


def _exif_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    exif = _read_exif(image, found)
    for tag, name in EXIF_TAGS.items():
        value = exif.get(tag)
        if name.startswith("XP") and isinstance(value, bytes):
            value = value[: 2 * MOST_TEXT].decode("utf-16-le", "replace")
        if value:
            yield Field(f"EXIF {name}", decode(value).strip("\0 "))
    for text in _user_comment(exif.get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")):
        if text:
            yield Field("EXIF UserComment", text)


def _read_exif(image: "Image.Image", found: Packets) -> "Image.Exif":
    if image.format not in ("PNG", "JPEG2000"):
        return image.getexif()
    from PIL import Image

    # Without EXIF before the pixels, Pillow would decode a whole PNG to look for it at its end.
    exif = Image.Exif()
    if found.exif:
        exif.load(found.exif[0])
    return exif


def _text_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    yield from found.fields
    if image.format == "PNG":
        return
    for key, value in image.info.items():
        if key == "comment" and isinstance(value, bytes | str):
            yield Field(f"{image.format} comment", decode(value))
        elif isinstance(key, str) and isinstance(value, str):
            yield Field(f"{image.format} {key.lower()[:80]}", decode(value))


def _xmp_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    own = image.info.get("xmp", b"")
    # A TIFF's, an AVIF's and a HEIF's are known to Pillow.
    raw = own if isinstance(own, bytes) else str(own).encode("utf-8", "replace")
    for packet in dict.fromkeys((*found.xmp, raw)):
        yield from read_xmp(packet[:MOST_XMP]) if packet else ()


def _iim_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    from PIL import IptcImagePlugin

    own = image.format in ("JPEG", "MPO", "TIFF")
    known = IptcImagePlugin.getiptcinfo(cast("ImageFile.ImageFile", image)) if own else None
    for number, value in (*(known or {}).items(), *found.iim):
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
                yield Field("the phone's trailer", decode(entry[name_end:]))


def _is_manifest(name: bytes, data: bytes) -> bool:
    """Whether a part of a file is a C2PA manifest, or the beginning of one."""
    if name == b"uuid":
        return data[:16] == C2PA_BOX
    if name not in (b"caBX", b"C2PA") and not (
        name == JUMBF and data[:2] == b"JP" and b"jumb" in data[:64]
    ):
        return False
    # Boxes of JUMBF (ISO 19566-5) hold what other standards have too: the description's type says which.
    place = data[:64].find(b"jumd")
    return place < 0 or len(data) < place + 8 or data[place + 4 : place + 8] == b"c2pa"


def find_manifest(path: Path) -> bytes | None:
    """The bytes of a file's C2PA manifest, at most MOST_METADATA; None for none. Nothing is decoded.

    Raises:
        OSError, struct.error: the file cannot be read, or its parts cannot be followed.
    """
    found: list[bytes] = []
    # A JPEG's box may take several segments, which have its number.
    boxes: set[bytes] = set()
    size = 0
    for name, data in read_parts(path):
        size += len(data)
        further = name == JUMBF and int.from_bytes(data[4:8], "big") > 1
        if (data[2:4] in boxes) if further else _is_manifest(name, data):
            boxes |= {data[2:4]} if name == JUMBF else set()
            found.append(data)
        if size > MOST_METADATA:
            break
    return b"".join(found)[:MOST_METADATA] if found else None


def read_metadata(image: "Image.Image", path: Path) -> Metadata:
    """The fields of an opened picture's file. Never raises for what the file holds."""
    fields: list[Field] = []
    manifest, packets, broken = None, Packets(), False
    try:
        manifest = find_manifest(path)
        packets = read_packets(path, image.format or "")
    except Exception as error:
        # Pillow's and struct's errors on broken metadata are of every kind; the picture is still good.
        if is_bug(error):
            raise
        broken = True
    for read in (_text_fields, _exif_fields, _xmp_fields, _iim_fields):
        try:
            fields += read(image, packets)
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
