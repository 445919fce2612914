"""Labels that services and phones put into a picture because they have to, or to keep track of it.

By: GB 45438-2025 and the guides of TC260 (China's label 'AIGC': 1 generated, 2 possibly, 3 suspected); the
trailer of Samsung's phones (names and places as ExifTool lists them); and for xAI's Grok the pair that its
pictures have in EXIF, a signature in ImageDescription and a UUID in Artist.
"""

import re
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from fakedetect.provenance.field import Field
from fakedetect.provenance.finding import Finding, shorten
from fakedetect.provenance.metadata import SAMSUNG_EDIT

AIGC = {"1": "AI-generated", "2": "possibly AI-generated", "3": "suspected to be AI-generated"}
"""What the values of the label mean."""

AIGC_PLACES = ("aigc", "usercomment", "description", "comment")
"""Ends of the places in which the label stands, in lower case."""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SIGNATURE = re.compile(r"Signature: ?[A-Za-z0-9+/=_-]{40,}")
GENERATED = re.compile(r'"genAIType"\s{0,9}:\s{0,9}"?([1-9]\d{0,3})\b')


class _Label(msgspec.Struct):
    label: str | int | None = msgspec.field(name="Label", default=None)
    producer: str | None = msgspec.field(name="ContentProducer", default=None)


class _Labelled(msgspec.Struct):
    aigc: _Label = msgspec.field(name="AIGC")


def find_label(field: Field) -> Finding | None:
    """The label that a field is, if it is one."""
    if field.where == SAMSUNG_EDIT:
        return _find_samsung_edit(field.text)
    if field.where.lower().endswith(AIGC_PLACES) and '"Label"' in field.text:
        return _find_aigc(field)
    return None


def _find_aigc(field: Field) -> Finding | None:
    label = _read_aigc(field.text, bare=field.where.lower().endswith("aigc"))
    meaning = AIGC.get(str(label.label)) if label else None
    if not (label and meaning):
        return None
    producer = f", producer {shorten(label.producer)}" if label.producer else ""
    return Finding("label", f"label: {meaning}{producer} (China's AIGC label in {field.where})")


def _read_aigc(text: str, bare: bool) -> _Label | None:
    """The label in a text: under its name, or `bare` where the field itself has the name."""
    text = text.strip("\0 \r\n\t")
    try:
        with suppress(msgspec.ValidationError):
            return msgspec.json.decode(text, type=_Labelled).aigc
        return msgspec.json.decode(text, type=_Label) if bare else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _find_samsung_edit(text: str) -> Finding:
    if generated := GENERATED.search(text):
        return Finding(
            "edit", f"edit: Samsung's Galaxy AI (genAIType {generated[1]} in the phone's trailer)"
        )
    return Finding("edit", "edit: Samsung's photo editor (said in the phone's trailer)")


def find_grok(fields: Sequence[Field]) -> list[Finding]:
    """xAI's Grok, whose pictures have both a signature and a UUID where others have words."""
    texts = {field.where: field.text.strip() for field in fields}
    signature, artist = texts.get("EXIF ImageDescription", ""), texts.get("EXIF Artist", "")
    if not (SIGNATURE.match(signature) and UUID.fullmatch(artist)):
        return []
    return [Finding("generator", "generator: xAI Grok (signature in EXIF ImageDescription)")]
