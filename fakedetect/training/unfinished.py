"""What a run is made under, and what it needs to go on after it was stopped: unfinished_run.pth in its
folder."""

import pickle
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import (
    DataRecord,
    Epoch,
    KindRecord,
    RunConditions,
    StartedEpoch,
    TrainingRecord,
    read_training,
)
from fakedetect.core.settings.model_folder import UNFINISHED, checkpoint_file, model_hash
from fakedetect.core.settings.recipes import CLASSES, PROBE, UNBALANCED, Recipe
from fakedetect.core.settings.settings import Settings
from fakedetect.core.version import describe_version
from fakedetect.dataset.samples import Dataset, hash_names, load_dataset, load_for_probe
from fakedetect.images.copies import ALIGNED_QUALITY, CopyKind
from fakedetect.models.processes import Group
from fakedetect.models.weights import DamagedFile, load_tensors, save_tensors


@dataclass(frozen=True)
class Unfinished:
    """The state after a finished epoch or a step of the next: `rows` of the log so far, `conditions` that
    must be the same.

    `random` and, within an epoch, `started` have one entry a process.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    random: list[dict[str, Any]]
    rows: list[Epoch]
    conditions: RunConditions
    started: tuple[StartedEpoch, ...] = ()

    def started_by(self, group: Group) -> StartedEpoch | None:
        """This process's part of an epoch that was stopped; the first takes all where their number has
        changed."""
        if not self.started:
            return None
        if len(self.started) == group.size:
            return self.started[group.rank]
        if not group.first:
            return msgspec.structs.replace(self.started[0], loss=0.0, count=0, faults={})
        return msgspec.structs.replace(
            self.started[0],
            loss=sum(part.loss for part in self.started),
            count=sum(part.count for part in self.started),
            faults={path: why for part in self.started for path, why in part.faults.items()},
        )

    def random_of(self, group: Group) -> dict[str, Any]:
        """The random numbers' state that this process goes on from."""
        return self.random[group.rank if len(self.random) == group.size else 0]


def unfinished_file(folder: Path) -> Path:
    """Where a model folder's unfinished run is."""
    return folder / UNFINISHED


def random_state() -> dict[str, Any]:
    """Where this process's random numbers are."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def save_unfinished(folder: Path, state: Unfinished) -> None:
    """Write the state, whole or not at all."""
    content = {
        "model": state.model,
        "optimizer": state.optimizer,
        "random": state.random,
        # Plain values: torch opens no other in a file without running it.
        "rows": [msgspec.structs.asdict(row) for row in state.rows],
        "facts": msgspec.structs.asdict(state.conditions),
        "started": [msgspec.structs.asdict(part) for part in state.started],
    }
    save_tensors(content, unfinished_file(folder))


def mark_unfinished(folder: Path, conditions: RunConditions) -> None:
    """Write the state of a run without epochs, which begins anew and keeps its features."""
    save_unfinished(folder, Unfinished(model={}, optimizer={}, random=[], rows=[], conditions=conditions))


def read_unfinished(settings: Settings) -> Unfinished:
    """The state of the chosen model's run that was stopped; nothing in the file is run.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = unfinished_file(settings.model_folder)
    if not path.is_file():
        raise UserError(
            f"{settings.model_folder} contains no unfinished run. Start one: {settings.command('train')}"
        )
    try:
        state = load_tensors(path)
        return Unfinished(
            model=_mapping(state["model"]),
            optimizer=_mapping(state["optimizer"]),
            random=_random_states(state["random"]),
            rows=msgspec.convert(state["rows"], list[Epoch]),
            conditions=msgspec.convert(state["facts"], RunConditions),
            started=msgspec.convert(state.get("started", ()), tuple[StartedEpoch, ...]),
        )
    except (pickle.UnpicklingError, DamagedFile, msgspec.ValidationError, LookupError, TypeError):
        raise _tell_damaged(settings) from None


def _tell_damaged(settings: Settings) -> UserError:
    over = settings.command("train", "--overwrite")
    return UserError(f"{unfinished_file(settings.model_folder)} is damaged. Start over: {over}")


def _random_states(value: object) -> list[dict[str, Any]]:
    """One a process; before version 0.6 the first process's alone."""
    return [_mapping(state) for state in (value if isinstance(value, list) else [value])]


def _mapping(value: object) -> dict[str, Any]:
    """A state_dict as it is, with the versions of its layers that a copy would lose."""
    if not isinstance(value, dict):
        raise TypeError("not a state_dict")
    return value


