"""Metadata packets of a file, wherever its container holds them: XMP, EXIF, IPTC.

Sources: XMP part 3 (2020), sections 1.1.2 (GIF), 1.1.3 (JPEG, with the extended packet), 1.1.5 (PNG), 1.2
(boxes of ISO and JPEG 2000); ImageMagick's coders/png.c for the profiles that it writes as text.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakedetect.images.containers import MOST_METADATA, read_parts
from fakedetect.provenance.texts import Field, PngText, read_png_text

APP1 = b"\xe1"
XMP_HEAD, EXTENDED_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
EXIF_HEAD = b"Exif\0\0"
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_BOX = b"JpgTiffExif->JP2"

PROFILE = re.compile(r"raw profile type (xmp|exif|iptc|app1)", re.IGNORECASE)
"""The keys of the PNG texts in which ImageMagick stores profiles that have no chunk of their own."""


@dataclass(frozen=True)
class Packets:
    """Metadata that Pillow does not read: the texts of a PNG, XMP packets, EXIF, and IPTC datasets by
    record and number."""

    fields: tuple[Field, ...] = ()
    xmp: tuple[bytes, ...] = ()
    exif: tuple[bytes, ...] = ()
    iim: tuple[tuple[tuple[int, int], bytes], ...] = ()


def read_packets(path: Path, file_format: str) -> Packets:
    """Read the packets of a file, each once; packets beyond the limits are left out.

    Args:
        file_format: Pillow's name of the format.

    Raises:
        OSError, struct.error: the file cannot be read, or its structure is broken.
    """
    png = read_png_text(path) if file_format == "PNG" else PngText()
    xmp, exif = list(png.xmp), [png.exif] if png.exif else []
    profiles = [
        (found[1].lower(), field) for field in png.fields if (found := PROFILE.fullmatch(field.name))
    ]
    iim: list[tuple[tuple[int, int], bytes]] = []
    for kind, data in [
        *_read_profiles(path),
        *((kind, _decode_profile(field)) for kind, field in profiles),
    ]:
        if kind == "xmp" or data.startswith(XMP_HEAD):
            xmp.append(data.removeprefix(XMP_HEAD))
        elif kind == "exif" or data.startswith(EXIF_HEAD):
            exif.append(data.removeprefix(EXIF_HEAD))
        elif kind == "iptc":
            iim += _read_iim(data)
    named = [field for _, field in profiles]
    fields = tuple(field for field in png.fields if field not in named)
    return Packets(fields=fields, xmp=tuple(dict.fromkeys(xmp)), exif=tuple(exif), iim=tuple(iim))


def _read_profiles(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and content of each packet in a file's segments, chunks or boxes."""
    extended: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    size = 0
    for name, data in read_parts(path):
        size += len(data)
        if size > MOST_METADATA:
            break
        if name == APP1 and data.startswith(EXTENDED_HEAD):
            # After the header: an identifier, the total length, and the offset of this part.
            rest = data[len(EXTENDED_HEAD) :]
            extended[rest[:32]][int.from_bytes(rest[36:40], "big")] = rest[40:]
        elif (name == APP1 and data.startswith(XMP_HEAD)) or name == b"XMP ":
            yield "xmp", data
        elif name == b"uuid" and data.startswith(XMP_BOX):
            yield "xmp", data[16:]
        elif name == b"uuid" and data.startswith(EXIF_BOX):
            yield "exif", data[16:]
    for parts in extended.values():
        yield "xmp", b"".join(parts[place] for place in sorted(parts))


def _decode_profile(field: Field) -> bytes:
    """Decode a profile stored as text: its name, its length, and its bytes in hex."""
    digits = "".join(field.text.split()[2:])
    try:
        # A long text may have been cut in the middle of a byte.
        return bytes.fromhex(digits[: len(digits) // 2 * 2])
    except ValueError:
        return b""


def _read_iim(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the datasets (IPTC-IIM 4.2, section 1.6) in a profile, with or without Photoshop's header."""
    place = data.find(b"\x1c")
    while place >= 0 and data[place : place + 1] == b"\x1c" and place + 5 <= len(data):
        length = int.from_bytes(data[place + 3 : place + 5], "big")
        yield (data[place + 1], data[place + 2]), data[place + 5 : place + 5 + length]
        place += 5 + length
