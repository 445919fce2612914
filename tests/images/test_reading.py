"""Opening pictures: faults are explained, and the process's state does not change."""

import json
import re
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import paint, run
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fakedetect.core.processes import pool
from fakedetect.core.processes.memory import TOO_LARGE
from fakedetect.core.processes.pool import map_images
from fakedetect.images.copies import CopyKind
from fakedetect.images.degradations import STABILITY_DEGRADATIONS
from fakedetect.images.reading import find_fault, open_image
from fakedetect.images.views import ViewRequest, load_view
from fakedetect.preprocessing.headers import read_header
from fakedetect.preprocessing.resize import CopyJob, resize_image


def test_opening_a_picture_changes_nothing_of_the_whole_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = paint(tmp_path / "a.png", 1)
    # The first of all sets what holds for the process.
    open_image(picture).close()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**9)
    before = list(warnings.filters)
    with open_image(picture):
        assert Image.MAX_IMAGE_PIXELS == 10**9
        assert warnings.filters == before


def test_a_picture_beyond_pillows_own_limit_is_none_to_complain_of(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.new("1", (20_000, 10_000)).save(picture)
    assert find_fault(picture) is None


def test_a_cameras_jpeg_with_a_preview_is_checked_as_a_jpeg(trained: Path) -> None:
    picture = trained.parent / "camera.jpg"
    image = Image.open(paint(trained.parent / "plain.png", 2))
    image.save(picture, format="MPO", save_all=True, append_images=[image.resize((60, 52))])
    result = run("--paths", trained, "check", picture, "--json")
    row = json.loads(result.stdout)
    assert result.returncode == 0 and row["verdict"] and row["format"] == "JPEG"
    assert run("--paths", trained, "explain", picture).returncode == 0


def webp_of_one_colour(side: int) -> bytes:
    """A lossless WebP of few bytes: five codes of one symbol each, which take no bits in the picture."""
    bits = 0x2F | (side - 1) << 8 | (side - 1) << 22 | 0b0001_0001_0001_0001_0001 << 43
    chunk = bits.to_bytes(8, "little")
    body = b"WEBPVP8L" + struct.pack("<I", len(chunk)) + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def find_fault_and_times(path: Path) -> tuple[float, float, str | None] | str:
    started = time.monotonic()
    fault = find_fault(path)
    return fault if fault == TOO_LARGE else (started, time.monotonic(), fault)


def test_very_large_pictures_are_read_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "measure_memory_for_pictures", lambda: 1024**3)
    paths = [paint(tmp_path / f"{number}.png", number, (64, 64)) for number in range(40)]
    large = [tmp_path / "a.webp", tmp_path / "b.webp"]
    for path in large:
        path.write_bytes(webp_of_one_colour(4200))
    assert large[0].stat().st_size < 40
    found = dict(map_images(find_fault_and_times, [*paths[:5], *large, *paths[5:]], 3))
    assert len(found) == 42 and {fault for _, _, fault in found.values()} == {None}
    for path in large:
        start, end, _ = found[path]
        others = [times for other, times in found.items() if other != path]
        assert not [times for times in others if times[0] < end and times[1] > start]


def test_a_picture_too_large_for_check_is_so_for_all(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("1", (22_000, 22_000)).save(picture)
    said = {
        find_fault(picture),
        load_view(ViewRequest(picture, (CopyKind(),))),
        resize_image(CopyJob(picture, tmp_path / "b.png")),
    }
    assert len(said) == 1 and "22000 x 22000" in str(said)


def test_a_picture_of_a_few_pixels_gets_no_verdict(trained: Path) -> None:
    sizes = {"dot": (1, 1), "icon": (8, 8), "line": (400, 31), "least": (32, 32)}
    paths = {name: paint(trained.parent / f"{name}.png", 5, size) for name, size in sizes.items()}
    Image.open(paths["icon"]).save(paths["icon"], pnginfo=generator())
    result = run("--paths", trained, "check", *paths.values(), "--json")
    rows = {Path(row["path"]).stem: row for row in map(json.loads, result.stdout.splitlines())}
    assert result.returncode == 1
    for name in ("dot", "icon", "line"):
        assert rows[name]["verdict"] is None and "too small to judge" in rows[name]["reason"]
        assert (rows[name]["width"], rows[name]["height"]) == sizes[name] and rows[name]["p_fake"] is None
    assert rows["least"]["verdict"] and not rows["least"]["reason"]
    assert rows["icon"]["origin"]
    shown = run("--paths", trained, "check", *paths.values(), "--no-stability").stdout
    assert len(re.findall(r"too small to judge: (1 x 1|8 x 8|400 x 31) pixels", shown)) == 3
    explained = run("--paths", trained, "explain", paths["icon"])
    assert explained.returncode in (1, 2) and "too small to judge" in explained.stderr


def generator() -> PngInfo:
    info = PngInfo()
    info.add_text("Software", "NovelAI")
    return info


def broken(*arguments: object, **named: object) -> None:
    raise TypeError("a bug")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (
            "fakedetect.images.views.degrade",
            lambda path: load_view(ViewRequest(path, (CopyKind(),), STABILITY_DEGRADATIONS)),
        ),
        ("fakedetect.images.views.make_copy", lambda path: load_view(ViewRequest(path, (CopyKind(),)))),
        ("fakedetect.preprocessing.headers.estimate_quality", read_header),
        ("fakedetect.preprocessing.resize.shrink", lambda path: resize_image(CopyJob(path, path))),
    ],
)
def test_a_bug_beside_the_decoder_is_no_bad_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[[Path], object]
) -> None:
    picture = paint(tmp_path / "a.jpg", 3)
    monkeypatch.setattr(name, broken)
    with pytest.raises(TypeError, match="a bug"):
        read(picture)


def test_a_picture_too_large_to_work_on_is_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise MemoryError

    picture = paint(tmp_path / "a.png", 4)
    monkeypatch.setattr("fakedetect.images.views.make_copy", full)
    monkeypatch.setattr("fakedetect.preprocessing.resize.shrink", full)
    assert load_view(ViewRequest(picture, (CopyKind(),))) == "needs too much memory"
    assert resize_image(CopyJob(picture, tmp_path / "b.png")) == "needs too much memory"
