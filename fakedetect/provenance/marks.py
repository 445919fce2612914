"""What the marks in a file's metadata say of its origin. All of them can be forged, removed or copied.

What a field means is data: whose parameters it holds (parameters.py), what it says outright (statements.py)
and whose name it is (generators.py).
"""

import re
from collections.abc import Sequence

from fakedetect.provenance.field import Field
from fakedetect.provenance.finding import Finding, shorten
from fakedetect.provenance.generators import is_generator, names_generator
from fakedetect.provenance.labels import find_grok, find_label
from fakedetect.provenance.metadata import Metadata
from fakedetect.provenance.parameters import CAMERA, PROGRAMS, find_parameters, find_together
from fakedetect.provenance.source_types import find_source_type
from fakedetect.provenance.statements import find_statement

PEOPLE = frozenset({"artist", "author", "creator", "byline", "xpauthor", "credit", "source"})

GENERATIVE_EDIT = re.compile(r"\bgenerative (?:fill|expand|remove)\b", re.IGNORECASE)
"""Adobe's tools that put generated parts into a picture."""

AI_GENERATED = re.compile(r"ai[ -]generated\b", re.IGNORECASE)


def _is_generator(field: Field, text: str) -> bool:
    """Whether a program's or a maker's name holds a generator's, or a person's is one."""
    if field.name in CAMERA:
        return names_generator(text, camera=True)
    if field.name in PROGRAMS:
        return names_generator(text) or bool(AI_GENERATED.match(text))
    return field.name in PEOPLE and is_generator(text)


def _find_program(field: Field) -> Finding | None:
    """The program that wrote the file, by its own word."""
    if field.name not in CAMERA | PROGRAMS | PEOPLE:
        return None
    text = shorten(field.text)
    if not text:
        return None
    if _is_generator(field, text):
        return Finding("generator", f"software: {text} ({field.where}), a generator")
    if field.name in PROGRAMS and GENERATIVE_EDIT.search(text):
        return Finding("edit", f"edit: {text} (said in {field.where})")
    if field.where == "EXIF Software":
        return Finding("software", f"EXIF software: {text}")
    return Finding("software", f"software: {text}") if field.name == "software" else None


def _find_camera(fields: Sequence[Field]) -> Finding | None:
    names = {field.where: shorten(field.text) for field in fields if field.name in CAMERA}
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
        elif finding := find_label(field) or find_parameters(field) or find_statement(field):
            spoken_for.add(field)
            # Many generators write the same into several fields.
            if (name := finding.says.partition(" (")[0]) not in named:
                found.append(finding)
            named.add(name)
    found += find_together({field.name: field.text for field in metadata.fields})
    found += find_grok(metadata.fields)
    left = [field for field in metadata.fields if field not in spoken_for]
    programs = {field: finding for field in left if (finding := _find_program(field))}
    # A generator that signs as a camera's maker, or as its model, is none.
    makers = [field for field in metadata.fields if field.name in CAMERA]
    if all(field in left and field not in programs for field in makers) and (
        camera := _find_camera(makers)
    ):
        found.append(camera)
    found += programs.values()
    if metadata.broken:
        found.append(Finding("fault", "metadata cannot be read"))
    return found
