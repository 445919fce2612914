"""A run's conditions, and the state that continues a stopped run: unfinished_run.pth in its folder."""

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
from fakedetect.dataset.samples import Dataset, hash_names, load_dataset, load_probe_dataset
from fakedetect.images.copies import ALIGNED_QUALITY, CopyKind
from fakedetect.models.processes import Group
from fakedetect.models.weights import DamagedFile, load_tensors, save_tensors


@dataclass(frozen=True)
class Unfinished:
    """The state of a run after an epoch, or after a step of the next one.

    `rows` are those of the log; `conditions` must be equal when the run continues. `random` and, within an
    epoch, `started` have one entry per process.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    random: list[dict[str, Any]]
    rows: list[Epoch]
    conditions: RunConditions
    started: tuple[StartedEpoch, ...] = ()

    def started_by(self, group: Group) -> StartedEpoch | None:
        """Return this process's part of a stopped epoch.

        If the number of processes has changed, the first takes all parts.
        """
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
        """Return the random state from which this process continues."""
        return self.random[group.rank if len(self.random) == group.size else 0]


def unfinished_file(folder: Path) -> Path:
    """Return the path of a model folder's unfinished run."""
    return folder / UNFINISHED


def random_state() -> dict[str, Any]:
    """Return the state of this process's random generators."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def save_unfinished(folder: Path, state: Unfinished) -> None:
    """Write the state atomically."""
    content = {
        "model": state.model,
        "optimizer": state.optimizer,
        "random": state.random,
        # Plain values: torch loads others only by running code from the file.
        "rows": [msgspec.structs.asdict(row) for row in state.rows],
        "facts": msgspec.structs.asdict(state.conditions),
        "started": [msgspec.structs.asdict(part) for part in state.started],
    }
    save_tensors(content, unfinished_file(folder))


def mark_unfinished(folder: Path, conditions: RunConditions) -> None:
    """Mark a run without epochs as unfinished; it starts over, with its cached features."""
    save_unfinished(folder, Unfinished(model={}, optimizer={}, random=[], rows=[], conditions=conditions))


def read_unfinished(settings: Settings) -> Unfinished:
    """Read the state of the chosen model's stopped run, without running code from the file.

    Raises:
        UserError: the file is missing or damaged.
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
        raise _damaged_file(settings) from None


def _damaged_file(settings: Settings) -> UserError:
    """Return the error for a damaged state."""
    over = settings.command("train", "--overwrite")
    return UserError(f"{unfinished_file(settings.model_folder)} is damaged. Start over: {over}")


def _random_states(value: object) -> list[dict[str, Any]]:
    """Return one state per process; files of versions before 0.6 have one in all."""
    return [_mapping(state) for state in (value if isinstance(value, list) else [value])]


def _mapping(value: object) -> dict[str, Any]:
    """Return a state_dict uncopied: a copy would lose the versions of its layers."""
    if not isinstance(value, dict):
        raise TypeError("not a state_dict")
    return value


def restore_run(
    settings: Settings,
    state: Unfinished,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    group: Group,
) -> None:
    """Restore model, optimiser and random generators of a stopped run.

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
        raise _damaged_file(settings) from None


def can_resume(settings: Settings, leave_out: str = "") -> bool:
    """Return whether the chosen model has an unfinished run that the current settings and data continue."""
    try:
        then = read_unfinished(settings).conditions
        return describe_difference(then, find_conditions(settings, leave_out)) is None
    except UserError:
        return False


def describe_difference(then: RunConditions, now: RunConditions) -> str | None:
    """Describe the first difference between a run's conditions and the current ones; None if equal."""
    for key in RunConditions.__struct_fields__:
        before, today = getattr(then, key), getattr(now, key)
        if before != today:
            if key == "pictures":
                return "the training pictures, or your review of them, have changed"
            return f"{key} was {before} and is now {today}"
    return None


def find_difference(settings: Settings, leave_out: str = "") -> str | None:
    """Describe why the chosen model is not the finished run of these settings; return None if it is.

    Args:
        leave_out: the source that the run leaves out, '' for none.

    Raises:
        UserError: the data or a file in the model's folder cannot be used.
    """
    if unfinished_file(settings.model_folder).is_file():
        return "its run is unfinished"
    if not checkpoint_file(settings).is_file():
        return "it has no checkpoint"
    training = read_training(settings.model_folder)
    if training.run is None or not training.is_of(model_hash(settings)):
        return "it is unknown how it was trained"
    if difference := describe_difference(training.run, find_conditions(settings, leave_out)):
        return difference
    for name in ("max_epochs", "patience", "pretrained"):
        then, now = getattr(training, name), getattr(settings.training, name)
        # A probe has no epochs.
        if then not in (None, now):
            return f"{name} was {then} and is now {now}"
    return None


def find_conditions(settings: Settings, leave_out: str = "") -> RunConditions:
    """Return the conditions of a run that would start now."""
    load = load_probe_dataset if settings.recipe.method == PROBE else load_dataset
    return gather_conditions(settings, load(settings, "train", leave_out))


def make_training_record(
    settings: Settings, dataset: Dataset, kind: CopyKind, conditions: RunConditions
) -> TrainingRecord:
    """Return the fields of training.json that all recipes share, for a run that ends now."""
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
    """Return the record of a run's pictures and the kind of their copies."""
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
    """Return the versions that a run depends on, by name."""
    packages = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")
    return {
        "fakedetect": describe_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def gather_conditions(settings: Settings, dataset: Dataset) -> RunConditions:
    """Return the conditions that must be equal for an unfinished run to continue."""
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
        # A probe weights and degrades its pictures in its own way.
        balance=UNBALANCED if recipe.method == PROBE else options.balance,
        degrade=options.degrade and recipe.method != PROBE,
    )
