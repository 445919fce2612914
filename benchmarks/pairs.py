"""A job with two implementations."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkJob:
    """A job: `reference()` and `ours()` do `count` units of work, then `equal()` compares the results.

    `unit` names a unit; `note` returns a remark for the table. `operations` counts those of the matrix
    products in a unit, 0 if other work dominates; `bf16`: ours computes them in bfloat16.
    """

    count: int
    unit: str
    reference: Callable[[], object]
    ours: Callable[[], object]
    equal: Callable[[], bool]
    note: Callable[[], str] = lambda: ""
    operations: float = 0
    bf16: bool = False
