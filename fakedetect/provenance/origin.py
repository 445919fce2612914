"""All that a file tells of its origin, put together: what is proven first."""

import struct
from collections.abc import Iterable
from pathlib import Path

from fakedetect.provenance.c2pa import CRASHED, MIME, UNREADABLE, find_remote, verify_manifest
from fakedetect.provenance.finding import Finding
from fakedetect.provenance.marks import find_marks
from fakedetect.provenance.metadata import Metadata, find_manifest
from fakedetect.provenance.rules import find_source_types_in


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
