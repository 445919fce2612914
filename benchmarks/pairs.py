"""A job done in two ways."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """A job's two ways: `reference()` and `ours()` do `count` pieces of work, then `equal()` compares.

    `unit` names a piece; `note` says what else there is to know. `operations` are those of matrix products
    in a piece, 0 where they are not what takes the time; `bf16`: ours does them in bfloat16.
    """

    count: int
    unit: str
    reference: Callable[[], object]
    ours: Callable[[], object]
    equal: Callable[[], bool]
    note: Callable[[], str] = lambda: ""
    operations: float = 0
    bf16: bool = False
