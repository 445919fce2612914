"""A worker process that handles pictures one by one, within limits of time and memory."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from fakedetect.core.processes.memory import (
    BYTES_KEPT_FOR_PICTURES,
    PICTURE_MEMORY_LIMIT,
    keep_freed_memory,
)
from fakedetect.core.processes.signals import ENDING_SIGNALS

SECONDS_TO_END = 5.0

TIME_LIMIT_SIGNAL = int(getattr(signal, "SIGPROF", 0))
"""The signal that ends a process whose time is up; 0 if the system has none."""


class WorkerJob(NamedTuple):
    """What a process does: its function, the CPU time per picture (s), and the memory per picture
    (bytes) while other processes work."""

    function: Callable[[Any], Any]
    seconds: float
    share: int


def _measure_libraries() -> int:
    """Return the size of this process's address space in bytes before its first picture; 0 if unknown."""
    try:
        import resource

        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return 0


def _limit_memory(total_bytes: int) -> None:
    """Limit the address space of this process, if the system supports it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (total_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextmanager
def _time_limited(seconds: float) -> Iterator[None]:
    """End this process after this much CPU time, if the system supports it."""
    if not TIME_LIMIT_SIGNAL:
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _end_with_parent() -> None:
    """End this process soon after its parent was killed, even while a decoder hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # The current picture may still be finished; the closed pipe ends the process after it.
        time.sleep(SECONDS_TO_END)
        os._exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    """End this process; it removes its partial files."""
    sys.exit(128 + number)


def run_worker(
    connection: Connection, job: WorkerJob, stop: Connection, copied: Sequence[Connection]
) -> None:
    """Process items until the pipe ends; `copied` are the parent's pipe ends that a fork duplicates."""
    # Ctrl-C reaches the whole process group; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    for other in copied:
        other.close()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    libraries, limit = _measure_libraries(), 0
    keep_freed_memory(BYTES_KEPT_FOR_PICTURES)
    try:
        while True:
            item, memory = connection.recv()
            if stop.poll():
                return
            PICTURE_MEMORY_LIMIT.set(job.share if memory is None else None)
            if limit != (limit := memory or job.share) and libraries:
                _limit_memory(libraries + limit)
            try:
                with _time_limited(job.seconds):
                    answer = False, job.function(item)
            except Exception as error:
                answer = True, error
            connection.send(answer)
    except (EOFError, OSError):
        return
