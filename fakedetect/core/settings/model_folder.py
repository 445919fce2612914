"""A model's folder: the names of its files, and the model's state."""

import re
import shutil
from functools import cache
from pathlib import Path

from fakedetect.core.derived import derived_folder_of
from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, hash_text, state_of
from fakedetect.core.installation import STARTER, STARTERS, shipped_folder
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.progress import percent

TEXTURE_VOTE = "texture_vote.json"
"""Written by the robust recipe until version 0.6; no longer read."""
PROBE_FILE = "probe.safetensors"
BACKBONE_FILE = "backbone.safetensors"
"""Weights of a probe's backbone that came with the probe."""
HELD_OUT_SCORES = "out_of_fold.json"
BACKBONE_CHECK = "backbone_check.json"
FEATURES = "features.bin"
NETWORK, NETWORK_WEIGHTS, OPENVINO_CACHE = OPENVINO_FILES = (
    "openvino.xml",
    "openvino.bin",
    "openvino.json",
)
"""The checkpoint converted for OpenVINO, and the record of its source."""
TRAINING = "training.json"
OWN_PHOTOGRAPHS = "own_photographs.json"
"""The model's results on photographs that its user knows to be real."""
LOG = "training_log.csv"
LOSS_PLOT = "loss_plot.jpg"
UNFINISHED = "unfinished_run.pth"
EVALUATION = "evaluation.json"
ROBUSTNESS_FIGURE = "robustness.png"
RELIABILITY_FIGURE = "reliability.png"
REPORT = "report.html"
REVIEW_PAGE = "review.html"
REPEATS_FOLDER = "repeats"
"""Further runs of the model, with other seeds."""
REPEATS_FILE = "repeats.json"


def features_file(folder: Path) -> Path:
    """Return the cache file with the features of a model folder's probe."""
    return derived_folder_of("features", folder) / FEATURES


def results_file(folder: Path, on: str) -> Path:
    """Return the file with the results on 'train' or 'test'."""
    return folder / f"{on}_results.json"


def predictions_file(folder: Path, on: str) -> Path:
    """Return the file with the predictions on 'train' or 'test', one row per picture."""
    return folder / f"{on}_predictions.csv"


def foreign_predictions_file(folder: Path, name: str) -> Path:
    """Return the file with the predictions on a foreign folder; `name` is its name in the evaluation."""
    return folder / f"foreign_{_as_file_name(name)}_predictions.csv"


def name_without(source: str) -> str:
    """Return the name of the subfolder for the run without a source."""
    return f"without_{_as_file_name(source)}"


def _as_file_name(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60]
    # The hash distinguishes names that become the same letters.
    return plain if plain == name else f"{plain}_{hash_text(name)[:8]}"


def confusion_figure(folder: Path, on: str) -> Path:
    """Return the file with the confusion matrix on 'train' or 'test'."""
    return folder / f"confusion_matrix_{on}.png"


def checkpoint_file(settings: Settings) -> Path:
    """Return the chosen model's checkpoint: classifier_model.pth, a .safetensors file, or a probe."""
    return next((path for path in _checkpoints(settings) if path.exists()), settings.checkpoint)


def _checkpoints(settings: Settings) -> tuple[Path, ...]:
    path = settings.checkpoint
    return path, path.with_suffix(".safetensors"), path.with_name(PROBE_FILE)


def find_unnamed_models(settings: Settings) -> list[str]:
    """Return the folders with a checkpoint of a whole model that the settings file does not name."""
    if not settings.model_folders.is_dir():
        return []
    named = {name.casefold() for name in settings.models}
    return sorted(
        folder.name
        for folder in settings.model_folders.iterdir()
        if folder.name.casefold() not in named
        and not folder.name.startswith(".")
        and any((folder / f"classifier_model{ending}").is_file() for ending in (".pth", ".safetensors"))
    )


def remove_other_checkpoints(settings: Settings, kept: Path) -> None:
    """Remove the checkpoints that a new one replaces, and everything derived from them."""
    for path in _checkpoints(settings):
        if path != kept:
            path.unlink(missing_ok=True)
    for name in (*OPENVINO_FILES, REPEATS_FILE, TEXTURE_VOTE):
        (settings.model_folder / name).unlink(missing_ok=True)
    if (repeats := settings.model_folder / REPEATS_FOLDER).is_dir():
        shutil.rmtree(repeats)


