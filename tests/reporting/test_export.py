"""Option 3.8: the exported files answer as the model does, without fakedetect too."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run

# openvino itself is not imported here: it would report to its makers.
if not all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime", "openvino"))):
    pytest.skip("a package that export takes is not installed", allow_module_level=True)


def write_script(folder: Path) -> Path:
    """The ten lines of docs/export.md."""
    page = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    script = folder / "use.py"
    script.write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    return script


def hold_against_records(folder: Path) -> None:
    """The files and the card in a model's export folder say what its records say."""
    import safetensors.torch
    import torch

    kept = safetensors.torch.load_file(folder / "export/tiny.safetensors")
    own = torch.load(folder / "classifier_model.pth", weights_only=True)
    assert kept.keys() == own.keys() and all(torch.equal(kept[key], own[key]) for key in own)
    card = (folder / "export/MODEL_CARD.md").read_text(encoding="utf-8")
    results = json.loads((folder / "test_results.json").read_text())
    thresholds = json.loads((folder / "training.json").read_text())["calibration"]
    assert f"| accuracy | {100 * results['accuracy']:.1f} % (" in card
    assert f"| ROC AUC | {results['roc_auc']:.3f} (" in card
    assert f"fake from p_fake {thresholds['fake_from']:.4f}" in card
    assert "random weights" in card and "60 pictures: 30 fake, 30 real" in card
    assert str(folder.parent) not in card
    trained_by = json.loads((folder / "training.json").read_text())["versions"]["fakedetect"]
    assert f"  version = {{{trained_by}}}," in card.split("## How to cite")[1]


def test_the_files_give_the_answers_of_check_and_say_what_the_records_say(trained: Path) -> None:
    result = run("--paths", trained, "export")
    assert result.returncode == 0, result.stderr
    folder = trained.parent / "model_folders/tiny/export"
    names = {"tiny.onnx", "tiny.xml", "tiny.bin", "tiny.safetensors", "MODEL_CARD.md"}
    assert {path.name for path in folder.iterdir()} == names
    differences = re.findall(r"differs by at most ([\d.e-]+)", result.stdout)
    assert len(differences) == 2 and all(float(value) < 1e-4 for value in differences)
    hold_against_records(folder.parent)
    pictures = sorted((trained.parent / "dataset/test").rglob("*.jpg"))
    command = [sys.executable, write_script(trained.parent), folder / "tiny.onnx", *pictures]
    done = subprocess.run(command, capture_output=True, text=True, cwd=trained.parent, check=False)
    assert done.returncode == 0, done.stderr
    found = {path: float(p) for p, path in (line.split(" ", 1) for line in done.stdout.splitlines())}
    checked = run("--paths", trained, "check", *pictures, "--json", "--no-stability")
    rows = map(json.loads, checked.stdout.splitlines())
    wanted = {row["path"]: row["p_fake"] for row in rows}
    assert found == pytest.approx(wanted, abs=1e-3) and len(found) == 20


def test_an_export_that_was_killed_has_no_card(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = trained.parent / "model_folders/tiny/export/MODEL_CARD.md"
    card.parent.mkdir()
    card.write_text("of an earlier checkpoint")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fakedetect.reporting.export._write_onnx", stop)
    assert run("--paths", trained, "export").returncode == 130
    assert not card.exists() and (card.parent / "tiny.safetensors").is_file()


def test_what_is_missing_is_named(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = trained.parent / "model_folders/tiny/export/tiny.onnx"
    earlier.parent.mkdir()
    earlier.write_bytes(b"of an earlier checkpoint")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    result = run("--paths", trained, "export")
    assert result.returncode == 1
    assert "tiny.onnx; " in result.stdout
    assert "pip install onnx onnxscript onnxruntime" in result.stdout
    folder = trained.parent / "model_folders/tiny/export"
    assert (folder / "tiny.xml").is_file() and not (folder / "tiny.onnx").exists()
    shutil.rmtree(trained.parent / "dataset/resized_test")
    result = run("--paths", trained, "export")
    assert "OpenVINO on 20 made-up pictures" in result.stdout and "resized_test" in result.stderr
    (trained.parent / "model_folders/tiny/classifier_model.pth").unlink()
    result = run("--paths", trained, "export")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
