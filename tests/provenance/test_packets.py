"""Metadata is found wherever containers hold it, and is what it claims to be."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture
from fakedetect.images.copies import CopyKind
from fakedetect.provenance.metadata import C2PA_BOX, find_manifest
from fakedetect.provenance.packets import EXTENDED_HEAD, XMP_BOX, XMP_HEAD

NOISE = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SAID = "IPTC source type: trainedAlgorithmicMedia"


def xmp(properties: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"<rdf:Description {properties}/></rdf:RDF></x:xmpmeta>"
    ).encode()


PACKET = xmp(f'xmlns:p="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" p:DigitalSourceType="{TRAINED}"')
OTHER = xmp('xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Make="Canon"')


def encoded(file_format: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(NOISE).save(data, file_format)
    return data.getvalue()


def box(name: bytes, content: bytes, *, to_the_end: bool = False) -> bytes:
    return struct.pack(">I", 0 if to_the_end else 8 + len(content)) + name + content


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def in_jpeg(*segments: tuple[int, bytes]) -> bytes:
    raw = encoded("JPEG")
    parts = (struct.pack(">BBH", 0xFF, mark, len(data) + 2) + data for mark, data in segments)
    return raw[:2] + b"".join(parts) + raw[2:]


def extended(packet: bytes, order: tuple[int, ...] = (1, 0)) -> list[tuple[int, bytes]]:
    """Make an extended packet in two segments, in either order."""
    half, name = len(packet) // 2, b"0123456789ABCDEF0123456789ABCDEF"
    parts = (packet[:half], packet[half:])
    return [
        (0xE1, EXTENDED_HEAD + name + struct.pack(">II", len(packet), half * number) + parts[number])
        for number in order
    ]


def in_gif(packet: bytes) -> bytes:
    raw = encoded("GIF")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return raw[:-1] + b"\x21\xff\x0bXMP DataXMP" + packet + trailer + raw[-1:]


def in_png(*chunks: bytes) -> bytes:
    raw = encoded("PNG")
    place = raw.index(b"IDAT") - 4
    return raw[:place] + b"".join(chunks) + raw[place:]


def profile(kind: str, data: bytes, name: bytes = b"tEXt") -> bytes:
    """A profile as ImageMagick writes it into a PNG."""
    digits = data.hex()
    lines = "\n".join(digits[place : place + 72] for place in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(data):8}\n{lines}\n".encode()
    key = f"Raw profile type {kind}".encode() + b"\0"
    return chunk(name, key + (b"\0" + zlib.compress(text) if name == b"zTXt" else text))


def described(text: bytes, tag: int = 0x010E) -> bytes:
    """EXIF with one text."""
    entry = struct.pack("<HHII", tag, 2, len(text), 26)
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4) + text


def webp(*packets: bytes) -> bytes:
    data = io.BytesIO()
    Image.fromarray(NOISE).save(data, "WEBP", xmp=packets[0])
    raw = data.getvalue()
    for packet in packets[1:]:
        raw += b"XMP " + struct.pack("<I", len(packet)) + packet + bytes(len(packet) % 2)
    return raw[:4] + struct.pack("<I", len(raw) - 8) + raw[8:]


FILES = {
    "application.gif": in_gif(PACKET),
    "second.gif": in_gif(PACKET)[:-1] + in_gif(OTHER)[len(encoded("GIF")) - 1 :],
    "box.jp2": encoded("JPEG2000") + box(b"uuid", XMP_BOX + PACKET),
    "last_box.jp2": encoded("JPEG2000") + box(b"uuid", XMP_BOX + PACKET, to_the_end=True),
    "box.avif": encoded("AVIF") + box(b"uuid", XMP_BOX + PACKET),
    "xmp.png": in_png(profile("xmp", PACKET)),
    "compressed.png": in_png(profile("xmp", PACKET, b"zTXt")),
    "app1.png": in_png(profile("APP1", XMP_HEAD + PACKET)),
    "extended.jpg": in_jpeg((0xE1, XMP_HEAD + OTHER), *extended(PACKET)),
    "in_order.jpg": in_jpeg((0xE1, XMP_HEAD + OTHER), *extended(PACKET, (0, 1))),
    "first_of_two.jpg": in_jpeg((0xE1, XMP_HEAD + PACKET), (0xE1, XMP_HEAD + OTHER)),
    "last_of_two.jpg": in_jpeg((0xE1, XMP_HEAD + OTHER), (0xE1, XMP_HEAD + PACKET)),
    "first_of_two.webp": webp(PACKET, OTHER),
    "last_of_two.webp": webp(OTHER, PACKET),
    "last_of_two.png": in_png(
        *(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) for packet in (OTHER, PACKET))
    ),
}


def seen(path: Path, content: bytes) -> tuple[str, ...]:
    path.write_bytes(content)
    view = inspect_picture(Inspection(path, (CopyKind(),)))
    assert isinstance(view, InspectedPicture), view
    return view.provenance


@pytest.mark.parametrize("name", FILES)
def test_the_source_type_is_found_wherever_the_packet_stands(tmp_path: Path, name: str) -> None:
    assert any(SAID in text for text in seen(tmp_path / name, FILES[name]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("exif.png", in_png(profile("exif", described(b"Midjourney\0", 0x0131)))),
        ("app1.png", in_png(profile("APP1", described(b"Midjourney\0", 0x0131)))),
        ("iptc.png", in_png(profile("iptc", b"8BIM\x04\x04\0\0\0\0\0\x0f\x1c\x02\x50\0\x0aMidjourney"))),
        (
            "box.jp2",
            encoded("JPEG2000") + box(b"uuid", b"JpgTiffExif->JP2" + described(b"Midjourney\0", 0x0131)),
        ),
    ],
)
def test_other_profiles_count_too(tmp_path: Path, name: str, content: bytes) -> None:
    assert any("Midjourney" in text for text in seen(tmp_path / name, content))


def test_a_profile_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for number, text in enumerate((b"", b"\nxmp\n", b"\nxmp\n 5\nzz\n", b"\nexif\n 3\nabc\n")):
        raw = in_png(chunk(b"tEXt", b"Raw profile type xmp\0" + text))
        assert not [said for said in seen(tmp_path / f"{number}.png", raw) if "source type" in said]


def jumbf(kind: bytes) -> bytes:
    """A segment of a JPEG with a box of JUMBF whose description has this type."""
    description = box(b"jumd", kind + bytes.fromhex("00110010800000aa00389b71") + b"\x03name\0")
    return b"JP\0\1\0\0\0\1" + box(b"jumb", description + box(b"json", b"{}"))


def test_a_box_of_another_standard_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    assert seen(path, in_jpeg((0xEB, jumbf(b"json")))) == ()
    assert find_manifest(path) is None
    assert any("C2PA manifest" in said for said in seen(path, in_jpeg((0xEB, jumbf(b"c2pa")))))
    # Beside each other: each by its own number.
    second = jumbf(b"c2pa").replace(b"JP\0\1", b"JP\0\2")
    further = b"JP\0\2\0\0\0\2" + jumbf(b"c2pa")[8:16] + b"more"
    foreign = b"JP\0\1\0\0\0\2" + jumbf(b"json")[8:16] + b"else"
    seen(path, in_jpeg((0xEB, jumbf(b"json")), (0xEB, second), (0xEB, foreign), (0xEB, further)))
    assert find_manifest(path) == second + further


@pytest.mark.parametrize("brand", [b"avif", b"heic"])
def test_a_box_that_reaches_to_the_end_hides_no_manifest(tmp_path: Path, brand: bytes) -> None:
    path, manifest = (
        tmp_path / "a.avif",
        C2PA_BOX + bytes(4) + b"manifest\0" + bytes(8) + jumbf(b"c2pa")[8:],
    )
    start = box(b"ftyp", brand + bytes(4) + b"mif1") + box(b"free", bytes(30))
    path.write_bytes(start + box(b"uuid", manifest, to_the_end=True))
    assert find_manifest(path) == manifest
    # Nothing follows such a box, whatever the bytes in it look like.
    path.write_bytes(start + box(b"mdat", bytes(40) + box(b"uuid", manifest), to_the_end=True))
    assert find_manifest(path) is None
