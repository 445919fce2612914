"""Files of the same bytes among many."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.files import hash_file


@dataclass(frozen=True)
class Pair:
    """Two pictures, as numbers in the list they came from; `distance` in bits of 256."""

    kind: str
    first: int
    second: int
    distance: int


def file_hash(path: Path) -> str | None:
    """The hash of a file's content; None if it cannot be read."""
    try:
        # Opening a pipe would wait for a writer, for ever.
        return hash_file(path) if path.is_file() else None
    except OSError:
        return None


def count_known(paths: Sequence[Path], known: Sequence[Path]) -> int:
    """How many files have the same bytes as one of those that are known.

    Only files that share their size with one of the others are read.
    """
    sizes, of_known = ([_size_of(path) for path in some] for some in (paths, known))
    common = (set(sizes) & set(of_known)) - {None}
    hashes = {file_hash(path) for path, size in zip(known, of_known, strict=True) if size in common}
    found = [file_hash(path) for path, size in zip(paths, sizes, strict=True) if size in common]
    return sum(digest is not None and digest in hashes for digest in found)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def find_exact(paths: Sequence[Path], sizes: Sequence[int]) -> list[Pair]:
    """Files of the same bytes, each beside the first of its kind.

    Only files that share their size (in bytes) are read.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for number, size in enumerate(sizes):
        by_size[size].append(number)
    pairs = []
    for numbers in by_size.values():
        first: dict[str, int] = {}
        for number in numbers if len(numbers) > 1 else ():
            digest = file_hash(paths[number])
            if digest is None:
                continue
            if digest in first:
                pairs.append(Pair(kind="exact", first=first[digest], second=number, distance=0))
            else:
                first[digest] = number
    return pairs
