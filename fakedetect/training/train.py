"""Option 3.1: train the chosen model."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock
from fakedetect.core.settings.model_folder import REPEATS_FOLDER, checkpoint_file, features_file
from fakedetect.core.settings.recipes import (
    LARGEST_SEED,
    METHOD_DESCRIPTIONS,
    METHODS,
    PROBE,
    ROBUST,
    ROBUST_REMOVED,
)
from fakedetect.core.settings.settings import Settings, Training
from fakedetect.core.terminal.console import BACK, Console, Outcome, printable
from fakedetect.models.processes import in_group, is_first, launch
from fakedetect.training.loop import describe_trained
from fakedetect.training.run import RunPlan, train_model
from fakedetect.training.unfinished import find_difference, unfinished_file

EPOCH_KEYS = ("compile", "max_epochs", "patience", "validation_share", "save_minutes", "balance", "degrade")
"""Keys under [training] that have no effect on a probe, which has no epochs."""

OVERWRITE, RESUME, FINISHED = "--overwrite", "--resume", ""
"""How the model's own run begins, as a flag: from scratch, where it was stopped, or not at all, because it
is finished and is the first of several."""


@dataclass(frozen=True)
class TrainRequest:
    """The options of a `train` command.

    Attributes:
        overwrite: replace a checkpoint and its repeats, and discard an unfinished run.
        resume: continue an unfinished run from its last save.
        recipe: one of recipes.METHODS; None uses the recipe in the settings.
        repeat: the number of runs, with consecutive seeds.
        leave_out: train once more without this source, and test on it.
    """

    overwrite: bool = False
    resume: bool = False
    recipe: str | None = None
    repeat: int | None = None
    leave_out: str | None = None

    def make_arguments(self, *flags: str) -> list[str]:
        """Return the arguments of the same command with other flags."""
        arguments = ["train"]
        arguments += ["--recipe", self.recipe] if self.recipe else []
        arguments += ["--repeat", str(self.repeat)] if self.repeat else []
        return [*arguments, *flags]


def train(settings: Settings, console: Console, ask: bool = False, **request: Any) -> Outcome:
    """Train the chosen model by its recipe.

    Args:
        ask: on a terminal, ask for a source to leave out, and for the recipe.
        request: the fields of TrainRequest.

    Raises:
        UserError: a checkpoint exists and may not be replaced, or the data cannot be used.
    """
    wanted, asks = TrainRequest(**request), ask and console.interactive
    if asks:
        wanted = replace(wanted, leave_out=_ask_source(settings, console))
    _check_flags(settings, wanted)
    if wanted.leave_out:
        return _train_without_source(settings, console, wanted.leave_out)
    begin = _choose_beginning(settings, console, wanted)
    if asks and begin == OVERWRITE:
        wanted = replace(wanted, recipe=_ask_recipe(settings, console))
        if wanted.recipe is None:
            return Outcome("Nothing was trained.", left=True)
    if is_first():
        _warn_about_idle_keys(settings, console, wanted)
    gpus = torch.cuda.device_count()
    if gpus > 1 and not in_group() and console.confirm(f"Train on all {gpus} GPUs?"):
        # The processes recognise a finished run themselves.
        flags = [begin] if begin else []
        common = ["--paths", str(settings.file), "--model", settings.model]
        return Outcome("", launch(gpus, [*common, *wanted.make_arguments(*flags)]))
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        return _train(settings, console, wanted, begin)


def _check_flags(settings: Settings, wanted: TrainRequest) -> None:
    if wanted.leave_out and wanted != TrainRequest(leave_out=wanted.leave_out):
        raise UserError(
            "--leave-out uses the recipe of the trained model, resumes automatically and keeps the model: "
            "use it without --overwrite, --resume, --recipe and --repeat."
        )
    if wanted.overwrite and wanted.resume:
        raise UserError("--overwrite starts over and --resume continues: use one of them.")
    if wanted.recipe == ROBUST:
        raise UserError(ROBUST_REMOVED)
    if wanted.repeat is None:
        return
    if wanted.repeat < 2:
        raise UserError(f"--repeat {wanted.repeat}: give the number of runs, 2 or more.")
    if settings.training.seed + wanted.repeat - 1 > LARGEST_SEED:
        raise UserError(
            f"--repeat {wanted.repeat} exceeds the largest seed, {LARGEST_SEED}. Set a smaller seed in "
            f"{settings.file}."
        )


def _choose_beginning(settings: Settings, console: Console, wanted: TrainRequest) -> str:
    """Return OVERWRITE, RESUME or FINISHED, by the request and the files in the model's folder.

    Raises:
        UserError: an existing run may not be replaced or continued without a flag or the user's consent.
    """
    if wanted.overwrite:
        return OVERWRITE
    folder, checkpoint = settings.model_folder, checkpoint_file(settings)
    over, again = (settings.command(*wanted.make_arguments(flag)) for flag in (OVERWRITE, RESUME))
    if unfinished_file(folder).is_file():
        if wanted.resume or console.confirm(f"{folder} contains an unfinished run. Continue it?"):
            return RESUME
        if console.confirm("Discard it and train from scratch?"):
            return OVERWRITE
        raise UserError(
            f"{folder} contains an unfinished run. To continue it: {again}; to start over: {over}"
        )
    if not checkpoint.exists() or (wanted.resume and not wanted.repeat):
        return RESUME if wanted.resume else OVERWRITE
    chosen, why = _with_recipe(settings, wanted), ""
    if wanted.repeat and chosen.recipe.method != PROBE:
        difference = find_difference(chosen)
        if difference is None:
            return FINISHED
        why = f", from another run ({difference})"
    what = "it and its repeats" if (folder / REPEATS_FOLDER).is_dir() else "it"
    if wanted.resume or not console.confirm(
        f"{checkpoint} already exists{why}. Train again and replace {what}?"
    ):
        raise UserError(f"{checkpoint} was kept unchanged{why}. To replace {what}: {over}")
    return OVERWRITE


def _with_recipe(settings: Settings, wanted: TrainRequest) -> Settings:
    """Return the settings with the requested recipe."""
    return settings.with_recipe(method=wanted.recipe) if wanted.recipe else settings


def _ask_source(settings: Settings, console: Console) -> str | None:
    """Ask for a source to leave out, if there is any; return None for none."""
    from fakedetect.training.held_out import find_sources

    sources = {printable(source): source for source in find_sources(settings)}
    if not sources:
        return None

    def read(answer: str) -> str:
        if answer not in sources:
            raise UserError(f"Please enter one of {', '.join(sources)}")
        return sources[answer]

    return console.ask_until(
        f"Leave out a source, to see how the model generalises ({', '.join(sources)}; Enter: none)", read
    )


def _ask_recipe(settings: Settings, console: Console) -> str | None:
    """Ask for the recipe; return None if the user goes back."""
    usual = settings.recipe.method
    names = sorted(METHODS, key=lambda name: name != usual)
    choices = [
        (
            str(number),
            f"{name}: {METHOD_DESCRIPTIONS[name]}{' (set in paths.toml)' if name == usual else ''}",
        )
        for number, name in enumerate(names, start=1)
    ]
    key = console.choose("Recipe", [*choices, (BACK, "Back")])
    return None if key in (None, BACK) else names[int(key) - 1]


def _warn_about_idle_keys(settings: Settings, console: Console, wanted: TrainRequest) -> None:
    """Warn about keys of paths.toml and flags that have no effect on this training."""
    idle = [key for key in settings.idle.get(settings.model, ()) if not (key == "recipe" and wanted.recipe)]
    if idle:
        several = len(idle) > 1
        console.warn(
            f"{_join_names(idle)} under [training] {'are' if several else 'is'} for the course project's "
            f"models and {'have' if several else 'has'} no effect on {settings.model}. Write "
            f"{'them' if several else 'it'} under [models.{settings.model}]."
        )
    if _with_recipe(settings, wanted).recipe.method != PROBE:
        return
    usual = Training()
    changed = [key for key in EPOCH_KEYS if getattr(settings.training, key) != getattr(usual, key)]
    if changed:
        console.warn(
            f"{_join_names(changed)} under [training] {'have' if len(changed) > 1 else 'has'} no effect "
            "on a probe, which is fitted in one step and weights classes and sources in its own way."
        )
    if wanted.repeat:
        console.warn(
            "--repeat has no effect on a probe, which has no random start or order: its fit is "
            "deterministic. Its intervals over sources already show how far its figures vary."
        )


def _join_names(names: Sequence[str]) -> str:
    """Return 'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _train(settings: Settings, console: Console, wanted: TrainRequest, begin: str) -> Outcome:
    """Train by the requested recipe, once or repeatedly."""
    settings = _with_recipe(settings, wanted)
    if settings.recipe.method == PROBE:
        return _train_probe(settings, console)
    plan = None if begin == FINISHED else RunPlan(resume=begin == RESUME)
    again = settings.command(*wanted.make_arguments())
    if plan and not wanted.repeat:
        trained = train_model(settings, console, plan)
        return describe_trained(settings, trained, f"{again} {RESUME}")
    # Imported here because it also tests, which a single run does not need.
    from fakedetect.training.repeats import describe_repeats, repeat_training

    repeated = repeat_training(settings, console, wanted.repeat or 1, plan)
    return describe_repeats(settings, repeated, again)


def _train_probe(settings: Settings, console: Console) -> Outcome:
    from fakedetect.training.probe import describe_probe, train_probe

    try:
        fitted = train_probe(settings, console)
    except KeyboardInterrupt:
        lines = [
            f"Stopped. The features computed so far are kept in {features_file(settings.model_folder)}.",
            f"To continue: {settings.command('train', '--recipe', PROBE, '--overwrite')}",
        ]
        return Outcome("\n".join(lines), 130)
    if fitted is None:
        return Outcome("")
    return Outcome("\n".join(describe_probe(settings, fitted)), 1 if fitted.bad else 0)


def _train_without_source(settings: Settings, console: Console, source: str) -> Outcome:
    """Retrain in the first process only, because the test is not distributed."""
    if not is_first():
        return Outcome("")
    from fakedetect.training.held_out import train_held_out

    return train_held_out(settings, console, source)
