"""Every entry of the menu on the demo, and every command on data of all kinds: none ends in a traceback."""

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from fakedetect import menu
from fakedetect.core.processes import pool
from fakedetect.core.terminal.console import Outcome
from fakedetect.options import OPTIONS, Option, commands
from fakedetect.preprocessing import demo

TRAINING = (
    '[training]\npretrained = false\nprecision = "fp32"\nmax_epochs = 1\nworkers = 1\n'
    'validation_share = 0.4\n\n[inference]\nengine = "torch"\n\n'
    '[models.tiny]\ntimm = "test_resnet"\nsize = 64\nbatch_size = 8\nlearning_rate = 3e-3\n'
)

ARGUMENTS = {
    "fit-thresholds": ("--max-false-alarms", "0.5", "--max-missed", "0.5"),
    "choose": ("tiny",),
    "explain": ("{picture}",),
    "check": ("{pictures}",),
    "review": ("--answers",),
}
"""What a command cannot do without."""

ANSWERS = {
    "Choose the model": ["6"],
    "a real test picture, by its number": ["1"],
    "a fake test picture, by its number": ["1"],
    "any picture, by its path": ["{picture}"],
    "Check my own pictures": ["{pictures}", ""],
    "take over the review.csv of a review page": [""],
}
"""What an entry of the menu asks for."""

REFUSED = {
    "init": "already exists",
    "train the model": "was kept unchanged",
    "set thresholds": "too few to guarantee 5.0 %",
}
"""What is done no second time, or not with so few pictures."""

KINDS: dict[str, dict[str, Any]] = {
    "20 JPEG": {"ending": "jpg", "each": 7},
    "WebP of one size": {"ending": "webp", "size": (50, 50)},
    "a single source without EXIF": {"ending": "jpg", "sources": 1, "exif": False},
    "grey PNG": {"mode": "L"},
}
"""The demo has colour PNG of one size, of a single source and without EXIF."""


def draw(
    folder: Path,
    ending: str = "png",
    each: int = 14,
    size: tuple[int, int] | None = None,
    sources: int = 2,
    exif: bool = True,
    mode: str = "RGB",
) -> Path:
    """A project with so many training pictures of each class, and half as many to test on.

    With 14, explore has enough of them to look for shortcuts.
    """
    random = np.random.default_rng(7)
    for part, count in (("train", each), ("test", each // 2)):
        for label, cells in (("fake", 4), ("real", 48)):
            for number in range(count):
                source = f"source {number % sources}" if sources > 1 else ""
                file = folder / "original" / part / label / source / f"{number}.{ending}"
                file.parent.mkdir(parents=True, exist_ok=True)
                noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
                fields = Image.Exif()
                if exif and label == "real":
                    fields[271] = "camera"
                picture = noise.resize(size or tuple(random.integers(40, 60, 2))).convert(mode)
                picture.save(file, exif=fields)
    folders = demo.PATHS_TOML.partition("# Random weights")[0].replace("resnet18", "tiny")
    (folder / "paths.toml").write_text(f"{folders}{TRAINING}", encoding="utf-8")
    return folder / "paths.toml"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read pictures in this process, for others take seconds to start, and leave figures white."""

    def read(reader: Any, waiting: Any, _: object) -> Iterator[tuple[Any, Any]]:
        for item in (*waiting.next, *waiting.later):
            yield item, copy.deepcopy(reader.function(item))

    monkeypatch.setattr(pool, "_Pool", lambda function, _: SimpleNamespace(function=function))
    monkeypatch.setattr(pool, "_results", read)
    monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)


def fill_in(texts: Iterable[str], paths: Path) -> list[str]:
    """Texts with the test pictures of a project and one of them."""
    pictures = paths.parent / "original/test"
    picture = next(path for path in sorted(pictures.rglob("*.*")) if path.is_file())
    return [text.format(pictures=pictures, picture=picture) for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_ends_well_on_every_kind_of_data(kind: str, quick: None, tmp_path: Path) -> None:
    paths = draw(tmp_path, **KINDS[kind])
    # They stand in a sensible order.
    for name in (option.command for option in commands()):
        # An export is of the model, and takes longer than all else.
        if name in ("export", "demo"):
            continue
        result = run("--paths", paths, name, *fill_in(ARGUMENTS.get(name, ()), paths))
        assert result.returncode == (2 if name in REFUSED else 0), f"{name}: {result.stderr}"
        if name in REFUSED:
            assert REFUSED[name] in result.stderr and result.stderr.count("\n") == 1


def press(option: Option, parent: Option | None, paths: Path) -> str:
    """The keys of an entry, its answers, and the way out."""
    answers = fill_in(ANSWERS.get(option.label, ()), paths)
    keys = [parent.key, option.key, *answers, "0"] if parent else [option.key, *answers]
    return "".join(f"{key}\n" for key in [*keys, "0"])


def test_every_entry_of_the_menu_ends_well_on_the_demo(
    quick: None, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PICTURE_COUNTS", {"train": 16, "test": 6})
    monkeypatch.setattr(demo, "TRAINING_STEPS", 2)
    folders = demo.PATHS_TOML.partition("# Random weights")[0].replace("resnet18", "tiny")
    monkeypatch.setattr(demo, "PATHS_TOML", f"{folders}{TRAINING}")
    result = run("--paths", project, "demo")
    assert result.returncode == 0, result.stderr
    paths = project.parent / "demo/paths.toml"
    ended: list[int] = []
    whole = menu.run_option

    def note(*arguments: Any, **more: Any) -> Outcome:
        outcome = whole(*arguments, **more)
        ended.append(outcome.status)
        return outcome

    monkeypatch.setattr(menu, "run_option", note)
    rows = [(row, None) for row in OPTIONS if not row.entries]
    for option, parent in [*rows, *((entry, row) for row in OPTIONS for entry in row.entries)]:
        result = run("--paths", paths, keys=press(option, parent, paths))
        assert result.returncode == 0 and "Goodbye" in result.stdout, f"{option.label}: {result.stderr}"
        refused = REFUSED.get(option.label, "")
        assert ended.pop() == (2 if refused else 0), f"{option.label}: {result.stderr}"
        assert refused in result.stderr
