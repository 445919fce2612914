"""Checkpoint files that others made: what is clearly meant is used, the rest is refused in one line."""

import json
import pickle
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from conftest import run, shorten
from msgspec.structs import replace

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import RECIPES, REFERENCE_INPUT, Recipe
from fakedetect.models.building import build_model, load_checkpoint
from fakedetect.models.checkpoints import fit_head, read_renamed

RECIPE = Recipe("tiny", "timm", "test_resnet", 8, "AdamW", 1e-3).or_else(REFERENCE_INPUT)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(4)
    return timm.create_model("test_resnet", num_classes=2).state_dict()


def test_a_reference_model_is_built_alike_under_another_name(tmp_path: Path) -> None:
    """As for a further run, or without a source."""
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "weights.pth")
    own = replace(RECIPES[0], name="seed_43", weights=str(tmp_path / "weights.pth"))
    assert build_model(own, pretrained=True)(torch.zeros(1, 3, 64, 64)).shape == (1, 2)


def logits(path: Path) -> torch.Tensor:
    with torch.inference_mode():
        return load_checkpoint(RECIPE, path).eval()(
            torch.linspace(-1, 1, 3 * 224 * 224).view(1, 3, 224, 224)
        )


def write(value: object, path: Path) -> None:
    torch.save(value, path)


def write_old(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "model.", "net.module."],
)
@pytest.mark.parametrize("save", [write, write_old])
def test_what_is_clearly_meant_is_used(
    tmp_path: Path,
    state: dict[str, torch.Tensor],
    wrapper: str | None,
    prefix: str,
    save: Callable[[object, Path], None],
) -> None:
    plain, path = tmp_path / "plain.pth", tmp_path / "classifier_model.pth"
    write(state, plain)
    inner = {prefix + key: value for key, value in state.items()}
    save(inner if wrapper is None else {wrapper: inner, "epoch": 3}, path)
    assert torch.equal(logits(path), logits(plain))


@pytest.mark.parametrize("name", ["classifier_model.pth", "classifier_model.safetensors"])
def test_safetensors_are_used_under_either_name(
    tmp_path: Path, state: dict[str, torch.Tensor], name: str
) -> None:
    write(state, tmp_path / "plain.pth")
    safetensors.torch.save_file(state, tmp_path / name)
    assert torch.equal(logits(tmp_path / "classifier_model.pth"), logits(tmp_path / "plain.pth"))


def test_a_class_order_that_is_told_is_obeyed(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "classifier_model.pth"
    write(state, path)
    before = logits(path)
    facts = tmp_path / "training.json"
    facts.write_text(json.dumps({"classes": {"0": "fake", "1": "real"}}))
    assert torch.equal(logits(path), before)
    facts.write_text(json.dumps({"classes": {"0": "real", "1": "fake"}}))
    assert torch.allclose(logits(path), before.flip(1))
    facts.write_text(json.dumps({"classes": {"0": "cat", "1": "dog"}}))
    with pytest.raises(UserError, match="not fake and real"):
        load_checkpoint(RECIPE, path)


class Harm:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("code in a checkpoint was run",))


