"""Names are data: through the screen, CSV files, JSON and HTML, no name does anything."""

import csv
import html
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from conftest import paint, run, shorten

from fakedetect.core.records.csv_files import FORMULA_PREFIXES, from_cell, to_cell
from fakedetect.core.terminal.console import printable

NAMES = (
    "\x1b[2J\x1b[Hwiped.jpg",
    "\x1b]0;title\x07.jpg",
    "\x9b31m.jpg",
    "=HYPERLINK(\"http_\",\"x\").jpg",
    "@SUM(1+1).jpg",
    "+1.jpg",
    "-1.jpg",
    "\tx.jpg",
    "'quoted.jpg",
    "<script>alert(1)<.jpg",
    "a&amp;<img src=x onerror=y>.jpg",
    "line\nFORGED.jpg",
    "bell\a.jpg",
    "\u202egpj.exe.jpg",
    "$(touch x).jpg",
    # Elsewhere the file system takes no such bytes.
    *(["not UTF-8 \udcff.jpg"] if sys.platform == "linux" else []),
)  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")


def drives_a_terminal(text: str) -> bool:
    """Whether a text holds a character that is neither shown nor a line end."""
    return any(not c.isprintable() and c not in "\n\r" for c in text)


SOURCE = "=cmd()\x1b[31m\nFORGED"
FAKES = f"dataset/test/fake/{SOURCE}"
PAGE = "<b>\x1b[2Jpage\nFORGED.html"


@dataclass(frozen=True)
class Hostile:
    """A project with hostile names, and what each command said of it, by its words."""

    paths: Path
    said: dict[tuple[str, ...], CompletedProcess[str]]

    @property
    def parent(self) -> Path:
        return self.paths.parent


@pytest.fixture(scope="module")
def hostile(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """The trained project with hostile names among its pictures, and as a source, after all commands."""
    trained = tmp_path_factory.mktemp("hostile") / "trained" / "paths.toml"
    shutil.copytree(trained_once.parent, trained.parent)
    shorten(trained)
    for part in ("train", "test"):
        for number, name in enumerate(NAMES):
            paint(trained.parent / "plain.jpg", number + 50 * (part == "test"))
            for folder in (
                f"dataset/{part}/fake/{SOURCE}",
                f"dataset/resized_{part}/fake/{SOURCE}",
            ):
                target = trained.parent / folder / name
                target.parent.mkdir(exist_ok=True)
                shutil.copy(trained.parent / "plain.jpg", target)
    (trained.parent / "dataset/train/fake" / "\x1b[2Jbad\nFORGED.jpg").write_bytes(b"no picture")
    folder = trained.parent / FAKES
    commands = (
        ["scan"], ["bad-images"], ["resize"], ["test"], ["evaluate"],
        ["train", "--leave-out", "\x1b[1mx\nFORGED"],
        ["compare"], ["report"], ["explore"], ["check", folder, "--no-stability"],
        ["check", folder, "--no-stability", "--json", "--html", trained.parent / PAGE],
        ["explain", folder / NAMES[0]],
        ["check", folder / "\x1b[2Jmissing\nFORGED.jpg"],
        ["evaluate", "--data", trained.parent / "\x1b[2J\nFORGED"],
    )  # fmt: skip
    return Hostile(
        trained, {tuple(map(str, command)): run("--paths", trained, *command) for command in commands}
    )


def test_no_name_drives_the_terminal(hostile: Hostile) -> None:
    for command, result in hostile.said.items():
        assert result.returncode in (0, 1, 2), (command, result.stderr)
        assert not drives_a_terminal(result.stdout + result.stderr), command
        assert "Traceback" not in result.stderr


def test_no_name_forges_a_line(hostile: Hostile) -> None:
    for command, result in hostile.said.items():
        lines = (result.stdout + result.stderr).splitlines()
        assert not [line for line in lines if line.lstrip().startswith("FORGED")], command


def test_no_cell_is_a_formula_and_the_name_is_read_back(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hostile.parent / FAKES)
    assert hostile.said["scan",].returncode == 0
    assert hostile.said["test",].returncode == 0
    assert hostile.said["explore",].returncode in (0, 1)
    names = [f"./{name}" if name.startswith("-") else name for name in NAMES]
    checked = run(
        "--paths", hostile.paths, "check", "--no-stability", "--csv", hostile.parent / "out.csv", *names
    )
    assert checked.returncode == 0, checked.stderr
    files = [path for path in hostile.parent.rglob("*.csv") if ".venv" not in path.parts]
    assert len(files) >= 6
    for file in files:
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as opened:
            for row in csv.reader(opened):
                assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row), file
    written = hostile.parent / "out.csv"
    with written.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as opened:
        paths = {from_cell(row["path"]) for row in csv.DictReader(opened)}
    assert {os.path.normpath(path) for path in paths} == set(NAMES)
    results = json.loads((hostile.parent / "model_folders/tiny/test_results.json").read_text())
    assert results["count"] == 20 + len(NAMES)


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.handlers: set[str] = set()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.scripts += tag == "script"
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}


def test_no_name_is_a_tag_of_the_report(hostile: Hostile) -> None:
    for command in ("test", "evaluate", "report"):
        assert hostile.said[command,].returncode == 0
    page = (hostile.parent / "model_folders/tiny/report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.found and not tags.handlers
    assert not drives_a_terminal(page.replace("\t", ""))


def test_no_name_is_a_tag_of_the_page_of_check(hostile: Hostile) -> None:
    page = (hostile.parent / PAGE).read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.scripts == 1 and not tags.handlers and not {"b\x1b[2jpage\nforged.html", "x"} & tags.found
    assert not drives_a_terminal(page)
    names = re.findall(r"<h3>(.*?)</h3>", page.split('<ol id="cards">')[1].split("</ol>")[0])
    shown = sorted(html.unescape(re.sub(r"</?(?:span|a)[^>]*>", "", name)) for name in names)
    assert shown == sorted(printable(name.replace("\n", "\\n")) for name in NAMES)


@pytest.mark.parametrize("text", [*NAMES, "'", "''", "'=1", "plain", "", "=", "1+1"])
def test_a_cell_gives_its_text_back(text: str) -> None:
    cell = to_cell(text)
    assert from_cell(cell) == text
    assert not cell.startswith(tuple(set(FORMULA_PREFIXES) - {"'"}))
