"""Progress of a job: a bar on a terminal, or about one line a minute elsewhere."""

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
"""Below this width, figures replace the bar."""

USUAL_COLUMNS = 80
"""The width of a terminal that does not report it."""

NARROW_FORMAT = "{desc}: {n_fmt}/{total_fmt}, {remaining} left{postfix}"


def terminal_columns(stream: Any) -> int | None:
    """Return the width of a stream's terminal in columns; None if the stream is not a terminal."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):
        return USUAL_COLUMNS


def format_duration(seconds: float) -> str:
    """Return a time as '45 s', '3 min 20 s', '2 h 10 min' or '3 d 4 h'."""
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


def format_figure(value: float, form: str) -> str:
    """Return a number in one of Python's formats; a percentage has a space: '91.7 %'."""
    return format(value, form).replace("%", " %")


def percent(share: float, decimals: int = 1) -> str:
    """Return a share as '91.7 %'."""
    return format_figure(share, f".{decimals}%")


class Pace:
    """Decides when the next line is due. All jobs of a console share one, so that many short jobs print
    as rarely as a long one."""

    def __init__(self) -> None:
        self.next = time.monotonic() + SECONDS_BETWEEN_LINES

    def is_due(self) -> bool:
        """Return whether to write a line now; True at most once per interval."""
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + SECONDS_BETWEEN_LINES
        return True


class Progress:
    """A running job that counts pictures.

    A thread updates the clock on the screen and writes lines on time, even while a picture or a training
    step takes long.

    Args:
        total: pictures of the whole job.
        label: the name of the job, in a word or two.
        pace: decides when lines are due.
        done: pictures that an earlier run has finished.
        write: writes a line; None shows nothing.
    """

    def __init__(
        self, total: int, label: str, pace: Pace, done: int = 0, write: Callable[[str], None] | None = None
    ):
        self.total, self.label, self.pace, self.write = total, label, pace, write
        self.done = self.before = done
        self.details = ""
        self.begun = time.monotonic()
        self.bar: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Progress":
        if self.write is None:
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
            # After Ctrl-C during the start, nothing else would end the thread.
            self._ended.set()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.write is None:
            return
        self._ended.set()
        self._thread.join()
        if self.bar is not None:
            self.bar.close()

    def count_earlier(self) -> None:
        """Count a picture done by an earlier run; it does not affect the rate."""
        self.done += 1
        self.before += 1
        if self.bar is not None:
            self.bar.n += 1
            self.bar.initial += 1

    def advance(self, count: int = 1) -> None:
        """Count pictures as done."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)

    def set_details(self, details: str) -> None:
        """Show details next to the progress: 'loss 0.4312'."""
        self.details = details
        if self.bar is not None:
            self.bar.set_postfix_str(details, refresh=False)

    @property
    def rate(self) -> float:
        """Pictures per second since the job began here; 0 before the first one."""
        return (self.done - self.before) / max(time.monotonic() - self.begun, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """The remaining time at this rate; None before the first picture."""
        return (self.total - self.done) / self.rate if self.rate else None

    def __str__(self) -> str:
        parts = [f"{self.label}: {self.done:,} of {self.total:,} pictures"]
        if self.total:
            parts[0] += f" ({percent(self.done / self.total, 0)})"
        parts += [self.details] if self.details else []
        if (left := self.seconds_left) is not None:
            parts += [f"{self.rate:.1f} img/s", f"{format_duration(left)} left"]
        return ", ".join(parts)

    def _tick(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_TICKS):
            if self.bar is not None:
                self.bar.refresh()
            elif self.write and self.pace.is_due():
                self.write(str(self))
