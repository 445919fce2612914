"""Opening pictures: what is wrong with one, and nothing of the whole process changed by it."""

import warnings
from pathlib import Path

import pytest
from conftest import paint
from PIL import Image

from fakedetect.images.reading import find_fault, open_image


def test_opening_a_picture_changes_nothing_of_the_whole_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = paint(tmp_path / "a.png", 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**9)
    before = list(warnings.filters)
    with open_image(picture):
        assert Image.MAX_IMAGE_PIXELS == 10**9
        assert warnings.filters == before


def test_a_picture_beyond_pillows_own_limit_is_none_to_complain_of(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.new("1", (20_000, 10_000)).save(picture)
    assert find_fault(picture) is None
