"""The parts of picture files other than their pixels: segments, chunks, boxes."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

C2PA_TIFF = 0xCD41
C2PA_GIF = b"\x21\xff\x0bC2PA_GIF"
XMP_GIF = b"\x21\xff\x0bXMP DataXMP"
"""Where a TIFF and a GIF hold a C2PA manifest, and a GIF its XMP. No other parts of them are read."""

TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
"""The PNG chunks that hold text."""

MOST_METADATA = 16 * 1024 * 1024
"""Bytes of a file's metadata that are read."""

MOST_CHUNKS = 200_000
"""Chunks or boxes of a file that are visited, including those of its pixels."""


def read_jpeg_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the segments of a JPEG before its pixels: marker (the byte after FF) and content."""
    file.seek(2)
    while file.read(1) == b"\xff":
        # Any number of fill bytes FF may precede a marker (ITU-T T.81, B.1.1.2).
        while (marker := file.read(1)) == b"\xff":
            pass
        if marker in (b"", b"\xda", b"\xd9"):
            return
        if marker == b"\x01" or 0xD0 <= marker[0] <= 0xD7:
            # These markers have no length and no content.
            continue
        length = file.read(2)
        if len(length) < 2:
            return
        yield marker, file.read(max(0, struct.unpack(">H", length)[0] - 2))


def _read_png_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG before and after its pixels: name and content."""
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


def _read_riff_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(12)
    for _ in range(MOST_CHUNKS):
        start = file.read(8)
        if len(start) < 8:
            return
        length = struct.unpack("<I", start[4:])[0]
        if start[:3] == b"VP8" or length > MOST_METADATA:
            file.seek(length + length % 2, 1)
        else:
            yield start[:4], file.read(length)
            file.seek(length % 2, 1)


def _read_iso_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    return _read_top_boxes(file, (b"uuid",))


def _read_top_boxes(file: BinaryIO, wanted: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the top-level boxes of an ISO file that have one of these names: name and content.

    A box of length 0 extends to the end of the file (ISO 14496-12, section 4.2).
    """
    end = file.seek(0, 2)
    file.seek(0)
    for _ in range(MOST_CHUNKS):
        start = file.read(8)
        if len(start) < 8:
            return
        length, name = struct.unpack(">I", start[:4])[0], start[4:]
        if length == 1:
            length = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0] - 8
        elif length == 0:
            length = end - file.tell() + 8
        if length < 8:
            return
        if name in wanted and length <= MOST_METADATA:
            yield name, file.read(length - 8)
        else:
            file.seek(length - 8, 1)


def _read_tiff_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the C2PA manifest in the first directory of a TIFF or BigTIFF."""
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    big = struct.unpack(f"{order}H", file.read(2))[0] == 43
    number, size, count, entry = ("Q", 8, "Q", 20) if big else ("L", 4, "H", 12)
    file.seek(size)
    file.seek(struct.unpack(order + number, file.read(size))[0])
    entries = struct.unpack(order + count, file.read(struct.calcsize(order + count)))[0]
    directory = file.read(min(entries * entry, MOST_METADATA // entry * entry))
    for tag, kind, length, place in struct.iter_unpack(f"{order}HH2{number}", directory):
        # A tag whose type is not bytes holds no manifest.
        if tag == C2PA_TIFF and kind in (1, 7) and length > size:
            file.seek(place)
            yield b"C2PA", file.read(min(length, MOST_METADATA))


def _read_gif_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(0)
    start = file.read(MOST_METADATA)
    if (place := start.find(C2PA_GIF)) >= 0:
        yield b"C2PA", start[place:]
    place = start.find(XMP_GIF)
    while place >= 0:
        place += len(XMP_GIF)
        # By XMP part 3, the packet is not cut into sub-blocks; bytes that cannot be text end it.
        yield b"XMP ", start[place:].partition(b"\1\xff\xfe")[0]
        place = start.find(XMP_GIF, place)


PARTS = (
    (0, b"\xff\xd8", read_jpeg_parts),
    (0, b"\x89PNG", _read_png_parts),
    (8, b"WEBP", _read_riff_parts),
    (4, b"ftyp", _read_iso_parts),
    (4, b"jP  ", _read_iso_parts),
    (0, b"II", _read_tiff_parts),
    (0, b"MM", _read_tiff_parts),
    (0, b"GIF8", _read_gif_parts),
)
"""Readers of a file's parts, by the bytes at an offset."""


def read_parts(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the parts of a picture file other than its pixels: name and content; none for an unknown
    container.

    Raises:
        OSError, struct.error: the file cannot be read, or its structure is broken.
    """
    # A 64-bit length may exceed what a file can have; the parts end there.
    with path.open("rb") as file, suppress(OverflowError, ValueError):
        start = file.read(16)
        for place, signature, read in PARTS:
            if start[place:].startswith(signature):
                yield from read(file)
                return


def _split_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the consecutive boxes in a part of an ISO file: name and content."""
    place = 0
    while place + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        head = 8
        if length == 1 and place + 16 <= len(data):
            length, head = struct.unpack(">Q", data[place + 8 : place + 16])[0], 16
        # A box of length 0 extends to the end.
        length = length or len(data) - place
        if length < head:
            return
        yield name, data[place + head : place + length]
        place += length


def read_nclx(path: Path) -> tuple[int, int] | None:
    """Return the H.273 numbers of the primaries and transfer function of an AVIF's or HEIF's main picture;
    None if the file has none.

    By ISO 23008-12: the properties (ipco) of the primary item (pitm), as listed by ipma.
    """
    with suppress(OSError, struct.error, OverflowError, ValueError, IndexError), path.open("rb") as file:
        meta = next((data for name, data in _read_top_boxes(file, (b"meta",)) if name == b"meta"), b"")
        boxes = dict(_split_boxes(meta[4:]))
        parts = dict(_split_boxes(boxes.get(b"iprp", b"")))
        item = boxes[b"pitm"] if b"pitm" in boxes else bytes(6)
        number = int.from_bytes(item[4:6] if item[0] == 0 else item[4:8], "big")
        properties = list(_split_boxes(parts.get(b"ipco", b"")))
        for place in _list_properties(number, parts.get(b"ipma", b"")):
            name, data = properties[place - 1] if 0 < place <= len(properties) else (b"", b"")
            if name == b"colr" and data[:4] == b"nclx":
                primaries, transfer = struct.unpack(">HH", data[4:8])
                return primaries, transfer
    return None


def _list_properties(item: int, ipma: bytes) -> list[int]:
    """Return the indices, from 1, of an item's properties in the box ipma, which lists all items."""
    version, wide = ipma[0], ipma[3] & 1
    place = 8
    for _ in range(struct.unpack(">I", ipma[4:8])[0]):
        size = 4 if version else 2
        number, count = int.from_bytes(ipma[place : place + size], "big"), ipma[place + size]
        place += size + 1
        entries = ipma[place : place + count * (1 + wide)]
        place += count * (1 + wide)
        if number == item:
            if wide:
                return [value & 0x7FFF for (value,) in struct.iter_unpack(">H", entries)]
            return [value & 0x7F for value in entries]
    return []
