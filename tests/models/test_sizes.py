"""Each model at its own input: the size, interpolation, mean and std that timm or paths.toml say."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from conftest import REFERENCE_INPUT, paint, run
from msgspec.structs import replace
from PIL import Image
from torch.nn import functional

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import read_training
from fakedetect.core.settings import architectures
from fakedetect.core.settings.architectures import find_size_arguments
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.settings.settings import load_settings
from fakedetect.explaining.heatmaps import (
    attention_rollout,
    choose_layer,
    find_layer,
    grad_cam,
    has_attention,
)
from fakedetect.models.building import build_model, load_checkpoint, save_checkpoint
from fakedetect.models.probe.backbone import Backbone
from fakedetect.training.unfinished import describe_difference

HALF = (0.5, 0.5, 0.5)
RECIPE = Recipe(
    name="mine",
    library="timm",
    architecture="test_vit3",
    batch_size=2,
    optimizer="AdamW",
    learning_rate=1e-3,
    size=96,
    interpolation="bicubic",
    mean=HALF,
    std=HALF,
)
RUN = """\
model = "tiny"

[training]
pretrained = false
precision = "fp32"
max_epochs = 1
workers = 1

[inference]
engine = "torch"

[models.tiny]
timm = "test_vit3"
batch_size = 8
learning_rate = 1e-3
"""


def sized(architecture: str, size: int) -> Recipe:
    return replace(RECIPE, architecture=architecture, size=size)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("test_vit3", 160),  # its own size, pooled by attention, as SigLIP is
        ("vit_tiny_patch16_384", 96),  # smaller than the one that its positions are for
        ("vit_small_patch14_reg4_dinov2", 42),  # registers before the patches
        ("vit_small_patch16_dinov3", 48),  # rotary positions
        ("vit_pe_core_tiny_patch16_384", 64),  # the Perception Encoder
        ("convnext_atto", 288),
    ],
)
def test_a_model_of_another_size_learns_answers_and_is_explained(architecture: str, size: int) -> None:
    recipe = sized(architecture, size)
    torch.manual_seed(1)
    model = build_model(recipe, pretrained=False).train()
    images, labels = torch.randn(2, 3, size, size), torch.tensor([0, 1])
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    functional.cross_entropy(model(images), labels).backward()
    optimizer.step()
    model.eval()
    layer = find_layer(model, choose_layer(model, images))
    maps, logits = grad_cam(model, layer, images, torch.tensor([0, -1]))
    assert maps.shape == (2, size, size) and logits.isfinite().all()
    if has_attention(model):
        assert attention_rollout(model, images[:1]).shape == (1, size, size)
    model.reset_classifier(0)
    backbone = Backbone(model, size)
    assert backbone(images).shape == (2, backbone.width)


@pytest.mark.parametrize(
    ("architecture", "size", "works"),
    [
        ("vit_tiny_patch16_384", 380, "368 or 384"),
        ("convnext_atto", 16, "32 or 224"),
        ("efficientformer_l1", 256, "224"),
    ],
)
def test_a_size_that_a_model_cannot_take_is_one_line(architecture: str, size: int, works: str) -> None:
    with pytest.raises(UserError) as refused:
        build_model(sized(architecture, size), pretrained=False)
    said = str(refused.value)
    assert said.startswith(f"[models.mine]: {architecture} ") and said.endswith(f": size = {works}")
    assert f" {size} x {size} " in said


def test_a_model_that_takes_no_size_near_either_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # As one of oblong pictures may be.
    monkeypatch.setattr(architectures, "_try_size", lambda *_: None)
    with pytest.raises(UserError) as refused:
        find_size_arguments("test_vit", 180, "paths.toml, line 8")
    said = str(refused.value)
    assert said.startswith("paths.toml, line 8: test_vit ")
    assert "180 x 180" in said and "nor of 160 or 176 or 192" in said


def test_a_bug_while_a_size_is_tried_is_no_size_that_a_model_cannot_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(architectures, "_patches", None)
    with pytest.raises(TypeError):
        build_model(sized("test_vit", 176), pretrained=False)


def test_a_network_that_takes_any_size_is_built_as_it_always_was() -> None:
    assert find_size_arguments("test_vit", 224, "") == find_size_arguments("test_resnet", 224, "") == {}
    torch.manual_seed(3)
    first = build_model(sized("test_vit3", 96), pretrained=False).state_dict()
    # What was tried before, or not, does not change what a seed gives.
    torch.manual_seed(3)
    second = build_model(sized("test_vit3", 96), pretrained=False).state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_weights_for_another_size_are_fitted_to_this_one(tmp_path: Path) -> None:
    torch.manual_seed(2)
    other = timm.create_model("test_vit3", num_classes=5)
    torch.save(other.state_dict(), tmp_path / "weights.pth")
    model = build_model(replace(RECIPE, weights=tmp_path / "weights.pth"), pretrained=True)
    assert model.pos_embed.shape[1] == 1 + 36 and other.pos_embed.shape[1] == 1 + 100
    assert torch.equal(model.patch_embed.proj.weight, other.patch_embed.proj.weight)
    save_checkpoint(model, tmp_path / "classifier_model.pth")
    with pytest.raises(UserError, match="trained on pictures of another size than the 160 x 160 of mine"):
        load_checkpoint(sized("test_vit3", 160), tmp_path / "classifier_model.pth")


def project(folder: Path, settings: str) -> Path:
    """A project with a few original pictures of two classes, and a paths.toml that says this."""
    for part, count in (("train", 10), ("test", 4)):
        for number in range(count):
            of_part = folder / "dataset" / part
            paint(of_part / "fake" / f"{number}.jpg", number + 50 * (part == "test"))
            random = np.random.default_rng(number)
            (of_part / "real").mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (200, 310, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(of_part / "real" / f"{number}.png")
    (folder / "paths.toml").write_text(settings, encoding="utf-8")
    return folder / "paths.toml"


def answers(paths: Path, command: str) -> dict[str, float]:
    """p(fake) of every test picture, by its class and name, as a command gives it."""
    folder = paths.parent / "dataset/test"
    if command == "check":
        result = run("--paths", paths, "check", folder, "--json", "--no-stability")
        assert result.returncode == 0, result.stderr
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        return {"/".join(Path(row["path"]).parts[-2:]): row["p_fake_raw"] for row in rows}
    if command == "explain":
        pictures = sorted(folder.rglob("0.*"))
        result = run("--paths", paths, "explain", *pictures, "--method", "grad-cam")
        assert result.returncode == 0, result.stderr
        found = map(json.loads, (f.read_text() for f in (paths.parent / "grad-cam_images").glob("*.json")))
        return {"/".join(Path(row["image"]).parts[-2:]): row["p_fake"] for row in found}
    assert run("--paths", paths, "test").returncode == 0
    table = paths.parent / "model_folders/tiny/test_predictions.csv"
    with table.open(newline="", encoding="utf-8") as file:
        return {"/".join(Path(r["path"]).parts[-2:]): float(r["p_fake"]) for r in csv.DictReader(file)}


@pytest.fixture(scope="module")
def own_size_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is trained at the 160 pixels that timm says of it."""
    paths = project(tmp_path_factory.mktemp("own"), RUN)
    (paths.parent / "choose.txt").write_text(run("--paths", paths, "choose", "tiny").stdout)
    for command in ("resize", "train"):
        result = run("--paths", paths, command)
        assert result.returncode == 0, result.stderr
    return paths


