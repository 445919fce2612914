"""How long a run takes at most: said once, as soon as its rate is known."""

import time

from fakedetect.core.console import Console, plural
from fakedetect.core.progress import duration
from fakedetect.core.settings import Training

STEP_IN_PASSES = 3
"""A training step takes about as long as so many passes forward."""

FEW_STEPS = 10
FEW_SECONDS = 5.0
"""Both have to pass before the rate of an epoch is taken for that of the others…"""

ENOUGH_SECONDS = 30.0
"""…or these alone, where steps are slow."""

WORTH_A_LINE = 60.0
"""Seconds; who waits no longer needs no forecast."""


def measure_epoch(training: int, validation: int, rate: float) -> float:
    """The seconds of an epoch with so many pictures to train and to validate on.

    Args:
        rate: pictures a second that are trained on.
    """
    return (training + validation / STEP_IN_PASSES) / rate


class Forecast:
    """Says once a run how long it takes at most.

    Args:
        training: pictures of an epoch; validation: likewise.
        passes: pictures that are looked at once more at the end of the run.
        runs: how many of its kind are to come, this one included.
    """

    def __init__(
        self, console: Console, options: Training, training: int, validation: int, passes: int, runs: int
    ):
        self.console, self.options, self.runs = console, options, runs
        self.training, self.validation, self.passes = training, validation, passes
        self.told = False
        self._first: tuple[int, int, int, float] | None = None

    def see_steps(self, epoch: int, steps: int, pictures: int) -> None:
        """So many steps and pictures of an epoch are done, and the device has caught up.

        The first steps of an epoch load and warm up, so the rate is that from the first call on.
        """
        now = time.monotonic()
        if self._first is None or self._first[0] != epoch:
            self._first = epoch, steps, pictures, now
            return
        _, first_step, first_picture, begun = self._first
        seconds = now - begun
        few = steps - first_step >= FEW_STEPS and seconds >= FEW_SECONDS
        if few or seconds >= ENOUGH_SECONDS:
            rate = (pictures - first_picture) / seconds
            each = measure_epoch(self.training, self.validation, rate)
            self._tell(epoch, each, self.passes / STEP_IN_PASSES / rate)

    def see_epoch(self, epoch: int, seconds: float) -> None:
        """An epoch, validated and all, has taken so long."""
        passes = self.training + self.validation / STEP_IN_PASSES
        self._tell(epoch, seconds, seconds * self.passes / STEP_IN_PASSES / passes)

    def _tell(self, epoch: int, each: float, at_the_end: float) -> None:
        if self.told:
            return
        self.told = True
        epochs = self.options.max_epochs - epoch + 1
        seconds = epochs * each + at_the_end
        further = (self.runs - 1) * (self.options.max_epochs * each + at_the_end)
        if seconds + further < WORTH_A_LINE:
            return
        left = "" if epoch == 1 else " left"
        text = f"At this rate at most {duration(seconds)} for {plural(epochs, 'epoch')}{left}"
        text += f" ({duration(each)} each)" if epochs > 1 else ""
        if self.runs > 1:
            after = "run" if self.runs == 2 else f"{self.runs - 1} runs"
            text += f", {duration(seconds + further)} in all with the {after} to follow"
        if self.options.patience < epochs:
            text += "; training stops sooner if the validation loss stops falling"
        self.console.note(text)
