"""A vote of a model's early layers: the texture of a picture beside its content.

A network that learns on few pictures of few generators judges by content, and content does not carry
to other pictures. The mean and the spread of each channel of an early layer say nothing about content,
but about texture, which carries further: Liu, Qi and Torr 2020, 'Global Texture Enhancement for Fake
Face Detection in the Wild'; Zhong et al. 2023, 'PatchCraft'. A logistic regression on them votes with
the model, both with the same weight.

The vote stands in texture_vote.json beside the checkpoint, which stays the plain model's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.model_folder import TEXTURE_VOTE
from fakedetect.core.records import Record, Scale, Temperature, read_record, write_record

EARLY = ("layer1", "stages.0", "blocks.0", "layers.0", "stages_0", "layers_0", "s1")
"""Names of the first stage in torchvision's and timm's models."""

TEXTURE_STRENGTH = 0.1


class TextureVote(Record, frozen=True, kw_only=True):
    """A line (weights (2 C,), bias) over a layer's statistics, and how it and the model are weighed.

    The common margin is (margin / `model_scale` + vote / `vote_scale`) / 2 / `temperature`.
    `checkpoint` is the hash of the checkpoint that it votes with.
    """

    checkpoint: str
    layer: Annotated[str, msgspec.Meta(min_length=1)]
    weights: tuple[float, ...]
    bias: float
    model_scale: Scale
    vote_scale: Scale
    temperature: Temperature


def early_layer(model: nn.Module) -> str:
    """The name of the model's first stage.

    Raises:
        UserError: it has none of the known names.
    """
    names = {name for name, _ in model.named_modules()}
    for name in EARLY:
        if name in names:
            return name
    raise UserError('recipe = "robust" does not support this architecture. Use recipe = "reference".')


def statistics(values: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation (B, 2 C) of each channel of a layer's output.

    Args:
        values: (B, C, H, W), (B, H, W, C) or tokens (B, N, C).
    """
    if values.ndim == 3:
        flat = values
    elif values.shape[1] == values.shape[2] != values.shape[3]:
        flat = values.flatten(1, 2)
    else:
        flat = values.flatten(2).transpose(1, 2)
    flat = flat.float()
    return torch.cat([flat.mean(1), flat.std(1)], 1)


@contextmanager
def watch(model: nn.Module, name: str) -> Iterator[list[torch.Tensor]]:
    """A list that has, after each forward pass, a layer's statistics (B, 2 C) at its end."""
    seen: list[torch.Tensor] = []

    def remember(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        seen.append(statistics(output))

    hook = dict(model.named_modules())[name].register_forward_hook(remember)
    try:
        yield seen
    finally:
        hook.remove()


def add_vote(model: nn.Module, vote: TextureVote) -> None:
    """Let the vote have its say in the model's logits from now on; its state_dict stays as it was.

    Raises:
        UserError: it is another model's vote.
    """
    layers = dict(model.named_modules())
    if vote.layer not in layers:
        raise UserError(
            f"{TEXTURE_VOTE} belongs to another model: this one has no layer {vote.layer}. Train again."
        )
    weights = torch.tensor(vote.weights)
    found: list[torch.Tensor] = []

    def remember(_: nn.Module, __: Any, output: Any) -> None:
        # A layer that gives no channels has no statistics, and is none that we fitted a vote on.
        if isinstance(output, torch.Tensor) and output.ndim in (3, 4):
            found[:] = [statistics(output)]

    def join(_: nn.Module, __: Any, logits: torch.Tensor) -> torch.Tensor:
        texture = found.pop() if found else logits[:, :0]
        if texture.shape[1] != len(weights):
            raise UserError(f"{TEXTURE_VOTE} belongs to another model: {vote.layer} differs. Train again.")
        # A product and a sum, for autocast would do a matrix product in bfloat16.
        said = ((texture * weights.to(texture)).sum(1) + vote.bias) / vote.vote_scale
        margin = (logits[:, 0] - logits[:, 1]).float() / vote.model_scale
        half = (margin + said) / 4 / vote.temperature
        return torch.stack([half, -half], 1)

    layers[vote.layer].register_forward_hook(remember)
    model.register_forward_hook(join)


def save_vote(vote: TextureVote, folder: Path) -> None:
    """Write texture_vote.json into a model's folder."""
    write_record(folder / TEXTURE_VOTE, vote)


def read_vote(folder: Path, checkpoint_hash: str) -> TextureVote | None:
    """The vote in a model's folder; None where there is none for this checkpoint.

    Raises:
        UserError: the file does not fit.
    """
    vote = read_record(folder / TEXTURE_VOTE, TextureVote, "Remove it, or train again.")
    return vote if vote and vote.checkpoint == checkpoint_hash else None
