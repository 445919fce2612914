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
from fakedetect.training.run import Plan, train_in_memory
from fakedetect.training.unfinished import find_difference, unfinished_file

OF_EPOCHS = ("compile", "max_epochs", "patience", "validation_share", "save_minutes", "balance", "degrade")
"""Keys under [training] that a probe, which has no epochs, does not look at."""

OVERWRITE, RESUME, FINISHED = "--overwrite", "--resume", ""
"""How the model's own run begins, as the flag that says so: from scratch, where it was stopped, or not at
all, since it is there as the first of several."""


@dataclass(frozen=True)
class TrainRequest:
    """What is to be trained, and how.

    Attributes:
        overwrite: replace a checkpoint and its repeats, and forget an unfinished run.
        resume: continue an unfinished run from where it was saved last.
        recipe: one of recipes.METHODS; otherwise as the settings say.
        repeat: train so many times, with one seed after the other.
        leave_out: train once more without this source, and test on it.
    """

    overwrite: bool = False
    resume: bool = False
    recipe: str | None = None
    repeat: int | None = None
    leave_out: str | None = None

    def words(self, *flags: str) -> list[str]:
        """The same call with other flags."""
        words = ["train"]
        words += ["--recipe", self.recipe] if self.recipe else []
        words += ["--repeat", str(self.repeat)] if self.repeat else []
        return [*words, *flags]


def train(settings: Settings, console: Console, ask: bool = False, **request: Any) -> Outcome:
    """Train by the recipe until the validation loss stops falling; the best epoch is kept.

    Args:
        ask: on a terminal, ask for a source to leave out, and for the recipe.
        request: the fields of TrainRequest.

    Raises:
        UserError: a checkpoint is there and may not be replaced, or the data cannot be used.
    """
    wanted, asks = TrainRequest(**request), ask and console.interactive
    if asks:
        wanted = replace(wanted, leave_out=_ask_source(settings, console))
    _check_flags(settings, wanted)
    if wanted.leave_out:
        return _train_held_out(settings, console, wanted.leave_out)
    begin = _choose_beginning(settings, console, wanted)
    if asks and begin == OVERWRITE:
        wanted = replace(wanted, recipe=_ask_recipe(settings, console))
        if wanted.recipe is None:
            return Outcome("Nothing was trained.", left=True)
    if is_first():
        _warn_about_idle_keys(settings, console, wanted)
    gpus = torch.cuda.device_count()
    if gpus > 1 and not in_group() and console.confirm(f"Train on all {gpus} GPUs?"):
        # A finished run is found again by the processes themselves.
        flags = [begin] if begin else []
        common = ["--paths", str(settings.file), "--model", settings.model]
        return Outcome("", launch(gpus, [*common, *wanted.words(*flags)]))
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        return _train(settings, console, wanted, begin)


def _check_flags(settings: Settings, wanted: TrainRequest) -> None:
    if wanted.leave_out and wanted != TrainRequest(leave_out=wanted.leave_out):
        raise UserError(
            "--leave-out trains as the model was trained, continues what was stopped and keeps the model: "
            "give it without --overwrite, --resume, --recipe and --repeat."
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
            f"--repeat {wanted.repeat} goes beyond the largest seed, {LARGEST_SEED}. Set a smaller seed in "
            f"{settings.file}."
        )


def _choose_beginning(settings: Settings, console: Console, wanted: TrainRequest) -> str:
    """OVERWRITE, RESUME or FINISHED, by what was asked for and what is there.

    Raises:
        UserError: what is there may not be replaced or continued without being asked for.
    """
    if wanted.overwrite:
        return OVERWRITE
    folder, checkpoint = settings.model_folder, checkpoint_file(settings)
    over, again = (settings.command(*wanted.words(flag)) for flag in (OVERWRITE, RESUME))
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
    chosen, why = _with_way(settings, wanted), ""
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


def _with_way(settings: Settings, wanted: TrainRequest) -> Settings:
    """The settings with the way of training that was asked for."""
    return settings.with_recipe(method=wanted.recipe) if wanted.recipe else settings


def _ask_source(settings: Settings, console: Console) -> str | None:
    """The source that is to be left out, None for none; nothing is asked where none can be."""
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
    """The way of training that the user chooses, None for none."""
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
    """Name keys of paths.toml that the user may think are at work."""
    idle = [key for key in settings.idle.get(settings.model, ()) if not (key == "recipe" and wanted.recipe)]
    if idle:
        several = len(idle) > 1
        console.warn(
            f"{_list(idle)} under [training] {'are' if several else 'is'} for the course project's "
            f"models and {'have' if several else 'has'} no effect on {settings.model}. Write "
            f"{'them' if several else 'it'} under [models.{settings.model}]."
        )
    if _with_way(settings, wanted).recipe.method != PROBE:
        return
    usual = Training()
    changed = [key for key in OF_EPOCHS if getattr(settings.training, key) != getattr(usual, key)]
    if changed:
        console.warn(
            f"{_list(changed)} under [training] {'have' if len(changed) > 1 else 'has'} no effect "
            "on a probe, which is fitted in one step and weights classes and sources in its own way."
        )
    if wanted.repeat:
        console.warn(
            "--repeat has no effect on a probe, which has no random start or order: its fit is "
            "deterministic. Its intervals over sources already show how far its figures vary."
        )


def _list(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _train(settings: Settings, console: Console, wanted: TrainRequest, begin: str) -> Outcome:
    """Train in the way that was asked for."""
    settings = _with_way(settings, wanted)
    if settings.recipe.method == PROBE:
        return _fit_probe(settings, console)
    plan = None if begin == FINISHED else Plan(resume=begin == RESUME)
    again = settings.command(*wanted.words())
    if plan and not wanted.repeat:
        trained = train_in_memory(settings, console, plan)
        return describe_trained(settings, trained, f"{again} {RESUME}")
    # It tests too, for which it imports what a single run needs not.
    from fakedetect.training.repeats import describe_repeats, repeat_training

    repeated = repeat_training(settings, console, wanted.repeat or 1, plan)
    return describe_repeats(settings, repeated, again)


def _fit_probe(settings: Settings, console: Console) -> Outcome:
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


def _train_held_out(settings: Settings, console: Console, source: str) -> Outcome:
    """In the first process only, for the test is not shared."""
    if not is_first():
        return Outcome("")
    from fakedetect.training.held_out import train_held_out

    return train_held_out(settings, console, source)
