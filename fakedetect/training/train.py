"""Option 3.1: train the chosen model."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock
from fakedetect.core.records.training import read_training
from fakedetect.core.settings.model_folder import FEATURES, REPEATS, checkpoint_file
from fakedetect.core.settings.recipes import (
    LARGEST_SEED,
    METHODS,
    METHODS_IN_WORDS,
    PROBE,
    ROBUST,
    ROBUST_REMOVED,
)
from fakedetect.core.settings.settings import Settings, Training
from fakedetect.core.terminal.console import BACK, Console, Outcome, printable
from fakedetect.models.processes import in_group, is_first, launch
from fakedetect.training.outcome import describe_probe, describe_trained
from fakedetect.training.run import Plan, train_in_memory
from fakedetect.training.unfinished import unfinished_file

OF_EPOCHS = ("compile", "max_epochs", "patience", "validation_share", "save_minutes", "balance", "degrade")
"""Keys under [training] that a probe, which has no epochs, does not look at."""

PROBES_REPEAT = (
    "--repeat has no effect on a probe, which has no random start or order: its fit is deterministic. "
    "Its intervals over sources already show how far its figures vary."
)


@dataclass(frozen=True)
class _Call:
    """What the user has asked for, beside how to treat what is there."""

    settings: Settings
    recipe: str | None
    repeat: int | None

    @property
    def chosen(self) -> Settings:
        """The settings with the way of training that was asked for."""
        return self.settings.with_recipe(method=self.recipe) if self.recipe else self.settings

    def words(self, *flags: str) -> list[str]:
        """The same call with other flags."""
        words = ["train"]
        words += ["--recipe", self.recipe] if self.recipe else []
        words += ["--repeat", str(self.repeat)] if self.repeat else []
        return [*words, *flags]

    def command(self, *flags: str) -> str:
        """The same call with other flags, for the user to type."""
        return self.settings.command(*self.words(*flags))


def train(
    settings: Settings,
    console: Console,
    overwrite: bool = False,
    resume: bool = False,
    recipe: str | None = None,
    repeat: int | None = None,
    leave_out: str | None = None,
    ask: bool = False,
) -> Outcome:
    """Train by the recipe until the validation loss stops falling; the best epoch is kept.

    Args:
        overwrite: replace a checkpoint and its repeats, and forget an unfinished run.
        resume: continue an unfinished run from where it was saved last.
        recipe: one of recipes.METHODS; otherwise that of the unfinished run, or as the settings say.
        repeat: train so many times, with one seed after the other.
        leave_out: train once more without this source, and test on it.
        ask: on a terminal, ask for a source to leave out, and for the recipe.

    Raises:
        UserError: a checkpoint is there and may not be replaced, or the data cannot be used.
    """
    if ask and console.interactive:
        leave_out = _ask_source(settings, console)
    if leave_out:
        return _train_held_out(settings, console, leave_out, bool(overwrite or resume or recipe or repeat))
    if overwrite and resume:
        raise UserError("--overwrite starts over and --resume continues: use one of them.")
    _check_flags(settings, recipe, repeat)
    if repeat and resume and not recipe:
        recipe = _recipe_so_far(settings)
    call = _Call(settings, recipe, repeat)
    differs = _tell_difference(call) if repeat and not overwrite else ""
    finished = differs is None
    if not overwrite and not finished:
        resume = _may_start(call, console, resume, differs or "")
    if ask and not resume and console.interactive:
        call = replace(call, recipe=_ask_recipe(settings, console))
        if call.recipe is None:
            return Outcome("Nothing was trained.")
    _tell_idle(settings, console, call.recipe)
    gpus = torch.cuda.device_count()
    if gpus > 1 and not in_group() and console.confirm(f"Train on all {gpus} GPUs?"):
        # A finished run is found again by the processes themselves.
        way = "--resume" if resume else "--overwrite"
        common = ["--paths", str(settings.file), "--model", settings.model]
        return Outcome("", launch(gpus, [*common, *call.words(*([] if finished else [way]))]))
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        return _train(call, console, resume, finished)


def _train_held_out(settings: Settings, console: Console, source: str, otherwise: bool) -> Outcome:
    """In the first process only, for the test is not shared; `otherwise`: other flags were given too."""
    if otherwise:
        raise UserError(
            "--leave-out trains as the model was trained, continues what was stopped and keeps the model: "
            "give it without --overwrite, --resume, --recipe and --repeat."
        )
    if not is_first():
        return Outcome("")
    from fakedetect.training.held_out import train_held_out

    return train_held_out(settings, console, source)


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


def _check_flags(settings: Settings, recipe: str | None, repeat: int | None) -> None:
    if recipe == ROBUST:
        raise UserError(ROBUST_REMOVED)
    if repeat is not None and repeat < 2:
        raise UserError(f"--repeat {repeat}: give the number of runs, 2 or more.")
    if repeat and settings.training.seed + repeat - 1 > LARGEST_SEED:
        raise UserError(
            f"--repeat {repeat} goes beyond the largest seed, {LARGEST_SEED}. Set a smaller seed in "
            f"{settings.file}."
        )


def _train(call: _Call, console: Console, resume: bool, finished: bool) -> Outcome:
    """Train in the way that was asked for; `finished`: the first of several runs is there."""
    if call.chosen.recipe.method == PROBE:
        if call.repeat and is_first():
            console.warn(PROBES_REPEAT)
        return _fit_probe(call.chosen, console)
    plan = Plan(resume=resume, recipe=call.recipe)
    if not call.repeat:
        trained = train_in_memory(call.settings, console, plan)
        return describe_trained(call.settings, trained, call.command("--resume"))
    # It tests too, for which it imports what a single run needs not.
    from fakedetect.training.repeats import describe_repeats, repeat_training

    repeated = repeat_training(call.chosen, console, call.repeat, None if finished else plan)
    return describe_repeats(call.settings, repeated, call.command)


def _tell_idle(settings: Settings, console: Console, recipe: str | None) -> None:
    """Name keys of paths.toml that the user may think are at work."""
    if not is_first():
        return
    idle = [key for key in settings.idle.get(settings.model, ()) if not (key == "recipe" and recipe)]
    if idle:
        several = len(idle) > 1
        console.warn(
            f"{_list(idle)} under [training] {'are' if several else 'is'} for the course project's "
            f"models and {'have' if several else 'has'} no effect on {settings.model}. Write "
            f"{'them' if several else 'it'} under [models.{settings.model}]."
        )
    usual = Training()
    changed = [key for key in OF_EPOCHS if getattr(settings.training, key) != getattr(usual, key)]
    if changed and (recipe or settings.recipe.method) == PROBE:
        console.warn(
            f"{_list(changed)} under [training] {'have' if len(changed) > 1 else 'has'} no effect "
            "on a probe, which is fitted in one step and weights classes and sources in its own way."
        )


def _list(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


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
    return Outcome("\n".join(describe_probe(settings, fitted)), 1 if fitted.bad else 0)


def _ask_recipe(settings: Settings, console: Console) -> str | None:
    """The way of training that the user chooses, None for none."""
    usual = settings.recipe.method
    names = sorted(METHODS, key=lambda name: name != usual)
    choices = [
        (str(number), f"{name}: {METHODS_IN_WORDS[name]}{' (set in paths.toml)' if name == usual else ''}")
        for number, name in enumerate(names, start=1)
    ]
    key = console.choose("Recipe", [*choices, (BACK, "Back")])
    return None if key in (None, BACK) else names[int(key) - 1]


def _may_start(call: _Call, console: Console, resume: bool, differs: str) -> bool:
    """Whether to continue an unfinished run, True, or to start over.

    Args:
        resume: the user wants to continue.
        differs: why the model that is there is not the first of several runs.

    Raises:
        UserError: neither may be done without being asked for.
    """
    folder, over = call.settings.model_folder, call.command("--overwrite")
    checkpoint = checkpoint_file(call.settings)
    if unfinished_file(folder).is_file():
        if resume or console.confirm(f"{folder} contains an unfinished run. Continue it?"):
            return True
        if console.confirm("Discard it and train from scratch?"):
            return False
        again = call.command("--resume")
        raise UserError(
            f"{folder} contains an unfinished run. To continue it: {again}; to start over: {over}"
        )
    if checkpoint.exists() and not (resume and not call.repeat):
        why = f", from another run ({differs})" if differs else ""
        what = "it and its repeats" if (folder / REPEATS).is_dir() else "it"
        if resume or not console.confirm(
            f"{checkpoint} already exists{why}. Train again and replace {what}?"
        ):
            raise UserError(f"{checkpoint} was kept unchanged{why}. To replace {what}: {over}")
    return resume


def _tell_difference(call: _Call) -> str | None:
    """Why the model that is there is not the first of the runs that are asked for; None where it is."""
    if call.chosen.recipe.method == PROBE or not checkpoint_file(call.settings).is_file():
        return ""
    from fakedetect.training.repeats import find_difference

    return find_difference(call.chosen)


def _recipe_so_far(settings: Settings) -> str | None:
    """The way of training of the model's finished run, where it is another one than the settings'."""
    then = read_training(settings.model_folder).run
    if then is None or unfinished_file(settings.model_folder).is_file():
        return None
    return then.recipe if then.recipe in METHODS and then.recipe != settings.recipe.method else None
