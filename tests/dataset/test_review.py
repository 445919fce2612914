"""review.csv: which commands obey it, what they count, and what a changed one does to earlier runs."""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import halve, leave_figures_out, run, shorten

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file
from fakedetect.core.settings.settings import load_settings
from fakedetect.dataset.samples import Sample, load_dataset
from fakedetect.training import epochs

TRAIN = (
    ("train-fake", "gan/0000.jpg", "remove"),
    ("train-fake", "gan/0001.jpg", "move"),
    ("train-real", "0002.png", "move"),
    ("train-real", "0003.png", "remove"),
    ("train-real", "0004.png", "remove"),
    ("train-real", "0005.png", "keep"),
)
TOLD = "review.csv: 3 pictures left out, 2 moved to the other class\n"


def decide(paths: Path, *rows: tuple[str, str, str]) -> Path:
    """Write a review.csv with these decisions on files of the project as they are."""
    file = paths.parent / "review.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(("folder", "path", "sha256", "decision"))
        for folder, path, decision in rows:
            original = paths.parent / "dataset" / folder.replace("-", "/") / path
            writer.writerow((folder, path, hash_file(original) if original.is_file() else "", decision))
    return file


def training_data(paths: Path) -> dict[str, object]:
    return json.loads((paths.parent / "model_folders/tiny/training.json").read_text())["data"]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_run_obeys_the_review_and_records_it(resized: Path) -> None:
    halve(resized)
    shorten(resized)
    decide(resized, *TRAIN)
    result = run("--paths", resized, "train")
    assert result.returncode == 0 and TOLD in result.stderr
    data = training_data(resized)
    assert (data["fake"], data["real"], data["removed"], data["moved"]) == (9, 8, 3, 2)
    (resized.parent / "review.csv").unlink()
    result = run("--paths", resized, "train", "--overwrite")
    assert result.returncode == 0 and "review.csv" not in result.stderr
    undone = training_data(resized)
    assert (undone["fake"], undone["real"]) == (10, 10) and not {"removed", "moved"} & undone.keys()


