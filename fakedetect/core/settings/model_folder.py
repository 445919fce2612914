"""A model's folder: the names of its files, and what they say of its state."""

import re
import shutil
from functools import cache
from pathlib import Path

from fakedetect.core.derived import folder_of
from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, hash_text, state_of
from fakedetect.core.installation import STARTER, STARTERS, shipped_folder
from fakedetect.core.settings.settings import Settings

TEXTURE_VOTE = "texture_vote.json"
"""What the robust recipe left beside its checkpoint until version 0.6; nothing reads it."""
PROBE_FILE = "probe.safetensors"
BACKBONE_FILE = "backbone.safetensors"
"""Weights of a probe's backbone that came along with it."""
OUT_OF_FOLD = "out_of_fold.json"
BACKBONE_CHECK = "backbone_check.json"
FEATURES = "features.bin"
NETWORK, NETWORK_WEIGHTS, OPENVINO_CACHE = OPENVINO_FILES = (
    "openvino.xml",
    "openvino.bin",
    "openvino.json",
)
"""The checkpoint as OpenVINO reads it, and what it was made of."""
TRAINING = "training.json"
LOG = "training_log.csv"
LOSS_PLOT = "loss_plot.jpg"
UNFINISHED = "unfinished_run.pth"
EVALUATION = "evaluation.json"
ROBUSTNESS_FIGURE = "robustness.png"
RELIABILITY_FIGURE = "reliability.png"
REPORT = "report.html"
REVIEW_PAGE = "review.html"
REPEATS = "repeats"
"""A folder of further runs of the model, with other seeds."""
REPEATS_FILE = "repeats.json"


def features_file(folder: Path) -> Path:
    """Where the features that a model folder's probe looks at are kept."""
    return folder_of("features", folder) / FEATURES


def results_file(folder: Path, on: str) -> Path:
    """The results of a test on 'train' or 'test'."""
    return folder / f"{on}_results.json"


def predictions_file(folder: Path, on: str) -> Path:
    """The answers of a test on 'train' or 'test', picture by picture."""
    return folder / f"{on}_predictions.csv"


def foreign_predictions_file(folder: Path, name: str) -> Path:
    """The answers to the pictures of a foreign folder, picture by picture; `name` is the evaluation's."""
    return folder / f"foreign_{_as_file_name(name)}_predictions.csv"


def name_without(source: str) -> str:
    """The name of the folder, in the model's, of the run without a source."""
    return f"without_{_as_file_name(source)}"


def _as_file_name(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60]
    # Two names may come to the same letters.
    return plain if plain == name else f"{plain}_{hash_text(name)[:8]}"


def confusion_figure(folder: Path, on: str) -> Path:
    """The confusion matrix of a test on 'train' or 'test'."""
    return folder / f"confusion_matrix_{on}.png"


def checkpoint_file(settings: Settings) -> Path:
    """The chosen model's classifier_model.pth, or what stands in for it: a .safetensors, a probe."""
    return next((path for path in _checkpoints(settings) if path.exists()), settings.checkpoint)


def _checkpoints(settings: Settings) -> tuple[Path, ...]:
    path = settings.checkpoint
    return path, path.with_suffix(".safetensors"), path.with_name(PROBE_FILE)


def find_unnamed(settings: Settings) -> list[str]:
    """The folders that hold a checkpoint of a whole model, beside those of the models that have a name."""
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
    """Remove the checkpoints that a new one has replaced, and what was made of them or repeated them."""
    for path in _checkpoints(settings):
        if path != kept:
            path.unlink(missing_ok=True)
    for name in (*OPENVINO_FILES, REPEATS_FILE, TEXTURE_VOTE):
        (settings.model_folder / name).unlink(missing_ok=True)
    if (repeats := settings.model_folder / REPEATS).is_dir():
        shutil.rmtree(repeats)


def is_probe(checkpoint: Path) -> bool:
    """Whether a checkpoint is a line on a backbone's features, and no whole model."""
    return checkpoint.name == PROBE_FILE


def trained_models(settings: Settings) -> list[Settings]:
    """The settings of every model of the user's that has a checkpoint, each with its own chosen."""
    found = [settings.with_model(name) for name in settings.models if name not in STARTERS]
    return [each for each in found if checkpoint_file(each).is_file()]


def find_starter(settings: Settings, name: str = STARTER) -> Settings | None:
    """The settings with one of STARTERS chosen; None where paths.toml lacks it, or its files are gone."""
    if name not in settings.models:
        return None
    found = settings.with_model(name)
    return found if checkpoint_file(found).is_file() else None


def adopt_starter(settings: Settings) -> None:
    """Copy a chosen starter that lies in the installed package to the user's own models, before anything
    is written about it.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    shipped = shipped_folder(settings.model)
    if shipped and settings.model_folder == shipped:
        beside = settings.model_folders / f".{settings.model}.partial"
        shutil.copytree(shipped, beside, dirs_exist_ok=True)
        beside.rename(settings.model_folders / settings.model)


def require_checkpoint(settings: Settings) -> Path:
    """checkpoint_file, which is there.

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
    """The hash of the chosen model's checkpoint, which its answers depend on."""
    return hash_checkpoint(require_checkpoint(settings))


def hash_checkpoint(path: Path) -> str:
    """hash_file of a file of a model, which is read once as long as it stays the same."""
    return _hash_of(path, state_of(path))


@cache
def _hash_of(path: Path, _: tuple[int, ...]) -> str:
    return hash_file(path)


def describe_model(settings: Settings, name: str) -> str:
    """'trained, tested: accuracy 92.00 %' for a model, by the files in its folder."""
    chosen = settings.with_model(name)
    unfinished = "; a run was stopped" if (chosen.model_folder / UNFINISHED).is_file() else ""
    return f"{_describe_checkpoint(chosen)}{unfinished}"


def _describe_unseen(settings: Settings) -> str:
    """What a probe makes of sources that it has never seen; '' where its evaluation does not say."""
    from fakedetect.core.records.evaluation import read_evaluation

    file = settings.model_folder / EVALUATION
    try:
        found = read_evaluation(file, model_hash(settings), settings.command("evaluate"))
    except UserError:
        return f"; its {file.name} cannot be used"
    if found is None or found.unseen_sources is None or found.unseen_sources.auc.value is None:
        return ""
    return f"; ROC AUC {found.unseen_sources.auc.value:.2f} on unseen sources"


def _describe_checkpoint(settings: Settings) -> str:
    checkpoint = checkpoint_file(settings)
    if not checkpoint.is_file():
        return "not trained"
    if checkpoint.stat().st_size < 1000:
        return f"its {checkpoint.name} is not a model (a Git LFS pointer?)"
    # The menu starts sooner without it where nothing has been trained yet, and so does every worker.
    from fakedetect.core.records.test import read_results

    file = results_file(checkpoint.parent, "test")
    try:
        results = read_results(file, settings.command("test"))
    except UserError:
        return f"trained; its {file.name} cannot be used"
    if results is None:
        return f"trained{_describe_unseen(settings) if is_probe(checkpoint) else ''}"
    if checkpoint.stat().st_mtime > file.stat().st_mtime and results.checkpoint != model_hash(settings):
        # Only where it is newer: hashing a large one would hold up the menu.
        return "trained; not tested since"
    return f"trained, tested: accuracy {100 * results.accuracy:.2f} %"
