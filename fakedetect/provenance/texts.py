"""Texts in a file, each with the place where it stands: an XMP packet's properties, and a PNG's chunks.

By: XMP part 1; PNG 3.0, sections 11.3.3 (tEXt, zTXt, iTXt) and 11.3.2.5 (eXIf). A PNG's chunks may
stand anywhere, and several programs put them last; Pillow knows those only when it has decoded the picture.
"""

import codecs
import xml.parsers.expat
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fakedetect.images.containers import MOST_METADATA, TEXT_CHUNKS, read_parts

MOST_TEXT = 64 * 1024
"""Characters of a text that are looked at: what follows them says nothing of a file's origin."""

MOST_XMP = 4 * MOST_TEXT
"""Bytes of a packet that are read: keywords and the history of an editing can be long."""

WRAPPERS = ("li", "Alt", "Seq", "Bag", "value", "Description")
"""Elements of RDF that hold a property's value and have no name of their own."""

XMP = "XML:com.adobe.xmp"

MOST_TEXTS, MOST_CHARACTERS = 1000, 16 * MOST_TEXT
"""Texts of a file, and characters of all of them, that are looked at."""


@dataclass(frozen=True)
class Field:
    """A text in a file and where it stands: 'PNG Software', 'EXIF Make', 'XMP CreatorTool', …"""

    where: str
    text: str

    @property
    def name(self) -> str:
        """The field's own name in lower case, without that of the metadata in which it stands."""
        return self.where.partition(" ")[2].lower()


def decode(value: object) -> str:
    """A field's value as text of at most MOST_TEXT characters."""
    if isinstance(value, bytes):
        value = value[: 2 * MOST_TEXT].decode("utf-8", "replace")
    return str(value)[:MOST_TEXT]


def read_xmp(packet: bytes) -> list[Field]:
    """The simple properties in an XMP packet, as far as it can be read.

    A property is an attribute or an element with text; a text that quotes one is none.
    """
    found: list[Field] = []
    # Of each open element its property's name and the text in it so far.
    open_elements: list[tuple[str, list[str]]] = []
    parser = xml.parsers.expat.ParserCreate()

    def start(element: str, attributes: dict[str, str]) -> None:
        name = element.rpartition(":")[2]
        if name in WRAPPERS and open_elements:
            name = open_elements[-1][0]
        open_elements.append((name, []))
        for key, value in attributes.items():
            attribute = key.rpartition(":")[2]
            if attribute in ("resource", "value"):
                attribute = name
            found.append(Field(f"XMP {attribute}", decode(value)))

    def end(_: str) -> None:
        name, texts = open_elements.pop()
        if text := "".join(texts).strip():
            found.append(Field(f"XMP {name}", text[:MOST_TEXT]))

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
        parser.Parse(packet.strip(b"\0 \r\n\t")[:MOST_XMP], True)
    return found


@dataclass(frozen=True)
class PngText:
    """The texts of a PNG but XMP, its XMP packets and its EXIF; b'' for none."""

    fields: tuple[Field, ...] = ()
    xmp: tuple[bytes, ...] = ()
    exif: bytes = b""


def read_png_text(path: Path) -> PngText:
    """The texts of a PNG in the order of its chunks; what is beyond the limits is left out.

    Raises:
        OSError: the file cannot be read.
    """
    fields: list[Field] = []
    xmp: list[bytes] = []
    exif = b""
    size = characters = 0
    for name, data in read_parts(path):
        size += len(data)
        if size > MOST_METADATA or len(fields) >= MOST_TEXTS or characters >= MOST_CHARACTERS:
            break
        if name == b"eXIf":
            exif = exif or data
        elif name in TEXT_CHUNKS and (split := _split(name, data)):
            key, text = split
            if key == XMP:
                xmp.append(text)
            else:
                fields.append(Field(f"PNG {key.lower()[:80]}", decode_text(text)))
                characters += len(fields[-1].text)
    return PngText(tuple(fields), tuple(xmp), exif)


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


def _split(name: bytes, data: bytes) -> tuple[str, bytes] | None:
    """The key and the text of a chunk of text, inflated; None where it has none."""
    key, _, text = data.partition(b"\0")
    if name == b"zTXt":
        text = _inflate(text[1:])
    elif name == b"iTXt":
        # A language and a translated key stand before the text.
        parts = text[2:].split(b"\0", 2)
        if len(parts) < 3:
            return None
        text = _inflate(parts[2]) if text[:1] == b"\1" else parts[2]
    return key.decode("latin-1"), text
