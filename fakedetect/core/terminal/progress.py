"""How far a job has come: a bar on a terminal, and a line about once a minute elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

SECONDS_BETWEEN_LINES = 60.0
SECONDS_BETWEEN_TICKS = 1.0

NARROW_COLUMNS = 80
"""Columns below which figures are worth more than a bar."""

USUAL_COLUMNS = 80
"""Columns of a terminal that does not tell."""

NARROW_FORMAT = "{desc}: {n_fmt}/{total_fmt}, {remaining} left{postfix}"


def terminal_columns(stream: Any) -> int | None:
    """The width of a stream's terminal in columns; None where it is none."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):
        return USUAL_COLUMNS


def format_duration(seconds: float) -> str:
    """'45 s', '3 min 20 s', '2 h 10 min', '3 d 4 h'."""
    whole = round(seconds)
    for size, unit, part, part_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {part_unit}" if rest else "")
    return f"{whole} s"


class Pace:
    """When the next line is due. All jobs of a console share one, so that many short ones in a row speak
    as often as a long one."""

    def __init__(self) -> None:
        self.next = time.monotonic() + SECONDS_BETWEEN_LINES

    def is_due(self) -> bool:
        """Whether to write a line now; asked again, not before the time has passed once more."""
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + SECONDS_BETWEEN_LINES
        return True


class Progress:
    """A job under way, of so many pictures.

    A thread keeps the clock on the screen going, and writes the lines in time, also while a picture or
    a step of training takes long.

    Args:
        total: the pictures of the whole job.
        label: what is done, in a word or two.
        pace: when lines are due.
        done: pictures that an earlier run has done.
        say: writes a line; None shows nothing at all.
    """

    def __init__(
        self, total: int, label: str, pace: Pace, done: int = 0, say: Callable[[str], None] | None = None
    ):
        self.total, self.label, self.pace, self.say = total, label, pace, say
        self.done = self.before = done
        self.details = ""
        self.begun = time.monotonic()
        self.bar: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Progress":
        if self.say is None:
            return self
        if columns := terminal_columns(sys.stderr):
            from tqdm import tqdm

            self.bar = tqdm(
                total=self.total,
                initial=self.done,
                desc=self.label,
                unit=" img",
                file=sys.stderr,
                dynamic_ncols=True,
                bar_format=NARROW_FORMAT if columns < NARROW_COLUMNS else None,
            )
        try:
            self._thread.start()
        except BaseException:
            # Ctrl-C while the thread starts: nothing would end it later.
            self._ended.set()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.say is None:
            return
        self._ended.set()
        self._thread.join()
        if self.bar is not None:
            self.bar.close()

    def count_earlier(self) -> None:
        """A picture was done by an earlier run, which says nothing of the rate."""
        self.done += 1
        self.before += 1
        if self.bar is not None:
            self.bar.n += 1
            self.bar.initial += 1

    def advance(self, count: int = 1) -> None:
        """So many pictures more are done."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)

    def set_details(self, details: str) -> None:
        """Show details of the work beside its progress: 'loss 0.4312'."""
        self.details = details
        if self.bar is not None:
            self.bar.set_postfix_str(details, refresh=False)

    @property
    def rate(self) -> float:
        """Pictures a second since the job began here; 0 before the first is done."""
        return (self.done - self.before) / max(time.monotonic() - self.begun, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes at this rate; None before the first picture is done."""
        return (self.total - self.done) / self.rate if self.rate else None

    def __str__(self) -> str:
        parts = [f"{self.label}: {self.done:,} of {self.total:,} pictures"]
        if self.total:
            parts[0] += f" ({self.done / self.total:.0%})"
        parts += [self.details] if self.details else []
        if (left := self.seconds_left) is not None:
            parts += [f"{self.rate:.1f} img/s", f"{format_duration(left)} left"]
        return ", ".join(parts)

    def _tick(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_TICKS):
            if self.bar is not None:
                self.bar.refresh()
            elif self.say and self.pace.is_due():
                self.say(str(self))
