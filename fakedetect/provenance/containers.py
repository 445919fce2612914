"""Files of the containers' own parts, and the C2PA manifest among them.

By: C2PA 2.1, section 'Embedding manifests' and its appendix on formats (JPEG APP11 with JUMBF, PNG caBX,
RIFF C2PA, TIFF tag 0xCD41, GIF application extension, ISO box uuid).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

C2PA_TIFF = 0xCD41
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
C2PA_GIF = b"\x21\xff\x0bC2PA_GIF"

MOST_METADATA = 16 * 1024 * 1024
"""Bytes of a file's metadata that are looked through."""

MOST_CHUNKS = 200_000
"""Chunks of a PNG that are walked over, those of its pixels included."""


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


def png_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG but those of its pixels, before and behind them: name and content."""
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        start = file.read(8)
        if len(start) < 8 or start[4:] == b"IEND":
            return
        length = struct.unpack(">I", start[:4])[0]
        if start[4:] in (b"IDAT", b"fdAT") or length > MOST_METADATA:
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
    "PNG": png_parts,
    "WEBP": _riff_parts,
    "AVIF": _iso_parts,
    "HEIF": _iso_parts,
}


def _is_manifest(name: bytes, data: bytes) -> bool:
    """Whether a part of a file is a C2PA manifest, or belongs to one."""
    if name == b"\xeb":
        return data[:2] == b"JP" and b"jumb" in data[:64]
    return name in (b"caBX", b"C2PA") or (name == b"uuid" and data[:16] == C2PA_BOX)


def read_manifest(image: "Image.Image", path: Path) -> bytes | None:
    """The bytes of a file's C2PA manifest, at most MOST_METADATA; None for none.

    Args:
        image: the picture of the file, opened.

    Raises:
        OSError, struct.error, ValueError: the file cannot be read, or its parts cannot be followed.
    """
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
