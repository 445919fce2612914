"""Pictures, settings and the program itself, for every test."""

import contextlib
import io
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

# Before anything asks the hub for it: no test needs the network.
os.environ["HF_HUB_OFFLINE"] = "1"
# As in an activated environment, in which messages say `python`.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# Nor what is derived from the user's own files.
os.environ["FAKEDETECT_CACHE"] = tempfile.mkdtemp()

from fakedetect import menu

ROOT = Path(__file__).resolve().parent.parent

REFERENCE_INPUT = "size = 224\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n"
"""What the reference's models take, for a model of timm that is made for something else."""


def paint(path: Path, seed: int, size: tuple[int, int] = (300, 260), mode: str = "RGB") -> Path:
    """Write a smooth random picture; the file's name says the format."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def run(*arguments: object, keys: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of menu.py, or its menu on lines of keys; in this process, which has torch already."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    given = list(map(str, arguments))
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(os.fsencode(keys or "")), "utf-8")),
    ):
        try:
            code = menu.main(given)
        except SystemExit as end:
            code = end.code
    for name, handler in handlers.items():
        signal.signal(name, handler)
    texts = [stream.buffer.getvalue().decode("utf-8") for stream in (out, err)]
    return subprocess.CompletedProcess(given, code, *texts)


def stop_after_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as soon as check has judged a picture."""
    from fakedetect.checking.checker import Checker

    whole = Checker.check

    def stop(checker: Checker, paths: object, workers: int) -> object:
        for number, row in enumerate(whole(checker, paths, workers)):
            if number == 1:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(Checker, "check", stop)


class Terminal:
    """A terminal so many columns wide; `stream` writes to it."""

    def __init__(self, columns: int):
        import fcntl
        import pty
        import struct
        import termios

        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(follower, "w", encoding="utf-8")

    def read(self) -> str:
        """What was written since the last time; waits for the first of it, but not long."""
        self.stream.flush()
        parts = []
        # A bar that moves all the time is never silent for long.
        while select.select([self.leader], [], [], 0.0 if parts else 1.0)[0]:
            parts.append(os.read(self.leader, 65_536))
        return b"".join(parts).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self.leader)


TINY = (
    '# mine\nmodel = "tiny"  # chosen\n\n[training]\npretrained = false\nprecision = "fp32"\n'
    'max_epochs = 2\nworkers = 2\n\n[models.tiny]\ntimm = "test_resnet"\nbatch_size = 8\n'
    f"learning_rate = 3e-3\n{REFERENCE_INPUT}"
)
"""A paths.toml for a tiny model."""


