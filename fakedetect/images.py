"""Which files are pictures, how they are listed and opened safely, work spread over cores."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakedetect.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif")
)
MAX_PIXELS = 500_000_000
"""Pictures that claim more are refused unread: decoding one could take all memory."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF")
"""What a file may really hold: Pillow's other readers are never started on it."""

FEW = 64
"""Starting processes takes longer than this many pictures do."""


def list_images(folder: Path) -> list[Path]:
    """Every file below `folder` that claims by its name to be a picture.

    Ordered as torchvision's ImageFolder orders them: folder by folder, then by name.

    Raises:
        UserError: the folder cannot be read.
    """
    return [path for _, paths in sorted(_walk(folder, set())) for path in sorted(paths)]


def _walk(folder: Path, seen: set[str]) -> Iterator[tuple[str, list[Path]]]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    names: list[Path] = []
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise UserError(f"Cannot read the folder {folder}: {error.strerror}.") from None
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), seen)
        elif is_image_name(entry.name) and entry.is_file():
            names.append(Path(entry.path))
    yield str(folder), names


def is_image_name(name: str) -> bool:
    """Whether a file name claims to be a picture's."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def open_image(path: Path) -> "Image.Image":
    """Open a picture without decoding it.

    Raises:
        ValueError: it claims too many pixels.
        Exception: whatever its decoder raises.
    """
    from PIL import Image

    # Our own limit stands in for Pillow's, which real photographs exceed.
    Image.MAX_IMAGE_PIXELS = None
    if os.path.getsize(path) == 0:
        raise ValueError("empty file")
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"claims {width} x {height} pixels, more than {MAX_PIXELS:,}")
    return image


def find_fault(path: Path) -> str | None:
    """Why a picture cannot be used, or None for a good one. Never raises for a file's content."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # verify() sees a flipped byte in a PNG, a full decode a cut JPEG; neither sees both.
            with open_image(path) as image:
                image.verify()
            with open_image(path) as image:
                image.load()
    except Exception as error:
        return explain_fault(error, path)
    return None


def explain_fault(error: Exception, path: Path) -> str:
    """A decoder's error as one line without the path."""
    text = " ".join(str(error).replace(repr(str(path)), "").replace(str(path), "").split())
    if text.startswith("cannot identify image file"):
        return "not a picture (no known format)"
    return text or type(error).__name__


def _upright(image: "Image.Image") -> "Image.Image":
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """A deeper grey picture scaled to 8 bits: from 16, or from its own range where none is said."""
    if image.mode.startswith("I;16"):
        image, top = image.convert("I"), 65535.0
    else:
        high = image.getextrema()[1]
        limits = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        top = next((limit for limit in limits if high <= limit), float(high))
    return image.convert("F").point(lambda value: value * (255 / top) + 0.5).convert("L")


def to_rgb_or_grey(image: "Image.Image") -> "Image.Image":
    """An opened picture upright and in mode RGB or L.

    Transparent pictures are laid over white and deeper ones scaled to 8 bits; everything else
    is Pillow's own conversion.
    """
    from PIL import Image

    image.load()
    image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() != (255, 255):
            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def count_workers(setting: int | None) -> int:
    """How many processes or threads read pictures: the setting, or one a core that we may use."""
    if setting:
        return setting
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def map_images(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int
) -> Iterator[tuple[Any, Any]]:
    """Yield (item, function(item)) as they are done, over `workers` processes.

    `function` and the items must be importable and picklable. A process that dies gives a
    BrokenProcessPool as that item's result, and the others go on.
    """
    items = list(items)
    if workers <= 1 or len(items) < FEW:
        for item in items:
            yield item, function(item)
        return
    done: set[int] = set()
    try:
        for number, result in _spread(function, list(enumerate(items)), workers):
            done.add(number)
            yield items[number], result
    except BrokenProcessPool:
        # One at a time, each in a fresh process if need be, so that only the culprit is named.
        for number, item in enumerate(items):
            if number not in done:
                try:
                    result = next(iter(_spread(function, [(number, item)], 1)))[1]
                except BrokenProcessPool as error:
                    result = error
                yield item, result


def _spread(
    function: Callable[[Any], Any], numbered: list[tuple[int, Any]], workers: int
) -> Iterator[tuple[int, Any]]:
    # Threads of torch and a fork do not mix, so processes start afresh.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting = iter(numbered)
    running = {}
    try:
        while True:
            while len(running) < workers * 8 and (entry := next(waiting, None)):
                running[pool.submit(function, entry[1])] = entry[0]
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
