"""A picture for check: its views, what its file says of its origin, and a thumbnail, in one reading."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from fakedetect.core.files import hash_file
from fakedetect.images.copies import CopyKind
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import format_of, open_checked, open_image
from fakedetect.images.thumbnails import make_thumbnail
from fakedetect.images.views import View, ViewRequest, decode_picture, decoding_kind, make_view
from fakedetect.provenance.metadata import read_metadata
from fakedetect.provenance.origin import find_origin, has_manifest
from fakedetect.provenance.rules import Finding, describe_findings
from fakedetect.provenance.watermark import find_watermarks, may_hold_watermark


@dataclass(frozen=True)
class CloseLook(ViewRequest):
    """What check wants of a picture: views of it, its origin, a thumbnail for a page.

    `verify`: hand a manifest in the file to the verifier, which may crash or hang.
    """

    verify: bool = True
    thumbnail: bool = False


@dataclass(frozen=True)
class Seen:
    """A picture's view, the hash of its file, its origin, and its thumbnail, a WebP file, if wanted."""

    view: View
    sha256: str
    origin: tuple[Finding, ...]
    thumbnail: bytes = b""

    @property
    def provenance(self) -> tuple[str, ...]:
        """The origin in words."""
        return describe_findings(self.origin)


def look_closely(look: CloseLook) -> Seen | str:
    """Open a picture and see all that is wanted of it; why it cannot be used otherwise.

    Never raises for a file's content.
    """
    own = None
    try:
        with open_checked(look.path) as opened:
            may_hide = may_hold_watermark(opened)
            metadata = read_metadata(opened, look.path)
            decoded = decode_picture(opened, look)
            if may_hide:
                own = _own_pixels(opened, look.path, decoding_kind(look))
        sha256 = hash_file(look.path)
    except Exception as error:
        return explain_fault(error, look.path)
    # Beside the decoder, so that a bug in it is a traceback.
    hidden = find_watermarks(own) if own else []
    origin = find_origin(metadata, look.path, decoded.format, hidden, look.verify)
    try:
        view = make_view(decoded, look)
        thumbnail = make_thumbnail(decoded.image) if look.thumbnail else b""
    except (MemoryError, OSError) as error:
        # A picture that decodes may still be too large to work on; anything else would be a bug here.
        return explain_fault(error, look.path)
    return Seen(view=view, sha256=sha256, origin=origin, thumbnail=thumbnail)


def look_without_verifier(look: CloseLook) -> CloseLook | None:
    """What to try once more where a look has crashed or hung on a file with a manifest; None for no."""
    return replace(look, verify=False) if look.verify and has_manifest(look.path) else None


def _own_pixels(opened: Image.Image, path: Path, kind: CopyKind) -> Image.Image:
    """A picture loaded as it is: JPEG decoders may have scaled the one that was opened."""
    if not kind.fast or format_of(opened) != "JPEG":
        return opened
    with open_image(path) as again:
        again.load()
    return again