def pytest_sessionfinish() -> None:
    """Remove what was derived."""
    shutil.rmtree(os.environ["FAKEDETECT_CACHE"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what waits for a training, which the quick tests leave out."""
    for item in items:
        if "trained_once" in getattr(item, "fixturenames", ()):
            item.add_marker("trained")


@pytest.fixture(autouse=True)
def downloads_forgotten() -> Iterator[None]:
    """Let no test find what an earlier one could not download."""
    yield
    shutil.rmtree(Path(os.environ["FAKEDETECT_CACHE"]) / "downloads", ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a paths.toml for a tiny model; returns the paths.toml."""
    paths = tmp_path / "paths.toml"
    paths.write_text(TINY, encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def data_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project with original pictures: smooth fakes and noisy reals; to be copied only."""
    paths = tmp_path_factory.mktemp("data") / "paths.toml"
    paths.write_text(TINY, encoding="utf-8")
    random = np.random.default_rng(1)
    for part, count in (("train", 20), ("test", 6)):
        for number in range(count):
            folder = paths.parent / "dataset" / part
            paint(folder / "fake" / "gan" / f"{number:04}.jpg", number)
            noise = random.integers(0, 256, (240, 250, 3), dtype=np.uint8)
            (folder / "real").mkdir(exist_ok=True)
            Image.fromarray(noise).save(folder / "real" / f"{number:04}.png")
    return paths


def copy_project(paths: Path, folder: Path) -> Path:
    """Copy a project, to do with as a test likes; returns its paths.toml."""
    shutil.copytree(paths.parent, folder, dirs_exist_ok=True)
    return folder / "paths.toml"


@pytest.fixture
def data(data_once: Path, tmp_path: Path) -> Path:
    """A copy of that project."""
    return copy_project(data_once, tmp_path)


@pytest.fixture(scope="session")
def resized_once(data_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That project with its resized copies; to be copied only."""
    folder = tmp_path_factory.mktemp("resized")
    shutil.copytree(data_once.parent, folder, dirs_exist_ok=True)
    assert run("--paths", folder / "paths.toml", "resize").returncode == 0
    return folder / "paths.toml"


@pytest.fixture
def resized(resized_once: Path, tmp_path: Path) -> Path:
    """A copy of the project with original and resized pictures."""
    return copy_project(resized_once, tmp_path)


def halve(paths: Path) -> None:
    """Half of the resized training pictures, in batches half as large: as many steps in half the time."""
    for number in range(10, 20):
        for picture in (f"fake/gan/{number:04}.jpg", f"real/{number:04}.png"):
            (paths.parent / "dataset/resized_train" / picture).unlink()
    text = paths.read_text(encoding="utf-8").replace("batch_size = 8", "batch_size = 4")
    paths.write_text(text, encoding="utf-8")


def shorten(paths: Path) -> None:
    """Let the next training have one epoch, where any other checkpoint will do."""
    text = re.sub("max_epochs = .", "max_epochs = 1", paths.read_text(encoding="utf-8"))
    paths.write_text(text, encoding="utf-8")


def leave_figures_out(patch: pytest.MonkeyPatch) -> None:
    """Let explore draw nothing, which takes most of its time, where its tables are looked at alone."""
    patch.setattr("fakedetect.preprocessing.explore.draw_dataset", lambda *_: None)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tiny model has been resized for, trained, tested and given thresholds.

    One process reads its pictures, where the program has two by itself: each takes longer to start than to
    read these few. `data` and `evaluated` have two.
    """
    folder = tmp_path_factory.mktemp("trained")
    paths = folder / "paths.toml"
    paths.write_text(
        'model = "tiny"\n\n[training]\npretrained = false\nprecision = "fp32"\nmax_epochs = 3\n'
        "workers = 1\nvalidation_share = 0.4\n\n[models.tiny]\n"
        f'timm = "test_resnet"\nbatch_size = 8\nlearning_rate = 3e-3\n{REFERENCE_INPUT}',
        encoding="utf-8",
    )
    random = np.random.default_rng(2)
    for part, count in (("train", 30), ("test", 10)):
        for number in range(count):
            of_part = folder / "dataset" / part
            source = ("gan", "diffusion")[number % 2]
            paint(of_part / "fake" / source / f"{number:04}.jpg", number + 1000 * (part == "test"))
            noise = random.integers(0, 256, (240, 250, 3), dtype=np.uint8)
            camera = of_part / "real" / ("phone", "camera")[number % 2]
            camera.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise).save(camera / f"{number:04}.jpg")
    for command in (["resize"], ["train"], ["test"], ["fit-thresholds", "--max-false-alarms", "0.2",
                    "--max-missed", "0.2"]):  # fmt: skip
        result = run("--paths", paths, *command)
        assert result.returncode == 0, result.stderr
    return paths


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of that project, to do with as a test likes; returns its paths.toml."""
    return copy_project(trained_once, tmp_path / "trained")


@pytest.fixture(scope="session")
def evaluated_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That project evaluated, on its test pictures and on the same in a folder `elsewhere`.

    told.txt holds what the first evaluation said.
    """
    folder = tmp_path_factory.mktemp("evaluated") / "project"
    shutil.copytree(trained_once.parent, folder)
    shutil.copytree(folder / "dataset/test", folder / "elsewhere")
    paths = folder / "paths.toml"
    text = paths.read_text(encoding="utf-8").replace("workers = 1", "workers = 2")
    paths.write_text(text, encoding="utf-8")
    result = run("--paths", paths, "evaluate")
    assert result.returncode == 0, result.stderr
    (folder / "told.txt").write_text(result.stdout, encoding="utf-8")
    assert run("--paths", paths, "evaluate", "--data", folder / "elsewhere").returncode == 0
    return paths


@pytest.fixture
def evaluated(evaluated_once: Path, tmp_path: Path) -> Path:
    """A copy of the evaluated project."""
    return copy_project(evaluated_once, tmp_path / "evaluated")