def is_probe(checkpoint: Path) -> bool:
    """Return whether a checkpoint is a linear classifier on the features of a backbone."""
    return checkpoint.name == PROBE_FILE


def find_trained_models(settings: Settings) -> list[Settings]:
    """Return the settings of each of the user's models that has a checkpoint, with that model chosen."""
    found = [settings.with_model(name) for name in settings.models if name not in STARTERS]
    return [each for each in found if checkpoint_file(each).is_file()]


def find_starter(settings: Settings, name: str = STARTER) -> Settings | None:
    """Return the settings with a starter chosen; None if paths.toml lacks it or its files are missing."""
    if name not in settings.models:
        return None
    found = settings.with_model(name)
    return found if checkpoint_file(found).is_file() else None


def adopt_starter(settings: Settings) -> None:
    """Copy a chosen starter from the installed package to the user's models, before anything is written
    about it.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    shipped = shipped_folder(settings.model)
    if shipped and settings.model_folder == shipped:
        temporary = settings.model_folders / f".{settings.model}.partial"
        shutil.copytree(shipped, temporary, dirs_exist_ok=True)
        temporary.rename(settings.model_folders / settings.model)


def require_checkpoint(settings: Settings) -> Path:
    """Return checkpoint_file(), which must exist.

    Raises:
        UserError: the model has not been trained.
    """
    path = checkpoint_file(settings)
    if not path.is_file():
        raise UserError(
            f"{settings.model} has no checkpoint {settings.checkpoint}. "
            f"Train it first: {settings.command('train')}"
        )
    return path


def model_hash(settings: Settings) -> str:
    """Return the hash of the chosen model's checkpoint."""
    return hash_checkpoint(require_checkpoint(settings))


def hash_checkpoint(path: Path) -> str:
    """Return hash_file() of a model file, cached while the file is unchanged."""
    return _hash_cached(path, state_of(path))


@cache
def _hash_cached(path: Path, _: tuple[int, ...]) -> str:
    return hash_file(path)


def describe_model(settings: Settings, name: str) -> str:
    """Return the state of a model: 'trained, tested: accuracy 92.00 %'."""
    chosen = settings.with_model(name)
    unfinished = "; a run was stopped" if (chosen.model_folder / UNFINISHED).is_file() else ""
    return f"{_describe_checkpoint(chosen)}{unfinished}"


def _describe_held_out(settings: Settings) -> str:
    """Return a probe's ROC AUC on held-out sources; '' if its evaluation does not have it."""
    from fakedetect.core.records.evaluation import read_evaluation

    file = settings.model_folder / EVALUATION
    try:
        found = read_evaluation(file, model_hash(settings), settings.command("evaluate"))
    except UserError:
        return f"; its {file.name} cannot be used"
    lowest = next(iter(found.held_out), None) if found else None
    if lowest is None or lowest.auc.value is None:
        return ""
    on = "with" if lowest.by_collection else "on"
    return f"; ROC AUC {lowest.auc.value:.2f} {on} {lowest.condition}"


def _describe_checkpoint(settings: Settings) -> str:
    checkpoint = checkpoint_file(settings)
    if not checkpoint.is_file():
        return "not trained"
    if checkpoint.stat().st_size < 1000:
        return f"its {checkpoint.name} is not a model (a Git LFS pointer?)"
    # Imported late: the menu of an untrained model and all workers start faster.
    from fakedetect.core.records.evaluation import read_results

    file = results_file(checkpoint.parent, "test")
    try:
        results = read_results(file, settings.command("test"))
    except UserError:
        return f"trained; its {file.name} cannot be used"
    if results is None:
        return f"trained{_describe_held_out(settings) if is_probe(checkpoint) else ''}"
    if checkpoint.stat().st_mtime > file.stat().st_mtime and results.checkpoint != model_hash(settings):
        # Hashed only if it is newer: hashing a large checkpoint delays the menu.
        return "trained; not tested since"
    return f"trained, tested: accuracy {percent(results.accuracy, 2)}"
