"""Pictures, settings and the program itself, for every test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def paint(path: Path, seed: int, size: tuple[int, int] = (300, 260), mode: str = "RGB") -> Path:
    """Write a smooth random picture; the file's name says the format."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def run(*arguments: object, keys: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run menu.py as a user does, without a terminal."""
    return subprocess.run(
        [sys.executable, str(ROOT / "menu.py"), *map(str, arguments)],
        input=keys or "",
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "HF_HUB_OFFLINE": "1"},
        timeout=240,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a paths.toml for a tiny model; returns the paths.toml."""
    paths = tmp_path / "paths.toml"
    paths.write_text(
        '# mine\nmodel = "tiny"  # chosen\n\n[training]\npretrained = false\nprecision = "fp32"\n'
        'max_epochs = 2\nworkers = 2\n\n[models.tiny]\ntimm = "test_resnet"\nbatch_size = 8\n'
        "learning_rate = 3e-3\n",
        encoding="utf-8",
    )
    return paths


@pytest.fixture
def data(project: Path) -> Path:
    """The project with original pictures: smooth fakes and noisy reals."""
    random = np.random.default_rng(1)
    for part, count in (("train", 20), ("test", 6)):
        for number in range(count):
            folder = project.parent / "dataset" / part
            paint(folder / "fake" / "gan" / f"{number:04}.jpg", number)
            noise = random.integers(0, 256, (240, 250, 3), dtype=np.uint8)
            (folder / "real").mkdir(exist_ok=True)
            Image.fromarray(noise).save(folder / "real" / f"{number:04}.png")
    return project


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tiny model has been resized for, trained, tested and given thresholds."""
    folder = tmp_path_factory.mktemp("trained")
    paths = folder / "paths.toml"
    paths.write_text(
        'model = "tiny"\n\n[training]\npretrained = false\nprecision = "fp32"\nmax_epochs = 3\n'
        "workers = 2\nvalidation_share = 0.4\n\n[models.tiny]\n"
        'timm = "test_resnet"\nbatch_size = 8\nlearning_rate = 3e-3\n',
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
    folder = tmp_path / "trained"
    shutil.copytree(trained_once.parent, folder)
    return folder / "paths.toml"
