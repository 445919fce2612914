"""Work divided among the cores of a machine, or among the jobs of a cluster."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from fakedetect.core.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """The `number`th of `count` shares, counted from 1."""

    number: int = 1
    count: int = 1

    def part_of(self, items: Sequence[T]) -> Sequence[T]:
        """Return every `count`th item; the shares are disjoint and cover all items."""
        return items[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str | None) -> Shard:
    """Turn '3/16' into a Shard; None is all of the work.

    Raises:
        UserError: the text is not a share.
    """
    if text is None:
        return Shard()
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {text} is not a share. Use K/N, for example 3/16: the third of sixteen.")
    return Shard(int(match[1]), int(match[2]))


def count_workers(setting: int | None) -> int:
    """Return how many processes or threads read pictures: the setting, or one per available core."""
    if setting:
        return setting
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
