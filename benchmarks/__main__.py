"""`python -m benchmarks`: the table of ratios."""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.coverage import measure_coverage
from benchmarks.growth import measure_growth
from benchmarks.jobs import JOBS
from benchmarks.memory import measure_memory
from benchmarks.peak import measure_product
from fakedetect.core.files import write_json
from fakedetect.core.processes.memory import freed_memory_kept
from fakedetect.core.terminal.progress import percent

ROUNDS = 5
QUICK_ROUNDS = 3

MEMORY, COVERAGE, GROWTH = OTHERS = ("memory", "coverage", "growth")
"""Jobs without a comparison with the course project."""


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def describe_machine() -> str:
    """Describe the processor, its cores and bfloat16 instructions, the GPU and the versions."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        name, flags = facts.get("model name", name), facts.get("flags", "")
    except OSError:
        pass
    able = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags.split()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{name}, {cores} cores{f' ({chr(44).join(able)})' if able else ''}{gpu}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def measure(job: str, quick: bool, model: str, peaks: Mapping[bool, float]) -> dict[str, Any]:
    """Measure one job: both implementations alternate, after a warm-up round that does not count.

    Args:
        peaks: the machine's operations per second, by whether they are in bfloat16.
    """
    with tempfile.TemporaryDirectory() as folder:
        pair = JOBS[job](Path(folder), quick, model)
        ratios, theirs, ours = [], [], []
        for round_ in range(1 + (QUICK_ROUNDS if quick else ROUNDS)):
            a = _seconds(pair.reference)
            with freed_memory_kept():
                b = _seconds(pair.ours)
            if round_:
                ratios.append(a / b)
                theirs.append(pair.count / a)
                ours.append(pair.count / b)
        rate = statistics.median(ours)
        share = rate * pair.operations / peaks[pair.bf16]
        limit = f"{percent(share, 0)} of the rate of a matrix product" if pair.operations else ""
        return {
            "ratio": round(statistics.median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
            "reference_per_s": round(statistics.median(theirs), 2),
            "ours_per_s": round(rate, 2),
            "unit": pair.unit,
            "equal": bool(pair.equal()),
            "note": ", ".join(filter(None, (pair.note(), limit))),
            "share_of_peak": round(share, 3),
        }


def _find(job: str) -> list[str]:
    """Return the jobs of a name or prefix: 'probe' means both jobs of the probe."""
    return [name for name in JOBS if name == job or (name.startswith(f"{job}-") and job not in JOBS)]


def main() -> int:
    """Measure the requested jobs and print their table; return 1 if results differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = f"any of {', '.join(JOBS)} (default: all), or {', '.join(OTHERS)}"
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=names)
    parser.add_argument("--quick", action="store_true", help="fewer pictures and pairs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--model", default="resnet18", metavar="NAME", help="for train, test and epoch2")
    parser.add_argument(
        "--timm",
        default="tf_efficientnet_lite0",
        metavar="NAME",
        help=f"timm's model for {', '.join(OTHERS)}",
    )
    given = parser.parse_args()
    if unknown := [job for job in given.jobs if job not in OTHERS and not _find(job)]:
        parser.error(f"unknown job {unknown[0]!r}; the jobs are {', '.join(JOBS)}")
    print(describe_machine())
    # Needed here too: the heap is laid out once, when torch starts its threads.
    with freed_memory_kept():
        peaks = {bf16: measure_product(bf16) for bf16 in (False, True)}
    print(
        f"A matrix product of 2,048 x 2,048: {peaks[False] / 1e9:,.0f} GFLOP/s in float32, "
        f"{peaks[True] / 1e9:,.0f} in bfloat16"
    )
    print("\n| job | ratio (lowest to highest) | reference | ours | equal | |\n|---|---|---|---|---|---|")
    results = {}
    asked = [name for job in given.jobs for name in _find(job)]
    for job in asked or ([] if set(OTHERS) & set(given.jobs) else JOBS):
        found = results[job] = measure(job, given.quick, given.model, peaks)
        print(
            f"| {job} | **{found['ratio']:.2f}** ({found['lowest']:.2f} to {found['highest']:.2f}) "
            f"| {found['reference_per_s']:,.1f} {found['unit']}/s | {found['ours_per_s']:,.1f} "
            f"| {'yes' if found['equal'] else 'NO'} | {found['note']} |",
            flush=True,
        )
    others: dict[str, object] = {}
    if MEMORY in given.jobs:
        others[MEMORY] = measure_memory(given.quick, given.timm)
    if COVERAGE in given.jobs:
        others[COVERAGE] = measure_coverage(given.quick)
    if GROWTH in given.jobs:
        others[GROWTH] = measure_growth(given.quick)
    if given.json:
        write_json(given.json, {**results, **others})
    return 0 if all(found["equal"] for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
