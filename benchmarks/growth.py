"""`python -m benchmarks growth`: how the time of each part of `explore` grows with the pictures.

The pictures are frames of one scene, the worst case for comparing all pairs, and as many unrelated ones.
Reading the files is not measured: it grows linearly.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from fakedetect.dataset.identical import find_exact_duplicates
from fakedetect.preprocessing.audit import CATEGORY_PHRASES, FLAG_PHRASES, NUMBER_PHRASES, audit_shortcuts
from fakedetect.preprocessing.label_scores import find_label_issues
from fakedetect.preprocessing.near_duplicates import Fingerprint, find_near_duplicates

SIZES, QUICK_SIZES = (1_000, 5_000, 20_000), (500, 1_000, 2_000)


def _make_prints(count: int, alike: bool) -> list[tuple[int, Fingerprint]]:
    """Make numbered fingerprints of frames of one scene, or of unrelated pictures."""
    random = np.random.default_rng(0)
    scene, shapes = random.normal(110, 30, (32, 32)), random.normal(size=(2, 256))
    found = []
    for number in range(count):
        noise = random.normal(0, 0.1 if alike else 10, (2, 256))
        bits, mirrored = (np.packbits(row > 0).view(np.uint64) for row in shapes + noise)
        grey = (scene + random.normal(0, 3, (32, 32))).clip(0, 255).astype(np.uint8)
        found.append((number, Fingerprint(bits, mirrored, grey)))
    return found


def _write_copies(folder: Path, count: int) -> list[Path]:
    """Write `count` files of one size, half of them copies of the others."""
    paths = [folder / f"{number}.bin" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes((number // 2).to_bytes(4, "big") * 1000)
    return paths


def _make_table(count: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    columns = {name: random.integers(1, 1000, count) for name in (*NUMBER_PHRASES, "width", "height")}
    flags = {name: random.random(count) < 0.5 for name in FLAG_PHRASES}
    names = {name: random.choice(["a", "b"], count) for name in CATEGORY_PHRASES}
    return pd.DataFrame({**columns, **flags, **names, "label": random.choice(["fake", "real"], count)})


def _measure(count: int, folder: Path) -> dict[str, float]:
    alike, unrelated = (_make_prints(count, each) for each in (True, False))
    paths, table = _write_copies(folder, count), _make_table(count)
    p_fake = np.random.default_rng(0).random(count)
    parts: dict[str, Callable[[], object]] = {
        "look-alikes": lambda: find_near_duplicates(alike),
        "unrelated": lambda: find_near_duplicates(unrelated),
        "exact copies": lambda: find_exact_duplicates(paths, [4000] * count),
        "audit": lambda: audit_shortcuts(table, "original"),
        "label suspicion": lambda: find_label_issues(p_fake, np.arange(count) % 2 == 0),
    }
    seconds = {}
    for name, work in parts.items():
        begun = time.perf_counter()
        work()
        seconds[name] = round(time.perf_counter() - begun, 2)
    return seconds


def measure_growth(quick: bool) -> dict[str, dict[str, float]]:
    """Print the table; return the seconds of each part by the number of pictures."""
    found: dict[str, dict[str, float]] = {}
    for count in QUICK_SIZES if quick else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found[f"{count}"] = seconds = _measure(count, Path(folder))
        if len(found) == 1:
            print(f"\n| pictures | {' | '.join(seconds)} |\n|---|{'---|' * len(seconds)}")
        print(f"| {count:,} | {' | '.join(f'{each:.2f} s' for each in seconds.values())} |", flush=True)
    return found
