"""Checkpoints that other programs have saved: the model that is in one, and why it does not fit."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.terminal.console import plural
from fakedetect.models.weights import HEADS

NEARLY = 0.9
"""The share of a model's weights from which on a checkpoint is of that model, with a fault."""

State = Mapping[str, torch.Tensor]


def unprefix(state: State, wanted: Collection[str], path: Path) -> dict[str, torch.Tensor]:
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


def are_positions(keys: Iterable[str]) -> bool:
    """Whether these are keys of position embeddings alone; False for none."""
    names = list(keys)
    return bool(names) and all("pos_embed" in name or "position" in name for name in names)


def explain_mismatch(recipe: Recipe, own: State, state: State, path: Path) -> str:
    """Why a checkpoint's weights are not those of the recipe's model, and what to do about it.

    Args:
        own: the weights that the model has.
    """
    name = recipe.name
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    missing = [key for key in own if key not in state]
    more = [key for key in state if key not in own]
    if are_positions(wrong) and not missing and not more:
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
