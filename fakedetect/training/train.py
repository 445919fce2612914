"""Option 3.1: train the chosen model."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from fakedetect.core.console import BACK, Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock
from fakedetect.core.model_folder import (
    CURVE_FIGURE,
    EVALUATION,
    FEATURES,
    LOG,
    LOSS_PLOT,
    OUT_OF_FOLD,
    PROBE_FILE,
    TRAINING,
    checkpoint_file,
)
from fakedetect.core.progress import duration
from fakedetect.core.recipes import METHODS, METHODS_IN_WORDS, PROBE
from fakedetect.core.settings import Settings, Training
from fakedetect.dataset.samples import describe_faults
from fakedetect.models.processes import in_group, is_first, launch
from fakedetect.models.unseen_words import tell_thresholds, tell_unseen, tell_what_helps
from fakedetect.training.log import best_of
from fakedetect.training.loop import Trained
from fakedetect.training.run import train_in_memory
from fakedetect.training.unfinished import unfinished_file

if TYPE_CHECKING:
    from fakedetect.training.probe import Fitted

OF_EPOCHS = ("compile", "max_epochs", "patience", "validation_share", "save_minutes", "balance")
"""Keys under [training] that a probe, which has no epochs, does not look at."""


def train(
    settings: Settings,
    console: Console,
    overwrite: bool = False,
    resume: bool = False,
    recipe: str | None = None,
    ask: bool = False,
) -> Outcome:
    """Train by the recipe until the validation loss stops falling; the best epoch is kept.

    Args:
        overwrite: replace a checkpoint, and forget an unfinished run.
        resume: continue an unfinished run from where it was saved last.
        recipe: the way of training, one of recipes.METHODS; otherwise that of the unfinished run, or
            as the settings say.
        ask: on a terminal, ask for the recipe.

    Raises:
        UserError: a checkpoint is there and may not be replaced, or the data cannot be used.
    """
    if overwrite and resume:
        raise UserError("--overwrite starts over and --resume continues: give one of them.")
    if not resume:
        resume = _may_start(settings, console, overwrite)
    if ask and not resume and console.interactive:
        recipe = _ask_recipe(settings, console)
        if recipe is None:
            return Outcome("Nothing was trained.")
    _tell_idle(settings, console, recipe)
    gpus = torch.cuda.device_count()
    if gpus > 1 and not in_group() and console.confirm(f"Train on all {gpus} GPUs?"):
        command = ["--paths", str(settings.file), "--model", settings.model, "train"]
        command += ["--recipe", recipe] if recipe else []
        return Outcome("", launch(gpus, [*command, "--resume" if resume else "--overwrite"]))
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        if (recipe or settings.recipe.method) == PROBE:
            return _fit_probe(settings.with_recipe(method=PROBE), console)
        trained = train_in_memory(settings, console, resume, recipe)
    return _describe(settings, trained)


def _tell_idle(settings: Settings, console: Console, recipe: str | None) -> None:
    """Name keys of paths.toml that the user may think are at work."""
    if not is_first():
        return
    idle = [key for key in settings.idle.get(settings.model, ()) if not (key == "recipe" and recipe)]
    if idle:
        several = len(idle) > 1
        console.warn(
            f"{' and '.join(idle)} under [training] {'are' if several else 'is'} for the course project's "
            f"models and {'have' if several else 'has'} no effect on {settings.model}. Write "
            f"{'them' if several else 'it'} under [models.{settings.model}]."
        )
    usual = Training()
    changed = [key for key in OF_EPOCHS if getattr(settings.training, key) != getattr(usual, key)]
    if changed and (recipe or settings.recipe.method) == PROBE:
        console.warn(
            f"{' and '.join(changed)} under [training] {'have' if len(changed) > 1 else 'has'} no effect "
            "on a probe, which is fitted at once and weighs classes and sources in its own way."
        )


def _fit_probe(settings: Settings, console: Console) -> Outcome:
    from fakedetect.training.probe import train_probe

    try:
        fitted = train_probe(settings, console)
    except KeyboardInterrupt:
        lines = [
            f"Stopped. The features computed so far are kept in {settings.model_folder / FEATURES}.",
            f"To continue: {settings.command('train', '--recipe', PROBE, '--overwrite')}",
        ]
        return Outcome("\n".join(lines), 130)
    if fitted is None:
        return Outcome("")
    return Outcome("\n".join(_describe_probe(settings, fitted)), 1 if fitted.bad else 0)


def _describe_probe(settings: Settings, fitted: "Fitted") -> list[str]:
    probe, folder = fitted.probe, settings.model_folder
    lines = describe_faults(fitted.bad)
    if fitted.copies:
        lines.append(
            f"{plural(fitted.copies, 'original')} {'is' if fitted.copies == 1 else 'are'} gone: the copies "
            "stood in, encoded once more, so that their formats do not give the classes away."
        )
    lines += [
        f"Fitted {settings.model} to {plural(fitted.pictures, 'picture')} in {duration(fitted.seconds)}: "
        f"families of fakes {probe.families:,}, real sources {probe.real_sources:,}, features "
        f"{fitted.features:,}, strength {probe.strength:g}",
        *tell_unseen(fitted.unseen, probe.folds),
        *tell_what_helps(fitted.unseen),
        *(
            tell_thresholds(settings.model, fitted.calibration)
            if fitted.calibration
            else ["On sources left out it is no better than chance, so no thresholds are set."]
        ),
        f"Saved: {folder / PROBE_FILE}, {TRAINING}, {EVALUATION} and {OUT_OF_FOLD}",
    ]
    if fitted.curves:
        lines.append(f"What more sources gain: {folder / CURVE_FIGURE}")
    lines.append(f"Next, test it: {settings.command('test')}")
    return lines


def _ask_recipe(settings: Settings, console: Console) -> str | None:
    """The way of training that the user chooses, None for none."""
    usual = settings.recipe.method
    names = sorted(METHODS, key=lambda name: name != usual)
    choices = [
        (str(number), f"{name}: {METHODS_IN_WORDS[name]}{' (as paths.toml says)' if name == usual else ''}")
        for number, name in enumerate(names, start=1)
    ]
    key = console.choose("Recipe", [*choices, (BACK, "Back")])
    return None if key in (None, BACK) else names[int(key) - 1]


def _describe(settings: Settings, trained: Trained) -> Outcome:
    lines = describe_faults(trained.faults)
    if trained.stopped:
        lines = [*_describe_stop(settings, trained), *lines]
    else:
        epochs = plural(len(trained.epochs), "epoch")
        lines.append(f"Trained {settings.model}: {epochs} in {duration(trained.seconds)}")
    if trained.epochs:
        best = best_of(trained.epochs)
        lines += [
            f"Best epoch: {best.epoch} (validation loss {best.val_loss:.4f}, accuracy "
            f"{best.val_accuracy:.2%}), saved as {settings.checkpoint}",
            f"Loss graph: {settings.model_folder / LOSS_PLOT}",
            f"Log and settings of the run: {LOG} and {TRAINING} in the same folder",
        ]
    if not trained.stopped:
        lines.append(f"Next, test it: {settings.command('test')}")
    return Outcome("\n".join(lines), 130 if trained.stopped else 1 if trained.faults else 0)


def _describe_stop(settings: Settings, trained: Trained) -> list[str]:
    """What of a stopped run is saved, what is lost, and how to go on."""
    epochs, started = len(trained.epochs), trained.started
    lost = f"the last {duration(trained.seconds_lost)} of work"
    if not epochs and not started:
        lines = [f"Stopped in the first epoch: nothing is lost but this epoch ({lost})."]
        if settings.checkpoint.is_file():
            lines.append(f"{settings.checkpoint} is still the model of an earlier run.")
        return lines
    saved = [plural(epochs, "epoch")] if epochs else []
    if started:
        saved.append(f"{started.steps:,} of {started.of_steps:,} steps of epoch {epochs + 1}")
    return [
        f"Stopped. Saved: {' and '.join(saved)}; lost: {lost}.",
        f"To continue: {settings.command('train', '--resume')}",
    ]


def _may_start(settings: Settings, console: Console, overwrite: bool) -> bool:
    """Whether to continue an unfinished run, True, or to start over.

    Raises:
        UserError: neither may be done without being asked for.
    """
    if overwrite:
        return False
    if unfinished_file(settings.model_folder).is_file():
        if console.confirm(f"{settings.model_folder} holds an unfinished run. Continue it?"):
            return True
        if not console.confirm("Discard it and train from scratch?"):
            raise UserError(
                f"{settings.model_folder} holds an unfinished run. To continue it: "
                f"{settings.command('train', '--resume')}; to start over: "
                f"{settings.command('train', '--overwrite')}"
            )
    elif (checkpoint := checkpoint_file(settings)).exists() and not console.confirm(
        f"{checkpoint} is there already. Train again and replace it?"
    ):
        raise UserError(
            f"{checkpoint} was left as it is. To replace it: {settings.command('train', '--overwrite')}"
        )
    return False
