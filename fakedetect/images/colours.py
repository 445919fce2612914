"""Conversion to 8-bit sRGB: deep pictures, wide gamuts, HDR.

Sources: ITU-T H.273 (numbers of primaries and transfer functions); ITU-R BT.2100 (PQ, HLG); BT.2408,
section 5.1 (203 cd/m2 is the white of SDR); PNG 3.0 (cICP); ISO 14496-12 (nclx); ICC.1:2022 (tag cicp).
"""

import io
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fakedetect.images.containers import read_nclx
from fakedetect.images.faults import Unusable

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

DEEP_KEY, CODING_KEY = "bits beyond 8", "cicp"
"""Keys of an opened picture's `info`: it has 16 bits, of which Pillow keeps 8; its Coding."""

RANGE_TOPS = (255.0, 1023.0, 4095.0, 65535.0)
"""The largest values of 8, 10, 12 and 16 bits."""

MOST_OVERSHOOT = 1.25
"""The brightest hundredth of a floating-point picture may start at up to this multiple of its range's top:
rounding, sharpening and scaling overshoot."""

DARKEST_RANGE_DIVISOR = 16
"""A floating-point picture whose values stay below its range divided by this would look black."""

MOST_SAMPLED_VALUES = 1_000_000

PQ, HLG = 16, 18
SRGB_TRANSFER = 13
SDR_WHITE, HLG_PEAK, PQ_PEAK = 203.0, 1000.0, 10_000.0
"""Candelas per square metre: the white of SDR in HDR, and the brightest values."""

TO_BT709 = {
    9: (
        (1.660491, -0.587641, -0.072850),
        (-0.124550, 1.132900, -0.008349),
        (-0.018151, -0.100579, 1.118730),
    ),
    12: ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}
"""Matrices from linear light in other primaries (BT.2020, Display P3) to linear sRGB, by H.273 number."""

LUMINANCE_BT2020 = (0.2627, 0.6780, 0.0593)


class Coding(NamedTuple):
    """A picture's colour coding: the H.273 numbers of its primaries and transfer function."""

    primaries: int
    transfer: int


def record_coding(image: "Image.Image", path: Path) -> None:
    """Add to an opened picture's `info` what Pillow does not keep of its file: DEEP_KEY, CODING_KEY."""
    for *_, found in getattr(image, "tile", ()):
        raw = found[0] if isinstance(found, tuple) and found else found
        if image.mode in ("RGB", "RGBA") and ";16" in str(raw):
            image.info[DEEP_KEY] = True
    if image.format in ("AVIF", "HEIF"):
        image.info.pop(CODING_KEY, None)
        if found := read_nclx(path):
            image.info[CODING_KEY] = Coding(*found)


def refuse_empty_bits(image: "Image.Image") -> None:
    """Refuse a loaded 16-bit colour picture whose values use 12 bits or fewer.

    Pillow keeps the upper 8 bits of each value, which would be almost empty.

    Raises:
        Unusable: the picture is refused.
    """
    if DEEP_KEY in image.info:
        highest = max(high for _, high in image.convert("RGB").getextrema())  # type: ignore[misc]
        if 0 < highest < 16:
            raise Unusable(
                f"its 16 bits hold values up to about {256 * highest + 255:,} only: export it in 8 bits"
            )


def to_eight_bits(image: "Image.Image") -> "Image.Image":
    """Scale a deeper grey picture to mode L, from the range that its values suggest.

    The range is the smallest of 1 (floating point), 8, 10, 12 and 16 bits that holds nearly all values.
    Infinite values and the few beyond the range are clipped; NaN becomes 0.

    Raises:
        Unusable: the values fit none of these ranges.
    """
    import numpy as np
    from PIL import Image

    values = np.asarray(image)
    real = values.dtype.kind == "f"
    top = _find_top(values, real)
    scaled = values.astype(np.float32)
    if real:
        np.nan_to_num(scaled, copy=False, nan=0.0, posinf=top, neginf=0.0)
    np.clip(scaled, 0.0, top, out=scaled)
    scaled *= 255 / top
    scaled += 0.5
    found = Image.fromarray(scaled.astype(np.uint8))
    found.info = {key: value for key, value in image.info.items() if key == CODING_KEY}
    return found


