"""What a training run needs to go on after it was stopped: unfinished_run.pth in the model's folder."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.model_folder import UNFINISHED
from fakedetect.core.settings import Settings
from fakedetect.core.training_record import Epoch, RunConditions
from fakedetect.models.weights import DamagedFile, load_tensors, save_tensors


@dataclass(frozen=True)
class Unfinished:
    """The state after a finished epoch: `rows` of the log so far, `conditions` that must be the same.

    `average` is that of the weights, in the robust recipe.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    random: dict[str, Any]
    rows: list[Epoch]
    conditions: RunConditions
    average: dict[str, Any] | None = None


def unfinished_file(folder: Path) -> Path:
    """Where a model folder's unfinished run is."""
    return folder / UNFINISHED


def _random_state() -> dict[str, Any]:
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def save_unfinished(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: list[Epoch],
    conditions: RunConditions,
    average: nn.Module | None,
) -> None:
    """Write the state, whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": _random_state(),
        # Plain values: torch opens no other in a file without running it.
        "rows": [msgspec.structs.asdict(row) for row in rows],
        "facts": msgspec.structs.asdict(conditions),
        "average": average.state_dict() if average else None,
    }
    save_tensors(state, unfinished_file(folder))


def read_unfinished(settings: Settings) -> Unfinished:
    """The state of the chosen model's run that was stopped; nothing in the file is run.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = unfinished_file(settings.model_folder)
    if not path.is_file():
        raise UserError(
            f"{settings.model_folder} holds no unfinished run. Start one: {settings.command('train')}"
        )
    try:
        state = load_tensors(path)
        return Unfinished(
            model=_mapping(state["model"]),
            optimizer=_mapping(state["optimizer"]),
            random=_mapping(state["random"]),
            rows=msgspec.convert(state["rows"], list[Epoch]),
            conditions=msgspec.convert(state["facts"], RunConditions),
            average=_mapping(average) if (average := state.get("average")) else None,
        )
    except (pickle.UnpicklingError, DamagedFile, msgspec.ValidationError, LookupError, TypeError):
        over = settings.command("train", "--overwrite")
        raise UserError(f"{path} is damaged. Start over: {over}") from None


def _mapping(value: object) -> dict[str, Any]:
    """A state_dict as it is, with the versions of its layers that a copy would lose."""
    if not isinstance(value, dict):
        raise TypeError("not a state_dict")
    return value


def restore(
    state: Unfinished, model: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None
) -> None:
    """Put model, optimiser, average of the weights and random numbers where the run was stopped."""
    if average is not None and state.average is not None:
        average.load_state_dict(state.average)
    model.load_state_dict(state.model)
    optimizer.load_state_dict(state.optimizer)
    torch.set_rng_state(state.random["cpu"])
    if "cuda" in state.random and torch.cuda.device_count() == len(state.random["cuda"]):
        torch.cuda.set_rng_state_all(state.random["cuda"])


def tell_difference(then: RunConditions, now: RunConditions) -> str | None:
    """What differs between the conditions of a run and today's, or None."""
    for key in RunConditions.__struct_fields__:
        before, today = getattr(then, key), getattr(now, key)
        if before != today:
            if key == "pictures":
                return "the training pictures have changed"
            return f"{key} was {before} and is {today} now"
    return None
