"""An unusable picture always gets one of our own reasons, and no other line on the screen."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from fakedetect.images import faults
from fakedetect.images.faults import UNSUPPORTED
from fakedetect.images.reading import find_fault

FILES = 1300
SEED = 11

KINDS: dict[str, dict[str, object]] = {
    "jpg": {"format": "JPEG"},
    "progressive.jpg": {"format": "JPEG", "progressive": True},
    "cmyk.jpg": {"format": "JPEG", "mode": "CMYK"},
    "png": {"format": "PNG"},
    "palette.png": {"format": "PNG", "mode": "P"},
    "webp": {"format": "WEBP"},
    "lossless.webp": {"format": "WEBP", "lossless": True},
    "gif": {"format": "GIF", "mode": "P"},
    "bmp": {"format": "BMP"},
    "ppm": {"format": "PPM"},
    "jp2": {"format": "JPEG2000"},
    "avif": {"format": "AVIF"},
    "tif": {"format": "TIFF"},
    "lzw.tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "deflate.tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "packbits.tif": {"format": "TIFF", "compression": "packbits"},
    "jpeg.tif": {"format": "TIFF", "compression": "jpeg"},
    "fax.tif": {"format": "TIFF", "compression": "group4", "mode": "1"},
    "fax3.tif": {"format": "TIFF", "compression": "group3", "mode": "1"},
    "float.tif": {"format": "TIFF", "mode": "F"},
    "deep.png": {"format": "PNG", "mode": "I;16"},
}


def encode(**how: object) -> bytes:
    pixels = np.random.default_rng(SEED).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC)
    mode = str(how.pop("mode", "RGB"))
    picture = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
    data = io.BytesIO()
    picture.save(data, **how)  # type: ignore[arg-type]
    return data.getvalue()


def mutate(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Bytes changed near the start, anywhere, cut off, cut out, doubled or taken from another file."""
    data = bytearray(content)
    way = chance.randrange(6)
    place = chance.randrange(len(data))
    if way in (0, 1):
        reach = min(len(data), 200) if way == 0 else len(data)
        for _ in range(chance.randint(1, 10)):
            data[chance.randrange(reach)] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
    elif way == 2:
        del data[place:]
    elif way == 3:
        del data[place : place + chance.randint(1, 100)]
    elif way == 4:
        data[place:place] = data[place : place + chance.randint(1, 100)]
    else:
        data = data[:place] + other[chance.randrange(len(other)) :]
    return bytes(data)


def main() -> None:
    """Read the files in this process, as a worker does, and print how often each reason was given."""
    chance = random.Random(SEED)
    whole = {name: encode(**how) for name, how in KINDS.items()}
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            name = list(whole)[number % len(whole)]
            path = Path(folder, f"{number}.{name}")
            path.write_bytes(mutate(whole[name], whole[chance.choice(list(whole))], chance))
            reasons[find_fault(path) or ""] += 1
            path.unlink()
    print(json.dumps(reasons))


def known_reasons() -> set[str]:
    """Return every reason in the tables."""
    tables = (
        faults.DECODER_ERRORS,
        faults.DECODER_MESSAGES,
        [row[1:] for row in faults.OTHER_FILE_SIGNATURES],
    )
    starts = {
        f"the file is damaged: it starts as {name} but cannot be decoded"
        for _, _, name in faults.PICTURE_SIGNATURES
    }
    return {
        *(said for table in tables for _, said in table),
        *starts,
        *(faults.UNDECODABLE, "empty file", "not a picture (no known format)"),
    }


def test_every_reason_is_one_of_ours_and_no_library_prints_a_line() -> None:
    here = Path(__file__).parent
    path = os.pathsep.join(map(str, (here, here.parent, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", "import test_reasons; test_reasons.main()"],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr[-2000:]
    reasons = Counter(json.loads(done.stdout))
    assert reasons.total() == FILES and FILES / 3 < FILES - reasons.pop("") < FILES
    starts = ("claims ", "its values run from ", "its 16 bits hold ", "holds no finite values")
    strange = {reason for reason in reasons if not reason.startswith(starts)} - known_reasons()
    assert not strange


def frame_of(jpeg: bytes) -> tuple[int, int]:
    start = jpeg.index(b"\xff\xc0")
    return start, start + 2 + struct.unpack(">H", jpeg[start + 2 : start + 4])[0]


@pytest.mark.parametrize("components", [2, 5])
def test_a_jpeg_of_unusual_components_is_unsupported(tmp_path: Path, components: int) -> None:
    jpeg, path = encode(format="JPEG"), tmp_path / "a.jpg"
    start, end = frame_of(jpeg)
    each = b"".join(bytes((number + 1, 0x11, 0)) for number in range(components))
    size = struct.pack(">H", 8 + len(each))
    frame = b"\xff\xc0" + size + jpeg[start + 4 : start + 9] + bytes([components]) + each
    path.write_bytes(jpeg[:start] + frame + jpeg[end:])
    assert find_fault(path) == UNSUPPORTED


@pytest.mark.parametrize("marker", [0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xF7])
def test_a_hierarchical_jpeg_is_unsupported(tmp_path: Path, marker: int) -> None:
    jpeg, path = encode(format="JPEG"), tmp_path / "a.jpg"
    start, end = frame_of(jpeg)
    path.write_bytes(jpeg[: start + 1] + bytes([marker]) + jpeg[start + 2 :])
    assert find_fault(path) == UNSUPPORTED
    # Its header stands before all frames.
    path.write_bytes(jpeg[:start] + b"\xff\xde" + jpeg[start + 2 : end] + jpeg[start:])
    assert find_fault(path) == UNSUPPORTED


def test_a_jpeg_of_twelve_bits_is_unsupported_and_a_cut_one_damaged(tmp_path: Path) -> None:
    jpeg, path = encode(format="JPEG"), tmp_path / "a.jpg"
    start, _ = frame_of(jpeg)
    path.write_bytes(jpeg[: start + 4] + b"\x0c" + jpeg[start + 5 :])
    assert find_fault(path) == UNSUPPORTED
    path.write_bytes(jpeg[: start + 30])
    assert "damaged" in str(find_fault(path)) or "too early" in str(find_fault(path))


@pytest.mark.parametrize(("tag", "value"), [(258, 14), (258, 64), (259, 34712), (259, 50002), (262, 32803)])
def test_a_tiff_of_a_kind_that_nobody_reads_is_unsupported(tmp_path: Path, tag: int, value: int) -> None:
    tiff, path = bytearray(encode(format="TIFF", mode="L")), tmp_path / "a.tif"
    start = struct.unpack("<I", tiff[4:8])[0]
    for number in range(struct.unpack("<H", tiff[start : start + 2])[0]):
        entry = start + 2 + 12 * number
        if struct.unpack("<H", tiff[entry : entry + 2])[0] == tag:
            tiff[entry + 8 : entry + 12] = struct.pack("<HH", value, 0)
    path.write_bytes(tiff)
    assert find_fault(path) == UNSUPPORTED


def test_what_the_system_says_is_passed_on(tmp_path: Path) -> None:
    assert find_fault(tmp_path / "gone.jpg") == "No such file or directory"
    (tmp_path / "folder.jpg").mkdir()
    assert find_fault(tmp_path / "folder.jpg") == "not a regular file"
