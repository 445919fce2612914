"""Options 3 and 4 through the commands and the files that a run writes."""

import csv
import json
import pickle
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from conftest import ROOT, run
from PIL import Image

from fakedetect.core.settings.settings import load_settings


def test_the_whole_job_leaves_every_file_of_the_contract(resized: Path) -> None:
    trained = run("--paths", resized, "train")
    assert trained.returncode == 0, trained.stderr
    tested = run("--paths", resized, "test")
    assert tested.returncode == 0, tested.stderr
    assert run("--paths", resized, "test", "--on", "train").returncode == 0
    assert "12 images" in tested.stdout and "Accuracy:" in tested.stdout
    folder = resized.parent / "model_folders/tiny"
    # OpenVINO's files exist only if it is installed.
    names = {path.name for path in folder.iterdir() if path.stem != "openvino"}
    assert names == {
        "classifier_model.pth", "loss_plot.jpg", "training_log.csv", "training.json",
        "test_results.json", "train_results.json", "test_predictions.csv",
        "train_predictions.csv", "confusion_matrix_test.png", "confusion_matrix_train.png",
    }  # fmt: skip
    results = json.loads((folder / "test_results.json").read_text())
    assert results["count"] == 12
    with (folder / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and {row["source"] for row in rows} == {"", "gan"}
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert results["accuracy"] == pytest.approx(right / 12)
    assert all((float(row["p_fake"]) >= 0.5) == (row["predicted"] == "fake") for row in rows)
    plain = timm.create_model("test_resnet", num_classes=2)
    plain.load_state_dict(torch.load(folder / "classifier_model.pth", weights_only=True))
    run_facts = json.loads((folder / "training.json").read_text())
    assert run_facts["classes"] == {"0": "fake", "1": "real"}
    assert (run_facts["split"]["train"], run_facts["split"]["validation"]) == (36, 4)
    with Image.open(folder / "loss_plot.jpg") as plot:
        assert plot.format == "JPEG" and min(plot.size) > 300
    (folder / "loss_plot.jpg").unlink()
    graph = run("--paths", resized, "loss-graph")
    assert graph.returncode == 0 and (folder / "loss_plot.jpg").is_file()
    before = (folder / "classifier_model.pth").read_bytes()
    refused = run("--paths", resized, "train")
    assert refused.returncode == 2 and "--overwrite" in refused.stderr
    assert (folder / "classifier_model.pth").read_bytes() == before
    again = run("--paths", resized, "train", "--overwrite")
    assert again.returncode == 0
    assert (folder / "classifier_model.pth").read_bytes() == before, "a seeded run repeats itself"


def test_keys_that_have_no_effect_are_named(resized: Path) -> None:
    text = resized.read_text(encoding="utf-8").replace(
        "[training]", '[training]\nlearning_rate = 0.1\nbatch_size = 4\nrecipe = "probe"'
    )
    resized.write_text(text.replace("max_epochs = 2", "max_epochs = 1"), encoding="utf-8")
    result = run("--paths", resized, "train")
    assert result.returncode == 0
    # batch_size and learning_rate are set under [models.tiny] too.
    assert "is for the course project's" in result.stderr
    assert "Write it under [models.tiny]." in result.stderr
    told = run("--paths", resized, "train", "--overwrite", "--recipe", "reference")
    assert told.returncode == 0 and "no effect" not in told.stderr


def test_what_is_left_of_the_robust_recipe(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    said = run("--paths", trained, "train", "--recipe", "robust")
    assert said.returncode == 2 and said.stderr.count("\n") == 1
    assert "Use degrade = true" in said.stderr
    assert run("--paths", trained, "test").returncode == 0
    before = (folder / "test_predictions.csv").read_bytes()
    (folder / "texture_vote.json").write_text("anything")
    record = json.loads((folder / "training.json").read_text())
    record["recipe"]["recipe"] = record["run"]["recipe"] = "robust"
    record["best"]["head_only"] = False
    (folder / "training.json").write_text(json.dumps(record))
    head, *rows = (folder / "training_log.csv").read_text().splitlines()
    log = [f"{head},head_only", *(f"{row},{int(number == 0)}" for number, row in enumerate(rows))]
    (folder / "training_log.csv").write_text("\n".join(log))
    tested = run("--paths", trained, "test")
    assert tested.returncode == 0 and (folder / "test_predictions.csv").read_bytes() == before
    assert tested.stderr.count(f"{folder / 'texture_vote.json'} is not used") == 1
    for command in ("loss-graph", "report"):
        shown = run("--paths", trained, command)
        assert shown.returncode == 0, shown.stderr
    refused = run("--paths", trained, "train", "--leave-out", "gan")
    assert refused.returncode == 2 and "by the robust recipe" in refused.stderr


def plain_model(name: str) -> torch.nn.Module:
    if name.startswith("resnet"):
        model = torchvision.models.get_model(name)
        model.fc = torch.nn.Linear(model.fc.in_features, 2)
        return model
    names = {
        "vit_b_16": "vit_base_patch16_224",
        "convnext_v2_tiny": "convnextv2_tiny",
        "convnext_v2_base": "convnextv2_base",
    }
    return timm.create_model(names[name], num_classes=2)


@pytest.mark.parametrize("name", ["resnet18", "convnext_v2_tiny"])
def test_a_plain_librarys_checkpoint_gives_its_own_probabilities(resized: Path, name: str) -> None:
    torch.manual_seed(3)
    model = plain_model(name).eval()
    folder = resized.parent / "model_folders" / name
    folder.mkdir(parents=True)
    torch.save(model.state_dict(), folder / "classifier_model.pth")
    # Two of each class, because these models are slow.
    for picture in (resized.parent / "dataset/resized_test").rglob("000[2-9].*"):
        picture.unlink()
    tested = run("--paths", resized, "--model", name, "test")
    assert tested.returncode == 0, tested.stderr
    from torchvision.transforms import v2

    prepare = v2.Compose(
        [
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    with (folder / "test_predictions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            image = prepare(Image.open(row["path"]).convert("RGB"))[None]
            with torch.inference_mode():
                expected = torch.softmax(model(image), 1)[0, 0].item()
            assert float(row["p_fake"]) == pytest.approx(expected, abs=1e-4)


class Harm:
    def __reduce__(self) -> tuple:
        return (print, ("harm done",))


def test_each_kind_of_file_that_is_no_checkpoint_is_named_in_one_line(resized: Path) -> None:
    folder = resized.parent / "model_folders/resnet18"
    folder.mkdir(parents=True)
    path = folder / "classifier_model.pth"

    def refusal() -> str:
        result = run("--paths", resized, "--model", "resnet18", "test")
        assert result.returncode == 2
        assert "harm done" not in result.stdout + result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert "weights_only" not in result.stderr
        return result.stderr

    assert "Train it first" in refusal()
    path.touch()
    assert "empty" in refusal()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "LFS" in refusal()
    torch.save(torchvision.models.resnet18().state_dict(), path)
    assert "1,000 outputs" in refusal()
    path.write_bytes(path.read_bytes()[:100_000])
    assert "is truncated" in refusal()
    torch.save(plain_model("resnet50").state_dict(), path)
    assert "looks like resnet50" in refusal()
    path.write_bytes(pickle.dumps(Harm()))
    refusal()


def test_without_internet_three_options_are_named(resized: Path) -> None:
    text = resized.read_text(encoding="utf-8").replace("pretrained = false", "pretrained = true")
    resized.write_text(text + 'weights = "missing.pth"\n', encoding="utf-8")
    result = run("--paths", resized, "train")
    assert result.returncode == 2 and "missing.pth" in result.stderr
    text = text.replace("test_resnet", "convnextv2_atto")
    resized.write_text(text, encoding="utf-8")
    result = run("--paths", resized, "train")
    assert result.returncode == 2
    assert "Options:" in result.stderr and "Traceback" not in result.stderr


def test_the_recipes_are_the_references() -> None:
    recipes = load_settings(ROOT / "paths.toml").written
    facts = {
        name: (r.batch_size, r.optimizer, r.learning_rate, r.weight_decay)
        for name, r in recipes.items()
        if not name.startswith("starter")
    }
    assert facts == {
        "resnet18": (256, "Adam", 5e-5, 1e-5),
        "resnet50": (128, "Adam", 5e-5, 1e-5),
        "vit_b_16": (96, "AdamW", 2e-5, 1e-5),
        "convnext_v2_tiny": (64, "AdamW", 2e-5, 1e-5),
        "convnext_v2_base": (32, "AdamW", 2e-5, 1e-5),
    }
