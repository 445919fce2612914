"""Match a checkpoint's keys to the model's, as long as only one match is possible."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import Recipe
from fakedetect.core.terminal.console import plural
from fakedetect.models.weights import HEAD_PREFIXES, read_state

LEAST_WEIGHT_SHARE = 0.9
"""A checkpoint with at least this share of a model's weights belongs to that model, but has a fault."""

BATCH_COUNTER = "num_batches_tracked"
"""A counter of batch norm layers. No prediction depends on it, and some programs do not save it."""

TORCHVISION_VIT_PREFIX = "encoder.layers.encoder_layer_"
TORCHVISION_VIT_NAMES = (
    (r"encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"encoder\.pos_embedding$", "pos_embed"),
    (r"encoder\.ln\.", "norm."),
    (r"class_token$", "cls_token"),
    (r"conv_proj\.", "patch_embed.proj."),
    (r"heads\.head\.", "head."),
    (r"(blocks\.\d+)\.ln_([12])\.", r"\1.norm\2."),
    (r"(blocks\.\d+)\.self_attention\.in_proj_", r"\1.attn.qkv."),
    (r"(blocks\.\d+)\.self_attention\.out_proj\.", r"\1.attn.proj."),
    (r"(blocks\.\d+)\.mlp\.(?:0|linear_1)\.", r"\1.mlp.fc1."),
    (r"(blocks\.\d+)\.mlp\.(?:3|linear_2)\.", r"\1.mlp.fc2."),
)
"""torchvision's names in a vision transformer and timm's. The layers and their weights are the same."""

State = Mapping[str, torch.Tensor]


def read_renamed(path: Path, wanted: Collection[str]) -> dict[str, torch.Tensor]:
    """Read the weights in a file and rename their keys to the model's, as far as the match is certain.

    In a vision transformer timm's names replace torchvision's. A prefix that a training program put before
    every key, such as Lightning's `model.`, is removed.

    Args:
        wanted: the model's keys.

    Raises:
        UserError: the file cannot be read, or it holds several models.
    """
    state = read_state(path)
    if any(TORCHVISION_VIT_PREFIX in key for key in state) and "patch_embed.proj.weight" in wanted:
        state = {_rename_to_timm(key): value for key, value in state.items()}
    found = Counter(
        key[: dot.end()] for key in state for dot in re.finditer(r"\.", key) if key[dot.end() :] in wanted
    )
    needed = LEAST_WEIGHT_SHARE * sum(
        not key.startswith(HEAD_PREFIXES) and not key.endswith(BATCH_COUNTER) for key in wanted
    )
    names = [name for name, count in found.items() if count >= needed]
    if sum(key in state for key in wanted) >= needed or not names:
        return state
    if len(names) > 1:
        raise UserError(
            f"{path} holds several models, below {' and '.join(names)}. Save the state_dict of one of them."
        )
    own = {key.removeprefix(names[0]): value for key, value in state.items() if key.startswith(names[0])}
    has_head = any(key in own for key in wanted if key.startswith(HEAD_PREFIXES)) or own.keys() - wanted
    # Other entries are losses and the like if the model has its head, and the head if it has none.
    return own if has_head else own | {key: state[key] for key in state if not key.startswith(names[0])}


def _rename_to_timm(key: str) -> str:
    for pattern, name in TORCHVISION_VIT_NAMES:
        key = re.sub(rf"(?:(?<=\.)|^){pattern}", name, key)
    return key


def fit_head(state: dict[str, torch.Tensor], own: State) -> dict[str, torch.Tensor]:
    """Rename the head of a state to the model's name for it.

    The head is the only unknown layer of a state that lacks its head. A state with other unknown keys is
    returned unchanged. Missing counters are added.
    """
    missing = [key for key in own if key not in state and not key.endswith(BATCH_COUNTER)]
    more = [key for key in state if key not in own]
    if not all(key.startswith(HEAD_PREFIXES) for key in missing) or len(missing) != len(more):
        return state
    renamed = {old: new for new, old in _match_keys(missing, more, own, state).items()}
    if len(renamed) < len(more) or len({key.rpartition(".")[0] for key in more}) > 1:
        return state
    counters = {key: value for key, value in own.items() if key.endswith(BATCH_COUNTER)}
    return counters | {renamed.get(key, key): value for key, value in state.items()}


def _match_keys(
    missing: Collection[str], more: Collection[str], own: State, state: State
) -> dict[str, str]:
    """Map each missing key to the only unknown key that fits.

    It has the same last part and the same shape; the number of a head's outputs may differ.
    """
    pairs = {}
    for key in missing:
        first = int(key.startswith(HEAD_PREFIXES))
        alike = [
            other
            for other in more
            if other.rpartition(".")[2] == key.rpartition(".")[2]
            and state[other].ndim == own[key].ndim
            and state[other].shape[first:] == own[key].shape[first:]
        ]
        if len(alike) == 1:
            pairs[key] = alike[0]
    return pairs if len(set(pairs.values())) == len(pairs) else {}


def are_position_embeddings(keys: Iterable[str]) -> bool:
    """Whether all keys belong to position embeddings; False if there are none."""
    names = list(keys)
    return bool(names) and all("pos_embed" in name or "position" in name for name in names)


def describe_mismatch(recipe: Recipe, own: State, state: State, path: Path) -> str:
    """Return why a checkpoint does not fit the recipe's model, and what to do about it.

    Args:
        own: the model's weights.
    """
    name = recipe.name
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    missing = [key for key in own if key not in state and not key.endswith(BATCH_COUNTER)]
    more = [key for key in state if key not in own]
    if are_position_embeddings(wrong) and not missing and not more:
        size = recipe.input.size
        return (
            f"{path} was trained on pictures of another size than the {size} x {size} of {name}. "
            "Set its size in paths.toml, or train again."
        )
    fitting = len(own) - len(wrong) - len(missing)
    looks_like = _guess_architecture(state)
    if fitting < LEAST_WEIGHT_SHARE * max(len(own), len(state)) and looks_like not in (
        name,
        recipe.architecture,
    ):
        return (
            f"{path} is not a {name}; it looks like {looks_like}. "
            "Choose that model, or put the right checkpoint there."
        )
    if wrong and not missing and not more and (outputs := _count_outputs(own, state, wrong)):
        if outputs == 1:
            return (
                f"{path} is a {name} with 1 output; fakedetect needs 2 (fake, real). If it is the logit of "
                f"fake, save torch.cat([w, 0 * w]) in place of each w of {' and '.join(wrong)}; if it is "
                "that of real, torch.cat([0 * w, w])."
            )
        return (
            f"{path} is a {name} with {outputs:,} outputs; fakedetect needs 2 "
            "(fake, real). Train it here, or put a checkpoint with two outputs there."
        )
    return f"{path} is nearly a {name}: {_describe_differences(own, state, wrong, missing, more)}"


def _describe_differences(
    own: State, state: State, wrong: list[str], missing: list[str], more: list[str]
) -> str:
    """Return how a checkpoint differs from the model, and which keys to rename."""
    parts = []
    if wrong:
        shapes = f"{_format_shape(state[wrong[0]])}, not {_format_shape(own[wrong[0]])}"
        parts.append(f"{_format_keys(wrong)} of another shape ({shapes})")
    if missing:
        parts.append(f"{_format_keys(missing)} missing")
    if more:
        parts.append(f"{_format_keys(more)} unknown to it")
    differs = "; ".join(parts)
    if pairs := _match_keys(missing, more, own, state):
        names = [f"{old} to {new}" for new, old in pairs.items()]
        others = f", and {len(names) - 3} more likewise" if len(names) > 3 else ""
        return f"{differs}. Rename {', '.join(names[:3])}{others}."
    if missing and more and all(key.startswith(HEAD_PREFIXES) for key in missing):
        return (
            f"{differs}. The head must be one linear layer, {' and '.join(missing)}: rename the keys of "
            "that one; a head of several layers has to be trained here."
        )
    return f"{differs}. Save the model's whole state_dict there."


def _count_outputs(own: State, state: State, wrong: Iterable[str]) -> int | None:
    """Return the number of a head's outputs if nothing else differs; otherwise None."""
    counts = set()
    for key in wrong:
        if (
            not key.startswith(HEAD_PREFIXES)
            or not state[key].ndim
            or state[key].shape[1:] != own[key].shape[1:]
        ):
            return None
        counts.add(state[key].shape[0])
    return counts.pop() if len(counts) == 1 else None


def _format_keys(keys: list[str]) -> str:
    """'fc.bias is', 'fc.bias and 3 more weights are'."""
    return f"{keys[0]} and {plural(len(keys) - 1, 'more weight')} are" if len(keys) > 1 else f"{keys[0]} is"


def _format_shape(value: torch.Tensor) -> str:
    return " x ".join(f"{side:,}" for side in value.shape) or "a single number"


def _guess_architecture(state: State) -> str:
    """Name the architecture of another model's checkpoint by its characteristic layers."""
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
