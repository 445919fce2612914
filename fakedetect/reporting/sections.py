"""What the sections of a report show beside the records that its template reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fakedetect.core.records.evaluation import Entry, Evaluation, Robustness, TestEntry, VerdictRates
from fakedetect.core.records.repeats import Repeats
from fakedetect.core.records.training import Epoch, TrainingRecord, ValidationRecord
from fakedetect.core.settings.model_input import Scaling
from fakedetect.core.settings.recipes import REFERENCE, UNBALANCED
from fakedetect.metrics.calibration import is_of_calibration
from fakedetect.metrics.measures import UNCALIBRATED_CURVE
from fakedetect.models.detector import Detector
from fakedetect.reporting.charts import Chart, draw_chart
from fakedetect.testing.figures import kind_name, kinds_of, plot_reliability, plot_robustness
from fakedetect.training.log import plot_accuracy, plot_losses


@dataclass(frozen=True)
class Verdicts:
    """What the present thresholds come to.

    Attributes:
        rates: by the name of a set of pictures, the validation pictures first.
        again: of the sets that were evaluated before these thresholds were fitted, the command that
            evaluates again.
        charts: how reliable p(fake) is on the test dataset.
        ece: the expected calibration error there; None where it was not measured.
    """

    rates: Mapping[str, VerdictRates | ValidationRecord]
    again: Mapping[str, str]
    charts: Sequence[Chart]
    ece: float | None


def gather_verdicts(detector: Detector, evaluation: Evaluation) -> Verdicts | None:
    """What the thresholds come to on each set of pictures; None where this checkpoint has none."""
    fitted, test, command = detector.training.calibration, evaluation.test, detector.settings.command
    if fitted is None or not detector.calibration.fitted:
        return None
    entries: dict[str, tuple[Entry, str]] = {"test": (test, command("evaluate"))} if test else {}
    for name, entry in evaluation.foreign.items():
        entries[name] = (entry, command("evaluate", "--data", entry.folder))
    current: dict[str, VerdictRates | ValidationRecord] = {
        name: entry.verdicts
        for name, (entry, _) in entries.items()
        if entry.verdicts and is_of_calibration(entry.verdicts, detector.calibration)
    }
    held_out = fitted.unseen_real_sources or fitted.unseen_families
    validated = {"held-out sources" if held_out else "validation": fitted.validation}
    measured = "test" in current
    return Verdicts(
        rates={name: rates for name, rates in (validated | current).items() if rates},
        again={
            "the test dataset" if name == "test" else name: again
            for name, (_, again) in entries.items()
            if name not in current
        },
        charts=_draw_reliability(test, measured) if test else (),
        ece=test.verdicts.ece_calibrated if test and test.verdicts and measured else None,
    )


def _draw_reliability(test: TestEntry, calibrated: bool) -> list[Chart]:
    return [
        draw_chart(f"Reliability: {name}", partial(plot_reliability, bins=bins, title=""))
        for name, bins in test.reliability.items()
        if name == UNCALIBRATED_CURVE or calibrated
    ]


def draw_robustness(found: Robustness) -> list[Chart]:
    """A chart for each kind of degradation."""
    return [
        draw_chart(kind_name(kind), partial(plot_robustness, kind=kind, found=found))
        for kind in kinds_of(found)
    ]


def draw_curves(epochs: Sequence[Epoch]) -> list[Chart]:
    """The learning curves."""
    return [
        draw_chart("Training vs. Validation Loss", lambda axes: plot_losses(axes, epochs, "")),
        draw_chart("Validation accuracy", lambda axes: plot_accuracy(axes, epochs, "")),
    ]


def _duration(seconds: float) -> str:
    """'1 h 05 min', '3 min 20 s' or '12 s'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def describe_training(training: TrainingRecord, epochs: Sequence[Epoch]) -> dict[str, object]:
    """The recipe by its words; None for what is not known."""
    recipe, run, said = training.recipe, training.run, training.input
    if recipe is None:
        return {}
    balance = run.balance if run else UNBALANCED
    return {
        "architecture": f"{recipe.architecture} ({recipe.library})",
        "pictures": Scaling(said.size, said.interpolation) if said.size and said.interpolation else None,
        "recipe": recipe.method,
        "balance": None
        if balance == UNBALANCED
        else f"{balance} shown equally often and weighted equally in validation",
        "parameters": None if training.parameters is None else f"{training.parameters:,}",
        "pretrained": training.pretrained,
        "optimizer": recipe.optimizer,
        "learning rate": recipe.learning_rate,
        "weight decay": recipe.weight_decay,
        "batch size": recipe.batch_size,
        "seed": training.seed,
        "precision": training.precision,
        "device": training.device,
        "training time": _duration(sum(epoch.seconds for epoch in epochs)) if epochs else None,
        "finished": training.finished,
    }


def _given(flag: str, value: float | None) -> list[str]:
    """An option as words of a command; none where it was not given. Of a flag alone the value is a bool."""
    if not value:
        return []
    return [flag] if value is True else [flag, f"{value:g}"]


def _train_again(training: TrainingRecord, repeats: Repeats | None) -> list[str]:
    recipe = training.recipe.method if training.recipe else REFERENCE
    of_recipe = [] if recipe == REFERENCE else ["--recipe", recipe]
    return ["train", *of_recipe, *_given("--repeat", len(repeats) if repeats else None)]


def commands_again(detector: Detector, evaluation: Evaluation, repeats: Repeats | None) -> list[str]:
    """The commands that give this report again; of a checkpoint from elsewhere, without training it."""
    training, kind = detector.training, detector.kind
    commands = [
        ["scan"],
        ["resize", *_given("--align", kind.aligned), *_given("--fast", kind.fast)],
        *([_train_again(training, repeats)] if training.known else []),
        ["test"],
    ]
    if (fitted := training.calibration) and detector.calibration.fitted:
        alarms, missed = fitted.max_false_alarms, fitted.max_missed
        bounds = [*_given("--max-false-alarms", alarms), *_given("--max-missed", missed)]
        commands.append(["fit-thresholds", *bounds])
    if evaluation.test:
        commands.append(["evaluate"])
    commands += [["evaluate", "--data", entry.folder] for entry in evaluation.foreign.values()]
    commands += [["train", "--leave-out", source] for source in evaluation.left_out]
    return [detector.settings.lasting_command(*words) for words in [*commands, ["report"]]]
