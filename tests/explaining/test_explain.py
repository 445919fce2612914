"""Option 6 through the command, and Grad-CAM on a model whose cue is planted."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from conftest import paint, run
from PIL import Image
from scipy.special import expit, logit

PATCH = slice(64, 160)


def save_model(project: Path, name: str, architecture: str) -> None:
    torch.manual_seed(5)
    folder = project.parent / "model_folders" / name
    folder.mkdir(parents=True)
    model = timm.create_model(architecture, num_classes=2)
    torch.save(model.state_dict(), folder / "classifier_model.pth")


def test_a_planted_cue_is_what_the_map_shows() -> None:
    from fakedetect.explaining.heatmaps import choose_layer, find_layer, grad_cam, measure_faithfulness

    # Redness speaks for fake, blueness for real; nothing else counts.
    convolution = torch.nn.Conv2d(3, 2, 16, stride=16)
    colours = torch.tensor([[1.0, -0.5, -0.5], [-0.5, -0.5, 1.0]]) / 256
    with torch.no_grad():
        convolution.weight.copy_(colours[:, :, None, None].expand(2, 3, 16, 16))
        convolution.bias.fill_(-0.05)
    pool = (torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    head = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[9.0, -9.0], [-9.0, 9.0]]))
    model = torch.nn.Sequential(convolution, *pool, head).eval()

    def prepare(images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return torch.softmax(model(prepare(images)), 1).numpy()

    random = np.random.default_rng(0)
    for label, colour in enumerate(((230, 20, 20), (20, 20, 230))):
        picture = random.integers(90, 160, (224, 224, 3), dtype=np.uint8)
        picture[PATCH, PATCH] = colour
        batch = prepare(picture[None])
        layer = find_layer(model, choose_layer(model, batch))
        maps, logits = grad_cam(model, layer, batch, torch.tensor([-1]))
        assert logits.argmax() == label
        assert maps[0][PATCH, PATCH].sum() / maps[0].sum() >= 0.6
        measured = measure_faithfulness(predict, picture, maps[0], label)
        assert measured is not None
        assert measured.drops[1] > 2 * max(measured.random_drops[1], 0)
        other = grad_cam(model, layer, batch, torch.tensor([1 - label]))[0][0]
        assert other[PATCH, PATCH].sum() <= 0.1 * max(other.sum(), 1)


def test_a_vit_is_explained_by_grad_cam_and_attention_rollout(project: Path) -> None:
    text = project.read_text().replace("test_resnet", "test_vit")
    project.write_text(text)
    save_model(project, "tiny", "test_vit")
    picture = paint(project.parent / "my picture $1.png", 3)
    result = run("--paths", project, "explain", picture, "--class", "real")
    assert result.returncode == 0, result.stderr
    folder = project.parent / "grad-cam_images"
    facts = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert [f["method"] for f in facts] == ["Grad-CAM", "Attention Rollout"]
    assert facts[0]["layer"] == "blocks.5.norm1" and {f["class"] for f in facts} == {"real"}
    for number in (1, 2):
        with Image.open(folder / f"Figure_{number}_tiny_my_picture__1.png") as figure:
            assert min(figure.size) > 300


def test_rollout_equals_the_product_of_the_attentions() -> None:
    from fakedetect.explaining.heatmaps import attention_rollout

    torch.manual_seed(1)
    model = timm.create_model("test_vit", num_classes=2).eval()
    size = model.patch_embed.img_size
    images = torch.randn(1, 3, *size)
    kept, tokens = [], []
    for block in model.blocks:
        block.norm1.register_forward_hook(lambda _, __, output: tokens.append(output))
    with torch.inference_mode():
        model(images)
        for block, values in zip(model.blocks, tokens, strict=True):
            attention = block.attn
            b, n = values.shape[:2]
            qkv = attention.qkv(values).reshape(b, n, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
            q, k = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])
            kept.append(((q @ k.transpose(-2, -1)) * attention.scale).softmax(-1).mean(1)[0])
    flow = torch.eye(len(kept[0]))
    for attention in kept:
        flow = (attention + torch.eye(len(attention))) / 2 @ flow
    prefix = model.num_prefix_tokens
    row = flow[0, prefix:] if prefix else flow.mean(0)
    side = round(len(row) ** 0.5)
    expected = (row - row.min()) / (row.max() - row.min())
    heat = torch.from_numpy(attention_rollout(model, images))[0]
    small = torch.nn.functional.adaptive_avg_pool2d(heat[None, None], side)[0, 0].flatten()
    assert np.corrcoef(small, expected)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("drops", "elsewhere", "said"),
    [
        ((0.01, 0.03, 0.10), (0.0, 0.0, 0.0), "lowers p(fake) by 4.7 points: the answer does not depend"),
        ((-0.2, -0.1, 0.0), (0.0, 0.0, 0.0), "lowers p(fake) by 0.0 points"),
        ((0.1, 0.2, 0.3), (0.1, 0.2, 0.29), "matters no more than others"),
        ((0.1, 0.2, 0.3), (0.0, 0.0, 0.1), "drives the prediction: blurred out, p(fake) falls by 20.0"),
    ],
)
def test_a_region_drives_the_prediction_from_a_fall_of_five_points_on(
    drops: tuple[float, ...], elsewhere: tuple[float, ...], said: str
) -> None:
    from fakedetect.explaining.figures import HeatMap
    from fakedetect.explaining.heatmaps import BLURRED_SHARES, Faithfulness

    found = Faithfulness(BLURRED_SHARES, drops, elsewhere)
    heat_map = HeatMap(
        method="grad-cam", layer="x", target="fake", faithfulness=found, figure=Path("f.png")
    )
    assert said in heat_map.trust and ("drives" in said) == ("drives" in heat_map.trust)
    empty = HeatMap(method="rollout", layer="x", target="fake", faithfulness=None, figure=Path("f.png"))
    assert "empty" in empty.trust and "attention, not evidence" in str(empty)


def test_an_overlay_of_a_white_picture_does_not_overflow() -> None:
    from fakedetect.explaining.heatmaps import overlay

    white = np.full((224, 224, 3), 255, np.uint8)
    heat = np.tile(np.linspace(0, 1, 224, dtype=np.float32), (224, 1))
    coloured, mixed = overlay(white, heat)
    assert mixed.min() >= 153
    assert np.abs(mixed - (0.4 * coloured + 153.0)).max() <= 0.51


def test_the_menu_finds_a_picture_by_its_number(resized: Path) -> None:
    save_model(resized, "tiny", "test_resnet")
    result = run("--paths", resized, keys="6\n1\n0002\n4\n2\n99\n4\n0\n0\n")
    # What follows a wrong number answers other questions.
    assert result.returncode == 2 and "Goodbye" not in result.stdout
    assert "dataset/test/real/0002.png:" in result.stdout.replace("\\", "/")
    assert "Line 6 " in result.stderr and "No picture '99'" in result.stderr
    names = {path.name for path in (resized.parent / "grad-cam_images").iterdir()}
    assert names == {"Figure_1_tiny_0002.png", "Figure_1_tiny_0002.json", "contact_sheet_tiny.png"}


def test_a_picture_found_by_its_number_gets_the_answer_that_test_gave(trained: Path) -> None:
    result = run("--paths", trained, keys="6\n1\n0002\n2\n0003\n0\n0\n")
    assert result.returncode == 0, result.stderr
    folder = trained.parent / "model_folders/tiny"
    temperature = json.loads((folder / "training.json").read_text())["calibration"]["temperature"]
    with (folder / "test_predictions.csv").open(newline="", encoding="utf-8") as file:
        tested = {
            (row["label"], Path(row["path"]).stem): float(row["p_fake"]) for row in csv.DictReader(file)
        }
    records = [json.loads(path.read_text()) for path in (trained.parent / "grad-cam_images").glob("*.json")]
    assert len(records) == 2
    for record in records:
        path = Path(record["image"])
        label = path.relative_to(trained.parent / "dataset/test").parts[0]
        p_fake = tested[label, path.stem]
        calibrated = expit(logit(p_fake) / temperature)
        assert record["p_fake"] == pytest.approx(calibrated, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((), "Name a picture"),
        (("PICTURE", "--sheet", "4"), "remove --sheet"),
        (("--sheet", "4", "--class", "fake"), "remove --sheet"),
        (("nowhere.png",), "no picture nowhere.png"),
        (("--layer", "layer9", "PICTURE"), "no layer 'layer9'"),
        (("--method", "rollout", "PICTURE"), "needs a ViT"),
        (("--layer", "fc", "PICTURE"), "Name another --layer"),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_line(
    project: Path, arguments: tuple[str, ...], hint: str
) -> None:
    save_model(project, "tiny", "test_resnet")
    picture = str(paint(project.parent / "x.png", 3))
    given = [picture if argument == "PICTURE" else argument for argument in arguments]
    result = run("--paths", project, "explain", *given)
    assert result.returncode == 2 and hint in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_pictures_are_explained_in_the_order_in_which_they_are_named(project: Path) -> None:
    save_model(project, "tiny", "test_resnet")
    large, small = (
        paint(project.parent / "large.png", 1, (1600, 900)),
        paint(project.parent / "small.png", 2),
    )
    bad = project.parent / "bad.png"
    bad.write_bytes(b"no picture")
    result = run("--paths", project, "explain", large, small, bad, project.parent, small)
    assert result.returncode == 1, result.stderr
    explained = [line for line in result.stdout.splitlines() if ".png: " in line and "Figure" not in line]
    assert [Path(line.split(": ")[0]).name for line in explained] == ["large.png", "small.png", "small.png"]
    first, second = result.stderr.strip().splitlines()[-2:]
    assert f"{bad} cannot be used" in first and f"{project.parent} is a folder." in second


def test_explain_and_check_say_the_same_of_a_picture(trained: Path) -> None:
    own = trained.parent / "own"
    pictures = [
        paint(own / "small.png", 1, (200, 150)),
        paint(own / "large.jpg", 2, (1600, 900)),
        paint(own / "square.webp", 3, (224, 224)),
        trained.parent / "dataset/test/fake/gan/0000.jpg",
    ]
    assert all(path.is_file() for path in pictures)
    csv_file = trained.parent / "out.csv"
    checked = run("--paths", trained, "check", *pictures, "--csv", csv_file, "--no-stability", "--heat-map")
    assert checked.returncode == 0, checked.stderr
    assert run("--paths", trained, "explain", *pictures).returncode == 0
    with csv_file.open(newline="", encoding="utf-8-sig") as file:
        rows = {row["path"]: float(row["p_fake"]) for row in csv.DictReader(file)}
    facts = [json.loads(path.read_text()) for path in (trained.parent / "grad-cam_images").glob("*.json")]
    assert len(facts) == 2 * len(pictures)
    for fact in facts:
        assert fact["p_fake"] == pytest.approx(rows[fact["image"]], abs=1e-6)
