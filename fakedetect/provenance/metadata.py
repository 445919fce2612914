"""What a file's metadata holds, as named texts: the containers' own fields and nothing else.

By: C2PA 2.1, section 'Embedding manifests' and its appendix on formats (JPEG APP11 with JUMBF, PNG caBX,
RIFF C2PA, TIFF tag 0xCD41, GIF application extension, ISO box uuid); EXIF 2.32; XMP part 1; the IPTC
Photo Metadata Standard and IPTC-IIM 4.2; for Samsung's trailer, ExifTool's list of its fields.
"""

import struct
import xml.parsers.expat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from fakedetect.core.errors import is_bug

if TYPE_CHECKING:
    from PIL import Image, ImageFile

EXIF_TAGS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x8298: "Copyright",
    0x9C9C: "XPComment",
}
EXIF_FOLDER, USER_COMMENT = 0x8769, 0x9286
IIM_FIELDS = {(2, 65): "Program", (2, 80): "Byline", (2, 110): "Credit", (2, 115): "Source"}
C2PA_TIFF = 0xCD41
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
C2PA_GIF = b"\x21\xff\x0bC2PA_GIF"
SAMSUNG_EDIT = "Samsung PhotoEditor_Re_Edit_Data"
"""Where it says that a picture was edited on the phone."""

MOST_METADATA = 16 * 1024 * 1024
"""Bytes of a file's metadata that are looked through for a manifest."""

MOST_ENTRIES = 100
"""Entries of a trailer that are looked at."""

MOST_TEXT = 64 * 1024
"""Characters of a text that are looked at: what follows them says nothing of a file's origin."""


@dataclass(frozen=True)
class Field:
    """A text in a file and where it stands: 'PNG Software', 'EXIF Make', 'XMP CreatorTool', …"""

    where: str
    text: str


@dataclass(frozen=True)
class Metadata:
    """A file's fields, and its C2PA manifest's bytes (up to MOST_METADATA), None for none.

    `broken` says that a part could not be read.
    """

    fields: tuple[Field, ...]
    manifest: bytes | None = None
    broken: bool = False


def jpeg_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The segments of a JPEG before its pixels: marker (the byte behind FF) and content."""
    file.seek(2)
    while file.read(1) == b"\xff":
        # Any number of fill bytes FF may stand before a marker (ITU-T T.81, B.1.1.2).
        while (marker := file.read(1)) == b"\xff":
            pass
        if marker in (b"", b"\xda", b"\xd9"):
            return
        if marker == b"\x01" or 0xD0 <= marker[0] <= 0xD7:
            # These stand alone, without a length.
            continue
        length = file.read(2)
        if len(length) < 2:
            return
        yield marker, file.read(max(0, struct.unpack(">H", length)[0] - 2))


def _png_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(8)
    while len(start := file.read(8)) == 8:
        length = struct.unpack(">I", start[:4])[0]
        if start[4:] == b"IDAT" or length > MOST_METADATA:
            file.seek(length, 1)
        else:
            yield start[4:], file.read(length)
        file.seek(4, 1)


def _riff_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(12)
    while len(start := file.read(8)) == 8:
        length = struct.unpack("<I", start[4:])[0]
        if start[:3] == b"VP8" or length > MOST_METADATA:
            file.seek(length + length % 2, 1)
        else:
            yield start[:4], file.read(length)
            file.seek(length % 2, 1)


def _iso_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(0)
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I", start[:4])[0], start[4:]
        if length == 1:
            length = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0] - 8
        if length < 8:
            return
        if name == b"uuid" and length <= MOST_METADATA:
            yield name, file.read(length - 8)
        else:
            file.seek(length - 8, 1)


PARTS = {
    "JPEG": jpeg_parts,
    "MPO": jpeg_parts,
    "PNG": _png_parts,
    "WEBP": _riff_parts,
    "AVIF": _iso_parts,
    "HEIF": _iso_parts,
}


def _is_manifest(name: bytes, data: bytes) -> bool:
    """Whether a part of a file is a C2PA manifest, or belongs to one."""
    if name == b"\xeb":
        return data[:2] == b"JP" and b"jumb" in data[:64]
    return name in (b"caBX", b"C2PA") or (name == b"uuid" and data[:16] == C2PA_BOX)


def _read_manifest(image: "Image.Image", path: Path) -> bytes | None:
    found: list[bytes] = []
    size = 0
    if image.format in PARTS:
        with path.open("rb") as file:
            for name, data in PARTS[image.format](file):
                size += len(data)
                # Segments after the first have no header of their own to know them by.
                if _is_manifest(name, data) or (found and name == b"\xeb"):
                    found.append(data)
                if size > MOST_METADATA:
                    break
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    # Of another type than bytes, the tag holds no manifest.
    if isinstance(manifest := tags.get(C2PA_TIFF), bytes):
        found.append(manifest)
    if image.format == "GIF":
        with path.open("rb") as file:
            start = file.read(MOST_METADATA)
        if (place := start.find(C2PA_GIF)) >= 0:
            found.append(start[place:])
    return b"".join(found)[:MOST_METADATA] if found else None


def decode(value: object) -> str:
    """A field's value as text of at most MOST_TEXT characters."""
    if isinstance(value, bytes):
        value = value[: 2 * MOST_TEXT].decode("utf-8", "replace")
    return str(value)[:MOST_TEXT]


