"""Exact duplicates among files."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.files import hash_file


@dataclass(frozen=True)
class DuplicatePair:
    """Two duplicate pictures, by their indices; `distance` is in bits of 256."""

    kind: str
    first: int
    second: int
    distance: int


def try_hash_file(path: Path) -> str | None:
    """The hash of a file's content; None if it cannot be read."""
    try:
        # Opening a pipe would block.
        return hash_file(path) if path.is_file() else None
    except OSError:
        return None


def count_identical(paths: Sequence[Path], known: Sequence[Path]) -> int:
    """Count the files that are identical to one of the `known` files.

    Only files whose size occurs in both lists are read.
    """
    sizes, of_known = ([_size_of(path) for path in some] for some in (paths, known))
    common = (set(sizes) & set(of_known)) - {None}
    hashes = {try_hash_file(path) for path, size in zip(known, of_known, strict=True) if size in common}
    found = [try_hash_file(path) for path, size in zip(paths, sizes, strict=True) if size in common]
    return sum(digest is not None and digest in hashes for digest in found)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def find_exact_duplicates(paths: Sequence[Path], sizes: Sequence[int]) -> list[DuplicatePair]:
    """Find exact duplicates, each paired with the first file of the same content.

    Only files whose size (in bytes) occurs more than once are read.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, size in enumerate(sizes):
        by_size[size].append(number)
    pairs = []
    for numbers in by_size.values():
        first: dict[str, int] = {}
        for number in numbers if len(numbers) > 1 else ():
            digest = try_hash_file(paths[number])
            if digest is None:
                continue
            if digest in first:
                pairs.append(DuplicatePair(kind="exact", first=first[digest], second=number, distance=0))
            else:
                first[digest] = number
    return pairs
