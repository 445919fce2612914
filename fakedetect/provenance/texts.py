"""Named texts in a file: the properties of an XMP packet, and the text chunks of a PNG.

Sources: XMP part 1; PNG 3.0, sections 11.3.3 (tEXt, zTXt, iTXt) and 11.3.2.5 (eXIf). A PNG's text chunks
may be anywhere, and several programs write them last. Pillow reads those only after decoding the picture.
"""

import codecs
import xml.parsers.expat
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fakedetect.images.containers import MOST_METADATA, TEXT_CHUNKS, read_parts

MOST_TEXT_CHARACTERS = 64 * 1024
"""Characters of a text that are read; the rest is not about the file's origin."""

MOST_XMP_BYTES = 4 * MOST_TEXT_CHARACTERS
"""Bytes of a packet that are read; keywords and editing histories can be long."""

RDF_WRAPPERS = ("li", "Alt", "Seq", "Bag", "value", "Description")
"""RDF elements that wrap a property's value and are not properties themselves."""

XMP_KEY = "XML:com.adobe.xmp"

MOST_TEXT_FIELDS, MOST_CHARACTERS = 1000, 16 * MOST_TEXT_CHARACTERS
"""The number of a file's texts that are read, and their total characters."""


@dataclass(frozen=True)
class Field:
    """A text in a file, and the field's full name: 'PNG Software', 'EXIF Make', 'XMP CreatorTool', …"""

    where: str
    text: str

    @property
    def name(self) -> str:
        """The field's own name in lower case, without the kind of metadata."""
        return self.where.partition(" ")[2].lower()


def decode_value(value: object) -> str:
    """Return a field's value as text of at most MOST_TEXT_CHARACTERS."""
    if isinstance(value, bytes):
        value = value[: 2 * MOST_TEXT_CHARACTERS].decode("utf-8", "replace")
    return str(value)[:MOST_TEXT_CHARACTERS]


def read_xmp(packet: bytes) -> list[Field]:
    """Read the simple properties of an XMP packet, up to the first error.

    A property is an attribute or an element with text. Text that quotes a property does not count.
    """
    found: list[Field] = []
    # For each open element: its property's name, and its text so far.
    open_elements: list[tuple[str, list[str]]] = []
    parser = xml.parsers.expat.ParserCreate()

    def start(element: str, attributes: dict[str, str]) -> None:
        name = element.rpartition(":")[2]
        if name in RDF_WRAPPERS and open_elements:
            name = open_elements[-1][0]
        open_elements.append((name, []))
        for key, value in attributes.items():
            attribute = key.rpartition(":")[2]
            if attribute in ("resource", "value"):
                attribute = name
            found.append(Field(f"XMP {attribute}", decode_value(value)))

    def end(_: str) -> None:
        name, texts = open_elements.pop()
        if text := "".join(texts).strip():
            found.append(Field(f"XMP {name}", text[:MOST_TEXT_CHARACTERS]))

    def text(data: str) -> None:
        if open_elements:
            open_elements[-1][1].append(data)

    def refuse(*_: object) -> None:
        raise ValueError("XMP with a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    # Packets are padded, and this one may be cut or name an unknown encoding (LookupError). Properties read
    # before an error count.
    with suppress(xml.parsers.expat.ExpatError, LookupError, ValueError):
        parser.Parse(packet.strip(b"\0 \r\n\t")[:MOST_XMP_BYTES], True)
    return found


@dataclass(frozen=True)
class PngText:
    """A PNG's texts other than XMP, its XMP packets, and its EXIF (b'' for none)."""

    fields: tuple[Field, ...] = ()
    xmp: tuple[bytes, ...] = ()
    exif: bytes = b""


def read_png_text(path: Path) -> PngText:
    """Read the texts of a PNG in the order of its chunks, up to the limits.

    Raises:
        OSError: the file cannot be read.
    """
    fields: list[Field] = []
    xmp: list[bytes] = []
    exif = b""
    size = characters = 0
    for name, data in read_parts(path):
        size += len(data)
        if size > MOST_METADATA or len(fields) >= MOST_TEXT_FIELDS or characters >= MOST_CHARACTERS:
            break
        if name == b"eXIf":
            exif = exif or data
        elif name in TEXT_CHUNKS and (split := _split_chunk(name, data)):
            key, text = split
            if key == XMP_KEY:
                xmp.append(text)
            else:
                fields.append(Field(f"PNG {key.lower()[:80]}", decode_png_text(text)))
                characters += len(fields[-1].text)
    return PngText(tuple(fields), tuple(xmp), exif)


def decode_png_text(text: bytes) -> str:
    """Decode a text as UTF-8, which programs write even into tEXt, or else as Latin-1, tEXt's encoding."""
    # An incremental decoder, since the last character may be cut.
    try:
        decoded = codecs.getincrementaldecoder("utf-8")().decode(text[: 4 * MOST_TEXT_CHARACTERS])
    except UnicodeDecodeError:
        decoded = text[:MOST_TEXT_CHARACTERS].decode("latin-1")
    return decoded[:MOST_TEXT_CHARACTERS]


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST_XMP_BYTES)
    except zlib.error:
        return b""


def _split_chunk(name: bytes, data: bytes) -> tuple[str, bytes] | None:
    """Split a text chunk into its key and its text, inflated; None if it is malformed."""
    key, _, text = data.partition(b"\0")
    if name == b"zTXt":
        text = _inflate(text[1:])
    elif name == b"iTXt":
        # A language tag and a translated key precede the text.
        parts = text[2:].split(b"\0", 2)
        if len(parts) < 3:
            return None
        text = _inflate(parts[2]) if text[:1] == b"\1" else parts[2]
    return key.decode("latin-1"), text
