"""What a model runs on is named before it works, and an idle card is pointed out."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import run

from fakedetect.core.terminal.console import Console
from fakedetect.models import devices

ON_CPU = r"tiny runs on the CPU \(\d+ cores?, (float32|bfloat16)\)"


def test_the_device_is_named_before_the_work_and_not_for_one_picture(trained: Path) -> None:
    pictures = sorted((trained.parent / "dataset/test").rglob("*.jpg"))
    tested = run("--paths", trained, "test").stderr
    assert re.match(ON_CPU, tested.splitlines()[0])
    several = run("--paths", trained, "check", "--no-stability", *pictures[:3])
    assert re.search(ON_CPU, several.stderr) and "runs on" not in several.stdout
    assert "runs on" not in run("--paths", trained, "check", "--no-stability", pictures[0]).stderr


def test_training_names_it_too(resized: Path) -> None:
    from conftest import shorten

    shorten(resized)
    trained = run("--paths", resized, "train").stderr
    where = re.search(r"tiny trains on the CPU \(\d+ cores?, float32\)", trained)
    assert where and "img/s" not in trained[: where.start()]


def test_a_card_has_its_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="NVIDIA GeForce RTX 3070", total_memory=8 * 1024**3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    said = devices.describe_device(torch.device("cuda", 0), torch.bfloat16)
    assert said == "NVIDIA GeForce RTX 3070, 8 GB (bfloat16)"


@pytest.mark.parametrize(("cuda", "said"), [(None, "--index-url https://"), ("13.0", "newer driver")])
def test_an_idle_card_is_pointed_out_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cuda: str | None,
    said: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path / "none")
    devices.warn_about_idle_gpu(Console())
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path)
    devices.warn_about_idle_gpu(Console())
    (line,) = capsys.readouterr().err.splitlines()
    assert "NVIDIA card" in line and said in line
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    devices.warn_about_idle_gpu(Console())
    assert capsys.readouterr().err == ""
