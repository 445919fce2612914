"""All that a file tells of its origin, put together: what is proven first, then the marks in its metadata.

Marks can be forged, removed or copied. What a field means is data (rules.toml): whose parameters it holds,
what it says outright and whose name it is. China's label 'AIGC' (GB 45438-2025 and the guides of TC260) is
JSON, and read as that.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from fakedetect.provenance.c2pa import CRASHED, MIME, UNREADABLE, find_remote, verify_manifest
from fakedetect.provenance.generators import find_statement, is_generator, names_generator
from fakedetect.provenance.metadata import Metadata, find_manifest
from fakedetect.provenance.rules import (
    Finding,
    find_by_rule,
    find_source_type,
    find_source_types_in,
    find_together,
    read_table,
    shorten,
)
from fakedetect.provenance.texts import Field

AIGC_PLACES = ("aigc", "usercomment", "description", "comment")
"""Ends of the places in which China's label stands, in lower case."""


class _Label(msgspec.Struct):
    label: str | int | None = msgspec.field(name="Label", default=None)
    producer: str | None = msgspec.field(name="ContentProducer", default=None)


class _Labelled(msgspec.Struct):
    aigc: _Label = msgspec.field(name="AIGC")


def _find_label(field: Field) -> Finding | None:
    """China's label, if a field is one."""
    if not (field.where.lower().endswith(AIGC_PLACES) and '"Label"' in field.text):
        return None
    label = _read_label(field.text, bare=field.where.lower().endswith("aigc"))
    meaning = read_table().vocabularies.aigc.get(str(label.label)) if label else None
    if not (label and meaning):
        return None
    producer = f", producer {shorten(label.producer)}" if label.producer else ""
    return Finding("label", f"label: {meaning}{producer} (China's AIGC label in {field.where})")


def _read_label(text: str, bare: bool) -> _Label | None:
    """The label in a text: under its name, or `bare` where the field itself has the name."""
    text = text.strip("\0 \r\n\t")
    try:
        with suppress(msgspec.ValidationError):
            return msgspec.json.decode(text, type=_Labelled).aigc
        return msgspec.json.decode(text, type=_Label) if bare else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _find_program(field: Field) -> Finding | None:
    """The program that wrote the file, or a person who is one, by the file's own word."""
    table, text = read_table(), shorten(field.text)
    camera, program, person = (
        field.name in table.fields[group] for group in ("CAMERA", "PROGRAMS", "PEOPLE")
    )
    if not text:
        return None
    if (
        (camera and names_generator(text, camera=True))
        or (program and (names_generator(text) or re.match(table.programs.generated, text, re.IGNORECASE)))
        or (person and is_generator(text))
    ):
        return Finding("generator", f"software: {text} ({field.where}), a generator")
    if program and re.search(table.programs.edited, text, re.IGNORECASE):
        return Finding("edit", f"edit: {text} (said in {field.where})")
    if field.where == "EXIF Software":
        return Finding("software", f"EXIF software: {text}")
    return Finding("software", f"software: {text}") if field.name == "software" else None


def _find_camera(fields: Sequence[Field]) -> Finding | None:
    names = {field.where: shorten(field.text) for field in fields}
    make, model = names.get("EXIF Make", ""), names.get("EXIF Model", "")
    if not (make or model):
        return None
    return Finding(
        "camera", f"EXIF camera: {model if model.lower().startswith(make.lower()) else f'{make} {model}'}"
    )


def find_marks(metadata: Metadata) -> list[Finding]:
    """What a file's fields say of its origin."""
    found: list[Finding] = []
    spoken_for: set[Field] = set()
    named: set[str] = set()
    for field in metadata.fields:
        if field.where.lower() == "xmp digitalsourcetype" and (finding := find_source_type(field.text)):
            found.append(finding)
        elif finding := _find_label(field) or find_by_rule(field) or find_statement(field):
            spoken_for.add(field)
            # Many generators write the same into several fields.
            if (name := finding.says.partition(" (")[0]) not in named:
                found.append(finding)
            named.add(name)
    found += find_together(metadata.fields)
    left = [field for field in metadata.fields if field not in spoken_for]
    programs = {field: finding for field in left if (finding := _find_program(field))}
    # A generator that signs as a camera's maker, or as its model, is none.
    makers = [field for field in metadata.fields if field.name in read_table().fields["CAMERA"]]
    if all(field in left and field not in programs for field in makers) and (
        camera := _find_camera(makers)
    ):
        found.append(camera)
    found += programs.values()
    if metadata.broken:
        found.append(Finding("fault", "metadata cannot be read"))
    return found


def may_hold_manifest(path: Path) -> bool:
    """Whether a file has a manifest; nothing is decoded, and never waited for."""
    try:
        return path.is_file() and find_manifest(path) is not None
    except (OSError, struct.error):
        return False


def tell_origin(
    metadata: Metadata, path: Path, file_format: str, hidden: Iterable[Finding] = (), verify: bool = True
) -> tuple[Finding, ...]:
    """The findings about a file; () for none, which proves nothing.

    Args:
        file_format: Pillow's name of the format.
        hidden: what was found in the pixels.
        verify: hand the manifest to the verifier; otherwise it has failed on it.
    """
    found = [*_find_manifest(metadata, path, file_format, verify), *hidden, *find_marks(metadata)]
    return tuple(dict.fromkeys(found))


def _find_manifest(metadata: Metadata, path: Path, file_format: str, verify: bool) -> list[Finding]:
    if metadata.manifest is None:
        remote = [
            f.text for f in metadata.fields if f.where == "XMP provenance" and f.text.startswith("http")
        ]
        return [find_remote(remote[0])] if remote else []
    if not verify:
        found = [Finding("manifest", CRASHED)]
    elif file_format in MIME:
        found = verify_manifest(path, file_format)
    else:
        found = [Finding("manifest", UNREADABLE)]
    if len(found) == 1:
        found += find_source_types_in(metadata.manifest)
    return found
