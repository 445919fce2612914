"""The probe recipe: fitted, measured on held-out sources, saved, and used like any model."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from conftest import copy_project, run
from PIL import Image

from fakedetect.core.derived import cache_folder
from fakedetect.core.settings.model_folder import features_file

SOURCES = {
    "fake": ("gan/one", "gan/two", "diffusion", "flow", "mixed"),
    "real": ("phone", "camera", "scan", "film", "press"),
}
SIDE = 64


def draw(random: np.random.Generator, label: str, tint: np.ndarray) -> Image.Image:
    """Make a picture of a source: its tint under coarse noise (fake) or fine noise (real)."""
    cells = 8 if label == "fake" else SIDE
    noise = random.normal(0, 40, (cells, cells, 3))
    noise = np.kron(noise, np.ones((SIDE // cells, SIDE // cells, 1)))
    return Image.fromarray(np.clip(tint + noise, 0, 255).astype(np.uint8))


def make_sources(folder: Path, each: int = 6, endings: tuple[str, str] = ("png", "png")) -> None:
    """Pictures of SOURCES for training and test, every source in its own tint."""
    random = np.random.default_rng(5)
    for (label, sources), ending in zip(SOURCES.items(), endings, strict=True):
        for source in sources:
            tint = random.uniform(90, 160, 3)
            for number in range(each + 2):
                part = "train" if number < each else "test"
                file = folder / "dataset" / part / label / source / f"{number:02}.{ending}"
                file.parent.mkdir(parents=True, exist_ok=True)
                draw(random, label, tint).save(file)


def write_settings(paths: Path, architecture: str = "test_vit", more: str = "") -> Path:
    # Each backbone would be converted for OpenVINO, which takes longer than these few pictures.
    paths.write_text(
        'model = "tiny"\n\n[inference]\nengine = "torch"\n\n[training]\npretrained = false\n'
        'precision = "fp32"\nworkers = 1\n\n'
        f'[models.tiny]\ntimm = "{architecture}"\nbatch_size = 8\n{more}',
        encoding="utf-8",
    )
    return paths


@pytest.fixture(scope="module")
def fitted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    make_sources(folder)
    paths = write_settings(folder / "paths.toml")
    result = run("--paths", paths, "train", "--recipe", "probe")
    assert result.returncode == 0, result.stderr
    (folder / "told.txt").write_text(result.stdout, encoding="utf-8")
    return paths


@pytest.fixture
def fitted(fitted_once: Path, tmp_path: Path) -> Path:
    return copy_project(fitted_once, tmp_path / "probe")


def folder_of(paths: Path) -> Path:
    return paths.parent / "model_folders/tiny"


def read(paths: Path, name: str) -> dict:
    return json.loads((folder_of(paths) / name).read_text(encoding="utf-8"))


def test_a_probe_is_fitted_to_originals_and_measured_on_held_out_sources(fitted: Path) -> None:
    files = {path.name for path in folder_of(fitted).iterdir()}
    assert {"probe.safetensors", "training.json", "evaluation.json", "out_of_fold.json"} <= files
    assert "classifier_model.pth" not in files and not (fitted.parent / "dataset/resized_train").exists()
    assert (folder_of(fitted) / "probe.safetensors").stat().st_size < 1_000_000
    unseen = read(fitted, "evaluation.json")["unseen_sources"]
    # Two generators of one family count as one.
    assert {name: family["n"] for name, family in unseen["families"].items()} == {
        "gan": 12,
        "diffusion": 6,
        "flow": 6,
        "mixed": 6,
    }
    assert set(unseen["real_sources"]) == set(SOURCES["real"])
    for figure in (
        unseen["auc"],
        unseen["fake_recall_at_5"],
        *(family["auc"] for family in unseen["families"].values()),
        *(source["false_alarms_at_5"] for source in unseen["real_sources"].values()),
    ):
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
        assert figure["low"] < figure["high"]
    # Coarse and fine noise are separable in any tint.
    assert unseen["auc"]["value"] > 0.7
    scores = read(fitted, "out_of_fold.json")
    assert {source: len(scores["fake"][source]) for source in SOURCES["fake"]} == dict.fromkeys(
        SOURCES["fake"], 6
    )
    told = (fitted.parent / "told.txt").read_text(encoding="utf-8")
    assert "held-out sources, 4 folds" in told and re.search(r"gan +12 +[01]\.\d+ \(", told)
    probe = read(fitted, "training.json")["probe"]
    assert (probe["families"], probe["real_sources"], probe["folds"], probe["least_side"]) == (
        4,
        5,
        4,
        SIDE,
    )


@pytest.mark.parametrize(("fakes", "reals"), [(12, 1), (1, 12)])
def test_a_class_of_one_picture_is_one_line(tmp_path: Path, fakes: int, reals: int) -> None:
    random = np.random.default_rng(1)
    for label, count in (("fake", fakes), ("real", reals)):
        for number in range(count):
            file = tmp_path / "dataset/train" / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            draw(random, label, np.full(3, 128.0)).save(file)
    paths = write_settings(tmp_path / "paths.toml")
    result = run("--paths", paths, "train", "--recipe", "probe")
    few = "fake" if fakes == 1 else "real"
    said = f"1 readable picture labelled {few}: too few to learn from. At least 2 of each class are needed"
    assert result.returncode == 2 and said in result.stderr.strip().splitlines()[-1]


def test_what_marks_a_single_source_does_not_generalise(tmp_path: Path) -> None:
    # Each source has only a tint of its own: the classifier memorises all of them and cannot generalise.
    random = np.random.default_rng(9)
    for label, sources in SOURCES.items():
        for source in sources:
            tint = random.uniform(0, 255, 3)
            for number in range(10):
                folder = tmp_path / "dataset" / ("train" if number < 8 else "test") / label / source
                folder.mkdir(parents=True, exist_ok=True)
                draw(random, "real", tint).save(folder / f"{number}.png")
    paths = write_settings(tmp_path / "paths.toml", more="\n[probe]\nstrength = 1\n")
    assert run("--paths", paths, "train", "--recipe", "probe").returncode == 0
    assert run("--paths", paths, "test").returncode == 0
    assert read(paths, "test_results.json")["accuracy"] > 0.85
    assert read(paths, "evaluation.json")["unseen_sources"]["auc"]["value"] < 0.75


def test_a_probe_is_reproduced_to_the_byte_with_or_without_cached_features(fitted: Path) -> None:
    probe, features = folder_of(fitted) / "probe.safetensors", features_file(folder_of(fitted))
    first = probe.read_bytes()
    again = ("--paths", fitted, "train", "--recipe", "probe", "--overwrite")
    # Features that came with the folder are not trusted.
    (folder_of(fitted) / "features.bin").write_bytes(b"something else")
    assert run(*again).returncode == 0
    kept = features.read_bytes()
    assert run(*again).returncode == 0
    assert probe.read_bytes() == first and features.read_bytes() == kept
    # Values that no network gives are computed again.
    damaged = bytearray(kept)
    damaged[-2:] = damaged[-2000:-1998] = np.array(np.nan, "<f2").tobytes()
    features.write_bytes(damaged)
    assert run(*again).returncode == 0
    assert probe.read_bytes() == first and len(features.read_bytes()) > len(kept)
    # As left by a run that was killed while writing.
    features.write_bytes(kept[: len(kept) * 2 // 3])
    assert run(*again).returncode == 0
    assert probe.read_bytes() == first and len(features.read_bytes()) == len(kept)
    features.write_bytes(b"something else")
    assert run(*again).returncode == 0
    assert probe.read_bytes() == first


@pytest.mark.parametrize("name", ["remove_other_checkpoints", "write_held_out_scores", "write_training"])
def test_a_fit_killed_while_it_saves_is_unfinished_and_starts_over(
    fitted: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = fitted.parent / "model_folders/tiny"
    whole = (folder / "probe.safetensors").read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"fakedetect.training.probe.{name}", stop)
        assert run("--paths", fitted, "train", "--recipe", "probe", "--overwrite").returncode == 130
    assert (folder / "unfinished_run.pth").is_file()
    refused = run("--paths", fitted, "train", "--recipe", "probe")
    assert refused.returncode == 2 and "unfinished run" in refused.stderr
    other = run("--paths", fitted, "train", "--recipe", "reference", "--resume")
    assert other.returncode == 2 and "Traceback" not in other.stderr
    assert run("--paths", fitted, "train", "--recipe", "probe", "--resume").returncode == 0
    assert (folder / "probe.safetensors").read_bytes() == whole
    assert not (folder / "unfinished_run.pth").exists()
    assert json.loads((folder / "training.json").read_text())["calibration"]


def test_features_of_changed_and_renamed_pictures_are_computed_again(fitted: Path) -> None:
    features = features_file(folder_of(fitted))
    assert run("--paths", fitted, "train", "--recipe", "probe", "--overwrite").returncode == 0
    before = features.stat().st_size
    picture = fitted.parent / "dataset/train/real/phone/00.png"
    draw(np.random.default_rng(77), "real", np.full(3, 200.0)).save(picture)
    assert run("--paths", fitted, "train", "--recipe", "probe", "--overwrite").returncode == 0
    assert before < features.stat().st_size < 1.1 * before


def test_a_fit_is_compared_with_the_earlier_one_on_the_pictures_of_both(fitted: Path) -> None:
    again = ("--paths", fitted, "train", "--recipe", "probe", "--overwrite")
    unchanged = run(*again)
    assert "on the 60 held-out pictures of both: the same scores" in unchanged.stdout, unchanged.stderr
    folder, random = fitted.parent / "dataset/train", np.random.default_rng(3)
    (folder / "fake/new").mkdir()
    for number in range(6):
        draw(random, "fake", np.full(3, 120.0)).save(folder / f"fake/new/{number}.png")
    # A picture of the same name, and one more.
    draw(random, "real", np.full(3, 120.0)).save(folder / "real/phone/00.png")
    draw(random, "real", np.full(3, 120.0)).save(folder / "real/phone/more.png")
    added = run(*again)
    assert re.search(
        r"on the 59 held-out pictures of both: ROC AUC [01]\.\d+ -> .*\n.* newly wrong \(McNemar",
        added.stdout,
    ), added.stderr
    # The new fit replaces a file that cannot be used.
    (folder_of(fitted) / "out_of_fold.json").write_text("{", encoding="utf-8")
    damaged = run(*again)
    assert damaged.returncode == 0 and "earlier fit" not in damaged.stdout, damaged.stderr


def test_features_of_identical_pictures_are_computed_once(fitted: Path) -> None:
    features = features_file(folder_of(fitted))
    assert run("--paths", fitted, "train", "--recipe", "probe", "--overwrite").returncode == 0
    before = features.stat().st_size
    folder = fitted.parent / "dataset/train/real"
    shutil.copy(folder / "phone/00.png", folder / "press/00_again.png")
    result = run("--paths", fitted, "train", "--recipe", "probe", "--overwrite")
    assert result.returncode == 0 and "61 pictures" in result.stdout
    # Its degraded view depends on the name, its clean one does not.
    assert before < features.stat().st_size < before + 2 * before / 110


def test_every_option_works_on_a_probe_and_scores_a_picture_alike(fitted: Path) -> None:
    text = fitted.read_text(encoding="utf-8").replace('engine = "torch"', 'engine = "auto"')
    fitted.write_text(text, encoding="utf-8")
    assert run("--paths", fitted, "train", "--recipe", "probe", "--overwrite").returncode == 0
    tested = run("--paths", fitted, "test")
    assert tested.returncode == 0, tested.stderr
    table = (folder_of(fitted) / "test_predictions.csv").read_text(encoding="utf-8").splitlines()[1:]
    by_path = {row.split(",")[0]: float(row.split(",")[-1]) for row in table}
    assert len(by_path) == 20
    pictures = sorted(by_path)[:6]
    checked = run("--paths", fitted, "check", "--json", "--no-stability", *pictures)
    assert checked.returncode == 0, checked.stderr
    rows = [json.loads(line) for line in checked.stdout.splitlines()]
    for row in rows:
        assert row["p_fake_raw"] == pytest.approx(by_path[row["path"]], abs=1e-4)
    shown = run("--paths", fitted, "check", "--details", pictures[0]).stdout
    assert "held-out generators, tiny finds " in shown
    explained = run("--paths", fitted, "explain", pictures[0])
    assert explained.returncode == 0 and "Attention Rollout" in explained.stdout, explained.stderr
    assert "Grad-CAM at backbone.network.blocks.3.norm1" in explained.stdout
    matrix = read(fitted, "test_results.json")["confusion_matrix"]
    told = f"20 test pictures, {matrix[0][1] + matrix[1][0]} of them misclassified"
    sheet = ("--paths", fitted, "explain", "--sheet", "20")
    assert told in run(*sheet).stdout
    # Copies that a fine-tuned model would use, and a probe does not.
    assert run("--paths", fitted, "resize", "test-fake", "test-real").returncode == 0
    assert told in run(*sheet).stdout
    assert run("--paths", fitted, "evaluate").returncode == 0
    evaluation = read(fitted, "evaluation.json")
    assert evaluation["test"]["count"] == 20 and "unseen_sources" in evaluation
    assert run("--paths", fitted, "compare").returncode == 0
    assert run("--paths", fitted, "report").returncode == 0
    page = (folder_of(fitted) / "report.html").read_text(encoding="utf-8")
    assert "Held-out sources" in page and "family of fakes" in page
    graph = run("--paths", fitted, "loss-graph")
    assert graph.returncode == 2 and "tiny is a probe" in graph.stderr
    left = run("--paths", fitted, "train", "--leave-out", "diffusion")
    assert left.returncode == 0 and "diffusion (fake, 2 pictures)" in left.stdout, left.stderr
    reduced = read(fitted, "without_diffusion/training.json")
    assert reduced["data"]["leave_out"] == "diffusion" and reduced["probe"]["families"] == 3
    assert not features_file(folder_of(fitted) / "without_diffusion").exists()


def test_a_probe_ignores_the_format_of_a_file(fitted: Path) -> None:
    picture = Image.open(fitted.parent / "dataset/test/real/phone/06.png")
    for ending, options in (("bmp", {}), ("webp", {"lossless": True}), ("tiff", {}), ("png", {})):
        picture.save(fitted.parent / f"same.{ending}", **options)
    checked = run("--paths", fitted, "check", "--json", "--no-stability", *fitted.parent.glob("same.*"))
    said = {json.loads(line)["p_fake"] for line in checked.stdout.splitlines()}
    assert len(checked.stdout.splitlines()) == 4 and len(said) == 1


def test_a_probe_does_not_separate_png_fakes_from_jpeg_reals(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for label, sources in SOURCES.items():
        for source in sources:
            for number in range(12):
                folder = tmp_path / "dataset/train" / label / source
                folder.mkdir(parents=True, exist_ok=True)
                smooth = np.asarray(draw(random, "fake", random.uniform(90, 160, 3)).resize((300, 300)))
                ending = "png" if label == "fake" else "jpg"
                Image.fromarray(smooth).save(folder / f"{number}.{ending}")
    paths = write_settings(tmp_path / "paths.toml", more="\n[probe]\nstrength = 0.1\n")
    assert run("--paths", paths, "train", "--recipe", "probe").returncode == 0
    assert 0.3 < read(paths, "evaluation.json")["unseen_sources"]["auc"]["value"] < 0.7


def test_copies_replace_missing_originals_with_a_message(fitted: Path) -> None:
    assert run("--paths", fitted, "resize").returncode == 0
    again = ("--paths", fitted, "train", "--recipe", "probe", "--overwrite")
    of_originals = run(*again)
    assert of_originals.returncode == 0 and "gone" not in of_originals.stdout
    shutil.rmtree(fitted.parent / "dataset/train/fake/gan")
    result = run(*again)
    assert result.returncode == 0
    assert "12 originals are missing" in result.stdout


def test_one_source_per_class_holds_out_pictures_and_names_the_limit(tmp_path: Path) -> None:
    make_sources(tmp_path, 6)
    for label, names in SOURCES.items():
        for name in names[1:]:
            shutil.rmtree(tmp_path / "dataset/train" / label / name)
    paths = write_settings(tmp_path / "paths.toml")
    result = run("--paths", paths, "train", "--recipe", "probe")
    assert result.returncode == 0, result.stderr
    assert "only one source of each" in result.stdout
    assert "no guarantee for others" in result.stdout
    unseen = read(paths, "evaluation.json")["unseen_sources"]
    assert not unseen["fakes_by_source"] and not unseen["reals_by_source"]
    checked = run("--paths", paths, "check", "--no-stability", tmp_path / "dataset/test/real", "--details")
    assert "held-out" not in checked.stdout and "not tested on other" in checked.stdout


def test_thresholds_are_fitted_to_sources_and_too_few_of_them_are_refused(fitted: Path) -> None:
    refused = run("--paths", fitted, "fit-thresholds")
    assert refused.returncode == 2
    assert re.search(r"5 sources of real .* 5\.0 % .* takes 19", refused.stderr)
    rate = re.search(r"Give --max-false-alarms ([\d.]+)", refused.stderr)
    assert rate
    fitting = run("--paths", fitted, "fit-thresholds", "--max-false-alarms", rate[1], "--max-missed", "0.3")
    assert fitting.returncode == 0, fitting.stderr
    assert "over new real sources" in fitting.stdout
    saved = read(fitted, "training.json")["calibration"]
    assert saved["unseen_real_sources"] and saved["unseen_families"]
    (folder_of(fitted) / "out_of_fold.json").unlink()
    gone = run("--paths", fitted, "fit-thresholds", "--max-false-alarms", "0.3")
    assert gone.returncode == 2 and "no out-of-fold scores" in gone.stderr


def pretrained_project(folder: Path, architecture: str = "test_vit") -> Path:
    """A project whose backbone's weights are in a file."""
    torch.manual_seed(3)
    torch.save(timm.create_model(architecture, num_classes=5).state_dict(), folder / "weights.pth")
    make_sources(folder, 3)
    paths = write_settings(folder / "paths.toml", architecture, 'weights = "weights.pth"\n')
    paths.write_text(paths.read_text(encoding="utf-8").replace("pretrained = false", "pretrained = true"))
    assert run("--paths", paths, "train", "--recipe", "probe").returncode == 0
    return paths


