"""Runs that meet: each keeps its folder or file, none follows a link, none overwrites another's work."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, paint, run

from fakedetect.core.derived import derived_folder_of
from fakedetect.core.errors import UserError
from fakedetect.core.files import file_lock, run_lock, write_text


@pytest.mark.skipif(sys.platform == "win32", reason="makes symbolic links")
def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    treasure = trained.parent / "treasure.txt"
    treasure.write_text("mine")
    (folder / ".lock").symlink_to(treasure)
    for command in (["train", "--overwrite"], ["test"], ["fit-thresholds"], ["evaluate"], ["report"]):
        result = run("--paths", trained, *command)
        assert result.returncode == 2 and "symbolic link" in result.stderr, (command, result.stderr)
        assert treasure.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="makes symbolic links")
@pytest.mark.parametrize(
    "name",
    [
        "decoded.lock",
        "decoded.partial",
        "decoded.bin",
        "decoded.npz",
        "model_folders/tiny/.lock.process",
        "model_folders/tiny/test_results.json",
        "model_folders/tiny/test_predictions.csv",
        "model_folders/tiny/confusion_matrix_test.png",
    ],
)
def test_nothing_that_a_test_writes_follows_a_link(trained: Path, name: str) -> None:
    derived = derived_folder_of("decoded", trained.parent / "dataset/resized_test")
    shutil.rmtree(derived, ignore_errors=True)
    treasure = trained.parent / "treasure.txt"
    treasure.write_text("mine")
    link = derived / name if name.startswith("decoded") else trained.parent / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(treasure)
    assert run("--paths", trained, "test").returncode == 0
    assert treasure.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="makes symbolic links")
def test_a_file_that_is_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure.txt"
    treasure.write_text("mine")
    (tmp_path / "out.txt").symlink_to(treasure)
    write_text(tmp_path / "out.txt", "ours")
    assert treasure.read_text() == "mine" and (tmp_path / "out.txt").read_text() == "ours"
    assert not (tmp_path / "out.txt").is_symlink()


def test_a_second_holder_is_refused_with_the_process_number_and_nothing_is_left(tmp_path: Path) -> None:
    message = rf"in use by another run \(process {os.getpid()}\)"
    with run_lock(tmp_path), pytest.raises(UserError, match=message), run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Unix locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP])
def test_where_the_file_system_has_no_locks_a_file_takes_their_place(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    paint(project.parent / "dataset/train/real/a.png", 1)
    monkeypatch.setattr("fcntl.flock", refuse)
    folder = tmp_path / "folder"
    with run_lock(folder), pytest.raises(UserError, match="in use by another run"), run_lock(folder):
        pass
    with run_lock(folder):
        pass
    assert not list(folder.iterdir())
    assert run("--paths", project, "scan", "train-real").returncode == 0
    assert (project.parent / "list_of_bad_images.txt").is_file()


def test_two_scans_at_once_keep_each_others_lines(project: Path) -> None:
    for label in ("real", "fake"):
        for number in range(12):
            paint(project.parent / f"dataset/train/{label}/{number:04}.png", number)
            (project.parent / f"dataset/train/{label}/{number:04}.jpg").write_bytes(b"broken")
    scans = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "menu.py"), "--paths", str(project), "scan", f"train-{label}"],
            stdout=subprocess.DEVNULL,
        )
        for label in ("real", "fake")
    ]
    assert [scan.wait(120) for scan in scans] == [0, 0]
    listed = (project.parent / "list_of_bad_images.txt").read_text().splitlines()
    assert len(listed) == 24


def test_a_second_check_onto_one_csv_is_refused(trained: Path) -> None:
    csv = trained.parent / "out.csv"
    pictures = trained.parent / "dataset/test/real"
    with file_lock(csv.with_name("out.csv.partial.lock"), "out.csv.partial"):
        result = run("--paths", trained, "check", pictures, "--csv", csv, "--no-stability")
    assert result.returncode == 2 and "in use by another run" in result.stderr
    assert not csv.exists() and not csv.with_name("out.csv.partial").exists()
    assert run("--paths", trained, "check", pictures, "--csv", csv, "--no-stability").returncode == 0
    assert not list(trained.parent.glob("out.csv.*"))


def test_a_checkpoint_replaced_during_a_test_gives_no_results(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakedetect.testing import test

    folder = trained.parent / "model_folders/tiny"
    (folder / "test_results.json").unlink()
    predict = test.predict

    def predict_and_exchange(*arguments: object) -> object:
        found = predict(*arguments)
        with (folder / "classifier_model.pth").open("ab") as file:
            file.write(b"other")
        return found

    monkeypatch.setattr(test, "predict", predict_and_exchange)
    result = run("--paths", trained, "test")
    assert result.returncode == 2 and "replaced during the test" in result.stderr
    assert not (folder / "test_results.json").exists()


def test_a_test_waits_for_no_running_training_but_says_so(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    with run_lock(folder):
        result = run("--paths", trained, "test")
    assert result.returncode == 2 and f"process {os.getpid()}" in result.stderr


def test_the_loss_graph_leaves_the_log_as_it_is_also_beside_a_running_training(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    log = folder / "training_log.csv"
    before = log.read_bytes(), log.stat().st_mtime_ns, log.stat().st_ino
    (folder / "loss_plot.jpg").unlink()
    with run_lock(folder):
        assert run("--paths", trained, "loss-graph").returncode == 0
    assert (log.read_bytes(), log.stat().st_mtime_ns, log.stat().st_ino) == before
    assert (folder / "loss_plot.jpg").is_file()


def test_testing_an_untrained_model_makes_no_folder(trained: Path) -> None:
    shutil.rmtree(trained.parent / "model_folders/tiny")
    result = run("--paths", trained, "test")
    assert result.returncode == 2 and "Train it first" in result.stderr
    assert not (trained.parent / "model_folders/tiny").exists()
