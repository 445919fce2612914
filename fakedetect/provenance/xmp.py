"""The properties in an XMP packet (XMP part 1), as named texts."""

import xml.parsers.expat
from contextlib import suppress

from fakedetect.provenance.field import MOST_TEXT, Field, decode

MOST_XMP = 4 * MOST_TEXT
"""Bytes of a packet that are read: keywords and the history of an editing can be long."""

WRAPPERS = ("li", "Alt", "Seq", "Bag", "value", "Description")
"""Elements of RDF that hold a property's value and have no name of their own."""


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
