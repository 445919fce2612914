"""Building a model, and reading and writing its classifier_model.pth."""

import pickle
import socket
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import safetensors.torch
import torch
from torch import nn

from fakedetect.errors import UserError
from fakedetect.files import atomic_write, hash_file, read_json
from fakedetect.recipes import CLASSES, RECIPES, Recipe
from fakedetect.texture import FILE, add_vote, read_vote

SECONDS_TO_CONNECT = 3.0
REFERENCE = frozenset(recipe.name for recipe in RECIPES)
HEADS = ("fc.", "head.fc.", "head.", "classifier.")
"""Prefixes of the last layer's keys in torchvision's and timm's models."""

WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
"""What torch.compile and DistributedDataParallel, in either order, put before every key."""


def build_model(recipe: Recipe, pretrained: bool) -> nn.Module:
    """The recipe's model with two outputs: images (B, 3, 224, 224) float -> logits (B, 2).

    Raises:
        UserError: timm has no such model, or its pretrained weights are not to be had.
    """
    download = pretrained and recipe.weights is None
    model = _build(recipe, download)
    if pretrained and recipe.weights is not None:
        state = read_state(recipe.weights)
        own = model.state_dict()
        kept = {key: value for key, value in state.items() if not key.startswith(HEADS)}
        wrong = [key for key in own if not key.startswith(HEADS) and key not in kept]
        wrong += [key for key, value in kept.items() if key in own and value.shape != own[key].shape]
        if wrong:
            raise UserError(
                f"{recipe.weights} does not fit {recipe.architecture} ({wrong[0]} is missing or of "
                "another shape). Give the weights of that model."
            )
        model.load_state_dict({key: kept[key] for key in kept if key in own}, strict=False)
    if pretrained and recipe.name not in REFERENCE:
        # timm's start of an EfficientNet's two-output head is so large that the first steps
        # undo the pretrained layers; torch's own start of a Linear layer does not.
        model.reset_classifier(len(CLASSES))
    return model


def _build(recipe: Recipe, download: bool) -> nn.Module:
    try:
        if recipe.library == "torchvision":
            import torchvision

            weights = torchvision.models.get_model_weights(recipe.architecture).DEFAULT
            if download:
                _check_connection(weights.url, _torch_cache() / Path(urlparse(weights.url).path).name)
            model = torchvision.models.get_model(recipe.architecture, weights=weights if download else None)
            model.fc = nn.Linear(model.fc.in_features, len(CLASSES))
            return model
        import timm

        from fakedetect.response_norm import use_lean_response_norm

        if not timm.is_model(recipe.architecture.split(".")[0]):
            raise UserError(f"timm has no model {recipe.architecture!r} (model {recipe.name}).")
        if download:
            _check_hub(recipe)
        return use_lean_response_norm(
            timm.create_model(recipe.architecture, pretrained=download, num_classes=len(CLASSES))
        )
    except UserError:
        raise
    except Exception as error:
        if download:
            raise _no_weights(recipe.name) from error
        raise UserError(f"Cannot build {recipe.architecture} (model {recipe.name}): {error}") from error


def _no_weights(name: str) -> UserError:
    return UserError(
        f"The pretrained weights of {name} cannot be downloaded (no internet?). Three ways on: "
        'a [models.*] section with weights = "FILE", pretrained = false under [training], '
        "or another model."
    )


def _torch_cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _check_connection(url: str, cached: Path) -> None:
    """Fail within seconds where the libraries would try for minutes."""
    if cached.is_file():
        return
    place = urlparse(url)
    port = place.port or (443 if place.scheme == "https" else 80)
    socket.create_connection((place.hostname or "", port), SECONDS_TO_CONNECT).close()


def _check_hub(recipe: Recipe) -> None:
    import huggingface_hub
    import timm

    config = timm.get_pretrained_cfg(recipe.architecture)
    if config is None or not (config.hf_hub_id or config.url):
        raise UserError(
            f"timm has no pretrained weights for {recipe.architecture}. "
            "Set pretrained = false under [training] or give a weights file."
        )
    if config.hf_hub_id:
        for name in ("model.safetensors", "pytorch_model.bin"):
            if isinstance(huggingface_hub.try_to_load_from_cache(config.hf_hub_id, name), str):
                return
        if not huggingface_hub.constants.HF_HUB_OFFLINE:
            _check_connection(huggingface_hub.constants.ENDPOINT, Path())


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state_dict in a file, read without running anything in it.

    Raises:
        UserError: the file is missing, empty, a Git LFS pointer, cut off or not a state_dict.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise UserError(f"There is no {path}.") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if not start:
        raise UserError(f"{path} is empty. Train the model or put the real file there.")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path} is a Git LFS pointer, not the model. Run 'git lfs pull' where it came from."
        )
    try:
        if start[8:9] == b"{":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            # torch warns of the pickle's protocol; the refusal below says what matters.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if start.startswith((b"PK", b"\x80")) and "Unsupported" in str(error):
            raise UserError(f"{path} holds code, not only weights; it was not opened.") from None
        raise UserError(f"{path} is not a PyTorch checkpoint. Put a state_dict there.") from None
    except Exception:
        raise UserError(f"{path} is cut off or not a PyTorch checkpoint. Fetch it again.") from None
    return _unwrap(state, path)