def restore(
    settings: Settings,
    state: Unfinished,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    group: Group,
) -> None:
    """Put model, optimiser and random numbers where the run was stopped.

    Raises:
        UserError: the state does not fit the model.
    """
    try:
        random = state.random_of(group)
        model.load_state_dict(state.model)
        optimizer.load_state_dict(state.optimizer)
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.device_count() == len(random["cuda"]):
            torch.cuda.set_rng_state_all(random["cuda"])
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError):
        raise _tell_damaged(settings) from None


def can_go_on(settings: Settings, leave_out: str = "") -> bool:
    """Whether the chosen model has an unfinished run that can be continued as things are now."""
    try:
        then = read_unfinished(settings).conditions
        return tell_difference(then, find_conditions(settings, leave_out)) is None
    except UserError:
        return False


def tell_difference(then: RunConditions, now: RunConditions) -> str | None:
    """What differs between the conditions of a run and today's, or None."""
    for key in RunConditions.__struct_fields__:
        before, today = getattr(then, key), getattr(now, key)
        if before != today:
            if key == "pictures":
                return "the training pictures, or your review of them, have changed"
            return f"{key} was {before} and is now {today}"
    return None


def find_difference(settings: Settings, leave_out: str = "") -> str | None:
    """Why the chosen model is not the finished run that these settings describe; None where it is.

    Args:
        leave_out: the source that was left out of it, '' for none.

    Raises:
        UserError: the data cannot be used, or a file in its folder does not fit.
    """
    if unfinished_file(settings.model_folder).is_file():
        return "its run is unfinished"
    if not checkpoint_file(settings).is_file():
        return "it has no checkpoint"
    training = read_training(settings.model_folder)
    if training.run is None or not training.is_of(model_hash(settings)):
        return "it is unknown how it was trained"
    if difference := tell_difference(training.run, find_conditions(settings, leave_out)):
        return difference
    for name in ("max_epochs", "patience", "pretrained"):
        then, now = getattr(training, name), getattr(settings.training, name)
        # A probe has no epochs.
        if then not in (None, now):
            return f"{name} was {then} and is now {now}"
    return None


def find_conditions(settings: Settings, leave_out: str = "") -> RunConditions:
    """The conditions of a run of the chosen model that began now."""
    load = load_for_probe if settings.recipe.method == PROBE else load_dataset
    return gather_conditions(settings, load(settings, "train", leave_out))


def begin_record(
    settings: Settings, dataset: Dataset, kind: CopyKind, conditions: RunConditions
) -> TrainingRecord:
    """What a training.json says in whichever way was trained, of a run that ends now."""
    return TrainingRecord(
        model=settings.model,
        recipe=settings.recipe,
        pretrained=settings.training.pretrained,
        classes={str(number): name for number, name in enumerate(CLASSES)},
        seed=settings.training.seed,
        data=_describe_data(dataset, kind),
        run=conditions,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_read_versions(),
    )


def _describe_data(dataset: Dataset, kind: CopyKind) -> DataRecord:
    """The pictures of a run and the kind of their copies."""
    quality = None if kind.quality == ALIGNED_QUALITY else kind.quality
    return DataRecord(
        folder=str(dataset.folder),
        count=len(dataset.samples),
        fake=sum(sample.label == 0 for sample in dataset.samples),
        real=sum(sample.label == 1 for sample in dataset.samples),
        left_out=dataset.left_out,
        removed=dataset.removed or None,
        moved=sum(sample.path in dataset.moved for sample in dataset.samples) or None,
        kind=KindRecord(aligned=kind.aligned, fast=kind.fast, quality=quality),
        pictures=hash_names(dataset),
        leave_out=dataset.without,
    )


def _read_versions() -> dict[str, str]:
    """The versions that a run depends on, by name."""
    packages = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")
    return {
        "fakedetect": describe_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def gather_conditions(settings: Settings, dataset: Dataset) -> RunConditions:
    """What has to be the same for an unfinished run to go on as if it had not been stopped."""
    recipe, options = settings.recipe, settings.training
    shared = {key for key in RunConditions.__struct_fields__ if key in Recipe.__struct_fields__}
    return RunConditions(
        **{key: getattr(recipe, key) for key in shared},
        recipe=recipe.method,
        seed=options.seed,
        precision=options.precision,
        validation_share=options.validation_share,
        pictures=hash_names(dataset),
        leave_out=dataset.without,
        # A probe weighs and degrades its pictures in a way of its own.
        balance=UNBALANCED if recipe.method == PROBE else options.balance,
        degrade=options.degrade and recipe.method != PROBE,
    )