def find_checks() -> list[Path]:
    return list((cache_folder() / "backbones").rglob("*.json"))


def test_other_weights_of_the_backbone_are_refused_and_rounded_ones_taken(tmp_path: Path) -> None:
    paths = pretrained_project(tmp_path)
    shutil.rmtree(cache_folder() / "backbones", ignore_errors=True)
    picture = tmp_path / "dataset/test/real/phone/03.png"
    check = ("--paths", paths, "check", "--no-stability", picture)
    assert run(*check).returncode == 0
    assert not find_checks()
    state = torch.load(tmp_path / "weights.pth", weights_only=True)
    torch.save({key: value.half().float() for key, value in state.items()}, tmp_path / "weights.pth")
    assert run(*check).returncode == 0
    (checked,) = find_checks()
    assert 0 < json.loads(checked.read_bytes())["apart"] < 0.1
    torch.manual_seed(4)
    torch.save(timm.create_model("test_vit", num_classes=5).state_dict(), tmp_path / "weights.pth")
    # A check that came with the folder is not trusted.
    shutil.copy(checked, folder_of(paths))
    refused = run(*check)
    assert refused.returncode == 2
    assert "different weights of test_vit" in refused.stderr
    (tmp_path / "weights.pth").unlink()
    assert run(*check).returncode == 2


