"""OpenVINO in torch's place: the same answers, kept networks, and what happens where it cannot run."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run, shorten

from fakedetect.core.derived import cache_folder, derived_folder, remove_least_recent
from fakedetect.core.files import hash_file
from fakedetect.models.openvino.engine import import_openvino

if importlib.util.find_spec("openvino") is None:
    pytest.skip("openvino is not installed", allow_module_level=True)

KEPT = ("openvino.json", "openvino.xml", "openvino.bin")


def choose(paths: Path, engine: str) -> None:
    text = paths.read_text(encoding="utf-8").split("[inference]")[0]
    paths.write_text(f'{text}\n[inference]\nengine = "{engine}"\n', encoding="utf-8")


def ask(paths: Path, *options: str) -> tuple[dict[str, float], str]:
    """p(fake) of every test picture by its path, and what check said beside it."""
    result = run("--paths", paths, "check", paths.parent / "dataset/test", "--json", *options)
    assert result.returncode == 0, result.stderr
    rows = map(json.loads, result.stdout.splitlines())
    return {row["path"]: row["p_fake"] for row in rows}, result.stderr


def clear() -> None:
    shutil.rmtree(cache_folder() / "networks", ignore_errors=True)


def find_kept() -> Path:
    """The folder of the only network that is kept."""
    (folder,) = (cache_folder() / "networks").iterdir()
    return folder


def test_both_engines_answer_alike(trained: Path) -> None:
    choose(trained, "torch")
    wanted, _ = ask(trained)
    choose(trained, "openvino")
    found, _ = ask(trained)
    assert found == pytest.approx(wanted, abs=1e-4) and len(found) == 20
    assert run("--paths", trained, "test").returncode == 0
    folder = trained.parent / "model_folders/tiny"
    choose(trained, "torch")
    theirs = json.loads((folder / "test_results.json").read_text())
    assert run("--paths", trained, "test").returncode == 0
    assert json.loads((folder / "test_results.json").read_text())["roc_auc"] == theirs["roc_auc"]


def test_a_kept_network_is_used_only_where_it_is_whole_and_this_checkpoints(trained: Path) -> None:
    choose(trained, "openvino")
    clear()
    wanted, _ = ask(trained, "--no-stability")
    folder = find_kept()
    assert all((folder / name).is_file() for name in KEPT)
    made = json.loads((folder / "openvino.json").read_bytes())["made_of"]
    whole = (folder / "openvino.bin").read_bytes()
    kept = (folder / "openvino.bin").stat().st_mtime_ns
    assert ask(trained, "--no-stability")[0] == wanted
    assert (folder / "openvino.bin").stat().st_mtime_ns == kept
    spoiled = bytearray((folder / "openvino.bin").read_bytes())
    spoiled[len(spoiled) // 2] ^= 255
    changes = {
        "openvino.bin": bytes(spoiled),
        "openvino.xml": b"<net/>",
        "openvino.json": b'{"made_of": 3}',
    }
    for name, content in changes.items():
        (folder / name).write_bytes(content)
        found, said = ask(trained, "--no-stability")
        assert found == wanted and "openvino" not in said.lower(), name
        assert json.loads((folder / "openvino.json").read_bytes())["made_of"] == made
        assert (folder / "openvino.bin").read_bytes() == whole
    # What is no network of these pictures, with its own hash.
    (folder / "openvino.xml").write_bytes(b"<net/>")
    record = json.loads((folder / "openvino.json").read_bytes())
    record["network"] = hash_file(folder / "openvino.xml")
    (folder / "openvino.json").write_text(json.dumps(record))
    assert ask(trained, "--no-stability")[0] == wanted
    # One that came with the model's folder is not looked at.
    for name in KEPT:
        (trained.parent / "model_folders/tiny" / name).write_bytes(b"of somebody else")
    assert ask(trained, "--no-stability")[0] == wanted
    # That of another checkpoint, whole as it is.
    text = trained.read_text(encoding="utf-8").replace("[training]", "[training]\nseed = 7")
    trained.write_text(text, encoding="utf-8")
    shorten(trained)
    assert run("--paths", trained, "train", "--overwrite").returncode == 0
    assert not any((trained.parent / "model_folders/tiny" / name).exists() for name in KEPT)
    ask(trained, "--no-stability")
    kept_keys = {json.loads(file.read_bytes())["made_of"] for file in folder.parent.glob("*/openvino.json")}
    assert made in kept_keys and len(kept_keys) == 2


def test_what_was_not_used_for_the_longest_time_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKEDETECT_CACHE", str(tmp_path))
    folders = [derived_folder("networks", name) for name in "abc"]
    for age, folder in enumerate(reversed(folders)):
        folder.mkdir(parents=True)
        (folder / "big").write_bytes(bytes(1000))
        os.utime(folder, (10**9 - 10**6 * age,) * 2)
    os.utime(folders[0], (10**9 - 10**7,) * 2)
    remove_least_recent(2500)
    assert [folder.exists() for folder in folders] == [False, True, True]
    # What was used lately stays, however large.
    assert derived_folder("networks", "b") == folders[1]
    remove_least_recent(10)
    assert [folder.exists() for folder in folders] == [False, True, False]


def test_what_openvino_cannot_run_torch_does(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = import_openvino()

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Exception from src:\nNo conversion rule found for aten::strange")

    choose(trained, "torch")
    wanted, _ = ask(trained, "--no-stability")
    choose(trained, "auto")
    clear()
    monkeypatch.setattr(openvino, "convert_model", refuse)
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    found, said = ask(trained, "--no-stability")
    assert found == wanted
    assert "using torch: " in said and "aten::strange" in said
    assert not (cache_folder() / "networks").exists()


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_without_openvino_torch_answers(
    trained: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    choose(trained, engine)
    monkeypatch.setitem(sys.modules, "openvino", None)
    found, said = ask(trained, "--no-stability")
    assert len(found) == 20
    assert ("openvino is not installed" in said) == (engine == "openvino")


def test_a_module_of_ours_that_is_not_there_is_a_bug(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misspelt() -> None:
        raise ModuleNotFoundError("No module named 'fakedetect.enigne'", name="fakedetect.enigne")

    clear()
    monkeypatch.setattr("fakedetect.models.openvino.conversion.import_openvino", misspelt)
    monkeypatch.setattr("fakedetect.models.openvino.engine.import_openvino", misspelt)
    choose(trained, "openvino")
    with pytest.raises(ModuleNotFoundError):
        run("--paths", trained, "check", trained.parent / "dataset/test")


def check_folders_apart(paths: Path, spies: Path) -> dict[str, object]:
    """check's answer to a picture, in a process that finds its modules in `spies` first."""
    picture = next((paths.parent / "dataset/test/fake").rglob("*.jpg"))
    command = [sys.executable, ROOT / "menu.py", "--paths", paths, "check", picture, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(spies)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_kept_network_answers_without_torch_and_telemetry_is_never_loaded(trained: Path) -> None:
    choose(trained, "openvino")
    clear()
    spies, loaded = trained.parent / "spies", trained.parent / "loaded"
    spies.mkdir()
    (spies / "openvino_telemetry.py").write_text(f"open({str(loaded)!r}, 'w').close()\n")
    first = check_folders_apart(trained, spies)
    assert (find_kept() / "openvino.json").is_file() and not loaded.exists()
    (spies / "torch.py").write_text("raise RuntimeError('torch was imported')\n")
    assert check_folders_apart(trained, spies) == first


def test_an_unknown_engine_is_told_in_a_line(trained: Path) -> None:
    choose(trained, "onnx")
    result = run("--paths", trained, "test")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "engine" in result.stderr and '"openvino"' in result.stderr
