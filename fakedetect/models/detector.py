"""A trained model with all that a prediction needs: weights, calibration, thresholds, kind of copies.

A network in OpenVINO's cache runs without torch, which takes seconds to import.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import TrainingRecord
from fakedetect.core.settings.model_folder import (
    TEXTURE_VOTE,
    checkpoint_file,
    is_probe,
    model_hash,
    require_checkpoint,
)
from fakedetect.core.settings.settings import Settings
from fakedetect.core.settings.trained_input import as_trained, read_own_training
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.folders import CLASS_FOLDERS
from fakedetect.images.copies import CopyKind, find_copy_kind, probe_copies
from fakedetect.metrics.calibration import Calibration, choose_calibration
from fakedetect.models.openvino.engine import Engine, load_cached_engine
from fakedetect.models.probe.classifier import read_probe
from fakedetect.models.verdicts import OwnPhotographs, read_own_photographs

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Detector:
    """A model ready to predict. It is the chosen one of `settings`; `training` is its training.json.

    `is_probe`: the model is a linear classifier on a backbone's features and makes its own copies.
    `own`: what it makes of the user's own photographs, where that was measured.
    """

    settings: Settings
    engine: Engine
    calibration: Calibration
    kind: CopyKind
    checkpoint_hash: str
    training: TrainingRecord
    is_probe: bool
    loaded: "nn.Module | None" = None
    own: OwnPhotographs | None = None

    @property
    def thresholds(self) -> Calibration:
        """The calibration by which `check` judges: its own, which also holds for the user's photographs."""
        return self.own.applied_to(self.calibration) if self.own else self.calibration

    @property
    def name(self) -> str:
        """The model's name."""
        return self.settings.model

    @property
    def has_assumed_input(self) -> bool:
        """Whether the input is known from timm and paths.toml only, not from a training.json."""
        return bool(self.settings.recipe.section) and not self.training.has_recipe

    @cached_property
    def model(self) -> "nn.Module":
        """The torch network on its device, in evaluation mode."""
        return load_trained_model(self.settings) if self.loaded is None else self.loaded

    def margins(self, images: np.ndarray) -> np.ndarray:
        """Return the logit of fake minus that of real, (N,) float64, for images (N, S, W, 3) uint8.

        Raises:
            UserError: the model outputs NaN.
        """
        size = self.settings.recipe.batch_size
        found = [np.empty(0)]
        for start in range(0, len(images), size):
            logits = self.engine(images[start : start + size]).astype(np.float64)
            found.append(logits[:, 0] - logits[:, 1])
        margins = np.concatenate(found)
        refuse_nan(margins, self.settings)
        return margins


def refuse_nan(outputs: np.ndarray, settings: Settings) -> None:
    """Raise a UserError if a model's outputs are not all finite."""
    if not np.isfinite(outputs).all():
        raise UserError(f"{checkpoint_file(settings)} outputs NaN: its weights are damaged. Train again.")


def load_trained_model(settings: Settings) -> "nn.Module":
    """Load the chosen model's network onto its device, in evaluation mode.

    Raises:
        UserError: the model has no usable checkpoint, or another file of its folder is not valid.
    """
    from fakedetect.models.building import load_checkpoint
    from fakedetect.models.devices import to_device
    from fakedetect.models.probe.model import load_probe

    checkpoint = require_checkpoint(settings)
    load = load_probe if is_probe(checkpoint) else load_checkpoint
    return to_device(load(settings.recipe, checkpoint)).eval()


def load_detector(settings: Settings, console: Console, name_device: bool = True) -> Detector:
    """Load the chosen model; its settings get the input that it was trained with.

    Args:
        name_device: print what it runs on.

    Raises:
        UserError: the model has no usable checkpoint, another file of its folder is not valid, or
            paths.toml sets another input.
    """
    probe = is_probe(require_checkpoint(settings))
    checkpoint_hash = model_hash(settings)
    if (vote := settings.model_folder / TEXTURE_VOTE).is_file():
        console.warn(
            f"{vote} is not used: the checkpoint predicts without the robust recipe's texture vote."
        )
    training = read_own_training(settings, checkpoint_hash)
    settings = as_trained(settings, training)
    taken, model = settings.recipe.input, None
    engine = load_cached_engine(settings, checkpoint_hash)
    if engine is None:
        from fakedetect.models.devices import warn_about_idle_gpu
        from fakedetect.models.openvino.conversion import choose_engine

        if name_device:
            warn_about_idle_gpu(console)
        model = load_trained_model(settings)
        engine = choose_engine(settings, console, model, checkpoint_hash)
    if name_device:
        console.note(f"{settings.model} runs on {engine.device}")
    calibration = choose_calibration(training.calibration, checkpoint_hash, taken)
    return Detector(
        settings=settings,
        engine=engine,
        calibration=calibration,
        kind=_choose_copy_kind(settings, training).scaled(taken.scaling),
        checkpoint_hash=checkpoint_hash,
        training=training,
        is_probe=probe,
        loaded=model,
        own=read_own_photographs(settings, checkpoint_hash, calibration),
    )


def describe_missing_thresholds(detector: Detector) -> str:
    """Return the warning for a detector without fitted thresholds, with the command that fits them."""
    return (
        f"No thresholds are fitted for {detector.name}: the fake/real threshold is 0.5, and its "
        f"probabilities are not calibrated. Fit them: {detector.settings.command('fit-thresholds')}"
    )


def _choose_copy_kind(settings: Settings, training: TrainingRecord) -> CopyKind:
    """Return the kind of copies the model was trained on: a probe's own, from training.json, or from the
    copies on disk."""
    if is_probe(checkpoint := checkpoint_file(settings)):
        return probe_copies(read_probe(checkpoint).facts.centre_square)
    if training.data and (saved := training.data.kind):
        return CopyKind(saved.aligned, saved.fast)
    folder = settings.resized["train"]
    classes = sorted(folder.iterdir()) if folder.is_dir() else []
    found = next((path for path in classes if path.name.lower() in CLASS_FOLDERS), None)
    return find_copy_kind(found) if found else CopyKind()
