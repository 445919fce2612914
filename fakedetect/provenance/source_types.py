"""IPTC's vocabulary 'Digital Source Type': what it is that a file says it is."""

import re

from fakedetect.provenance.finding import Certainty, Finding

SOURCE_TYPES = {
    name.lower(): name
    for name in (
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "compositeSynthetic",
        "algorithmicMedia",
        "algorithmicallyEnhanced",
        "compositeCapture",
        "composite",
        "dataDrivenMedia",
        "digitalArt",
        "digitalCapture",
        "computationalCapture",
        "digitalCreation",
        "humanEdits",
        "minorHumanEdits",
        "multiFrameComputationalCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "screenCapture",
        "softwareImage",
        "virtualRecording",
    )
}
"""IPTC's vocabulary 'Digital Source Type', by lower case."""


def spell_source_type(value: str) -> str | None:
    """A value of the vocabulary, as an address, a code or a name, in its own spelling; None for others."""
    return SOURCE_TYPES.get(re.split("[/:#]", value.strip().rstrip("/"))[-1].lower())


def find_source_type(value: str, sure: Certainty = "stated") -> Finding | None:
    """What a value of the vocabulary says; None for others."""
    name = spell_source_type(value)
    return Finding("source type", f"IPTC source type: {name}", sure) if name else None


def find_source_types_in(manifest: bytes) -> list[Finding]:
    """The source types that a manifest names which could not be verified."""
    names = re.findall(rb"digitalsourcetype/([A-Za-z]{1,60})", manifest)
    found = (find_source_type(name.decode("ascii")) for name in dict.fromkeys(names))
    return [finding for finding in found if finding]