def test_a_damaged_probe_is_one_line(fitted: Path) -> None:
    file = folder_of(fitted) / "probe.safetensors"
    whole = file.read_bytes()
    tensors = safetensors.torch.load(whole)
    with safetensors.safe_open(file, framework="pt") as opened:
        facts = opened.metadata()["probe"]
    picture = fitted.parent / "dataset/test/real/phone/06.png"

    def save(changes: dict[str, torch.Tensor], text: str = facts) -> bytes:
        return safetensors.torch.save({**tensors, **changes}, {"probe": text})

    width = len(tensors["weights"])
    for content, words in (
        (b"", "truncated or not a probe"),
        (whole[:100], "truncated or not a probe"),
        (b"\xff" * 64, "truncated or not a probe"),
        (save({"weights": tensors["weights"][:-1].clone()}), "truncated or not a probe"),
        (save({"scale": torch.zeros(width)}), "other impossible values (scale)"),
        (save({"weights": torch.full((width,), float("nan"))}), "other impossible values (weights)"),
        (save({"bias": tensors["bias"].double()}), "truncated or not a probe"),
        (save({}, "{}"), "truncated or not a probe"),
        (save({}, "[" * 100_000), "truncated or not a probe"),
        (save({}, facts.replace("[1,", "[99,")), "names block 99"),
        (save({}, facts.replace("test_vit", "test_resnet")), "is a probe on test_resnet"),
        (save({}, facts.replace('"size":160', '"size":96')), "was fitted on pictures of 96 x 96 pixels"),
        (save({}, facts.replace(',"size":160', "")), "was fitted on pictures of 224 x 224 pixels"),
        (save({}, facts.replace('"tokens":"class"', '"tokens":"none"')), "truncated or not a probe"),
        (save({}, facts.replace('"centre_square":true', '"centre_square":false')), "features. Train again"),
    ):
        file.write_bytes(content)
        result = run("--paths", fitted, "check", "--no-stability", picture)
        assert result.returncode == 2, words
        assert words in result.stderr and "Traceback" not in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr


