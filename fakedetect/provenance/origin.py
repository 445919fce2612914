"""All evidence of a file's origin: what a signature proves first, then the metadata.

Metadata can be forged, removed or copied. The meaning of a field is data (rules.toml): a program's
parameters, a statement, or a name. China's label 'AIGC' (GB 45438-2025 and the guides of TC260) is JSON and
is parsed as such.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from fakedetect.provenance.c2pa import (
    MANIFEST_UNREADABLE,
    MIME_TYPES,
    VERIFIER_CRASHED,
    find_remote_manifest,
    verify_manifest,
)
from fakedetect.provenance.generators import find_statement, is_generator_name, names_generator
from fakedetect.provenance.metadata import Metadata, find_manifest
from fakedetect.provenance.rules import (
    Finding,
    find_by_combination,
    find_by_rule,
    find_source_type,
    find_source_types_in,
    quote,
    read_rules,
)
from fakedetect.provenance.texts import Field

AIGC_FIELDS = ("aigc", "usercomment", "description", "comment")
"""Ends of the names of fields that may hold China's label, in lower case."""


class _Label(msgspec.Struct):
    label: str | int | None = msgspec.field(name="Label", default=None)
    producer: str | None = msgspec.field(name="ContentProducer", default=None)


class _Labelled(msgspec.Struct):
    aigc: _Label = msgspec.field(name="AIGC")


def _find_label(field: Field) -> Finding | None:
    """Return the finding if a field is China's label; None otherwise."""
    if not (field.where.lower().endswith(AIGC_FIELDS) and '"Label"' in field.text):
        return None
    label = _read_label(field.text, bare=field.where.lower().endswith("aigc"))
    meaning = read_rules().vocabularies.aigc.get(str(label.label)) if label else None
    if not (label and meaning):
        return None
    producer = f", producer {quote(label.producer)}" if label.producer else ""
    return Finding("label", f"label: {meaning}{producer} (China's AIGC label in {field.where})")


def _read_label(text: str, bare: bool) -> _Label | None:
    """Parse the label in a text: under the key AIGC, or `bare` if the field itself has that name."""
    text = text.strip("\0 \r\n\t")
    try:
        with suppress(msgspec.ValidationError):
            return msgspec.json.decode(text, type=_Labelled).aigc
        return msgspec.json.decode(text, type=_Label) if bare else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _find_program(field: Field) -> Finding | None:
    """Return the finding on the program that a field names, also as a camera or a person; None for none."""
    table, text = read_rules(), quote(field.text)
    camera, program, person = (
        field.name in table.fields[group] for group in ("CAMERA", "PROGRAMS", "PEOPLE")
    )
    if not text:
        return None
    if (
        (camera and names_generator(text, camera=True))
        or (program and (names_generator(text) or re.match(table.programs.generated, text, re.IGNORECASE)))
        or (person and is_generator_name(text))
    ):
        return Finding("generator", f"software: {text} ({field.where}), a generator")
    if program and re.search(table.programs.edited, text, re.IGNORECASE):
        return Finding("edit", f"edit: {text} (said in {field.where})")
    if field.where == "EXIF Software":
        return Finding("software", f"EXIF software: {text}")
    return Finding("software", f"software: {text}") if field.name == "software" else None


def _find_camera(fields: Sequence[Field]) -> Finding | None:
    names = {field.where: quote(field.text) for field in fields}
    make, model = names.get("EXIF Make", ""), names.get("EXIF Model", "")
    if not (make or model):
        return None
    return Finding(
        "camera", f"EXIF camera: {model if model.lower().startswith(make.lower()) else f'{make} {model}'}"
    )


def find_evidence(metadata: Metadata) -> list[Finding]:
    """Return the evidence of a file's origin in its metadata fields."""
    found: list[Finding] = []
    spoken_for: set[Field] = set()
    named: set[str] = set()
    for field in metadata.fields:
        if field.where.lower() == "xmp digitalsourcetype" and (finding := find_source_type(field.text)):
            found.append(finding)
        elif finding := _find_label(field) or find_by_rule(field) or find_statement(field):
            spoken_for.add(field)
            # Many generators write the same text into several fields.
            if (name := finding.says.partition(" (")[0]) not in named:
                found.append(finding)
            named.add(name)
    found += find_by_combination(metadata.fields)
    left = [field for field in metadata.fields if field not in spoken_for]
    programs = {field: finding for field in left if (finding := _find_program(field))}
    # A generator's name in the fields of a camera is not a camera.
    makers = [field for field in metadata.fields if field.name in read_rules().fields["CAMERA"]]
    if all(field in left and field not in programs for field in makers) and (
        camera := _find_camera(makers)
    ):
        found.append(camera)
    found += programs.values()
    if metadata.broken:
        found.append(Finding("fault", "metadata cannot be read"))
    return found


def has_manifest(path: Path) -> bool:
    """Whether a file has a manifest. Nothing is decoded, and only regular files are opened."""
    try:
        return path.is_file() and find_manifest(path) is not None
    except (OSError, struct.error):
        return False


def find_origin(
    metadata: Metadata,
    path: Path,
    file_format: str,
    watermarks: Iterable[Finding] = (),
    verify: bool = True,
) -> tuple[Finding, ...]:
    """Return all findings about a file's origin; (), which proves nothing, for none.

    Args:
        file_format: Pillow's name of the format.
        watermarks: the findings in the pixels.
        verify: verify the manifest; False if the verifier has crashed on it.
    """
    found = [*_find_manifest(metadata, path, file_format, verify), *watermarks, *find_evidence(metadata)]
    return tuple(dict.fromkeys(found))


def _find_manifest(metadata: Metadata, path: Path, file_format: str, verify: bool) -> list[Finding]:
    if metadata.manifest is None:
        remote = [
            f.text for f in metadata.fields if f.where == "XMP provenance" and f.text.startswith("http")
        ]
        return [find_remote_manifest(remote[0])] if remote else []
    if not verify:
        found = [Finding("manifest", VERIFIER_CRASHED)]
    elif file_format in MIME_TYPES:
        found = verify_manifest(path, file_format)
    else:
        found = [Finding("manifest", MANIFEST_UNREADABLE)]
    if len(found) == 1:
        found += find_source_types_in(metadata.manifest)
    return found
