"""What the chunks of a PNG say, before its pixels and behind them, without decoding these.

By: PNG 3.0, sections 11.3.3 (tEXt, zTXt, iTXt) and 11.3.2.5 (eXIf). All of them may stand anywhere, and
several programs put them last; Pillow knows those only when it has decoded the picture.
"""

import codecs
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fakedetect.provenance.containers import MOST_METADATA, png_parts
from fakedetect.provenance.field import MOST_TEXT, Field
from fakedetect.provenance.xmp import MOST_XMP

XMP = "XML:com.adobe.xmp"

MOST_TEXTS, MOST_CHARACTERS = 1000, 16 * MOST_TEXT
"""Texts of a file, and characters of all of them, that are looked at."""


@dataclass(frozen=True)
class PngText:
    """The texts of a PNG but XMP, its XMP packet and its EXIF; b'' for none."""

    fields: tuple[Field, ...] = ()
    xmp: bytes = b""
    exif: bytes = b""


def read_png_text(path: Path) -> PngText:
    """The texts of a PNG in the order of its chunks; what is beyond the limits is left out.

    Raises:
        OSError: the file cannot be read.
    """
    fields: list[Field] = []
    xmp, exif = b"", b""
    size = characters = 0
    with path.open("rb") as file:
        for name, data in png_parts(file):
            size += len(data)
            if size > MOST_METADATA or len(fields) >= MOST_TEXTS or characters >= MOST_CHARACTERS:
                break
            if name == b"eXIf":
                exif = exif or data
            elif name in SPLIT and (split := SPLIT[name](data)):
                key, text = split
                if key == XMP:
                    xmp = xmp or text
                else:
                    fields.append(Field(f"PNG {key.lower()[:80]}", decode_text(text)))
                    characters += len(fields[-1].text)
    return PngText(tuple(fields), xmp, exif)


def decode_text(text: bytes) -> str:
    """A text as UTF-8, which programs write into tEXt too, or as the Latin-1 that belongs there."""
    # The last character may be cut.
    try:
        decoded = codecs.getincrementaldecoder("utf-8")().decode(text[: 4 * MOST_TEXT])
    except UnicodeDecodeError:
        decoded = text[:MOST_TEXT].decode("latin-1")
    return decoded[:MOST_TEXT]


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST_XMP)
    except zlib.error:
        return b""


def _split_text(data: bytes) -> tuple[str, bytes]:
    key, _, text = data.partition(b"\0")
    return key.decode("latin-1"), text


def _split_compressed(data: bytes) -> tuple[str, bytes]:
    key, _, rest = data.partition(b"\0")
    return key.decode("latin-1"), _inflate(rest[1:])


def _split_international(data: bytes) -> tuple[str, bytes] | None:
    key, _, rest = data.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return None
    return key.decode("latin-1"), _inflate(parts[2]) if rest[:1] == b"\1" else parts[2]


SPLIT: dict[bytes, Callable[[bytes], tuple[str, bytes] | None]] = {
    b"tEXt": _split_text,
    b"zTXt": _split_compressed,
    b"iTXt": _split_international,
}
"""How the chunks of text part into key and text."""
