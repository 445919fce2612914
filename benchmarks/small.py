"""The commands `scan` and `resize`, with their start, on few and small files."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.corpus import make_small
from benchmarks.pairs import BenchmarkJob

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10, 100, 1000)

SETTINGS = """
model = "resnet18"
[original]
train_real = "train/real"
train_fake = "train/fake"
test_real = "test/real"
test_fake = "test/fake"
[resized]
train = "resized_train"
test = "resized_test"
[outputs]
model_folders = "models"
bad_images = "bad.txt"
grad_cam = "cam"
explore = "explore"
"""


def _prepare(folder: Path, count: int) -> Path:
    """Make `count` small JPEGs in the training folders, two of them cut off; return paths.toml."""
    make_small(folder / "train", count // 2)
    for label in ("fake", "real"):
        (folder / "test" / label).mkdir(parents=True)
        cut = folder / "train" / label / "00000.jpg"
        cut.write_bytes(cut.read_bytes()[:2000])
    settings = folder / "paths.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    return settings


def _plain(*arguments: object) -> None:
    command = [sys.executable, "-m", "benchmarks.plain", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _ours(settings: Path, command: str) -> None:
    arguments = [sys.executable, "menu.py", "--paths", str(settings), command]
    done = subprocess.run(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # 1 means that there are bad pictures; other codes are failures.
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)


def scan(count: int) -> Callable[[Path, bool, str], BenchmarkJob]:
    """Return the job that scans `count` small pictures."""

    def job(folder: Path, _: bool, __: str) -> BenchmarkJob:
        settings, theirs = _prepare(folder, count), folder / "bad_plain.txt"

        def equal() -> bool:
            found = [set(file.read_text().splitlines()) for file in (theirs, folder / "bad.txt")]
            return {Path(line).name for line in found[0]} == {Path(line).name for line in found[1]}

        return BenchmarkJob(
            count,
            "pictures",
            lambda: _plain("scan", folder / "train", theirs),
            lambda: _ours(settings, "scan"),
            equal,
        )

    return job


def resize(count: int) -> Callable[[Path, bool, str], BenchmarkJob]:
    """Return the job that resizes `count` small pictures."""

    def job(folder: Path, _: bool, __: str) -> BenchmarkJob:
        settings, plain, copies = _prepare(folder, count), folder / "plain", folder / "resized_train"

        def theirs() -> None:
            shutil.rmtree(plain, ignore_errors=True)
            _plain("resize", folder / "train", plain)

        def ours() -> None:
            shutil.rmtree(copies, ignore_errors=True)
            _ours(settings, "resize")

        def equal() -> bool:
            found = [
                {file.relative_to(root): file.read_bytes() for file in root.rglob("*.jpg")}
                for root in (plain, copies)
            ]
            return found[0] == found[1] and len(found[0]) == count - 2

        return BenchmarkJob(count, "pictures", theirs, ours, equal)

    return job


JOBS = {
    f"small-{name}-{count}": make(count)
    for name, make in (("scan", scan), ("resize", resize))
    for count in SIZES
}
