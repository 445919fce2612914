"""Repeated training with consecutive seeds, to measure how much a run's figures vary by chance.

The first run is the model's own. Each further run has a sub-folder of the model's and differs in its seed
alone, which decides the training/validation split, the order and the random initial weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.files import hash_file, hash_text
from fakedetect.core.records.repeats import (
    FIGURES,
    RepeatedRun,
    Repeats,
    describe_spread,
    gather_figures,
    gather_repeats,
    read_repeats,
    write_repeats,
)
from fakedetect.core.records.training import read_training
from fakedetect.core.settings.model_folder import (
    OPENVINO_FILES,
    REPEATS_FILE,
    REPEATS_FOLDER,
    model_hash,
)
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, plural
from fakedetect.core.terminal.progress import format_figure
from fakedetect.dataset.samples import describe_faults, load_dataset, name_samples
from fakedetect.models.processes import Group, join_group
from fakedetect.testing.test import measure_folder, write_test
from fakedetect.training.loop import TrainingResult, describe_stop
from fakedetect.training.run import RunPlan, plan_further_run, train_model
from fakedetect.training.unfinished import unfinished_file

FIGURES_SHOWN_PER_RUN = ("validation_loss", "accuracy", "roc_auc", "recall_fake", "recall_real")
"""The figures that are printed after each run."""


@dataclass(frozen=True, kw_only=True)
class RepeatedTraining:
    """The finished runs, None if there are none.

    `faults` has the reasons of the unreadable pictures. `stopped_in` has the settings of the run that the
    user stopped, None if all are finished; `stopped` is that run's result, None if it was stopped after
    its training.
    """

    record: Repeats | None
    faults: Mapping[Path, str]
    stopped_in: Settings | None = None
    stopped: TrainingResult | None = None


def make_run_settings(settings: Settings, number: int) -> Settings:
    """Return the settings of a run by its number; 0 is the model's own run."""
    if number == 0:
        return settings
    seed = settings.training.seed + number
    folder = settings.model_folder / REPEATS_FOLDER / f"seed_{seed}"
    return replace(settings, training=replace(settings.training, seed=seed), folder=folder)


class _Series:
    """The finished runs, in memory and in repeats.json."""

    def __init__(self, settings: Settings, console: Console, group: Group):
        self.settings, self.console, self.group = settings, console, group
        self.pictures = _find_test_pictures(settings)
        self.checkpoint = ""
        self.runs: dict[int, RepeatedRun] = {}
        self.faults: dict[Path, str] = {}

    def add(self, own: Settings) -> RepeatedRun:
        """Add a trained run, the model's own first: use its figures from an earlier call, or test it.

        Call it in every process.
        """
        group, seed = self.group, own.training.seed
        checkpoint = group.gather(model_hash(own) if group.first else "")[0]
        if not self.checkpoint:
            self.checkpoint = checkpoint
            self.runs = group.gather(self._read_earlier() if group.first else {})[0]
        run = self.runs.get(seed)
        if run is None or run.checkpoint != checkpoint:
            run = self.runs[seed] = self._measure(own, checkpoint)
        if group.first:
            write_repeats(self.settings.model_folder, self.record)
        return run

    @property
    def record(self) -> Repeats:
        """All finished runs, in the order of their seeds."""
        runs = [self.runs[seed] for seed in sorted(self.runs)]
        return gather_repeats(self.checkpoint, runs, self.pictures)

    def _read_earlier(self) -> dict[int, RepeatedRun]:
        """Read an earlier call's runs by seed, if it had the same model and the same test pictures."""
        again = self.settings.command("train", "--repeat", "3")
        found = read_repeats(self.settings.model_folder, self.checkpoint, again)
        same = found is not None and found.test_pictures == self.pictures
        return {run.seed: run for run in found.runs} if found and same else {}

    def _measure(self, own: Settings, checkpoint: str) -> RepeatedRun:
        results = None
        if self.pictures is not None:
            run = measure_folder(own, self.console, "test", self.group)
            self.faults |= run.predictions.bad
            results = run.results
            if self.group.first:
                write_test(own, run)
                _remove_network(own, self.settings)
        best = read_training(own.model_folder).best
        if best is None:
            raise UserError(f"{own.model_folder} has no record of its run. Train it again.")
        return RepeatedRun(
            seed=own.training.seed,
            checkpoint=checkpoint,
            best_epoch=best.epoch,
            figures=gather_figures(best, results),
        )


