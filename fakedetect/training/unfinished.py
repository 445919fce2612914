"""What a training run needs to go on after it was stopped: unfinished_run.pth in the model's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.settings import Settings
from fakedetect.models.weights import save_tensors


@dataclass(frozen=True)
class Unfinished:
    """The state after a finished epoch: `rows` of the log so far, `facts` that must be the same.

    `average` is that of the weights, in the robust recipe.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    random: dict[str, Any]
    rows: list[dict[str, float]]
    facts: dict[str, Any]
    average: dict[str, Any] | None = None


def unfinished_file(folder: Path) -> Path:
    """Where a model folder's unfinished run is."""
    return folder / "unfinished_run.pth"


def _random_state() -> dict[str, Any]:
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def save_unfinished(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: list[dict[str, float]],
    facts: dict[str, Any],
    average: nn.Module | None,
) -> None:
    """Write the state, whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": _random_state(),
        "rows": rows,
        "facts": facts,
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
        return Unfinished(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception:
        over = settings.command("train", "--overwrite")
        raise UserError(f"{path} is damaged. Start over: {over}") from None


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


def tell_difference(then: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What differs between the facts of a run and today's, or None."""
    # Runs of version 0.4 knew no other way than the reference's.
    then = {"recipe": "reference", "leave_out": "", **then}
    for key in now:
        if then.get(key) != now[key]:
            if key == "pictures":
                return "the training pictures have changed"
            return f"{key} was {then.get(key)} and is {now[key]} now"
    return None
