"""The model that comes with the program: it answers where none of the user's is trained."""

import json
import re
import shutil
import time
from pathlib import Path
from unittest import mock

import pytest
import safetensors.torch
import timm
import torch
from conftest import ROOT, copy_project, paint, run

from fakedetect.core.records.evaluation import read_evaluation
from fakedetect.core.records.training import read_held_out_scores, read_training
from fakedetect.core.settings.model_folder import model_hash
from fakedetect.core.settings.settings import load_settings
from fakedetect.models.downloads import has_failed_recently, remember_failure

SETTINGS = """\
model = "tiny"

[training]
precision = "fp32"
workers = 1

[models.tiny]
timm = "test_resnet"
weights = "tiny.pth"
batch_size = 8

[models.starter]
timm = "test_vit"
weights = "starter.pth"
recipe = "probe"
"""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose starter is fitted, with its backbone in a file, and nothing else."""
    folder = tmp_path_factory.mktemp("starter")
    for seed, name, file in ((1, "test_resnet", "tiny.pth"), (2, "test_vit", "starter.pth")):
        torch.manual_seed(seed)
        torch.save(timm.create_model(name, num_classes=5).state_dict(), folder / file)
    paths = folder / "paths.toml"
    paths.write_text(SETTINGS, encoding="utf-8")
    for label in ("fake", "real"):
        for number in range(24):
            source = f"{label}{number % 3}"
            paint(folder / "dataset/train" / label / source / f"{number}.png", number, mode="RGB")
    result = run("--paths", paths, "--model", "starter", "train")
    assert result.returncode == 0, result.stderr
    return paths


@pytest.fixture
def project(once: Path, tmp_path: Path) -> Path:
    return copy_project(once, tmp_path / "mine")


def test_it_answers_where_nothing_is_trained_and_says_so(project: Path) -> None:
    picture = paint(project.parent / "mine.jpg", 99)
    result = run("--paths", project, "check", "--no-stability", picture, "--details")
    assert result.returncode == 0, result.stderr
    assert "using starter" in result.stderr
    assert "held-out generators, starter finds " in result.stdout
    assert "on 48 pictures of held-out" in result.stdout
    assert re.search(r"^(fake|real|unsure)\?? +p\(fake\)", result.stdout, re.MULTILINE)
    menu = run("--paths", project, keys=f"8\n{picture}\n\n0\n")
    assert "using starter" in menu.stderr and "p(fake)" in menu.stdout
    chosen = run("--paths", project, keys="4\n0\n0\n").stdout
    assert re.search(r"starter .*AUC 0\.\d\d on held-out", chosen)


def test_a_model_of_ones_own_goes_first_and_the_starter_stays_at_hand(project: Path) -> None:
    picture = paint(project.parent / "mine.jpg", 99)
    text = project.read_text(encoding="utf-8").replace("[training]", "[training]\nmax_epochs = 1")
    project.write_text(text, encoding="utf-8")
    for label in ("fake", "real"):
        shutil.copytree(project.parent / "dataset/train" / label, project.parent / "dataset/test" / label)
    assert run("--paths", project, "resize").returncode == 0
    # Another of the user's models is offered, as it always was.
    own = run("--paths", project, "--model", "tiny", "train")
    assert own.returncode == 0, own.stderr
    result = run("--paths", project, "check", "--no-stability", picture)
    assert "using starter" not in result.stderr and "for tiny" in result.stderr
    other = run("--paths", project, "--model", "resnet18", "check", picture)
    assert other.returncode == 2 and "use tiny, which is trained" in other.stderr
    assert "--model starter check PATH" in other.stderr
    asked = run("--paths", project, "--model", "starter", "check", "--details", picture)
    assert asked.returncode == 0 and "starter" in asked.stdout
    both = run("--paths", project, "--model", "all", "check", "--no-stability", "--json", picture)
    assert "p_fake_starter" not in json.loads(both.stdout.splitlines()[0])


def test_without_its_backbone_and_internet_it_says_what_is_missing_and_what_the_files_say(
    project: Path,
) -> None:
    text = project.read_text(encoding="utf-8")
    text = text.replace(
        'timm = "test_vit"\nweights = "starter.pth"', 'timm = "vit_tiny_patch16_224"\nsize = 160'
    )
    project.write_text(text, encoding="utf-8")
    probe = project.parent / "model_folders/starter/probe.safetensors"
    with safetensors.safe_open(probe, framework="pt") as opened:
        facts = opened.metadata()["probe"].replace("test_vit", "vit_tiny_patch16_224")
    probe.write_bytes(safetensors.torch.save(safetensors.torch.load_file(probe), {"probe": facts}))
    picture = paint(project.parent / "mine.jpg", 99)
    result = run("--paths", project, "check", picture)
    assert result.returncode == 2
    assert "starter cannot be downloaded" in result.stderr
    assert 'weights = "FILE"' in result.stderr and "random weights" not in result.stderr
    assert "no information about its origin" in result.stdout


def test_offline_a_small_one_answers_whose_backbone_came_along(project: Path) -> None:
    text = project.read_text(encoding="utf-8")
    text = text.replace(
        'timm = "test_vit"\nweights = "starter.pth"', 'timm = "vit_tiny_patch16_224"\nsize = 160'
    )
    text += '\n[models.starter_small]\ntimm = "test_vit"\nrecipe = "probe"\n'
    project.write_text(text, encoding="utf-8")
    folder = project.parent / "model_folders"
    shutil.copytree(folder / "starter", folder / "starter_small")
    probe = folder / "starter/probe.safetensors"
    with safetensors.safe_open(probe, framework="pt") as opened:
        facts = opened.metadata()["probe"].replace("test_vit", "vit_tiny_patch16_224")
    probe.write_bytes(safetensors.torch.save(safetensors.torch.load_file(probe), {"probe": facts}))
    state = torch.load(project.parent / "starter.pth", weights_only=True)
    safetensors.torch.save_file(state, folder / "starter_small/backbone.safetensors")
    picture = paint(project.parent / "mine.jpg", 99)
    result = run("--paths", project, "check", "--no-stability", picture, "--details")
    assert result.returncode == 0, result.stderr
    assert "starter cannot be downloaded" in result.stderr
    assert "Using starter_small instead" in result.stderr
    assert "starter_small's" in result.stdout and "p(fake)" in result.stdout
    # For a day it is not tried again, unless it is asked for.
    again = run("--paths", project, "check", "--no-stability", picture)
    assert again.returncode == 0 and "cannot be downloaded" not in again.stderr
    assert "using starter_small" in again.stderr and "--model starter check PATH" in again.stderr
    asked = run("--paths", project, "--model", "starter", "check", "--no-stability", picture)
    assert asked.returncode == 2 and "cannot be downloaded" in asked.stderr
    with mock.patch("time.time", lambda: time.time_ns() / 1e9 + 24 * 60 * 60 + 1):
        later = run("--paths", project, "check", "--no-stability", picture)
    assert later.returncode == 0 and "cannot be downloaded" in later.stderr


def test_a_failed_download_is_forgotten_once_the_file_is_there(project: Path, tmp_path: Path) -> None:
    starter = load_settings(project).with_model("starter")
    without = starter.with_recipe(weights=None)
    assert not has_failed_recently(without)
    folder = tmp_path / "hub/models--timm--x[1]/snapshots"
    remember_failure(starter.recipe.architecture, folder, ("*/model.safetensors", "*/pytorch_model.bin"))
    assert has_failed_recently(without) and not has_failed_recently(starter)
    (folder / "0a1b").mkdir(parents=True)
    assert has_failed_recently(without)
    (folder / "0a1b/model.safetensors").write_bytes(b"x")
    assert not has_failed_recently(without)


def test_a_fresh_clone_answers_without_internet(tmp_path: Path) -> None:
    shutil.copy(ROOT / "paths.toml", tmp_path)
    for name in ("starter", "starter_small"):
        shutil.copytree(ROOT / "model_folders" / name, tmp_path / "model_folders" / name)
    picture = paint(tmp_path / "mine.jpg", 99)
    result = run("--paths", tmp_path / "paths.toml", "check", "--no-stability", picture)
    assert result.returncode == 0, result.stderr
    assert "using starter" in result.stderr
    assert re.search(r"^(fake|real|unsure)\?? +p\(fake\)", result.stdout, re.MULTILINE)


def test_the_programs_own_settings_have_it() -> None:
    settings = load_settings(ROOT / "paths.toml").with_model("starter")
    assert settings.recipe.method == "probe"
    assert settings.recipe.architecture == "vit_base_patch16_clip_quickgelu_224.openai"


@pytest.mark.parametrize("name", ["starter", "starter_small"])
def test_its_records_belong_to_its_probe_and_its_card_says_what_they_say(name: str) -> None:
    settings = load_settings(ROOT / "paths.toml").with_model(name)
    folder = settings.model_folder
    assert (folder / "probe.safetensors").stat().st_size < 1_000_000
    probe = model_hash(settings)
    training = read_training(folder)
    assert training.calibration and training.calibration.checkpoint == probe and training.probe
    assert training.calibration.held_out_real_sources and training.calibration.held_out_families
    assert read_held_out_scores(folder, probe, "")
    evaluation = read_evaluation(folder / "evaluation.json", probe, "")
    assert evaluation and evaluation.held_out_sources
    held_out = evaluation.held_out_sources
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    rows = {"ROC AUC": held_out.auc, "fake recall at 5 % false positives": held_out.fake_recall_at_5}
    rows |= {name: family.auc for name, family in held_out.families.items()}
    for what, figure in rows.items():
        said = f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
        assert re.search(rf"^\| {re.escape(what)} \|.*{re.escape(said)}", card, re.MULTILINE), what
    for what, source in held_out.real_sources.items():
        share = f"{100 * source.false_alarms_at_5.value:.1f} %"
        assert re.search(rf"^\| {what} \|.*\| {source.n} \| {re.escape(share)}", card, re.MULTILINE), what
    for file in folder.glob("*.json"):
        assert not re.search(r'"/|[A-Z]:\\\\', file.read_text(encoding="utf-8")), file.name