def _user_comment(value: object) -> Iterable[str]:
    """The readings of a UserComment: its first eight bytes name the encoding, but not the byte order."""
    if isinstance(value, bytes) and value[:7] == b"UNICODE":
        return [value[8 : 2 * MOST_TEXT].decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
    if isinstance(value, bytes) and value[:8] in (b"ASCII\0\0\0", bytes(8)):
        return [decode(value[8:])]
    return [decode(value)]


def _exif_fields(image: "Image.Image") -> Iterator[Field]:
    # Without EXIF in the header, Pillow would decode a whole PNG to look for it at its end.
    if "exif" not in image.info and image.format not in ("TIFF", "JPEG", "MPO", "WEBP", "AVIF", "HEIF"):
        return
    exif = image.getexif()
    for tag, name in EXIF_TAGS.items():
        value = exif.get(tag)
        if name.startswith("XP") and isinstance(value, bytes):
            value = value[: 2 * MOST_TEXT].decode("utf-16-le", "replace")
        if value:
            yield Field(f"EXIF {name}", decode(value).strip("\0 "))
    for text in _user_comment(exif.get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")):
        if text:
            yield Field("EXIF UserComment", text)


def _text_fields(image: "Image.Image") -> Iterator[Field]:
    for key, value in image.info.items():
        if key == "comment" and isinstance(value, bytes | str):
            yield Field(f"{image.format} comment", decode(value))
        elif isinstance(key, str) and isinstance(value, str) and not key.startswith("XML:"):
            yield Field(f"{image.format} {key.lower()[:80]}", decode(value))


def _iim_fields(image: "Image.Image") -> Iterator[Field]:
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


def _xmp_fields(image: "Image.Image") -> Iterator[Field]:
    packet = image.info.get("xmp", b"")
    raw = packet if isinstance(packet, bytes) else str(packet).encode("utf-8", "replace")
    yield from read_xmp(raw[:MOST_TEXT]) if raw else ()


def read_xmp(packet: bytes) -> list[Field]:
    """The simple properties in an XMP packet, as far as it can be read.

    A property is an attribute or an element with text; a text that quotes one is none.
    """
    found: list[Field] = []
    # Of each open element its name and the text in it so far.
    open_elements: list[tuple[str, list[str]]] = []
    parser = xml.parsers.expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        open_elements.append((local, []))
        for key, value in attributes.items():
            attribute = key.rpartition(":")[2]
            found.append(Field(f"XMP {local if attribute == 'resource' else attribute}", decode(value)))

    def end(_: str) -> None:
        name, texts = open_elements.pop()
        if text := "".join(texts).strip():
            # The items of a list belong to the property that holds it.
            holders = [name, *(outer for outer, _ in reversed(open_elements))]
            property_name = next(
                (each for each in holders if each not in ("li", "Alt", "Seq", "Bag")), name
            )
            found.append(Field(f"XMP {property_name}", text))

    def text(data: str) -> None:
        if open_elements:
            open_elements[-1][1].append(data)

    def refuse(*_: object) -> None:
        raise ValueError("XMP with a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    # Packets are padded, and this one may be cut or name an encoding that nobody has (a LookupError): what
    # was read before an error counts.
    with suppress(xml.parsers.expat.ExpatError, LookupError, ValueError):
        parser.Parse(packet.strip(b"\0 \r\n\t"), True)
    return found


def read_metadata(image: "Image.Image", path: Path) -> Metadata:
    """The fields of an opened picture's file. Never raises for what the file holds."""
    fields: list[Field] = []
    manifest, broken = None, False
    try:
        manifest = _read_manifest(image, path)
    except Exception as error:
        # Pillow's and struct's errors on broken metadata are of every kind; the picture is still good.
        if is_bug(error):
            raise
        broken = True
    for read in (_text_fields, _exif_fields, _xmp_fields, _iim_fields):
        try:
            fields += read(image)
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
