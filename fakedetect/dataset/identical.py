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


def _file_hash(path: Path) -> str | None:
    try:
        # Opening a pipe would wait for a writer, for ever.
        return hash_file(path) if path.is_file() else None
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
            digest = _file_hash(paths[number])
            if digest is None:
                continue
            if digest in first:
                pairs.append(Pair("exact", first[digest], number, 0))
            else:
                first[digest] = number
    return pairs
