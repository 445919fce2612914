"""Names: one public name means one thing in the whole package, and verbs mean the same everywhere."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from conftest import ROOT

TREES = {
    str(path.relative_to(ROOT / "fakedetect")): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "fakedetect").rglob("*.py"))
}

ALLOWED = {
    # A type variable belongs to its module.
    "T",
}
"""Public names that several modules may define."""

VAGUE = re.compile(r"_*(tell|say|ask_a|remind|word)")
"""Vague beginnings of function names; describe_*, format_* and print_* show what is returned or done."""


def public_names(tree: ast.Module) -> Iterator[str]:
    """Yield a module's functions, classes and constants without a leading underscore."""
    for node in tree.body:
        found: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            found = [name.id for name in names if isinstance(name.ctx, ast.Store)]
        yield from (name for name in found if not name.startswith("_"))


def test_a_public_name_is_defined_in_one_module() -> None:
    homes: dict[str, set[str]] = defaultdict(set)
    for path, tree in TREES.items():
        for name in public_names(tree):
            homes[name].add(path)
    assert len(homes) > 500
    assert {name: found for name, found in homes.items() if len(found) > 1 and name not in ALLOWED} == {}


def test_functions_are_named_by_what_they_return_or_do() -> None:
    functions = [
        (path, node.name)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(functions) > 500
    vague = [(path, name) for path, name in functions if VAGUE.match(name)]
    assert vague == []
