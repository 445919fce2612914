"""The documents: words, links, commands and dependencies that they name."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fakedetect.command_line import COMMON
from fakedetect.core.version import VERSION
from fakedetect.options import commands

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("README.md", 550),
        ("docs/architecture.md", 700),
        ("docs/commands.md", 1500),
        ("docs/data.md", 1550),
        ("docs/guarantees.md", 1100),
        ("docs/models.md", 1100),
        ("docs/origin.md", 600),
        ("docs/probe.md", 800),
        ("docs/speed.md", 400),
        ("docs/trust.md", 900),
    ],
)
def test_pages_are_short(page: str, words: int) -> None:
    assert len((ROOT / page).read_text(encoding="utf-8").split()) <= words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), f"{page.name} names {name}"


def project_table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def imported_packages(*places: str) -> set[str]:
    """The packages, by their names at PyPI, that Python files below these folders import themselves."""
    found = set()
    for path in (file for place in places for file in (ROOT / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    own = {"fakedetect", "benchmarks", *(path.stem for path in (ROOT / "tests").glob("*.py"))}
    known = packages_distributions()
    # What is not installed, of the extras, has the name that is imported.
    names = {known.get(name, [name])[0] for name in found - own - sys.stdlib_module_names}
    return {canonicalize_name(name) for name in names}


def pins_of(name: str) -> dict[str, str]:
    """The packages that a file of requirements pins itself, with their versions."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]
    return {each.name: str(each.specifier).removeprefix("==") for each in pinned}


def named_in(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_what_is_imported_is_listed() -> None:
    project = project_table()
    extras = project["optional-dependencies"]
    optional = named_in(extras["export"])
    assert imported_packages("fakedetect", "benchmarks") - optional == named_in(project["dependencies"])
    listed = named_in([*project["dependencies"], *extras["dev"]])
    assert imported_packages("tests") <= listed


def test_pins_and_bounds_agree() -> None:
    project = project_table()
    users, tests = project["dependencies"], project["optional-dependencies"]["dev"]
    bounds = {Requirement(line).name: Requirement(line).specifier for line in (*users, *tests)}
    pins = pins_of("requirements.txt")
    assert {canonicalize_name(name) for name in pins} == named_in(users)
    assert {canonicalize_name(name) for name in pins_of("requirements-dev.txt")} == named_in(tests)
    assert (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").startswith("-r requirements.txt\n")
    pins |= pins_of("requirements-dev.txt")
    for name, version in pins.items():
        assert version in bounds[name], f"{name} {version} is not {bounds[name]}"
    table = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert not [name for name in pins if name not in table]


def test_the_lock_has_names_and_versions_alone_and_the_pins() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    locked = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for name, pin in (pins_of("requirements.txt") | pins_of("requirements-dev.txt")).items():
        assert locked[canonicalize_name(name)] == pin


def test_versions_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d\S*)", changelog, re.MULTILINE)
    assert newest and newest[1] == VERSION
    assert f"version: {VERSION}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()


def test_every_command_has_an_example() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    assert list(sections) == [option.command for option in commands()]
    for command, section in sections.items():
        assert re.search(rf"^\$ (python menu\.py|fakedetect) {command}\b", section, re.MULTILINE)


@pytest.mark.parametrize(
    # The changelog names what was removed.
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],
    ids=lambda page: page.name,
)
def test_options_that_a_page_names_exist(page: Path) -> None:
    flags = {option.command: {each.flag for each in option.takes} for option in commands()}
    # `train --repeat 3`, or a line of an example up to a pipe or a remark.
    called = rf"(?:`|python menu\.py (?:--\w+ \S+ )*)({'|'.join(flags)}) ([^`|(#\n]*)"
    for command, line in re.findall(called, page.read_text(encoding="utf-8")):
        assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= flags[command] | set(COMMON), (command, line)


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(work|tmp|home|root|Users)/", page.read_text(encoding="utf-8"))


WORDED_OTHERWISE = (
    r"\bMend\b|Three ways on|carry over|carries over|fakes found|reals found|% right|are no numbers"
    r"|had no part in|of no use|manieth|one half decides"
)
"""What the texts once said; the field says Fix, Options, generalise, recall, accuracy, NaN, skipped."""


@pytest.mark.parametrize(
    "file",
    [*PAGES, *sorted((ROOT / "fakedetect").rglob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_texts_use_the_words_of_the_field(file: Path) -> None:
    found = re.search(WORDED_OTHERWISE, file.read_text(encoding="utf-8"))
    assert not found, f"{file.name}: {found}"


def test_the_architecture_names_every_package() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "fakedetect").iterdir():
        if (path / "__init__.py").is_file():
            assert f"**{path.name}**" in page, f"{path.name} is not described"
