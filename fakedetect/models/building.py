"""Building a model, and loading and saving its classifier_model.pth."""

import pickle
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import read_training
from fakedetect.core.settings.architectures import check_architecture, find_size_arguments
from fakedetect.core.settings.model_folder import TRAINING
from fakedetect.core.settings.recipes import CLASSES, Recipe
from fakedetect.core.terminal.console import plural
from fakedetect.models.pretrained import fetch_weights
from fakedetect.models.weights import HEADS, read_state, save_tensors

NEARLY = 0.9
"""The share of a model's weights from which on a checkpoint is of that model, with a fault."""

State = Mapping[str, torch.Tensor]


def build_model(recipe: Recipe, pretrained: bool) -> nn.Module:
    """The recipe's model with two outputs: images (B, 3, S, S) float -> logits (B, 2).

    Raises:
        UserError: timm has no such model, or its pretrained weights are not to be had.
    """
    model = _build(recipe, pretrained, len(CLASSES))
    if pretrained and recipe.section:
        # timm's start of an EfficientNet's two-output head is so large that the first steps
        # undo the pretrained layers; torch's own start of a Linear layer does not.
        cast(Any, model).reset_classifier(len(CLASSES))
    return model


def build_network(recipe: Recipe, pretrained: bool) -> nn.Module:
    """The recipe's model without its head, whose features a probe reads.

    Raises:
        UserError: timm has no such model, or its pretrained weights are not to be had.
    """
    return _build(recipe, pretrained, 0)


def _build(recipe: Recipe, pretrained: bool, outputs: int) -> nn.Module:
    model = _build_empty(recipe, pretrained and recipe.weights is None, outputs)
    if pretrained and recipe.weights is not None:
        _load_all_but_head(model, Path(recipe.weights), recipe.architecture)
    return model


