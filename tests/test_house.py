"""The house: which package may import which, read from every module's syntax tree."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

from fakedetect.options import OPTIONS, Option, commands

CORE = {"core"}
DATA = {"core", "metrics", "images", "dataset"}
SHARED = DATA | {"models"}
STAGES = {"preprocessing", "training", "testing", "checking", "explaining", "reporting"}

MAY_IMPORT = {
    "core": set(),
    "images": CORE,
    "provenance": {"core", "images"},
    "metrics": CORE,
    "dataset": {"core", "images"},
    "models": DATA,
    "preprocessing": SHARED,
    "testing": SHARED,
    "training": SHARED | {"testing"},
    "explaining": SHARED,
    "checking": SHARED | {"provenance", "explaining"},
    "reporting": SHARED | {"training", "testing", "explaining"},
    "menu": {"core", "options", "overview", "command_line"},
    "command_line": {"core", "options"},
    "options": CORE,
    "overview": {"core", "images", "dataset"},
    "choose": CORE,
    "init": CORE,
    "__main__": {"menu", "core"},
}
"""What the modules of each package (or each module beside them) may import."""

PUBLIC = {
    "training": {"log"},
    "testing": {"test", "results", "figures"},
    "explaining": {"heatmaps", "figures"},
}
"""Of the stages that other stages may import, the modules that they may."""

DOOR = "models.cpu_training.speed_up"
"""Other packages do not import the modules beside it."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name without the first part."""
    root = ROOT / "fakedetect"
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for path in sorted(root.rglob("*.py"))
        if path.stem != "__init__"
    }


def imports(path: Path) -> set[str]:
    """The project's modules that a module imports, also inside functions, without the first part."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            found.add(node.module or "")
    return {name.removeprefix("fakedetect.") for name in found if name.startswith("fakedetect")}


def test_there_are_modules_in_every_room() -> None:
    rooms = {name.split(".")[0] for name in modules()}
    assert rooms == set(MAY_IMPORT)
    assert len(modules()) > 60


@pytest.mark.parametrize("name", modules())
def test_imports_follow_the_table(name: str) -> None:
    room = name.split(".")[0]
    for imported in imports(modules()[name]):
        assert imported in modules(), f"{name} imports {imported}, which is no module"
        behind_door = imported.startswith("models.cpu_training.") and imported != DOOR
        assert not behind_door or name.startswith("models."), f"{imported} is behind {DOOR}"
        other = imported.split(".")[0]
        if other == room:
            continue
        assert other in MAY_IMPORT[room], f"{name} may not import {imported}"
        if room in STAGES and other in STAGES:
            assert imported.split(".")[1] in PUBLIC[other], f"{imported} is not public"
        if room == "overview" and other != "core":
            assert imported in ("images.listing", "dataset.folders", "dataset.review")


def test_no_room_imports_in_a_circle() -> None:
    graph = {name: imports(path) & set(modules()) for name, path in modules().items()}
    done: set[str] = set()
    while left := {name for name in graph if name not in done}:
        free = {name for name in left if not graph[name] - done}
        assert free, f"a circle among {sorted(left)}"
        done |= free


def test_no_package_file_hides_code() -> None:
    front = ROOT / "fakedetect/__init__.py"
    for path in (ROOT / "fakedetect").rglob("__init__.py"):
        assert path == front or not path.read_text(encoding="utf-8").strip()
    # The front door is one function, which imports the library when it is called.
    assert imports(front) == {"checking.library"}
    (door,) = (node for node in ast.parse(front.read_text()).body if isinstance(node, ast.FunctionDef))
    assert door.name == "load" and len(ast.unparse(door).splitlines()) < 30


def all_options(options: tuple[Option, ...] = OPTIONS) -> list[Option]:
    return [found for option in options for found in (option, *all_options(option.entries))]


def test_every_target_is_there() -> None:
    for option in all_options():
        if not option.target:
            assert option.entries
            continue
        module, function = option.target.removeprefix("fakedetect.").split(":")
        tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_modules_of_commands_bear_their_names() -> None:
    named = {"bad-images": "scan", "fit-thresholds": "thresholds", "loss-graph": "log"}
    for option in commands():
        module = option.target.split(":")[0].rpartition(".")[2]
        assert module == named.get(option.command, option.command)