def test_a_changed_review_stops_a_run_that_goes_on(resized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halve(resized)
    text = resized.read_text(encoding="utf-8").replace("workers = 2", "workers = 2\nsave_minutes = 1e-9")
    resized.write_text(text, encoding="utf-8")
    decide(resized, *TRAIN)
    step, done = epochs._step, iter(range(2))

    def stop(*arguments: object, **keywords: object) -> object:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return step(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "_step", stop)
        assert run("--paths", resized, "train").returncode == 130
    # As many pictures under the same names: only a label differs.
    decide(resized, *TRAIN[:2], *TRAIN[3:])
    refused = run("--paths", resized, "train", "--resume")
    assert refused.returncode == 2 and "your review of them" in refused.stderr
    decide(resized, *TRAIN)
    assert run("--paths", resized, "train", "--resume").returncode == 0
    assert training_data(resized)["moved"] == 2


def test_the_validation_pictures_of_a_run_before_the_review_are_unknown(trained: Path) -> None:
    thresholds = ("fit-thresholds", "--max-false-alarms", "0.2", "--max-missed", "0.2")
    file = decide(trained, ("train-real", "phone/0000.jpg", "move"))
    refused = run("--paths", trained, *thresholds)
    assert refused.returncode == 2 and "your review of them" in refused.stderr
    file.unlink()
    assert run("--paths", trained, *thresholds).returncode == 0


def stop_before_measuring(_: object, __: object, samples: Sequence[Sample], *___: object) -> None:
    """What evaluate does with its pictures takes long, and is the same for all."""
    counts = Counter(sample.label for sample in samples)
    raise UserError(f"{counts[0]} fake, {counts[1]} real")


def test_a_test_and_an_evaluation_obey_the_review(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained.parent / "model_folders/tiny"
    file = decide(
        trained,
        ("test-real", "phone/0000.jpg", "move"),
        ("test-fake", "gan/0002.jpg", "remove"),
        ("train-fake", "gan/0000.jpg", "remove"),
    )
    result = run("--paths", trained, "test")
    assert result.returncode == 0, result.stderr
    assert "csv: 1 picture left out, 1 moved" in result.stderr
    after = rows_of(folder / "test_predictions.csv")
    assert Counter(row["label"] for row in after) == {"fake": 10, "real": 9}
    (moved,) = [row for row in after if row["label"] == "fake" and "/real/" in row["path"]]
    # Where it comes from is unknown: a source of one picture would stand beside those of generators.
    assert Path(moved["path"]).name == "0000.jpg" and moved["source"] == "diffusion"
    with monkeypatch.context() as patch:
        patch.setattr("fakedetect.testing.evaluate.predict_samples", stop_before_measuring)
        assert "10 fake, 9 real" in run("--paths", trained, "evaluate").stderr
    file.unlink()
    undone = run("--paths", trained, "test")
    assert undone.returncode == 0 and "review.csv" not in undone.stderr
    labels = Counter(row["label"] for row in rows_of(folder / "test_predictions.csv"))
    assert labels == {"fake": 10, "real": 10}


@pytest.mark.parametrize("on", ["original", "resized"])
def test_explore_obeys_the_review(resized: Path, monkeypatch: pytest.MonkeyPatch, on: str) -> None:
    leave_figures_out(monkeypatch)
    decide(resized, *TRAIN, ("test-real", "0000.png", "remove"))
    result = run("--paths", resized, "explore", "--on", on)
    assert "csv: 4 pictures left out, 2 moved" in result.stderr
    rows = rows_of(resized.parent / "explore" / on / "pictures.csv")
    counts = Counter((row["part"], row["label"]) for row in rows)
    assert counts == {
        ("train", "fake"): 19,
        ("train", "real"): 18,
        ("test", "fake"): 6,
        ("test", "real"): 5,
    }


def test_scan_leaves_out_what_is_removed_and_its_line_in_the_list(data: Path) -> None:
    for name in ("0002.png", "0003.png"):
        (data.parent / "dataset/train/real" / name).write_bytes(b"no picture")
    assert "2 bad" in run("--paths", data, "scan").stdout
    file = decide(data, *TRAIN)
    result = run("--paths", data, "scan")
    assert "train-real: 18 pictures, 1 bad" in result.stdout and TOLD in result.stdout
    # resize makes a copy of every picture that is not listed.
    assert len((data.parent / "list_of_bad_images.txt").read_text().splitlines()) == 2
    file.unlink()
    again = run("--paths", data, "scan").stdout
    assert "train-real: 20 pictures, 2 bad" in again and "review" not in again


def test_copies_follow_their_originals(data: Path) -> None:
    assert run("--paths", data, "resize", "train-real", "train-fake", "--align").returncode == 0
    decide(data, *TRAIN)
    found = load_dataset(load_settings(data), "train")
    assert (found.removed, len(found.moved), len(found.samples)) == (3, 2, 37)
    assert {path.suffix for path in found.moved} == {".jpg"}
    # Where only the copies are kept, names are all that is known.
    shutil.rmtree(data.parent / "dataset/train/fake")
    (found,) = [load_dataset(load_settings(data), "train")]
    assert (found.removed, len(found.moved)) == (3, 2)


def test_another_picture_of_the_same_name_is_not_the_one_that_was_reviewed(data: Path) -> None:
    decide(data, *TRAIN, ("train-real", "gone.png", "remove"))
    folder = data.parent / "dataset/train/real"
    shutil.copy(folder / "0010.png", folder / "0003.png")
    result = run("--paths", data, "scan", "train-real")
    assert "train-real: 19 pictures" in result.stdout
    assert "1 picture left out, 1 moved" in result.stdout
    assert "2 decisions without effect" in result.stdout and "0003.png" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="names of other systems")
@pytest.mark.parametrize("name", ["=1+1.png", "u\u0308 \"a\", 'b'; c.png", "a\nb.png", "b\udcff.png"])
def test_a_picture_is_found_whatever_its_name(data: Path, name: str) -> None:
    folder = data.parent / "dataset/train/real"
    (folder / "0000.png").rename(folder / name)
    cell = f"'{name}" if name.startswith("=") else name
    quoted = cell.replace('"', '""')
    text = f'folder,path,sha256,decision\r\ntrain-real,"{quoted}",{hash_file(folder / name)},remove\r\n'
    (data.parent / "review.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = run("--paths", data, "scan", "train-real")
    assert "train-real: 19 pictures" in result.stdout and "1 picture left out" in result.stdout


def test_the_menu_names_the_review_and_what_is_wrong_with_it(data: Path) -> None:
    assert "review.csv" not in run("--paths", data, keys="0\n").stdout
    file = decide(data, *TRAIN)
    shown = run("--paths", data, keys="0\n").stdout
    assert "csv: 1 kept, 2 moved" in shown and ", 3 left out" in shown
    file.write_text("nonsense\n")
    assert f"{file} cannot be used" in run("--paths", data, keys="0\n").stdout
    refused = run("--paths", data, "scan")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
