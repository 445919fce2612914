"""A file's metadata: its C2PA manifest, and its fields as named texts.

Sources: EXIF 2.32; the IPTC Photo Metadata Standard and IPTC-IIM 4.2; ExifTool's lists for the fields that
Windows adds to EXIF (XPTitle, …) and for Samsung's trailer; C2PA 2.1, section 'Embedding manifests' and its
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
from fakedetect.provenance.texts import MOST_TEXT_CHARACTERS, MOST_XMP_BYTES, Field, decode_value, read_xmp

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

MOST_TRAILER_ENTRIES = 100
"""Entries of a trailer that are read."""


@dataclass(frozen=True)
class Metadata:
    """A file's fields, and the bytes of its C2PA manifest (up to MOST_METADATA), None for none.

    `broken`: a part could not be read.
    """

    fields: tuple[Field, ...]
    manifest: bytes | None = None
    broken: bool = False


def _decode_user_comment(value: object) -> Iterable[str]:
    """Decode a UserComment in each possible way: its first eight bytes name the encoding, but not the byte
    order."""
    if isinstance(value, bytes) and value[:7] == b"UNICODE":
        return [
            value[8 : 2 * MOST_TEXT_CHARACTERS].decode(order, "replace")
            for order in ("utf-16-be", "utf-16-le")
        ]
    if isinstance(value, bytes) and value[:8] in (b"ASCII\0\0\0", bytes(8)):
        return [decode_value(value[8:])]
    return [decode_value(value)]


def _read_exif_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    exif = _read_exif(image, found)
    for tag, name in EXIF_TAGS.items():
        value = exif.get(tag)
        if name.startswith("XP") and isinstance(value, bytes):
            value = value[: 2 * MOST_TEXT_CHARACTERS].decode("utf-16-le", "replace")
        if value:
            yield Field(f"EXIF {name}", decode_value(value).strip("\0 "))
    for text in _decode_user_comment(exif.get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")):
        if text:
            yield Field("EXIF UserComment", text)


def _read_exif(image: "Image.Image", found: Packets) -> "Image.Exif":
    if image.format not in ("PNG", "JPEG2000"):
        return image.getexif()
    from PIL import Image

    # If there is no EXIF before the pixels, Pillow would decode the whole PNG to find it at the end.
    exif = Image.Exif()
    if found.exif:
        exif.load(found.exif[0])
    return exif


def _read_text_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    yield from found.fields
    if image.format == "PNG":
        return
    for key, value in image.info.items():
        if key == "comment" and isinstance(value, bytes | str):
            yield Field(f"{image.format} comment", decode_value(value))
        elif isinstance(key, str) and isinstance(value, str):
            yield Field(f"{image.format} {key.lower()[:80]}", decode_value(value))


def _read_xmp_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    own = image.info.get("xmp", b"")
    # Pillow reads the XMP of TIFF, AVIF and HEIF.
    raw = own if isinstance(own, bytes) else str(own).encode("utf-8", "replace")
    for packet in dict.fromkeys((*found.xmp, raw)):
        yield from read_xmp(packet[:MOST_XMP_BYTES]) if packet else ()


def _read_iim_fields(image: "Image.Image", found: Packets) -> Iterator[Field]:
    from PIL import IptcImagePlugin

    own = image.format in ("JPEG", "MPO", "TIFF")
    known = IptcImagePlugin.getiptcinfo(cast("ImageFile.ImageFile", image)) if own else None
    for number, value in (*(known or {}).items(), *found.iim):
        if number in IIM_FIELDS:
            for each in value if isinstance(value, list) else [value]:
                yield Field(f"IPTC {IIM_FIELDS[number]}", decode_value(each))


def _read_samsung_fields(path: Path) -> Iterator[Field]:
    """Yield the texts in the trailer that Samsung's phones add after a JPEG: a directory at the end of the
    file, preceded by its entries."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_TEXT_CHARACTERS))
        end = file.read()
        if end[-4:] != b"SEFT":
            return
        length = int.from_bytes(end[-8:-4], "little")
        directory = end[-8 - length : -8]
        if directory[:4] != b"SEFH":
            return
        start = size - 8 - length
        for place in range(12, min(len(directory), 12 + 12 * MOST_TRAILER_ENTRIES) - 11, 12):
            back, amount = struct.unpack("<II", directory[place + 4 : place + 12])
            file.seek(max(0, start - back))
            entry = file.read(min(amount, MOST_TEXT_CHARACTERS))
            name_end = 8 + int.from_bytes(entry[4:8], "little")
            if entry[8:name_end] == b"PhotoEditor_Re_Edit_Data":
                yield Field("the phone's trailer", decode_value(entry[name_end:]))


def _is_manifest(name: bytes, data: bytes) -> bool:
    """Whether a part of a file is a C2PA manifest or the start of one."""
    if name == b"uuid":
        return data[:16] == C2PA_BOX
    if name not in (b"caBX", b"C2PA") and not (
        name == JUMBF and data[:2] == b"JP" and b"jumb" in data[:64]
    ):
        return False
    # JUMBF boxes (ISO 19566-5) are used by other standards too; the description box names the type.
    place = data[:64].find(b"jumd")
    return place < 0 or len(data) < place + 8 or data[place + 4 : place + 8] == b"c2pa"


def find_manifest(path: Path) -> bytes | None:
    """Return the bytes of a file's C2PA manifest, at most MOST_METADATA; None for none. Nothing is decoded.

    Raises:
        OSError, struct.error: the file cannot be read, or its structure is broken.
    """
    found: list[bytes] = []
    # In a JPEG, a box may span several segments, which share its number.
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
    """Read the metadata of an opened picture's file. Never raises for the file's content."""
    fields: list[Field] = []
    manifest, packets, broken = None, Packets(), False
    try:
        manifest = find_manifest(path)
        packets = read_packets(path, image.format or "")
    except Exception as error:
        # Broken metadata can raise any type of error in Pillow and struct; the picture is still good.
        if is_bug(error):
            raise
        broken = True
    for read in (_read_text_fields, _read_exif_fields, _read_xmp_fields, _read_iim_fields):
        try:
            fields += read(image, packets)
        except Exception as error:
            if is_bug(error):
                raise
            broken = True
    if image.format in ("JPEG", "MPO"):
        try:
            fields += _read_samsung_fields(path)
        except OSError:
            broken = True
    return Metadata(tuple(fields), manifest, broken)
