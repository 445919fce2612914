"""What a picture's file says about its own origin. All of it can be forged, removed or copied.

Read are the containers' own fields only, by: C2PA 2.1, section 'Embedding manifests' and its
appendix on formats (JPEG APP11 with JUMBF, PNG caBX, RIFF C2PA, TIFF tag 0xCD41, GIF application
extension, ISO box uuid); the IPTC Photo Metadata Standard's Digital Source Type; EXIF 2.32; and the
PNG text keys that generators write.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

MAKE, MODEL, SOFTWARE = 0x010F, 0x0110, 0x0131
EXIF_FOLDER, USER_COMMENT = 0x8769, 0x9286
C2PA_TIFF = 0xCD41
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")

GENERATORS = {
    "parameters": "Stable Diffusion",
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "dream": "InvokeAI",
}
"""Keys of text fields (in lower case) that hold a generator's parameters, and whose."""

SOURCE_TYPE = re.compile(
    rb"(?:digitalsourcetype/|DigitalSourceType[\s\"'>=]{1,4})"
    rb"(compositeWithTrainedAlgorithmicMedia|trainedAlgorithmicMedia|algorithmicMedia)"
)
PARAMETERS = re.compile(r"Steps: \d+.*Sampler", re.DOTALL)
MOST_METADATA = 16 * 1024 * 1024
LONGEST = 60


def _jpeg_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(2)
    while len(start := file.read(4)) == 4 and start[0] == 0xFF and start[1] != 0xDA:
        length = struct.unpack(">H", start[2:])[0]
        yield start[1:2], file.read(max(0, length - 2))


def _png_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(8)
    while len(start := file.read(8)) == 8:
        length = struct.unpack(">I", start[:4])[0]
        if start[4:] == b"IDAT" or length > MOST_METADATA:
            file.seek(length, 1)
        else:
            yield start[4:], file.read(length)
        file.seek(4, 1)


def _riff_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(12)
    while len(start := file.read(8)) == 8:
        length = struct.unpack("<I", start[4:])[0]
        if start[:3] == b"VP8" or length > MOST_METADATA:
            file.seek(length + length % 2, 1)
        else:
            yield start[:4], file.read(length)
            file.seek(length % 2, 1)


def _iso_parts(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(0)
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I", start[:4])[0], start[4:]
        if length == 1:
            length = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0] - 8
        if length < 8:
            return
        if name == b"uuid" and length <= MOST_METADATA:
            yield name, file.read(length - 8)
        else:
            file.seek(length - 8, 1)


def _is_manifest(name: bytes, data: bytes) -> bool:
    """Whether a part of a file is a C2PA manifest."""
    if name == b"\xeb":
        return data[:2] == b"JP" and b"jumb" in data[:64]
    return name in (b"caBX", b"C2PA") or (name == b"uuid" and data[:16] == C2PA_BOX)


def _read_parts(path: Path, file_format: str) -> tuple[bool, bytes]:
    """Whether there is a C2PA manifest, and the text of all metadata."""
    readers = {"JPEG": _jpeg_parts, "PNG": _png_parts, "WEBP": _riff_parts, "AVIF": _iso_parts}
    if file_format not in readers:
        return False, b""
    manifest, text, size = False, [], 0
    with path.open("rb") as file:
        for name, data in readers[file_format](file):
            manifest = manifest or _is_manifest(name, data)
            size += len(data)
            if size > MOST_METADATA:
                break
            text.append(data)
    return manifest, b"\n".join(text)


def _clean(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _exif(image: "Image.Image") -> list[str]:
    if "exif" not in image.info and image.format not in ("TIFF", "JPEG", "WEBP", "AVIF"):
        return []
    exif = image.getexif()
    found = []
    make, model = _clean(exif.get(MAKE, "")), _clean(exif.get(MODEL, ""))
    if make or model:
        name = model if model.lower().startswith(make.lower()) else f"{make} {model}"
        found.append(f"EXIF camera: {name}")
    if software := _clean(exif.get(SOFTWARE, "")):
        found.append(f"EXIF software: {software}")
    comment = exif.get_ifd(EXIF_FOLDER).get(USER_COMMENT, b"")
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE"):
        texts = [comment[8:].decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
    else:
        texts = [_clean(comment) if isinstance(comment, str) else comment.decode("utf-8", "replace")]
    if any(PARAMETERS.search(text) for text in texts):
        found.append("generator parameters: Stable Diffusion")
    return found


def _texts(image: "Image.Image") -> list[str]:
    found = []
    for key, value in image.info.items():
        if not isinstance(key, str) or not isinstance(value, str):
            continue
        if generator := GENERATORS.get(key.lower()):
            found.append(f"generator parameters: {generator}")
        elif key.lower() == "software":
            found.append(f"software: {_clean(value)}")
        elif key.lower() in ("comment", "description") and PARAMETERS.search(value):
            found.append("generator parameters: Stable Diffusion")
    return found


def read_provenance(image: "Image.Image", path: Path) -> tuple[str, ...]:
    """What an opened picture's file says of its origin, in short phrases; () for nothing.

    Never raises: metadata that cannot be read says nothing.
    """
    file_format = image.format or ""
    found: list[str] = []
    try:
        manifest, text = _read_parts(path, file_format)
        tags = getattr(image, "tag_v2", {}) if file_format == "TIFF" else {}
        extension = image.info.get("extension")
        if C2PA_TIFF in tags or (isinstance(extension, tuple) and extension[0][:8] == b"C2PA_GIF"):
            manifest = True
        xmp = image.info.get("xmp", b"")
        text += xmp if isinstance(xmp, bytes) else str(xmp).encode()
        text += bytes(tags.get(C2PA_TIFF, b"")) if C2PA_TIFF in tags else b""
        if manifest:
            found.append("C2PA manifest (its signature was not checked)")
        if match := SOURCE_TYPE.search(text):
            found.append(f"IPTC source type: {match[1].decode()}")
    except Exception:
        found.append("metadata cannot be read")
    for read in (_texts, _exif):
        try:
            found += read(image)
        except Exception:
            found.append("metadata cannot be read")
    return tuple(dict.fromkeys(found))
