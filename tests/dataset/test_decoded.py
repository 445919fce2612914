"""The cache of decoded pictures: reused, checked, and skipped if the disk has no room."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import paint, run, shorten
from PIL import Image

from fakedetect.core.derived import derived_folder_of
from fakedetect.core.settings.model_input import REFERENCE_SCALING, Scaling
from fakedetect.core.terminal.console import Console
from fakedetect.dataset import decoded
from fakedetect.dataset.decoded import DecodedPictures, decode_pictures, load_or_explain

QUIET = Console(quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        paint(tmp_path / f"{number}.png", number, (224, 224))
    (tmp_path / "2.png").write_bytes(b"no picture")
    return tmp_path


def pixels_of(found: DecodedPictures, path: Path) -> np.ndarray:
    pixels = np.empty((224, 224, 3), np.uint8)
    with found.open() as file:
        reason = found.read(file, path, pixels)
    if reason:
        raise ValueError(reason)
    return pixels


def test_pixels_are_those_of_the_files_and_bad_ones_are_named(folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    found = decode_pictures(folder, paths, QUIET, 2, REFERENCE_SCALING)
    assert found is not None and set(found.faults) == {folder / "2.png"}
    assert set(found.rows) == set(paths) - set(found.faults)
    for path in found.rows:
        assert np.array_equal(pixels_of(found, path), load_or_explain(path, REFERENCE_SCALING))
    with pytest.raises(ValueError, match="not a picture"):
        pixels_of(found, folder / "2.png")


def test_a_damaged_index_is_rebuilt(folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    assert decode_pictures(folder, paths, QUIET, 1, REFERENCE_SCALING)
    index = derived_folder_of("decoded", folder) / "decoded.npz"
    whole = index.read_bytes()
    with np.load(index) as saved:
        state = saved["state"]
    damaged = [
        b"",
        whole[:50],
        whole[:-30],
        whole[:100] + bytes(200) + whole[300:],
        b"PK\x03\x04" * 50,
        b"x",
    ]
    for reasons in (np.arange(len(paths)), np.array("none"), np.array(["", "a"])):
        made = io.BytesIO()
        np.savez(made, state=state, reasons=reasons)
        damaged.append(made.getvalue())
    for content in damaged:
        index.write_bytes(content)
        found = decode_pictures(folder, paths, QUIET, 1, REFERENCE_SCALING)
        assert found is not None and set(found.faults) == {folder / "2.png"}
        assert index.read_bytes() == whole


def test_an_array_is_reused_until_a_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(folder.glob("*.png"))
    decode_pictures(folder, paths, QUIET, 2, REFERENCE_SCALING)
    with monkeypatch.context() as patch:
        patch.setattr(decoded, "map_images", lambda *_: pytest.fail("decoded again"))
        assert decode_pictures(folder, paths, QUIET, 2, REFERENCE_SCALING) is not None
    paint(folder / "2.png", 9, (224, 224))
    os.utime(folder / "0.png", ns=(1, 1))
    found = decode_pictures(folder, paths, QUIET, 2, REFERENCE_SCALING)
    assert found is not None and len(found.rows) == 6
    exchanged = [(folder / f"{number}.png").read_bytes() for number in (3, 4)]
    size = max(map(len, exchanged))
    for number, content in zip((4, 3, 3, 4), (*exchanged, *exchanged), strict=True):
        # The same size and time, as in files of one archive.
        (folder / f"{number}.png").write_bytes(content.ljust(size, b"\0"))
        os.utime(folder / f"{number}.png", ns=(1, 1))
        found = decode_pictures(folder, paths, QUIET, 2, REFERENCE_SCALING)
        assert found is not None and np.array_equal(
            pixels_of(found, folder / f"{number}.png"),
            load_or_explain(folder / f"{number}.png", REFERENCE_SCALING),
        )
    fewer = decode_pictures(folder, paths[1:], QUIET, 2, REFERENCE_SCALING)
    assert fewer is not None and np.array_equal(
        pixels_of(fewer, paths[1]), load_or_explain(paths[1], REFERENCE_SCALING)
    )
    smaller = decode_pictures(folder, paths[1:], QUIET, 2, Scaling(96, "bicubic"))
    assert smaller is not None and smaller.size == 96
    assert (derived_folder_of("decoded", folder) / "decoded.bin").stat().st_size == 5 * 96 * 96 * 3
    assert not list(folder.glob("*.partial"))


def test_without_room_nothing_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "DECODED_SHARE_OF_DISK", 1e-12)
    assert decode_pictures(folder, sorted(folder.glob("*.png")), QUIET, 1, REFERENCE_SCALING) is None
    assert not (derived_folder_of("decoded", folder) / "decoded.bin").exists()


def test_training_sees_the_changed_picture_and_leaves_a_bad_one_out(resized: Path) -> None:
    shorten(resized)
    train = resized.parent / "dataset/resized_train"
    first = run("--paths", resized, "train")
    kept = derived_folder_of("decoded", train) / "decoded.bin"
    assert first.returncode == 0 and kept.stat().st_size == 40 * 224 * 224 * 3
    assert not list(train.glob(".decoded*"))
    (train / "real/0003.png").write_bytes(b"went bad")
    second = run("--paths", resized, "train", "--overwrite")
    assert second.returncode == 1
    assert "1 picture was skipped" in second.stdout and "0003.png" in second.stdout
    Image.new("RGB", (224, 224)).save(train / "real/0003.png")
    third = run("--paths", resized, "train", "--overwrite")
    assert third.returncode == 0, third.stderr