def test_a_probe_and_a_fine_tuned_model_replace_one_another(fitted: Path) -> None:
    refused = run("--paths", fitted, "train", "--recipe", "reference")
    assert refused.returncode == 2 and "probe.safetensors was kept unchanged" in refused.stderr
    assert run("--paths", fitted, "resize").returncode == 0
    text = fitted.read_text(encoding="utf-8").replace("[training]", "[training]\nmax_epochs = 1")
    fitted.write_text(text, encoding="utf-8")
    assert run("--paths", fitted, "train", "--overwrite").returncode == 0
    names = {path.name for path in folder_of(fitted).iterdir()}
    assert "classifier_model.pth" in names and "probe.safetensors" not in names
    assert run("--paths", fitted, "train", "--recipe", "probe", "--overwrite").returncode == 0
    names = {path.name for path in folder_of(fitted).iterdir()}
    assert "probe.safetensors" in names and not {"classifier_model.pth", "training_log.csv"} & names


@pytest.mark.parametrize("architecture", ["test_resnet", "test_efficientnet"])
def test_a_convolutional_backbone_is_read_stage_by_stage_and_explained(
    tmp_path: Path, architecture: str
) -> None:
    make_sources(tmp_path, 3)
    paths = write_settings(tmp_path / "paths.toml", architecture)
    result = run("--paths", paths, "train", "--recipe", "probe")
    assert result.returncode == 0, result.stderr
    picture = tmp_path / "dataset/test/real/phone/03.png"
    assert run("--paths", paths, "explain", picture).returncode == 0


