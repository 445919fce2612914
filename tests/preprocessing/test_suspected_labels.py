"""explore --labels: planted errors, the files and messages, and the network that is used."""

import base64
import csv
import hashlib
import io
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from conftest import REFERENCE_INPUT, run
from PIL import Image

from fakedetect.core.records.csv_files import from_cell
from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.preprocessing.label_scores import find_label_issues
from fakedetect.preprocessing.labels import ReviewedLabels, review_labels

SIDE, EACH = 64, 30
SETTINGS = (
    """\
model = "tiny"

[training]
pretrained = false
precision = "fp32"
workers = 1

[inference]
engine = "torch"

[models.tiny]
timm = "test_resnet"
"""
    + REFERENCE_INPUT
)
PLANTED = {"fake/07.png", "fake/23.png", "real/03.png", "real/11.png"}


def draw(random: np.random.Generator, label: str) -> Image.Image:
    """Coarse noise where a picture is fake, and fine where it is real."""
    cells = 8 if label == "fake" else SIDE
    noise = random.normal(random.uniform(90, 160), 40, (cells, cells, 3))
    noise = np.kron(noise, np.ones((SIDE // cells, SIDE // cells, 1)))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 60 pictures; those of PLANTED look like the other class."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "paths.toml").write_text(SETTINGS, encoding="utf-8")
    random = np.random.default_rng(3)
    for label, other in (("fake", "real"), ("real", "fake")):
        (folder / "dataset/train" / label).mkdir(parents=True)
        for number in range(EACH):
            name = f"{label}/{number:02}.png"
            draw(random, other if name in PLANTED else label).save(folder / "dataset/train" / name)
    review_labels(load_settings(folder / "paths.toml"), Console(quiet=True))
    return folder / "paths.toml"


@pytest.fixture
def project(once: Path, tmp_path: Path) -> Path:
    """A copy of it, whose features are kept from an earlier look."""
    shutil.copytree(once.parent, tmp_path / "mine")
    return tmp_path / "mine/paths.toml"


def rows(project: Path, on: str = "original") -> list[dict[str, str]]:
    with (project.parent / "explore" / on / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names_of(found: ReviewedLabels) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in found.suspected["path"]}


def test_planted_mistakes_are_suspected_listed_and_drawn(project: Path) -> None:
    train = project.parent / "dataset/train"
    for label, name in (path.split("/") for path in PLANTED):
        source = train / label / "=1+1"
        source.mkdir(exist_ok=True)
        (train / label / name).rename(source / name)
    result = run("--paths", project, "explore", "--labels")
    assert result.returncode == 0, result.stderr
    listed = rows(project)
    suspected = [row for row in listed if row["suspected"] == "yes"]
    assert listed[: len(suspected)] == suspected
    names = [f"{row['label']}/{Path(row['path']).name}" for row in listed]
    assert set(names[: len(suspected)]) <= PLANTED <= set(names) and len(suspected) >= 3
    for row in suspected:
        assert row["suggested_label"] != row["label"] and row["part"] == "train"
        assert (float(row["p_fake"]) > 0.5) == (row["suggested_label"] == "fake")
        assert row["source"] == "'=1+1", "a spreadsheet would run it"
    with Image.open(project.parent / "explore/original/labels.png") as sheet:
        assert min(sheet.size) > 150
    told = result.stdout
    assert f"Suspected wrong labels: {len(suspected)} of 60 pictures" in told
    for label, other in (("fake", "real"), ("real", "fake")):
        count = sum(row["label"] == label for row in suspected)
        assert f"train {label}: {count} of {EACH}" in told
        assert told.count(f"labelled {label}, looks {other}") == count
    assert "candidates, not confirmed errors" in told and "What to do" in told
    assert f"{project} review" in told


def test_clean_labels_leave_no_sheet_of_an_earlier_look(project: Path) -> None:
    assert run("--paths", project, "explore", "--labels").returncode == 0
    sheet, page = (project.parent / "explore/original" / name for name in ("labels.png", "review.html"))
    assert sheet.is_file() and page.is_file()
    for name in PLANTED:
        (project.parent / "dataset/train" / name).unlink()
    result = run("--paths", project, "explore", "--labels")
    assert result.returncode == 0, result.stderr
    assert "none among 56 pictures" in result.stdout
    assert "What to do" not in result.stdout and not sheet.exists() and not page.exists()


def decisions_of(page: Path, decision: str) -> bytes:
    """The review.csv that the page saves once every picture on it has this decision."""
    head, *rows = (
        base64.b64decode(row) for row in re.findall(r'data-(?:head|row)="([^"]+)"', page.read_text("utf-8"))
    )
    return head + b"".join(row + f"{decision}\r\n".encode() for row in rows)


@pytest.mark.skipif(os.name == "nt", reason="names of other systems")
def test_a_page_has_each_suspected_picture_once_and_what_it_saves_is_obeyed(project: Path) -> None:
    train = project.parent / "dataset/train"
    names = {
        "fake/07.png": "</script><b>.png",
        "fake/23.png": "=1+1.png",
        "real/03.png": "u\u0308, \"'\n.png",
    }
    for old, name in names.items():
        path = train / old.split("/")[0] / name
        path.parent.mkdir(exist_ok=True)
        (train / old).rename(path)
    assert run("--paths", project, "explore", "--labels").returncode == 0
    page = project.parent / "explore/original/review.html"
    html = page.read_text(encoding="utf-8")
    suspected = [row["path"] for row in rows(project) if row["suspected"] == "yes"]
    saved = decisions_of(page, "remove")
    listed = list(csv.DictReader(io.StringIO(saved.decode("utf-8-sig"), newline="")))
    assert "'=1+1.png" in {row["path"] for row in listed}, "a spreadsheet would run it"
    paths = [f"{train}/{row['folder'].removeprefix('train-')}/{from_cell(row['path'])}" for row in listed]
    assert sorted(paths) == sorted(suspected) and len(set(paths)) == len(listed) >= 3
    assert html.count("</script>") == 1 and html.count('data-decision="" data-row') == len(listed)
    assert [html.count(f"<kbd>{key}</kbd>") for key in "cwr"] == 3 * [len(listed) + 1]
    script = html.partition("<script>")[2].partition("</script>")[0].encode()
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" in html
    file = project.parent / "saved.csv"
    file.write_bytes(decisions_of(page, "keep"))
    assert run("--paths", project, "review", file).returncode == 0
    again = run("--paths", project, "explore", "--labels")
    assert page.read_text(encoding="utf-8").count('data-decision="keep" data-row') == len(listed)
    assert f"{len(listed)} of 60 pictures" in again.stdout and "review.csv" not in again.stderr
    file.write_bytes(saved)
    assert run("--paths", project, "review", file).stdout.endswith(f"{len(listed)} left out\n")
    assert f"{len(listed)} pictures left out, 0 moved" in run("--paths", project, "scan").stdout


def test_a_review_is_a_result_of_its_own_and_needs_no_checkpoint(project: Path) -> None:
    settings = load_settings(project)
    # A model that was trained on these labels has no part in it, nor does it matter what is in its file.
    settings.checkpoint.write_bytes(b"no model")
    found = review_labels(settings, Console(quiet=True))
    assert len(names_of(found)) >= 3 and names_of(found) <= PLANTED
    assert found.network == "tiny" and found.auc > 0.8
    assert not (project.parent / "explore").exists()
    # Most pictures are then judged by the line of the few that are learnt from.
    few = replace(settings, probe=replace(settings.probe, max_pictures=40))
    again = review_labels(few, Console(quiet=True))
    assert len(again.table) == 2 * EACH and len(names_of(again) & PLANTED) >= 3


def test_copies_are_not_judged_by_what_was_learnt_from_their_twins(project: Path) -> None:
    train = project.parent / "dataset/train"
    alone = review_labels(load_settings(project), Console(quiet=True)).table.set_index("path")["p_fake"]
    for number in range(12):
        shutil.copy(train / "real/03.png", train / f"real/twin{number}.png")
    shutil.copy(train / "fake/00.png", train / "real/zz.png")
    found = review_labels(load_settings(project), Console(quiet=True))
    p_fake = found.table.set_index("path")["p_fake"]
    twins = {p_fake[train / f"real/twin{number}.png"] for number in range(12)}
    # Learnt from, a dozen would have made it look real.
    assert (
        twins == {p_fake[train / "real/03.png"]} and abs(twins.pop() - alone[train / "real/03.png"]) < 0.1
    )
    assert p_fake[train / "real/zz.png"] == p_fake[train / "fake/00.png"]
    assert "real/zz.png" in names_of(found) and "fake/00.png" not in names_of(found)


def test_the_menu_asks_for_the_copies_too_and_names_what_it_cannot_read(project: Path) -> None:
    shutil.copytree(project.parent / "dataset/train", project.parent / "dataset/resized_train")
    (project.parent / "dataset/resized_train/real/zz.png").write_bytes(b"no picture")
    result = run("--paths", project, keys="5\n4\n0\n0\n")
    assert "Suspected wrong labels" in result.stdout, result.stderr
    assert "1 picture was skipped" in result.stdout and "zz.png: not a picture" in result.stdout
    assert (project.parent / "explore/resized/review.html").is_file()
    assert {row["path"].split("/")[-3] for row in rows(project, "resized")} == {"resized_train"}


def test_without_weights_the_small_starter_is_used_or_the_remedy_is_named(project: Path) -> None:
    text = SETTINGS.replace("pretrained = false", "pretrained = true")
    project.write_text(text, encoding="utf-8")
    refused = run("--paths", project, "explore", "--labels")
    assert refused.returncode == 2 and "cannot be downloaded" in refused.stderr
    project.write_text(
        text + '\n[models.starter_small]\ntimm = "test_resnet"\n' + REFERENCE_INPUT, encoding="utf-8"
    )
    small = project.parent / "model_folders/starter_small"
    small.mkdir()
    (small / "probe.safetensors").write_bytes(b"only its backbone is needed")
    torch.manual_seed(4)
    state = timm.create_model("test_resnet", num_classes=0).state_dict()
    safetensors.torch.save_file(state, small / "backbone.safetensors")
    result = run("--paths", project, "explore", "--labels")
    assert result.returncode == 0, result.stderr
    assert "network of starter_small" in result.stderr
    assert "frozen features of starter_small" in result.stdout


def test_too_few_pictures_are_one_line(project: Path) -> None:
    for number in range(11):
        (project.parent / f"dataset/train/real/{number + 12}.png").unlink()
    result = run("--paths", project, "explore", "--labels")
    assert result.returncode == 2 and "19 readable pictures labelled real" in result.stderr
    assert "Traceback" not in result.stderr


def test_suspicions_follow_the_thresholds_of_the_classes() -> None:
    p_fake = np.array([0.9, 0.8, 0.7, 0.1, 0.3, 0.05, 0.2, 0.75, 0.95, 0.55])
    is_fake = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool)
    # The mean self-confidence is 0.56 of fakes, and 0.5 of reals.
    found = find_label_issues(p_fake, is_fake)
    assert np.flatnonzero(found.suspected).tolist() == [3, 4, 7, 8]
    assert np.flatnonzero(found.leaning).tolist() == [9]
    assert found.order[:5].tolist() == [8, 3, 7, 4, 9]


def test_a_label_that_is_as_sure_as_the_others_of_its_class_is_not_suspected() -> None:
    # Reals are seldom sure of themselves, so that a fake's p(real) of 0.35 reaches their threshold.
    p_fake = np.array([0.65, 0.7, 0.6, 0.7, 0.7, 0.68])
    found = find_label_issues(p_fake, np.array([1, 1, 1, 0, 0, 0], bool))
    assert not found.suspected[:2].any(), "sure of its own, and more so than of the other"
    assert found.suspected[2], "unsure of its own, and as sure of the other as that class is"