def _build_empty(recipe: Recipe, download: bool, outputs: int) -> nn.Module:
    """The model with published weights, or random ones."""
    if recipe.library == "torchvision":
        import torchvision

        model = torchvision.models.get_model(recipe.architecture, weights=None)
        model.fc = nn.Linear(model.fc.in_features, outputs) if outputs else nn.Identity()
        if download:
            _load_all_but_head(model, fetch_weights(recipe), recipe.architecture)
        return cast(nn.Module, model)
    import timm

    from fakedetect.models.cpu_training.lean_layers import speed_up_layers

    place = recipe.section or f"timm for {recipe.name}"
    check_architecture(recipe.architecture, place)
    sized = find_size_arguments(recipe.architecture, recipe.input.size, place)
    file = fetch_weights(recipe) if download else None
    try:
        model = timm.create_model(recipe.architecture, pretrained=download, num_classes=outputs, **sized)
    except (safetensors.SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise UserError(f"{file} is truncated or not a weights file. Remove it and try again.") from error
    return speed_up_layers(model)


def _fit_positions(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state of the model for pictures of another size, its position embeddings resampled as timm does
    with those that it downloads."""
    own = model.state_dict()
    other = [key for key, value in state.items() if key in own and value.shape != own[key].shape]
    if any(state[key].ndim != own[key].ndim for key in other):
        return state
    fit = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if fit and _are_positions(key for key in other if not key.startswith(HEADS)):
        return cast(dict[str, torch.Tensor], fit(state, model))
    return state


def _load_all_but_head(model: nn.Module, file: Path, architecture: str) -> None:
    own = model.state_dict()
    needed = [key for key in own if not key.startswith(HEADS)]
    state = _fit_positions(model, _unprefix(read_state(file), needed, file))
    kept = {key: value for key, value in state.items() if not key.startswith(HEADS)}
    wrong = [key for key in needed if key not in kept]
    wrong += [key for key, value in kept.items() if key in own and value.shape != own[key].shape]
    if wrong:
        raise UserError(
            f"{file} does not fit {architecture} ({wrong[0]} is missing or has another shape). "
            "Use the weights of that model."
        )
    model.load_state_dict({key: kept[key] for key in kept if key in own}, strict=False)


def _obey_class_order(state: dict[str, torch.Tensor], path: Path) -> None:
    """Put the outputs into the order fake, real where the training.json beside them says otherwise.

    Raises:
        UserError: it names other classes, or does not fit.
    """
    classes = read_training(path.parent).classes
    if classes is None or classes == {str(n): name for n, name in enumerate(CLASSES)}:
        return
    if classes != {str(n): name for n, name in enumerate(reversed(CLASSES))}:
        raise UserError(
            f"{path.parent / TRAINING} says that the model's classes are {classes}, not fake and "
            "real. Use a checkpoint that was trained for these, or remove that file."
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
            raise UserError(f"{recipe.name} has no checkpoint {path}. Train it first.")
        path = path.with_suffix(".safetensors")
    state = read_state(path)
    model = build_model(recipe, pretrained=False)
    own = model.state_dict()
    state = _unprefix(state, own.keys(), path)
    if own.keys() != state.keys() or any(own[key].shape != state[key].shape for key in own):
        raise UserError(_explain_mismatch(recipe, own, state, path))
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise UserError(f"{path} contains NaN or infinite values ({broken[0]}). Train again.")
    _obey_class_order(state, path)
    model.load_state_dict(state)
    return model


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write the bare state_dict, whole or not at all, loadable by plain torchvision or timm."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    save_tensors(state, path)


def _unprefix(state: State, wanted: Collection[str], path: Path) -> dict[str, torch.Tensor]:
    """The weights of a model that its training program has put below a name, as Lightning does (`model.`).

    Args:
        wanted: the model's keys; the state is given back as it is where no name has nearly all of them.

    Raises:
        UserError: several names have.
    """
    found = Counter(
        key[: dot.end()] for key in state for dot in re.finditer(r"\.", key) if key[dot.end() :] in wanted
    )
    names = [name for name, count in found.items() if count >= NEARLY * len(wanted)]
    if sum(key in state for key in wanted) >= NEARLY * len(wanted) or not names:
        return dict(state)
    if len(names) > 1:
        raise UserError(
            f"{path} holds several models, below {' and '.join(names)}. Save the state_dict of one of them."
        )
    return {key.removeprefix(names[0]): value for key, value in state.items() if key.startswith(names[0])}


def _are_positions(keys: Iterable[str]) -> bool:
    """Whether these are keys of position embeddings alone; False for none."""
    names = list(keys)
    return bool(names) and all("pos_embed" in name or "position" in name for name in names)


def _explain_mismatch(recipe: Recipe, own: State, state: State, path: Path) -> str:
    """Why a checkpoint's weights are not those of the recipe's model, and what to do about it.

    Args:
        own: the weights that the model has.
    """
    name = recipe.name
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    missing = [key for key in own if key not in state]
    more = [key for key in state if key not in own]
    if _are_positions(wrong) and not missing and not more:
        size = recipe.input.size
        return (
            f"{path} was trained on pictures of another size than the {size} x {size} of {name}. "
            "Set its size in paths.toml, or train again."
        )
    fitting = len(own) - len(wrong) - len(missing)
    looks_like = _guess(state)
    if fitting < NEARLY * max(len(own), len(state)) and looks_like not in (name, recipe.architecture):
        return (
            f"{path} is not a {name}; it looks like {looks_like}. "
            "Choose that model, or put the right checkpoint there."
        )
    if wrong and not missing and not more and (outputs := _count_outputs(own, state, wrong)):
        return (
            f"{path} is a {name} with {outputs:,} outputs; fakedetect needs 2 "
            "(fake, real). Train it here, or put a checkpoint with two outputs there."
        )
    said = []
    if wrong:
        shapes = f"{_write_shape(state[wrong[0]])}, not {_write_shape(own[wrong[0]])}"
        said.append(f"{_name_some(wrong)} of another shape ({shapes})")
    if missing:
        said.append(f"{_name_some(missing)} missing")
    if more:
        said.append(f"{_name_some(more)} unknown to it")
    return f"{path} is nearly a {name}: {'; '.join(said)}. Save the model's whole state_dict there."


def _count_outputs(own: State, state: State, wrong: Iterable[str]) -> int | None:
    """How many outputs a head has that differs in their number alone; None for any other difference."""
    counts = set()
    for key in wrong:
        if not key.startswith(HEADS) or not state[key].ndim or state[key].shape[1:] != own[key].shape[1:]:
            return None
        counts.add(state[key].shape[0])
    return counts.pop() if len(counts) == 1 else None


def _name_some(keys: list[str]) -> str:
    """'fc.bias is', 'fc.bias and 3 more weights are'."""
    return f"{keys[0]} and {plural(len(keys) - 1, 'more weight')} are" if len(keys) > 1 else f"{keys[0]} is"


def _write_shape(value: torch.Tensor) -> str:
    return " x ".join(f"{side:,}" for side in value.shape) or "a single number"


def _guess(state: State) -> str:
    """What the checkpoint of another model is, from its tell-tale layers."""
    while len({key.partition(".")[0] for key in state}) == 1 and all("." in key for key in state):
        state = {key.partition(".")[2]: value for key, value in state.items()}

    def width(key: str) -> int:
        return state[key].shape[0] if key in state and state[key].ndim else 0

    if "layer1.0.conv1.weight" in state:
        blocks = {found[0] for key in state if (found := re.match(r"layer[1-4]\.\d+\.", key))}
        kind = (len(blocks), "layer1.0.conv3.weight" in state, width("layer1.0.conv1.weight"))
        return {(8, False, 64): "resnet18", (16, True, 64): "resnet50"}.get(kind, "another ResNet")
    if "patch_embed.proj.weight" in state and "cls_token" in state:
        return "vit_b_16" if width("patch_embed.proj.weight") == 768 else "another ViT"
    if "stages.0.blocks.0.mlp.grn.weight" in state:
        names = {96: "convnext_v2_tiny", 128: "convnext_v2_base"}
        return names.get(width("stem.0.weight"), "another ConvNeXtV2")
    return "another architecture"