def test_blocks_views_and_strength_are_chosen_in_the_settings(tmp_path: Path) -> None:
    make_sources(tmp_path, 3)
    more = "\n[probe]\nlayers = [2, 4]\ndegraded_views = 0\nstrength = 0.01\ncentre_square = false\n"
    paths = write_settings(tmp_path / "paths.toml", more=more)
    assert run("--paths", paths, "train", "--recipe", "probe").returncode == 0
    probe = read(paths, "training.json")["probe"]
    assert (probe["layers"], probe["degraded_views"], probe["strength"]) == ([2, 4], 0, 0.01)
    for wrong, words in (
        ("layers = [0]", 'must be "all" or a list of block numbers'),
        ("layers = [99]", "names block 99, but the model has 6"),
        ('strength = "high"', 'must be "auto" or a number above 0'),
        ("strength = 0", "a number above 0"),
        ("degraded_views = -1", "a whole number from 0"),
        ('tokens = "none"', '"class" or "all"'),
        ('centre_square = "no"', "true or false"),
        ("views = 2", "degraded_views"),
    ):
        write_settings(paths, more=f"\n[probe]\n{wrong}\n")
        result = run("--paths", paths, "train", "--recipe", "probe", "--overwrite")
        assert result.returncode == 2 and words in result.stderr, result.stderr


