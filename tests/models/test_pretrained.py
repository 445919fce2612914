"""Pretrained weights without internet, and names that timm does not have."""

import socket
import urllib.error
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from conftest import run
from msgspec.structs import replace

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import RECIPES, REFERENCE_INPUT, Recipe
from fakedetect.models.building import build_model

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
OWN = Recipe(
    name="mine",
    library="timm",
    architecture="test_resnet",
    batch_size=8,
    optimizer="AdamW",
    learning_rate=1e-3,
).or_else(REFERENCE_INPUT)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No internet and nothing downloaded yet; returns torch's folder of weights."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "huggingface"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "hub/checkpoints"


def refusal(recipe: Recipe, pretrained: bool = True) -> str:
    with pytest.raises(UserError) as error:
        build_model(recipe, pretrained)
    return str(error.value)


def test_offline_the_file_its_address_and_its_folder_are_named(offline: Path) -> None:
    said = refusal(BY_NAME["resnet18"]).splitlines()
    url = torchvision.models.get_model_weights("resnet18").DEFAULT.url
    assert "resnet18 cannot be downloaded (Name or" in said[0]
    assert said[1] == f"- With internet access, download {url.rpartition('/')[2]}:"
    assert said[2].strip() == url and said[4].strip() == str(offline)
    assert "pretrained = false" in said[5]


def test_offline_a_model_of_timm_is_named_as_the_hub_has_it(offline: Path) -> None:
    said = refusal(BY_NAME["vit_b_16"])
    hub = timm.get_pretrained_cfg("vit_base_patch16_224").hf_hub_id
    assert f"access, download model.safetensors of {hub}:" in said
    assert huggingface_hub.hf_hub_url(hub, "model.safetensors") in said
    for line in ("[models.my_vit_b_16]", 'timm = "vit_base_patch16_224"', 'weights = "model.safetensors"'):
        assert line in said
    own = refusal(OWN)
    assert "timm/test_resnet" in own and 'weights = "FILE"' in own and "[models.my_" not in own
    assert all(len(line) < 110 for line in said.splitlines())


def test_a_file_put_into_the_folder_is_used_and_a_broken_one_is_named(offline: Path) -> None:
    offline.mkdir(parents=True)
    file = offline / Path(torchvision.models.get_model_weights("resnet18").DEFAULT.url).name
    torch.manual_seed(1)
    theirs = torchvision.models.resnet18()
    torch.save(theirs.state_dict(), file)
    state = build_model(BY_NAME["resnet18"], True).state_dict()
    for key, value in theirs.state_dict().items():
        assert key.startswith("fc.") or torch.equal(value, state[key])
    file.write_bytes(file.read_bytes()[:100_000])
    said = refusal(BY_NAME["resnet18"])
    assert str(file) in said and "is truncated" in said


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")),
        TimeoutError("timed out"),
        RuntimeError('invalid hash value (expected "f37072fd", got "0")'),
    ],
)
def test_a_download_that_fails_is_a_message(
    offline: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    # Behind a proxy nothing is reached directly, and the download is tried all the same.
    monkeypatch.setenv("https_proxy", "http://localhost:9")
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    assert "cannot be downloaded" in refusal(BY_NAME["resnet18"])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Data processing error: connection closed before message completed"),
        ConnectionError("connection reset"),
        OSError("Consistency check failed: file should be of size 353 but has size 100"),
    ],
)
def test_a_download_from_the_hub_that_breaks_off_is_a_message(
    offline: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("https_proxy", "http://localhost:9")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    assert "cannot be downloaded" in refusal(BY_NAME["vit_b_16"])


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("a bug"), TypeError("a bug")])
def test_a_bug_is_no_failed_download(
    offline: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(type(error), match="a bug"):
        build_model(OWN, False)
    monkeypatch.setenv("https_proxy", "http://localhost:9")
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(type(error), match="a bug"):
        build_model(BY_NAME["resnet18"], True)


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("tf_eficientnet_lite0", "no model 'tf_eficientnet_lite0' (did you mean 'tf_efficientnet_lite0'?)"),
        ("ResNet18", "(did you mean 'resnet18'?)"),
        ("hf_hub:timm/resnet18.a1_in1k", 'Write timm = "resnet18.a1_in1k"'),
        ("timm/resnet50", 'Write timm = "resnet50"'),
        ("nothing of the kind", "timm has no model 'nothing of the kind'. Write one of"),
        (
            "resnet18.a1_in",
            "timm has no weights 'a1_in' for resnet18 (did you mean 'a1_in1k'?). It has a1_",
        ),
        (
            "efficientformer_l1",
            "does not accept pictures of 256 x 256 pixels. Nearby sizes that work: size = 224",
        ),
    ],
)
def test_a_name_that_timm_does_not_have_is_told_with_its_place(architecture: str, said: str) -> None:
    message = refusal(replace(OWN, architecture=architecture, size=256), pretrained=False)
    assert message.startswith("[models.mine]: ") and said in message


def test_a_model_of_a_fixed_size_that_takes_ours_too_is_built() -> None:
    build_model(replace(OWN, architecture="xcit_nano_12_p16_384"), pretrained=False)


def test_the_commands_message_names_file_line_section_and_key(resized: Path) -> None:
    resized.write_text(
        resized.read_text(encoding="utf-8").replace("test_resnet", "tset_resnet"), encoding="utf-8"
    )
    result = run("--paths", resized, "train")
    assert result.returncode == 2
    assert "[models.tiny]: " in result.stderr and "no model 'tset_resnet'" in result.stderr