def _unwrap(state: object, path: Path) -> dict[str, torch.Tensor]:
    """The bare state_dict in what training programs save: wrapped, or with a wrapper's prefixes."""
    if isinstance(state, Mapping):
        state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items())
    ):
        raise UserError(f"{path} is not a state_dict (a mapping of names to tensors).")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def _obey_class_order(state: dict[str, torch.Tensor], path: Path) -> None:
    """Put the outputs into the order fake, real where the training.json beside them says otherwise.

    Raises:
        UserError: it names other classes.
    """
    facts = read_json(path.parent / "training.json")
    classes = facts.get("classes") if isinstance(facts, dict) else None
    if classes is None or classes == {str(n): name for n, name in enumerate(CLASSES)}:
        return
    if classes != {str(n): name for n, name in enumerate(reversed(CLASSES))}:
        raise UserError(
            f"{path.parent / 'training.json'} says that the model's classes are {classes}, not fake and "
            "real. Put a checkpoint there that was trained for these, or remove that file."
        )
    for key, value in state.items():
        if key.startswith(HEADS) and value.shape[:1] == (len(CLASSES),):
            state[key] = value.flip(0)


def load_checkpoint(recipe: Recipe, path: Path) -> nn.Module:
    """The recipe's model with the weights of a classifier_model.pth.

    Raises:
        UserError: there is none, or it is another model's or has other than two outputs.
    """
    if not path.exists():
        if not path.with_suffix(".safetensors").exists():
            raise UserError(f"{recipe.name} has no checkpoint {path}. Train it first: python menu.py train")
        path = path.with_suffix(".safetensors")
    state = read_state(path)
    model = build_model(recipe, pretrained=False)
    own = model.state_dict()
    if own.keys() == state.keys():
        wrong = [key for key in own if own[key].shape != state[key].shape]
        if not wrong:
            broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
            if broken:
                raise UserError(f"{path} holds values that are no numbers ({broken[0]}). Train again.")
            _obey_class_order(state, path)
            model.load_state_dict(state)
            if (path.parent / FILE).is_file() and (vote := read_vote(path.parent, hash_file(path))):
                add_vote(model, vote)
            return model
        if all(key.startswith(HEADS) for key in wrong):
            outputs = state[wrong[-1]].shape[0]
            raise UserError(
                f"{path} is a {recipe.name} with {outputs:,} outputs; fakedetect's have 2 "
                "(fake, real). Train it here, or put a checkpoint with two outputs there."
            )
    raise UserError(
        f"{path} is not a {recipe.name}; it looks like {_guess(state)}. "
        "Choose that model, or put the right checkpoint there."
    )


def _guess(state: Mapping[str, torch.Tensor]) -> str:
    """What the checkpoint of another model is, from its tell-tale layers."""

    def width(key: str) -> int:
        return state[key].shape[0] if key in state and state[key].ndim else 0

    if "layer1.0.conv1.weight" in state:
        if "layer1.0.conv3.weight" not in state:
            return "resnet18" if "layer3.2.conv1.weight" not in state else "a larger ResNet"
        return "resnet50" if "layer3.6.conv1.weight" not in state else "a larger ResNet"
    if "patch_embed.proj.weight" in state and "cls_token" in state:
        return "vit_b_16" if width("patch_embed.proj.weight") == 768 else "another ViT"
    if "stages.0.blocks.0.mlp.grn.weight" in state:
        names = {96: "convnext_v2_tiny", 128: "convnext_v2_base"}
        return names.get(width("stem.0.weight"), "another ConvNeXtV2")
    return "another architecture"


class _Sink:
    """A file for torch.save, which loses the system's error when a write fails: kept here."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._keep_error(self.file.write, data)

    def flush(self) -> None:
        self._keep_error(self.file.flush)

    def _keep_error(self, call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            self.error = error
            raise


def save_tensors(value: object, path: Path) -> None:
    """torch.save, whole or not at all.

    Raises:
        UserError: the file cannot be written, because the disk is full, say.
    """
    with atomic_write(path) as file:
        sink = _Sink(file)
        try:
            torch.save(value, sink)
        except RuntimeError:
            if sink.error:
                raise sink.error from None
            raise


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write the bare state_dict, whole or not at all, loadable by plain torchvision or timm."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    save_tensors(state, path)