def check_wide_pictures(paths: Path) -> list[float]:
    """Predict a square picture, and wide ones with other edges and with another centre."""
    folder = paths.parent / "asked"
    if not folder.exists():
        folder.mkdir()
        random = np.random.default_rng(8)
        fake, real = (np.asarray(draw(random, label, np.full(3, 128.0))) for label in ("fake", "real"))
        half = SIDE // 2
        pictures = {
            "square": fake,
            "edges": np.concatenate([real[:, :half], fake, real[:, half:]], axis=1),
            "centre": np.concatenate([fake[:, :half], real, fake[:, half:]], axis=1),
        }
        for name, pixels in pictures.items():
            Image.fromarray(pixels).save(folder / f"{name}.png")
    result = run("--paths", paths, "check", "--json", "--no-stability", folder)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return [row["p_fake_raw"] for row in sorted(rows, key=lambda row: row["path"])]


def test_the_centre_square_is_read_beside_the_whole_picture_by_both_engines(fitted: Path) -> None:
    found = check_wide_pictures(fitted)
    assert len(set(found)) == 3
    text = fitted.read_text(encoding="utf-8").replace('engine = "torch"', 'engine = "openvino"')
    fitted.write_text(text, encoding="utf-8")
    assert check_wide_pictures(fitted) == pytest.approx(found, abs=1e-4)
    wide = fitted.parent / "asked/edges.png"
    assert run("--paths", fitted, "explain", wide).returncode == 0
    with Image.open(next((fitted.parent / "grad-cam_images").glob("*edges.png"))) as figure:
        assert figure.width > figure.height
    assert run("--paths", fitted, "export").returncode == 0
    card = (folder_of(fitted) / "export/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "(B, 160, 320, 3)" in card


def test_pictures_smaller_than_all_measured_ones_are_named(fitted: Path) -> None:
    folder = fitted.parent / "asked"
    folder.mkdir()
    for width in (SIDE - 1, SIDE):
        Image.new("RGB", (width, 2 * SIDE), "olive").save(folder / f"{width}.png")
    result = run("--paths", fitted, "check", "--no-stability", folder)
    named = [line for line in result.stdout.splitlines() if f"({SIDE} pixels a side)" in line]
    assert len(named) == 1 and f"{SIDE - 1}.png" in named[0], result.stdout


def test_a_probe_of_an_earlier_version_reads_all_tokens_of_the_whole_picture(tmp_path: Path) -> None:
    make_sources(tmp_path, 3)
    more = '\n[probe]\ntokens = "all"\ncentre_square = false\n'
    paths = write_settings(tmp_path / "paths.toml", more=more)
    assert run("--paths", paths, "train", "--recipe", "probe").returncode == 0
    wanted = check_wide_pictures(paths)
    file = folder_of(paths) / "probe.safetensors"
    tensors = safetensors.torch.load_file(file)
    with safetensors.safe_open(file, framework="pt") as opened:
        facts = json.loads(opened.metadata()["probe"])
    assert facts.pop("tokens") == "all" and facts.pop("centre_square") is False
    file.write_bytes(safetensors.torch.save(tensors, {"probe": json.dumps(facts)}))
    write_settings(paths)
    assert check_wide_pictures(paths) == pytest.approx(wanted, abs=1e-6)
    assert tensors["weights"].numel() == 3 * 64 * 6


def test_the_largest_sources_of_a_large_dataset_are_cut(tmp_path: Path) -> None:
    make_sources(tmp_path, 3)
    random = np.random.default_rng(1)
    for number in range(3, 30):
        draw(random, "real", np.full(3, 120.0)).save(tmp_path / f"dataset/train/real/press/{number:02}.png")
    paths = write_settings(tmp_path / "paths.toml", more="\n[probe]\nmax_pictures = 34\n")
    result = run("--paths", paths, "train", "--recipe", "probe")
    assert result.returncode == 0, result.stderr
    # 15 fakes leave room for 19 reals: 3 of each source and 7 of the largest.
    assert "Using 34 of 57 pictures" in result.stderr
    scores = read(paths, "out_of_fold.json")
    assert {name: len(of) for name, of in scores["fake"].items()} == dict.fromkeys(SOURCES["fake"], 3)
    assert [len(scores["real"][name]) for name in SOURCES["real"]] == [3, 3, 3, 3, 7]


def test_unreadable_pictures_are_skipped_and_named(fitted: Path) -> None:
    (fitted.parent / "dataset/train/real/phone/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    result = run("--paths", fitted, "train", "--recipe", "probe", "--overwrite")
    assert result.returncode == 1 and "broken.png" in result.stdout


def test_what_the_shape_of_the_pictures_reveals_is_printed(tmp_path: Path) -> None:
    make_sources(tmp_path, each=3)
    paths = write_settings(tmp_path / "paths.toml")
    train = ("--paths", paths, "train", "--recipe", "probe", "--overwrite")

    def reshape(folders: str, size: tuple[int, int], turned: bool = False) -> None:
        exif = Image.Exif()
        if turned:
            exif[0x0112] = 6
        for file in (tmp_path / "dataset" / "train").glob(f"{folders}/*.png"):
            Image.open(file).resize(size).save(file, exif=exif)

    def same_shape() -> dict[str, float | None] | None:
        evaluation = tmp_path / "model_folders" / "tiny" / "evaluation.json"
        return json.loads(evaluation.read_text(encoding="utf-8"))["unseen_sources"]["auc_same_shape"]

    alike = run(*train)
    assert same_shape() is None and "same shape" not in alike.stdout
    # Turned upright, a wide file is a tall picture.
    reshape("real/*", (96, SIDE), turned=True)
    reshape("fake/gan/*", (96, SIDE))
    apart = run(*train)
    assert same_shape() == {"value": None, "low": None, "high": None}
    assert "No fake has the shape" in apart.stdout
    reshape("fake/gan/*", (SIDE, 96))
    shown = run(*train).stdout
    assert re.search(rf"ROC AUC, same shape only +{same_shape()['value']:.3f} ", shown)
    for command in ("test", "report"):
        assert run("--paths", paths, command).returncode == 0
    page = (tmp_path / "model_folders" / "tiny" / "report.html").read_text(encoding="utf-8")
    assert "ROC AUC, same shape only" in page


COLLECTIONS = """
[probe.collections]
red = ["red_*"]
green = ["green_*"]
blue = ["blue_*"]
"""


def make_collections(folder: Path) -> Path:
    """Three collections of two sources of each class: fakes are bright and reals dark in one channel."""
    random = np.random.default_rng(7)
    for label, brightness in (("fake", 190), ("real", 50)):
        for channel, name in enumerate(("red", "green", "blue")):
            for source in ("one", "two"):
                tint = np.full(3, 120.0)
                tint[channel] = brightness
                for number in range(5):
                    part = "train" if number < 4 else "test"
                    file = folder / "dataset" / part / label / f"{name}_{label}_{source}" / f"{number}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    draw(random, "real", tint).save(file)
    return write_settings(folder / "paths.toml")


def test_whole_collections_are_held_out_and_the_lower_figure_leads(tmp_path: Path) -> None:
    paths = make_collections(tmp_path)
    train = ("--paths", paths, "train", "--recipe", "probe", "--overwrite")
    alone = run(*train)
    assert alone.returncode == 0, alone.stderr
    apart = read(paths, "evaluation.json")
    assert "held_out_collections" not in apart and not apart["unseen_sources"]["by_collection"]
    probe, margins = (folder_of(paths) / "probe.safetensors").read_bytes(), read(paths, "out_of_fold.json")
    paths.write_text(paths.read_text(encoding="utf-8") + COLLECTIONS, encoding="utf-8")
    result = run(*train)
    assert result.returncode == 0, result.stderr
    # The classifier and its figures on held-out sources are the same.
    assert (folder_of(paths) / "probe.safetensors").read_bytes() == probe
    evaluation, scores = read(paths, "evaluation.json"), read(paths, "out_of_fold.json")
    assert evaluation["unseen_sources"] == apart["unseen_sources"]
    whole, single = evaluation["held_out_collections"], apart["unseen_sources"]["auc"]["value"]
    assert whole["auc"]["value"] < single - 0.1
    assert whole["families"].keys() == apart["unseen_sources"]["families"].keys()
    # The thresholds are fitted to the scores of whole collections.
    assert scores["by_collection"] and not margins["by_collection"]
    assert scores["fake"] != margins["fake"] and scores["fake"].keys() == margins["fake"].keys()
    trained = read(paths, "training.json")["probe"]
    assert trained["collections"]["red_real_two"] == "red" and trained["collection_folds"] == 3
    lead = f"{whole['auc']['value']:.3f} ("
    assert re.search(
        rf"whole collections held out, 3 folds .*\n  ROC AUC +{re.escape(lead)}", result.stdout
    )
    assert re.search(rf"ROC AUC, held-out sources +{single:.3f} ", result.stdout)
    for command in (("test",), ("report",), ("choose", "tiny")):
        shown = run("--paths", paths, *command)
        assert shown.returncode == 0, shown.stderr
    page = (folder_of(paths) / "report.html").read_text(encoding="utf-8")
    assert "whole collections held out, 3 folds" in page and f"ROC AUC {lead}" in page
    checked = run("--paths", paths, "check", "--no-stability", tmp_path / "dataset/test/real", "--details")
    assert f"(ROC AUC {whole['auc']['value']:.2f};" in checked.stdout
    assert "with whole collections held out" in checked.stdout


def test_collections_that_cannot_be_held_out_are_one_line(tmp_path: Path) -> None:
    paths = make_collections(tmp_path)
    text = paths.read_text(encoding="utf-8")
    for table, words in (
        ('red = ["red_fakes"]', "'red_fakes' in red under [probe.collections] matches no source"),
        ('red = ["red_*"]\nones = ["*_one"]', "red_fake_one is in two collections"),
        ('a = ["*_fake_*"]', "all fake pictures are held out with a"),
    ):
        paths.write_text(f"{text}\n[probe.collections]\n{table}\n", encoding="utf-8")
        result = run("--paths", paths, "train", "--recipe", "probe")
        assert result.returncode == 2 and words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_the_null_of_held_out_sources_is_shown_next_to_their_figures(tmp_path: Path) -> None:
    make_sources(tmp_path, each=4, endings=("png", "jpg"))
    paths = write_settings(tmp_path / "paths.toml")
    result = run("--paths", paths, "train", "--recipe", "probe")
    assert result.returncode == 0, result.stderr
    null = read(paths, "evaluation.json")["unseen_sources"]["null_auc"]
    # Every fake is a PNG and every real picture a JPEG.
    assert null["value"] == pytest.approx(1.0) and null["low"] < 1
    shown = f"{null['value']:.3f} ({null['low']:.3f} to {null['high']:.3f})"
    assert re.search(rf"size and format alone +{re.escape(shown)}", result.stdout)
    assert f"Size and format of the files alone have a ROC AUC of {shown}" in result.stdout
    assert run("--paths", paths, "test").returncode == 0
    assert run("--paths", paths, "report").returncode == 0
    page = (folder_of(paths) / "report.html").read_text(encoding="utf-8")
    assert "size and format alone" in page and f"files alone have a ROC AUC of {shown}" in page


def test_a_probes_own_weights_fit_it_again_without_a_network(tmp_path: Path) -> None:
    make_sources(tmp_path, each=3)
    paths = write_settings(tmp_path / "paths.toml")
    paths.write_text(
        paths.read_text(encoding="utf-8").replace("pretrained = false\n", ""), encoding="utf-8"
    )
    shutil.rmtree(cache_folder() / "backbones", ignore_errors=True)
    train = ("--paths", paths, "train", "--recipe", "probe")
    assert "cannot be downloaded" in run(*train).stderr
    own = tmp_path / "model_folders" / "tiny" / "backbone.safetensors"
    own.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    safetensors.torch.save_file(timm.create_model("test_vit", num_classes=0).state_dict(), own)
    fitted = run(*train)
    assert fitted.returncode == 0, fitted.stderr
    tested = run("--paths", paths, "test")
    assert tested.returncode == 0, tested.stderr
    # These are the weights that it was fitted on, so nothing is compared.
    assert not find_checks()
