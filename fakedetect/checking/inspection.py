"""Reading a picture for check, once: its views, its origin, its hash and a thumbnail."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from fakedetect.core.files import hash_file
from fakedetect.images.copies import CopyKind, make_thumbnail
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import format_of, open_checked, open_image
from fakedetect.images.views import View, ViewRequest, decode_picture, decoding_kind, make_view
from fakedetect.provenance.metadata import read_metadata
from fakedetect.provenance.origin import find_origin, has_manifest
from fakedetect.provenance.rules import Finding, describe_findings
from fakedetect.provenance.watermark import find_watermarks, may_hold_watermark


@dataclass(frozen=True)
class Inspection(ViewRequest):
    """What to read from a picture: views, origin and, if `thumbnail`, a thumbnail for a page.

    `verify` passes a manifest in the file to the verifier, which may crash or hang.
    """

    verify: bool = True
    thumbnail: bool = False


@dataclass(frozen=True)
class InspectedPicture:
    """A picture's view, the hash of its file, its origin, and its thumbnail (a WebP file; b'' for none)."""

    view: View
    sha256: str
    origin: tuple[Finding, ...]
    thumbnail: bytes = b""

    @property
    def provenance(self) -> tuple[str, ...]:
        """The origin as text."""
        return describe_findings(self.origin)


def inspect_picture(inspection: Inspection) -> InspectedPicture | str:
    """Inspect a picture; return the reason as a str if it cannot be used.

    The content of the file never raises an exception.
    """
    unscaled = None
    try:
        with open_checked(inspection.path) as opened:
            may_be_marked = may_hold_watermark(opened)
            metadata = read_metadata(opened, inspection.path)
            decoded = decode_picture(opened, inspection)
            if may_be_marked:
                unscaled = _load_unscaled(opened, inspection.path, decoding_kind(inspection))
        sha256 = hash_file(inspection.path)
    except Exception as error:
        return explain_fault(error, inspection.path)
    # Outside the try block, so that a bug in it is a traceback.
    watermarks = find_watermarks(unscaled) if unscaled else []
    origin = find_origin(metadata, inspection.path, decoded.format, watermarks, inspection.verify)
    try:
        view = make_view(decoded, inspection)
        thumbnail = make_thumbnail(decoded.image) if inspection.thumbnail else b""
    except (MemoryError, OSError) as error:
        # A picture that was decoded may still be too large to convert; any other exception is a bug.
        return explain_fault(error, inspection.path)
    return InspectedPicture(view=view, sha256=sha256, origin=origin, thumbnail=thumbnail)


def without_verifier(inspection: Inspection) -> Inspection | None:
    """Return what to try after an inspection with the verifier crashed or hung; None for no second try."""
    return (
        replace(inspection, verify=False) if inspection.verify and has_manifest(inspection.path) else None
    )


def _load_unscaled(opened: Image.Image, path: Path, kind: CopyKind) -> Image.Image:
    """Load a picture at full size: the JPEG decoder may have scaled the one that was opened."""
    if not kind.fast or format_of(opened) != "JPEG":
        return opened
    with open_image(path) as full:
        full.load()
    return full