def test_the_rest_is_refused_with_its_cause(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "classifier_model.pth"

    def refusal() -> str:
        with pytest.raises(UserError) as caught:
            load_checkpoint(RECIPE, path)
        text = str(caught.value)
        assert "\n" not in text and "classifier_model" in text
        return text

    for value in ({"state_dict": Harm()}, Harm(), {"model": state, "args": Harm()}):
        for save in (write, write_old):
            save(value, path)
            assert "contains code" in refusal()
    path.write_bytes(pickle.dumps(Harm()))
    assert "contains code" in refusal()
    write({**state, "fc.weight": state["fc.weight"] * float("nan")}, path)
    assert "infinite values (fc.weight)" in refusal()
    write({**state, "fc.weight": torch.zeros(1000, state["fc.weight"].shape[1])}, path)
    assert "1,000 outputs" in refusal()
    write({"epoch": 3}, path)
    assert "not a state_dict" in refusal()
    write({}, path)
    assert "not a state_dict" in refusal()
    safetensors.torch.save_file(state, path)
    path.write_bytes(path.read_bytes()[:3000])
    assert "is truncated" in refusal()
    path.unlink()
    path.mkdir()
    assert "Cannot read" in refusal()


def test_a_checkpoint_that_is_nearly_right_is_told_what_differs(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "classifier_model.pth"
    wide = torch.zeros(1, state["fc.weight"].shape[1]).expand(10**12, -1)
    less = {key: value for key, value in state.items() if key != "fc.bias"}
    less_still = {key: value for key, value in less.items() if key != "fc.weight"}
    resnet34 = timm.create_model("resnet34", num_classes=2).state_dict()
    headless = {key: value for key, value in state.items() if not key.startswith("fc.")}
    width = state["fc.weight"].shape[1]
    two_layers = {**headless, "fc.0.bias": torch.zeros(width), "fc.0.weight": torch.zeros(width, width),
                  "fc.2.weight": state["fc.weight"], "fc.2.bias": state["fc.bias"]}  # fmt: skip
    twice = {f"{name}.{key}": value for name in ("student", "teacher") for key, value in state.items()}
    for value, said in (
        ({**state, "fc.weight": torch.tensor(1.0)}, "fc.weight is of another shape (a single number,"),
        ({**state, "fc.weight": torch.zeros(2, 3)}, "fc.weight is of another shape (2 x 3,"),
        ({**state, "bn1.weight": torch.tensor(1.0)}, "bn1.weight is of another shape (a single number"),
        (less, "is nearly a tiny: fc.bias is missing. Save the model's whole state_dict there."),
        (rename(state, "bn1.", "norm1."), "Rename norm1.weight to bn1.weight, norm1.bias to bn1.bias,"),
        (two_layers, "fc.0.bias and 3 more weights are unknown to it. The head must be one linear layer, "),
        ({**headless, "fc.1.weight": state["fc.weight"][:1], "fc.1.bias": state["fc.bias"][:1]},
         "is a tiny with 1 output; fakedetect needs 2 (fake, real). If it is the logit of fake, save"),
        (less_still, "is nearly a tiny: fc.weight and 1 more weight are missing"),
        ({**state, "loss.weight": torch.ones(2)}, "is nearly a tiny: loss.weight is unknown to it"),
        ({f"net.{key}": value for key, value in less.items()}, "is nearly a tiny: fc.bias is missing"),
        ({**state, "fc.weight": wide}, f"{wide.numel():,} values that are not all in the file (fc.weight)"),
        (twice, "holds several models, below student. and teacher.. Save"),
        (resnet34, "is not a tiny; it looks like another ResNet."),
        ({f"encoder.{key}": value for key, value in resnet34.items()}, "it looks like another ResNet."),
    ):  # fmt: skip
        write(value, path)
        with pytest.raises(UserError) as caught:
            load_checkpoint(RECIPE, path)
        assert str(path) in str(caught.value) and said in str(caught.value)
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(UserError, match="is not a PyTorch checkpoint"):
        load_checkpoint(RECIPE, path)


def rename(state: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    """The state with another name at the start of keys."""
    return {re.sub(f"^{re.escape(old)}", new, key): value for key, value in state.items()}


@pytest.mark.parametrize("head", ["head.", "heads.head.", "fc.1.", "classifier.1.", "linear."])
@pytest.mark.parametrize("body", ["", "model.", "backbone.", "0."])
@pytest.mark.parametrize("beside", [False, True])
def test_a_head_under_another_name_is_used(
    tmp_path: Path, state: dict[str, torch.Tensor], head: str, body: str, beside: bool
) -> None:
    plain, path = tmp_path / "plain.pth", tmp_path / "classifier_model.pth"
    write(state, plain)
    other = {
        (head if beside else body + head) + key.removeprefix("fc.")
        if key.startswith("fc.")
        else body + key: value
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    }
    write({"epoch": 3, "net": other}, path)
    assert torch.equal(logits(path), logits(plain))
    # Of two such layers neither is known to be the head.
    write({**other, "aux.weight": state["fc.weight"], "aux.bias": state["fc.bias"]}, path)
    if not body or beside:
        with pytest.raises(
            UserError, match=r"nearly a tiny.* 3 more weights are unknown to it. The head must be"
        ):
            load_checkpoint(RECIPE, path)
    else:
        assert torch.equal(logits(path), logits(plain))


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("head", ["heads.head.", "heads.1."])
def test_torchvisions_vision_transformer_is_read_as_timms(tmp_path: Path, prefix: str, head: str) -> None:
    torch.manual_seed(5)
    shape = {
        "image_size": 32,
        "patch_size": 8,
        "num_layers": 2,
        "num_heads": 3,
        "hidden_dim": 48,
        "mlp_dim": 96,
    }
    theirs = torchvision.models.VisionTransformer(**shape, num_classes=2).eval()
    torch.nn.init.normal_(theirs.heads.head.weight)
    ours = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, mlp_ratio=2, num_classes=2
    ).eval()
    path = tmp_path / "vit.pth"
    write(rename(rename(theirs.state_dict(), "heads.head.", head), "", prefix), path)
    own = ours.state_dict()
    ours.load_state_dict(fit_head(read_renamed(path, own.keys()), own))
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


def test_the_weights_of_a_model_are_used_beside_others_of_its_training(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    plain, path = tmp_path / "plain.pth", tmp_path / "classifier_model.pth"
    write(state, plain)
    lightning = {f"model.{key}": value for key, value in state.items()}
    write({"state_dict": {**lightning, "loss.pos_weight": torch.ones(1)}, "epoch": 3}, path)
    assert torch.equal(logits(path), logits(plain))


def test_a_safetensors_checkpoint_is_a_trained_model_everywhere(trained: Path) -> None:
    folder = trained.parent / "model_folders/tiny"
    path, stand_in = folder / "classifier_model.pth", folder / "classifier_model.safetensors"
    safetensors.torch.save_file(torch.load(path, weights_only=True), stand_in)
    path.unlink()
    assert "tiny (trained; not tested since)" in run("--paths", trained, keys="0\n").stdout
    assert "(trained; not tested since)" in run("--paths", trained, "choose", "tiny").stdout
    picture = next((trained.parent / "dataset/test/fake/gan").iterdir())
    for command in (["test"], ["explain", picture], ["check", picture, "--model", "all"], ["report"]):
        result = run("--paths", trained, *command)
        assert result.returncode == 0, result.stderr
    refused = run("--paths", trained, "train")
    assert refused.returncode == 2 and f"{stand_in} was kept unchanged" in refused.stderr
    assert stand_in.is_file() and not path.exists()
    # A second checkpoint beside the new one would come to life again when that is removed.
    shorten(trained)
    assert run("--paths", trained, "train", "--overwrite").returncode == 0
    assert path.is_file() and not stand_in.exists()


def odd(value: torch.Tensor, kind: str) -> torch.Tensor:
    """A tensor of another kind, in the place of a plain one."""
    match kind:
        case "sparse":
            return value.to_sparse()
        case "sparse_csr":
            return value.reshape(value.shape[0], -1).to_sparse_csr()
        case "quantised":
            return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)
        case "float8":
            return value.to(torch.float8_e4m3fn)
        case "meta":
            return value.to("meta")
        case "nested":
            return torch.nested.nested_tensor([value.reshape(-1), value.reshape(-1)[:1]])
        case "complex":
            return value.to(torch.complex64)
    return value.to(torch.uint16)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", ["sparse", "sparse_csr", "quantised", "float8", "meta", "nested", "complex", "uint16"]
)
@pytest.mark.parametrize("every", [False, True])
def test_tensors_of_odd_kinds_are_refused_in_one_line(
    tmp_path: Path, state: dict[str, torch.Tensor], kind: str, every: bool
) -> None:
    path = tmp_path / "classifier_model.pth"
    keys = [key for key, value in state.items() if value.is_floating_point() and value.ndim]
    torch.save({**state, **{key: odd(state[key], kind) for key in (keys if every else keys[-1:])}}, path)
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        load_checkpoint(RECIPE, path)
    assert time.process_time() - start < 2
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and "Traceback" not in text


@pytest.mark.parametrize("opcode", [b"(", b"}", b"]", b"N", b"K\x01", b"(d"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_pickle_without_end_is_refused_at_once(tmp_path: Path, opcode: bytes, packed: bool) -> None:
    path = tmp_path / "classifier_model.pth"
    program = b"\x80\x02" + opcode * (10_000_000 // len(opcode)) + b"."
    if packed:
        torch.save({"a": torch.zeros(1)}, path)
        with zipfile.ZipFile(path) as old:
            entries = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(path, "w") as new:
            for name, content in entries.items():
                new.writestr(name, program if name.endswith("data.pkl") else content)
    else:
        path.write_bytes(program)
    start = time.process_time()
    with pytest.raises(UserError, match="not a PyTorch checkpoint"):
        load_checkpoint(RECIPE, path)
    assert time.process_time() - start < 2


def test_a_bug_beside_torchs_reader_is_no_damaged_file(
    tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "classifier_model.pth"
    torch.save(state, path)
    monkeypatch.setattr("fakedetect.models.weights.MOST_OPCODES", None)
    with pytest.raises(TypeError):
        load_checkpoint(RECIPE, path)


def test_an_archive_that_unpacks_to_far_more_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "classifier_model.pth"
    torch.save({"a": torch.zeros(40_000_000)}, path)
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in entries.items():
            new.writestr(name, content)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="not a PyTorch checkpoint"):
        load_checkpoint(RECIPE, path)
