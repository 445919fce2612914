"""The peak memory of training, which must grow with the batch and not with the dataset."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.corpus import make_small

ROOT = Path(__file__).resolve().parent.parent

RUNS = ((500, 32), (5000, 32), (500, 64))
QUICK_RUNS = ((100, 16), (1000, 16), (100, 32))
"""Pictures and batch size of each run."""

PATHS = """\
model = "measured"
[resized]
train = "pictures_{pictures}"
[training]
pretrained = false
max_epochs = 1
[models.measured]
timm = "{architecture}"
batch_size = {batch}
"""


def measure_peak(folder: Path, architecture: str, pictures: int, batch: int) -> float:
    """Measure the peak memory in MB of one epoch of training, as the system counts it.

    Raises:
        RuntimeError: the training failed.
    """
    if not (folder / f"pictures_{pictures}").is_dir():
        make_small(folder / f"pictures_{pictures}", pictures // 2)
    paths = folder / "paths.toml"
    text = PATHS.format(pictures=pictures, architecture=architecture, batch=batch)
    paths.write_text(text, encoding="utf-8")
    command = [sys.executable, str(ROOT / "menu.py"), "--paths", str(paths), "train", "--overwrite"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None  # noqa: S101
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(errors.decode(errors="replace")[-500:])
    # Linux counts in kB, macOS in bytes.
    return usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def measure_memory(quick: bool, architecture: str) -> dict[str, float]:
    """Print the table; return its figures."""
    print(f"\n| {architecture}, one epoch | batch | peak memory, MB |\n|---|---|---|")
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for pictures, batch in QUICK_RUNS if quick else RUNS:
            peak = measure_peak(Path(folder), architecture, pictures, batch)
            found[f"{pictures} pictures, batches of {batch}"] = round(peak)
            print(f"| {pictures:,} pictures | {batch} | {peak:,.0f} |", flush=True)
    return found