@pytest.fixture
def own_size(own_size_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(own_size_once.parent, tmp_path / "own")
    return tmp_path / "own/paths.toml"


def test_what_timm_says_is_shown_trained_and_recorded(own_size: Path) -> None:
    told = (own_size.parent / "choose.txt").read_text()
    assert "160 x 160, bicubic; mean 0.5 0.5 0.5, std 0.5 0.5 0.5 (from timm)" in told
    assert "a 95 % centre crop" in told
    assert "resized_train_160" in told and "not made yet" in told
    copies = own_size.parent / "dataset/resized_test_160"
    with Image.open(own_size.parent / "dataset/test/real/0.png") as original:
        expected = original.resize((160, 160), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(Image.open(copies / "real/0.png")), np.asarray(expected))
    assert not (own_size.parent / "dataset/resized_test").exists()
    record = json.loads((own_size.parent / "model_folders/tiny/training.json").read_text())
    for saved in (record["recipe"], record["run"]):
        said = [saved[key] for key in ("size", "interpolation", "mean", "std")]
        assert said == [160, "bicubic", list(HALF), list(HALF)]
    assert "resized train 160 20 pictures" in run("--paths", own_size, keys="0\n").stdout


def test_check_test_and_explain_agree_at_another_size(own_size: Path) -> None:
    tested, checked, explained = (answers(own_size, command) for command in ("test", "check", "explain"))
    assert len(tested) == 8 and tested == pytest.approx(checked, abs=1e-5)
    assert len(explained) == 2
    assert explained == pytest.approx({name: tested[name] for name in explained}, abs=1e-5)


def test_models_of_two_sizes_are_asked_together(own_size: Path) -> None:
    own = '[models.small]\ntimm = "test_vit3"\nsize = 96\nbatch_size = 8\n'
    own_size.write_text(f"{RUN}\n{own}", encoding="utf-8")
    torch.manual_seed(5)
    other = build_model(load_settings(own_size).with_model("small").recipe, pretrained=False)
    save_checkpoint(other, own_size.parent / "model_folders/small/classifier_model.pth")
    picture = own_size.parent / "dataset/test/fake/1.jpg"
    check = ("check", picture, "--json", "--no-stability")
    row = json.loads(run("--paths", own_size, "--model", "all", *check).stdout)
    for name in ("tiny", "small"):
        alone = json.loads(run("--paths", own_size, "--model", name, *check).stdout)
        assert row[f"p_fake_{name}"] == alone["p_fake"]
    # Of a checkpoint from elsewhere the row says with what it was asked.
    assert "96 x 96, bicubic; mean 0.5" in row["options"] and "160" not in row["options"]


def test_another_size_than_that_of_the_training_is_refused(own_size: Path) -> None:
    before = own_size.read_text(encoding="utf-8")
    own_size.write_text(f"{before}size = 96\n", encoding="utf-8")
    picture = own_size.parent / "dataset/test/real/0.png"
    for command in (["test"], ["check", picture], ["explain", picture], ["export"], ["report"]):
        result = run("--paths", own_size, *command)
        assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1, command
        if command != ["report"]:
            assert "tiny was trained with size = 160" in result.stderr and "sets 96" in result.stderr
    # Both are wanted: for the checkpoint that is there, and for training it anew.
    assert run("--paths", own_size, "resize", "test-real").stdout.count("(96 x 96, bicubic)") == 1
    conditions = read_training(own_size.parent / "model_folders/tiny").run
    assert conditions is not None
    now = replace(conditions, size=96)
    assert describe_difference(conditions, now) == "size was 160 and is now 96"
    own_size.write_text(f"{before}size = 100\n", encoding="utf-8")
    refused = run("--paths", own_size, "resize")
    assert refused.returncode == 2 and "size = 96 or 112 or 160" in refused.stderr


def test_a_checkpoint_goes_on_with_what_it_was_trained_with(trained: Path) -> None:
    """Trained before timm was asked: by a paths.toml that named no input, on the reference's."""
    picture = trained.parent / "dataset/test/real/phone/0000.jpg"
    before = run("--paths", trained, "check", picture, "--json").stdout
    folder = trained.parent / "model_folders/tiny"
    record = json.loads((folder / "training.json").read_text())
    for part in ("recipe", "run"):
        del record[part]["size"], record[part]["interpolation"]
    (folder / "training.json").write_text(json.dumps(record))
    text = trained.read_text(encoding="utf-8").replace(REFERENCE_INPUT, "")
    trained.write_text(text, encoding="utf-8")
    assert run("--paths", trained, "check", picture, "--json").stdout == before
    told = run("--paths", trained, "choose", "tiny").stdout
    assert "Input: 160 x 160, bilinear; mean 0.5" in told
    assert "trained with 224 x 224, lanczos; mean 0.485" in told
    made = run("--paths", trained, "resize", "test-real").stdout
    assert "resized_test_160_bilinear" in made and "0 pictures resized" in made
    # Trained anew it takes what timm says.
    again = run("--paths", trained, "train", "--overwrite")
    assert again.returncode == 2 and "resized_train_160_bilinear" in again.stderr


def test_without_a_record_thresholds_hold_for_the_input_that_they_were_set_with(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    (folder / "training.json").unlink()
    rates = ("--max-false-alarms", "0.2", "--max-missed", "0.2")
    assert run("--paths", trained, "fit-thresholds", *rates).returncode == 0
    check = ("check", trained.parent / "dataset/test/real/phone/0000.jpg", "--json", "--no-stability")
    first = json.loads(run("--paths", trained, *check).stdout)
    assert "temperature 1," not in first["options"]
    text = trained.read_text(encoding="utf-8").replace("mean = [0.485, 0.456, 0.406]", f"mean = {[*HALF]}")
    trained.write_text(text, encoding="utf-8")
    second = json.loads(run("--paths", trained, *check).stdout)
    assert "temperature 1, fake from 0.5, real below 0.5" in second["options"]
    # A network that was kept for the other input does not answer.
    assert first["p_fake"] != second["p_fake"]


def test_what_timm_says_is_kept_until_another_timm_is_there(tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text(RUN, encoding="utf-8")
    settings = load_settings(tmp_path / "paths.toml")
    assert settings.find_known_input() is None and settings.recipe.input.size == 160
    kept = tmp_path / "model_folders/.timm_inputs.json"
    known = load_settings(tmp_path / "paths.toml").find_known_input()
    assert known and known.size == 160
    for content in (kept.read_text().replace(timm.__version__, "0.1"), "{", '{"timm": 3}'):
        kept.write_text(content, encoding="utf-8")
        again = load_settings(tmp_path / "paths.toml")
        assert again.find_known_input() is None and again.recipe.input.size == 160