def _find_top(values: "np.ndarray", real: bool) -> float:
    import numpy as np

    sample = values.reshape(-1)[:: 1 + values.size // MOST_SAMPLED_VALUES]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise Unusable("holds no finite values: export it in 8 or 16 bits")
    # A hot pixel must not change the range.
    low, high = np.percentile(sample, (1.0, 99.0) if real else (0.1, 99.9)).tolist()
    beyond = MOST_OVERSHOOT if real else 1.0
    tops = ((1.0,) if real else ()) + RANGE_TOPS
    top = next((each for each in tops if high <= each * beyond), high)
    if low < -0.05 * top or (real and 1.0 < top < RANGE_TOPS[1] and high < top / DARKEST_RANGE_DIVISOR):
        raise Unusable(f"its values run from {low:.4g} to {high:.4g}: export it in 8 or 16 bits")
    # The range of a black picture is unknown and does not matter.
    return top if high > 0 else tops[-1]


def find_hdr(image: "Image.Image") -> Coding | None:
    """Return the coding of an HDR picture; None for any other."""
    coding = image.info.get(CODING_KEY) or _read_coding(image.info.get("icc_profile") or b"")
    return coding if coding and coding.transfer in (PQ, HLG) else None


def _read_coding(profile: bytes) -> Coding | None:
    """Read the coding from an ICC profile's tag cicp, or from its name."""
    if len(profile) < 132:
        return None
    tags = {}
    for number in range(min(100, struct.unpack(">I", profile[128:132])[0])):
        entry = profile[132 + 12 * number : 144 + 12 * number]
        if len(entry) == 12:
            name, place, size = struct.unpack(">4sII", entry)
            tags[name] = profile[place : place + min(size, 1000)]
    if len(found := tags.get(b"cicp", b"")) >= 12:
        return Coding(found[8], found[9])
    # The description is ASCII or UTF-16; without NUL bytes, both read the same.
    described = tags.get(b"desc", b"").replace(b"\0", b"")
    if b"2100" in described and b"PQ" in described:
        return Coding(9, PQ)
    return Coding(9, HLG) if b"2100" in described and b"HLG" in described else None


def to_srgb(image: "Image.Image", hdr: Coding | None = None) -> "Image.Image":
    """Convert a colour picture to sRGB; one that is in sRGB already is returned unchanged.

    Phones and cameras write Display P3 and Adobe RGB, generators almost never. Unconverted, the paler
    colours alone could give a real picture away.

    Args:
        hdr: the coding of an HDR picture. Values brighter than the white of SDR are clipped.
    """
    coding = hdr or image.info.get(CODING_KEY)
    profile = image.info.get("icc_profile")
    if image.mode not in ("RGB", "RGBA", "CMYK", "P", "PA", *(("L", "LA") if hdr else ())):
        return image
    wide = coding if coding and not profile and coding.primaries in TO_BT709 else None
    if not (hdr or wide or profile):
        return image
    colours, alpha = _split_alpha(image)
    if by_coding := hdr or wide:
        converted: Image.Image | None = _convert_coded(colours, by_coding)
    else:
        converted = _convert_by_profile(colours, profile or b"")
    if converted is None:
        return image
    converted.info.pop("icc_profile", None)
    converted.info.pop(CODING_KEY, None)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _convert_by_profile(colours: "Image.Image", profile: bytes) -> "Image.Image | None":
    # Imported here: few pictures have a profile, and every worker would wait for the library.
    from PIL import ImageCms

    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return None
        return ImageCms.profileToProfile(colours, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # The profile is broken, or belongs to another colour space than its picture.
        return None


def _convert_coded(colours: "Image.Image", coding: Coding) -> "Image.Image":
    """Convert a picture in mode RGB with this coding to sRGB."""
    import numpy as np
    from PIL import Image

    light_of, value_of = _linear_light(coding.transfer), _srgb_values()
    matrix = np.array(TO_BT709.get(coding.primaries, np.eye(3)), np.float32).T
    pixels = np.asarray(colours)
    converted = np.empty_like(pixels)
    # In strips, so that a large picture's floating-point values take little memory.
    for start in range(0, len(pixels), 256):
        light = light_of[pixels[start : start + 256]]
        if coding.transfer == HLG:
            # The system gamma of the display: 1.2 at the peak luminance that BT.2100 assumes.
            light *= (light @ np.array(LUMINANCE_BT2020, np.float32))[..., None] ** 0.2 * (
                HLG_PEAK / SDR_WHITE
            )
        shown = np.clip(light @ matrix, 0.0, 1.0)
        converted[start : start + 256] = value_of[(shown * 65535 + 0.5).astype(np.uint16)]
    found = Image.fromarray(converted)
    found.info = dict(colours.info)
    return found


@cache
def _linear_light(transfer: int) -> Any:
    """Return the linear light (256,) float32 of each 8-bit value, 1 being the white of SDR; scene light for
    HLG."""
    import numpy as np

    values = np.arange(256) / 255
    if transfer == PQ:
        root = values ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        light *= PQ_PEAK / SDR_WHITE
    elif transfer == HLG:
        bright = (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12
        light = np.where(values <= 0.5, values**2 / 3, bright)
    else:
        light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@cache
def _srgb_values() -> Any:
    """Return the sRGB value (65536,) uint8 of each 16-bit amount of linear light."""
    import numpy as np

    light = np.arange(65536) / 65535
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (values * 255 + 0.5).astype(np.uint8)


def _split_alpha(image: "Image.Image") -> "tuple[Image.Image, Image.Image | None]":
    """Split a colour picture into its colours, in a mode that profiles exist for, and its alpha channel."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return layer.convert("RGB"), layer.getchannel("A")
    return (image if image.mode == "CMYK" else image.convert("RGB")), None
