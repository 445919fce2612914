"""PNG chunks are read before and after the pixels, within limits."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture
from fakedetect.provenance.texts import (
    MOST_CHARACTERS,
    MOST_TEXT_CHARACTERS,
    MOST_TEXT_FIELDS,
    read_png_text,
)

PARAMETERS = b"a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:i="e" i:DigitalSourceType="trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>'
)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def comfy_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0131] = "ComfyUI"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def write(path: Path, chunks: bytes, *, late: bool) -> Path:
    """Make a PNG with chunks before or after its pixels."""
    file = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(file, "PNG")
    raw = file.getvalue()
    place = raw.rindex(b"IEND") - 4 if late else 33
    path.write_bytes(raw[:place] + chunks + raw[place:])
    return path


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        (chunk(b"tEXt", b"parameters\0" + PARAMETERS),
         "generator: Stable Diffusion (parameters in PNG parameters)"),
        (chunk(b"zTXt", b"parameters\0\0" + zlib.compress(PARAMETERS)),
         "generator: Stable Diffusion (parameters in PNG parameters)"),
        (chunk(b"iTXt", b"parameters\0\1\0en\0key\0" + zlib.compress(PARAMETERS)),
         "generator: Stable Diffusion (parameters in PNG parameters)"),
        (chunk(b"iTXt", "Title\0\0\0\0\0DALL·E 3: a cat".encode()),
         "generator: DALL-E (said in PNG title)"),
        (chunk(b"tEXt", "Title\0DALL·E 3: a cat".encode()),
         "generator: DALL-E (said in PNG title)"),
        (chunk(b"tEXt", "Title\0DALL·E 3: a cat".encode("latin-1")),
         "generator: DALL-E (said in PNG title)"),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), "IPTC source type: trainedAlgorithmicMedia"),
        (chunk(b"eXIf", comfy_exif()), "software: ComfyUI (EXIF Software), a generator"),
    ],
)  # fmt: skip
def test_a_chunk_is_read_wherever_it_stands(tmp_path: Path, chunks: bytes, said: str, late: bool) -> None:
    view = inspect_picture(Inspection(write(tmp_path / "a.png", chunks, late=late), ()))
    assert isinstance(view, InspectedPicture), view
    assert view.provenance == (said,)


def test_hostile_chunks_cost_little(tmp_path: Path) -> None:
    bomb = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"a" * 50_000_000))
    start = time.monotonic()
    for chunks in (
        bomb * 200,
        chunk(b"tEXt", b"a\0b") * 3 * MOST_TEXT_FIELDS,
        chunk(b"tEXt", b"") * 20_000,
        chunk(b"iTXt", b"a\0\1\0") + chunk(b"zTXt", b"a\0\0not deflate") + chunk(b"eXIf", b"\xff" * 99),
        struct.pack(">I", 2**32 - 1) + b"tEXt",
    ):
        read = read_png_text(write(tmp_path / "a.png", chunks, late=True))
        assert len(read.fields) <= MOST_TEXT_FIELDS
        assert sum(len(field.text) for field in read.fields) < MOST_CHARACTERS + MOST_TEXT_CHARACTERS
    assert time.monotonic() - start < 5
