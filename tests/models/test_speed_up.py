"""Training on a CPU in two halves of a batch at once: the same gradients as of the whole."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from conftest import run
from torch import nn

from fakedetect.models.cpu_training.speed_up import Gradients, SplitBatch, speed_up

SIDE = 64


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def build(name: str, **options: object) -> nn.Module:
    torch.manual_seed(1)
    return timm.create_model(name, num_classes=2, **options)


@pytest.mark.parametrize(
    ("model", "dtype", "halved"),
    [
        (lambda: build("test_vit", img_size=SIDE), torch.bfloat16, True),
        (lambda: build("test_convnext2"), torch.bfloat16, True),
        # Float32 keeps the order of its sums.
        (lambda: build("test_vit", img_size=SIDE), torch.float32, False),
        # Batch normalisation takes its statistics of the whole batch.
        (lambda: build("test_resnet"), torch.bfloat16, False),
        # The threads would draw each other's random numbers.
        (lambda: build("test_vit", img_size=SIDE, drop_path_rate=0.2), torch.bfloat16, False),
        (lambda: build("test_convnext2", drop_rate=0.2), torch.bfloat16, False),
    ],
)
def test_models_whose_pictures_meet_are_not_halved(model: object, dtype: torch.dtype, halved: bool) -> None:
    built = model()
    weights, random = {k: v.clone() for k, v in built.state_dict().items()}, torch.get_rng_state()
    assert bool(speed_up(built, dtype, SIDE).split) == halved
    assert speed_up(built, dtype, SIDE, alone=False).split is None
    assert all(torch.equal(value, weights[key]) for key, value in built.state_dict().items())
    assert torch.equal(random, torch.get_rng_state()) and built.training


def test_one_thread_has_nothing_to_share() -> None:
    torch.set_num_threads(1)
    assert speed_up(build("test_convnext2"), torch.bfloat16, SIDE).split is None


@pytest.mark.parametrize("name", ["test_vit", "test_convnext2"])
@pytest.mark.parametrize("count", [3, 9, 16])
def test_halves_give_the_gradients_of_the_whole(name: str, count: int) -> None:
    model = build(name, **({"img_size": SIDE} if name == "test_vit" else {})).train()
    first = next(model.parameters())
    first.requires_grad_(False)
    images, labels = torch.randn(count, 3, SIDE, SIDE), torch.arange(count) % 2
    # In float32, so that any picture too many or too few shows.
    scale, found = torch.tensor(1 / count), []
    for parts in (None, SplitBatch(model, torch.float32)):
        model.zero_grad()
        loss = Gradients(torch.float32, parts).add(model, images, labels, scale)
        found.append((loss, [p.grad for p in model.parameters()]))
        assert first.grad is None and torch.get_num_threads() == 2
    (whole, expected), (halved, gradients) = found
    assert halved.item() == pytest.approx(whole.item(), rel=1e-5)
    for theirs, ours in zip(expected[1:], gradients[1:], strict=True):
        assert (theirs - ours).norm() <= 1e-4 * theirs.norm() + 1e-7


def test_an_error_in_either_half_is_the_callers() -> None:
    model = build("test_convnext2").train()
    gradients = speed_up(model, torch.bfloat16, SIDE)
    assert gradients.split
    images, labels = torch.randn(16, 3, SIDE, SIDE), torch.zeros(16, dtype=torch.long)
    for place in (0, 15):
        wrong = labels.clone()
        wrong[place] = 7
        with pytest.raises(IndexError):
            gradients.add(model, images, wrong, torch.ones(()))
        assert torch.get_num_threads() == 2


def test_a_training_in_halves_is_repeatable(data: Path) -> None:
    # Where the processor has no bfloat16, convolutions take a minute.
    text = data.read_text(encoding="utf-8").replace("test_resnet", "test_vit")
    text = (
        text.replace("size = 224", f"size = {SIDE}")
        .replace('precision = "fp32"', 'precision = "bf16"')
        .replace("3e-3", "1e-3")
    )
    data.write_text(text, encoding="utf-8")
    assert run("--paths", data, "resize").returncode == 0
    folder = data.parent / "model_folders/tiny"
    logs = []
    for _ in range(2):
        result = run("--paths", data, "train", "--overwrite")
        assert result.returncode == 0, result.stderr
        record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        assert record["precision"] == "bfloat16"
        rows = (folder / "training_log.csv").read_text(encoding="utf-8").splitlines()
        logs.append([row.split(",")[:4] for row in rows])
    assert logs[0] == logs[1] and len(logs[0]) > 2
