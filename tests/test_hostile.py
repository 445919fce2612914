"""Files that strangers made: fuzzed, lying, odd. None stops the work; each is used or listed."""

import io
import os
import random
import socket
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import run
from PIL import Image

from fakedetect.core.settings.settings import load_settings
from fakedetect.dataset.folders import read_bad_images
from fakedetect.images.listing import list_images

FUZZED, FEW = 2100, 100
DRAWN = 60
"""Different pictures of each format, from which the fuzzed files are made."""

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF"}


@cache
def encoded(number: int, kind: str) -> bytes:
    """A small picture, some grey, some with palettes, transparency or several frames."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((72, 54), Image.Resampling.BICUBIC)
    modes = {"png": ("RGB", "L", "P", "RGBA", "1"), "gif": ("P",), "tif": ("RGB", "L", "CMYK")}.get(
        kind, ("RGB",)
    )
    picture = picture.convert(modes[number % len(modes)])
    data = io.BytesIO()
    more = {"save_all": True, "append_images": [picture] * 2} if kind in ("gif", "tif") else {}
    picture.save(data, FORMATS[kind], **more)
    return data.getvalue()


@cache
def swelling(byte: bytes, count: int) -> bytes:
    """A byte so many times, compressed."""
    return zlib.compress(byte * count)


def fuzz(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """The content with bytes flipped, cut off, cut out or spliced with another file."""
    data = bytearray(content)
    way = chance.randrange(4)
    if way == 0:
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif way == 1:
        del data[chance.randrange(len(data)) :]
    elif way == 2:
        start = chance.randrange(len(data))
        del data[start : start + chance.randint(1, 200)]
    else:
        place = chance.randrange(len(data))
        data = data[:place] + other[chance.randrange(len(other)) :]
    return bytes(data)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


@contextmanager
def surround(project: Path, fuzzed: int) -> Iterator[Path]:
    """Fill dataset/train/fake with fuzzed files and traps, beside a few good real ones."""
    chance = random.Random(7)
    folder = project.parent / "dataset/train/fake"
    folder.mkdir(parents=True)
    kinds = list(FORMATS)
    for number in range(fuzzed):
        kind = kinds[number % len(kinds)]
        other = encoded((number + 1) % DRAWN, chance.choice(kinds))
        (folder / f"{number:04}.{kind}").write_bytes(fuzz(encoded(number % DRAWN, kind), other, chance))
    odd = folder / "odd"
    odd.mkdir()
    text = b"comment\0\0" + swelling(b"x", 200_000_000)
    (odd / "text.png").write_bytes(png(4, 4, *[chunk(b"zTXt", text)] * 40))
    (odd / "huge.png").write_bytes(png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b"x"))))
    (odd / "swells.png").write_bytes(png(22_000, 22_000, chunk(b"IDAT", swelling(b"\0", 10**8))))
    (odd / "folder.jpg").mkdir()
    for name in ("new\nline.jpg", "emoji 🙂.jpg", "e" * 251 + ".jpg", "\u2028.jpg", "$(x) `y`.jpg"):
        (odd / name).write_bytes(encoded(3, "jpg"))
    (odd / "bad\nline.jpg").write_bytes(b"x")
    (odd / "loop.jpg").symlink_to(odd / "loop.jpg")
    (odd / "gone.jpg").symlink_to(odd / "nowhere.jpg")
    (odd / "round").symlink_to(folder, target_is_directory=True)
    os.mkfifo(odd / "pipe.jpg")
    # A socket's own path has to be short.
    here = Path.cwd()
    os.chdir(odd)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        os.chdir(here)
        real = project.parent / "dataset/train/real"
        real.mkdir()
        for number in range(40):
            (real / f"{number:04}.jpg").write_bytes(encoded(number, "jpg"))
        yield project


@pytest.fixture
def hostile(project: Path) -> Iterator[Path]:
    with surround(project, FUZZED) as paths:
        yield paths


@pytest.fixture
def few_hostile(project: Path) -> Iterator[Path]:
    with surround(project, FEW) as paths:
        yield paths


@pytest.mark.skipif(sys.platform == "win32", reason="makes files that Windows cannot have")
def test_every_hostile_file_is_used_or_listed(hostile: Path) -> None:
    settings = load_settings(hostile)
    folder = settings.original["train-fake"]
    scanned = run("--paths", hostile, "scan", "train-fake")
    assert scanned.returncode == 0 and "Traceback" not in scanned.stderr, scanned.stderr[-2000:]
    paths = set(list_images(folder))
    listed = set(read_bad_images(settings))
    assert listed < paths and len(listed) > FUZZED / 4
    for name in ("huge.png", "loop.jpg", "gone.jpg", "pipe.jpg", "socket.jpg", "bad\nline.jpg"):
        assert folder / "odd" / name in listed, name
    for name in ("new\nline.jpg", "emoji 🙂.jpg", "e" * 251 + ".jpg", "\u2028.jpg", "$(x) `y`.jpg"):
        assert folder / "odd" / name in paths - listed, name
    resized = run("--paths", hostile, "resize", "train-fake", "train-real")
    assert resized.returncode == 0 and "Traceback" not in resized.stderr, resized.stderr[-2000:]
    copies = settings.resized["train"] / "fake"
    left_out = {path for path in paths - listed if str(path) in resized.stderr.replace("\\n", "\n")}
    for path in paths - listed - left_out:
        assert (copies / path.relative_to(folder)).is_file(), path
    explored = run("--paths", hostile, "explore")
    assert explored.returncode in (0, 1) and "Traceback" not in explored.stderr, explored.stderr[-2000:]


@pytest.mark.skipif(sys.platform == "win32", reason="makes files that Windows cannot have")
def test_training_on_hostile_files_names_them_and_goes_on(few_hostile: Path) -> None:
    # The pictures themselves, unscanned, where the copies are expected; few, for the time it takes.
    train = few_hostile.parent / "dataset/train"
    text = few_hostile.read_text(encoding="utf-8").replace("max_epochs = 2", "max_epochs = 1")
    few_hostile.write_text(text + '\n[resized]\ntrain = "dataset/train"\n', encoding="utf-8")
    refused = run("--paths", few_hostile, "train")
    assert refused.returncode == 2 and "more than 25 %" in refused.stderr, refused.stderr[-2000:]
    for number in range(200):
        (train / f"real/more {number}.jpg").write_bytes(encoded(number, "jpg"))
    result = run("--paths", few_hostile, "train")
    assert result.returncode == 1, result.stderr[-2000:]
    assert "were skipped" in result.stdout
    assert "pipe.jpg" in result.stdout and "Traceback" not in result.stderr
    pictures = [*sorted((train / "fake").glob("*.*"))[:6], *sorted((train / "fake/odd").iterdir())]
    explained = run("--paths", few_hostile, "explain", *pictures)
    assert explained.returncode == 1 and "Traceback" not in explained.stderr, explained.stderr[-2000:]
    assert "pipe.jpg cannot be" in explained.stderr and "not a regular file" in explained.stderr
    assert "emoji" in explained.stdout
