"""Build a model, load and save its classifier_model.pth."""

import pickle
import sys
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
from fakedetect.models.checkpoints import are_position_embeddings, describe_mismatch, fit_head, read_renamed
from fakedetect.models.pretrained import fetch_weights
from fakedetect.models.weights import HEAD_PREFIXES, save_tensors


def build_model(recipe: Recipe, pretrained: bool) -> nn.Module:
    """Return the recipe's model with two outputs: images (B, 3, S, S) float -> logits (B, 2).

    Raises:
        UserError: timm has no such model, or its pretrained weights are not available.
    """
    model = _build(recipe, pretrained, len(CLASSES))
    if pretrained and recipe.section:
        # timm initialises an EfficientNet's two-output head with values so large that the first
        # steps undo the pretrained layers; torch's initialisation of a Linear layer does not.
        cast(Any, model).reset_classifier(len(CLASSES))
    return model


def build_network(recipe: Recipe, pretrained: bool) -> nn.Module:
    """Return the recipe's model without its head; a probe reads its features.

    Raises:
        UserError: timm has no such model, or its pretrained weights are not available.
    """
    return _build(recipe, pretrained, 0)


def _build(recipe: Recipe, pretrained: bool, outputs: int) -> nn.Module:
    model = _build_empty(recipe, pretrained and recipe.weights is None, outputs)
    if pretrained and recipe.weights is not None:
        _load_without_head(model, Path(recipe.weights), recipe.architecture)
    return model


def _build_empty(recipe: Recipe, download: bool, outputs: int) -> nn.Module:
    """Return the model with published or random weights."""
    if recipe.library == "torchvision":
        import torchvision

        model = torchvision.models.get_model(recipe.architecture, weights=None)
        model.fc = nn.Linear(model.fc.in_features, outputs) if outputs else nn.Identity()
        if download:
            _load_without_head(model, fetch_weights(recipe), recipe.architecture)
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


def _resample_positions(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Resample the position embeddings of a state that was trained on pictures of another size.

    timm does the same with the weights that it downloads.
    """
    own = model.state_dict()
    other = [key for key, value in state.items() if key in own and value.shape != own[key].shape]
    if any(state[key].ndim != own[key].ndim for key in other):
        return state
    fit = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if fit and are_position_embeddings(key for key in other if not key.startswith(HEAD_PREFIXES)):
        return cast(dict[str, torch.Tensor], fit(state, model))
    return state


def _load_without_head(model: nn.Module, file: Path, architecture: str) -> None:
    own = model.state_dict()
    needed = [key for key in own if not key.startswith(HEAD_PREFIXES)]
    state = _resample_positions(model, read_renamed(file, needed))
    kept = {key: value for key, value in state.items() if not key.startswith(HEAD_PREFIXES)}
    wrong = [key for key in needed if key not in kept]
    wrong += [key for key, value in kept.items() if key in own and value.shape != own[key].shape]
    if wrong:
        raise UserError(
            f"{file} does not fit {architecture} ({wrong[0]} is missing or has another shape). "
            "Use the weights of that model."
        )
    model.load_state_dict({key: kept[key] for key in kept if key in own}, strict=False)


def _apply_class_order(state: dict[str, torch.Tensor], path: Path) -> None:
    """Reorder the outputs to fake, real if the training.json in the same folder has another order.

    Raises:
        UserError: training.json names other classes, or is not valid.
    """
    classes = read_training(path.parent).classes
    if classes is None or classes == {str(n): name for n, name in enumerate(CLASSES)}:
        return
    if classes != {str(n): name for n, name in enumerate(reversed(CLASSES))}:
        raise UserError(
            f"{path.parent / TRAINING} lists the classes {classes}, not fake and real. "
            "Use a checkpoint that was trained for these two, or remove that file."
        )
    for key, value in state.items():
        if key.startswith(HEAD_PREFIXES) and value.shape[:1] == (len(CLASSES),):
            state[key] = value.flip(0)


def load_checkpoint(recipe: Recipe, path: Path) -> nn.Module:
    """Load a classifier_model.pth into the recipe's model.

    Raises:
        UserError: the file is missing, belongs to another model or has other than two outputs.
    """
    if not path.exists():
        if not path.with_suffix(".safetensors").exists():
            raise UserError(f"{recipe.name} has no checkpoint {path}. Train it first.")
        path = path.with_suffix(".safetensors")
    model = build_model(recipe, pretrained=False)
    own = model.state_dict()
    state = fit_head(read_renamed(path, own.keys()), own)
    if own.keys() != state.keys() or any(own[key].shape != state[key].shape for key in own):
        raise UserError(describe_mismatch(recipe, own, state, path))
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise UserError(f"{path} contains NaN or infinite values ({broken[0]}). Train again.")
    _apply_class_order(state, path)
    model.load_state_dict(state)
    return model


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write the bare state_dict atomically; plain torchvision or timm can load it."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    save_tensors(state, path)