def _remove_network(own: Settings, settings: Settings) -> None:
    """Remove the OpenVINO files of a further run: as large as the checkpoint, and not needed again."""
    if own.model_folder != settings.model_folder:
        for name in OPENVINO_FILES:
            (own.model_folder / name).unlink(missing_ok=True)


def _find_test_pictures(settings: Settings) -> str | None:
    """Hash the names and contents of the test copies; return None if there are none."""
    try:
        found = load_dataset(settings, "test")
    except UserError:
        return None
    named = zip(name_samples(found), found.samples, strict=True)
    return hash_text("\0".join(f"{name} {hash_file(sample.path)}" for name, sample in named))


def repeat_training(
    settings: Settings, console: Console, count: int, first: RunPlan | None
) -> RepeatedTraining:
    """Train the chosen model `count` times, test each run and save mean and spread of the figures.

    Further runs that are already finished under the same conditions are kept.

    Args:
        first: the plan for the model's own run; None if it is finished.

    Raises:
        UserError: the data, the settings or the memory do not allow it.
    """
    with join_group() as group:
        series = _Series(settings, console, group)
        stopped_in, stopped = None, None
        for number in range(count):
            stopped_in = own = make_run_settings(settings, number)
            try:
                plan = group.gather(plan_further_run(own) if group.first else None)[0] if number else first
                before = "" if plan else ": already finished"
                console.note(f"Run {number + 1} of {count}, seed {own.training.seed}{before}")
                if plan:
                    plan = replace(plan, group=group)
                    trained = train_model(own, console, plan)
                    series.faults |= trained.faults
                    if trained.stopped:
                        stopped = trained
                        break
                if number == 0:
                    settings = _as_trained(settings)
                console.show(_describe_run(series.add(own)))
            except KeyboardInterrupt:
                break
            stopped_in = None
        return RepeatedTraining(
            record=series.record if series.runs else None,
            faults=series.faults,
            stopped_in=stopped_in,
            stopped=stopped,
        )


def _as_trained(settings: Settings) -> Settings:
    """Return the settings with the batch size of the model's own run, which memory may have limited."""
    run = read_training(settings.model_folder).run
    return settings.with_recipe(batch_size=run.batch_size) if run else settings


def _describe_run(run: RepeatedRun) -> str:
    found = ", ".join(
        f"{words} {format_figure(value, form)}"
        for name, (words, form) in FIGURES.items()
        if name in FIGURES_SHOWN_PER_RUN and (value := getattr(run.figures, name)) is not None
    )
    return f"Seed {run.seed}, best epoch {run.best_epoch}: {found}"


def describe_repeats(settings: Settings, found: RepeatedTraining, again: str) -> Outcome:
    """Describe the results of repeated training.

    Args:
        again: the command without flags.
    """
    record = found.record
    lines, spread = describe_faults(found.faults), list[str]()
    if record and record.spread:
        spread = [
            *([] if len(record.runs) > 2 else ["Two runs give only a rough estimate of the spread."]),
            f"{settings.model}, {plural(len(record.runs), 'run')} ({record.seeds}), mean ± sample "
            "standard deviation:",
            *describe_spread(record),
        ]
    if found.stopped_in:
        lines = [*spread, *lines]
        lines += _describe_stop(found.stopped_in, found)
        # --resume is needed only if there is something to continue.
        begun = found.record or unfinished_file(settings.model_folder).is_file()
        lines.append(f"To continue: {again}{' --resume' if begun else ''}")
    elif record:
        if record.test_pictures is None:
            test = settings.resized["test"]
            lines.append(
                f"No test figures: {test} contains no copies. Make them: {settings.command('resize')}"
            )
        lines.append(f"Figures of each run: {settings.model_folder / REPEATS_FILE}")
        lines.append(
            f"Further runs: {settings.model_folder / REPEATS_FOLDER}; {settings.checkpoint} is the first"
        )
        lines += spread
    return Outcome("\n".join(lines), 130 if found.stopped_in else 1 if found.faults else 0)


def _describe_stop(own: Settings, found: RepeatedTraining) -> list[str]:
    """Describe what is saved of the stopped run, and which runs are finished."""
    finished = f"finished: {found.record.seeds}" if found.record else "none has finished"
    return [
        *(describe_stop(own, found.stopped) if found.stopped else ["Stopped."]),
        f"That was the run with seed {own.training.seed}; {finished}.",
    ]
