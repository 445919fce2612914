"""What a training has come to, in words: a run of epochs, finished or stopped, and a probe."""

from typing import TYPE_CHECKING

from fakedetect.core.settings.model_folder import (
    CURVE_FIGURE,
    EVALUATION,
    LOG,
    LOSS_PLOT,
    OUT_OF_FOLD,
    PROBE_FILE,
    TRAINING,
)
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Outcome, plural
from fakedetect.core.terminal.progress import duration
from fakedetect.dataset.samples import describe_faults
from fakedetect.metrics.unseen_words import tell_thresholds, tell_unseen, tell_what_helps
from fakedetect.training.log import best_of
from fakedetect.training.loop import Trained

if TYPE_CHECKING:
    from fakedetect.training.probe import Fitted


def describe_trained(settings: Settings, trained: Trained, again: str) -> Outcome:
    """What a run has come to.

    Args:
        again: the command that goes on with one that was stopped.
    """
    lines = describe_faults(trained.faults)
    if trained.stopped:
        more = [f"To continue: {again}"] if trained.epochs or trained.started else []
        lines = [*describe_stop(settings, trained), *more, *lines]
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


def describe_stop(settings: Settings, trained: Trained) -> list[str]:
    """What of a stopped run is saved, and what is lost."""
    epochs, started = len(trained.epochs), trained.started
    lost = f"the last {duration(trained.seconds_lost)} of work"
    if not epochs and not started:
        lines = [f"Stopped in the first epoch: only this epoch is lost ({lost})."]
        if settings.checkpoint.is_file():
            lines.append(f"{settings.checkpoint} is still the model from an earlier run.")
        return lines
    saved = [plural(epochs, "epoch")] if epochs else []
    if started:
        saved.append(f"{started.steps:,} of {started.of_steps:,} steps of epoch {epochs + 1}")
    return [f"Stopped. Saved: {' and '.join(saved)}; lost: {lost}."]


def describe_probe(settings: Settings, fitted: "Fitted") -> list[str]:
    """What the fit of a probe has come to."""
    probe, folder = fitted.probe, settings.model_folder
    lines = describe_faults(fitted.bad)
    if fitted.copies:
        lines.append(
            f"{plural(fitted.copies, 'original')} {'is' if fitted.copies == 1 else 'are'} missing: the "
            "resized copies were used, re-encoded so that formats do not leak the class."
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
            else ["On held-out sources it is no better than chance, so no thresholds are set."]
        ),
        f"Saved: {folder / PROBE_FILE}, {TRAINING}, {EVALUATION} and {OUT_OF_FOLD}",
    ]
    if fitted.curves:
        lines.append(f"Effect of more sources: {folder / CURVE_FIGURE}")
    lines.append(f"Next, test it: {settings.command('test')}")
    return lines
