"""A process pool for pictures, with limits of time and memory per picture."""

import itertools
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fakedetect.core.processes.memory import (
    LEAST_BYTES_PER_PICTURE,
    MOST_BYTES_PER_PICTURE,
    TOO_LARGE,
    measure_memory_for_pictures,
)
from fakedetect.core.processes.signals import delay_signals
from fakedetect.core.processes.worker import SECONDS_TO_END, TIME_LIMIT_SIGNAL, WorkerJob, run_worker

SECONDS_PER_PICTURE = 60.0
"""CPU time: on a busy machine, a good picture may take much longer by the clock."""

WALL_CLOCK_FACTOR = 10
"""How many times SECONDS_PER_PICTURE a process may take by the clock while it computes or reads the
disk."""

ITEMS_QUEUED_PER_PROCESS = 4
"""Enough that no process is idle."""

ITEMS_PER_PROCESS = 16
"""Starting a process takes about as long as this many pictures."""


def map_images(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int,
    second_try: Callable[[Any], Any] = lambda _: None,
) -> Iterator[tuple[Any, Any]]:
    """Start up to `workers` processes, and yield (item, function(item)) in the order of completion.

    A picture whose decoder crashes, hangs or uses too much memory does not affect others: its process is
    replaced, and its result is the reason as a str. Processes share the free memory. A picture that needs
    more than a share (its result is TOO_LARGE) is tried again while the other processes are idle.
    `function` and the items must be importable and picklable; exceptions of `function` are raised here.
    Items are read lazily, so there may be more of them than fit into memory.

    Args:
        second_try: called with an item whose process died; returns an item to try instead, or None.
    """
    waiting = _Waiting(items)
    workers = min(workers, max(1, measure_memory_for_pictures() // LEAST_BYTES_PER_PICTURE))
    count = min(workers, 1 + waiting.look_ahead(workers * ITEMS_PER_PROCESS) // ITEMS_PER_PROCESS)
    # Started here, not with the first result: after a progress bar's thread has started, forking is unsafe.
    return _results(_Pool(function, count if waiting.next else 0), waiting, second_try)


def in_order(items: Iterable[Any], results: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield the results of map_images in the order of `items`, which may repeat."""
    early: dict[Any, list[Any]] = {}
    found = iter(results)
    for item in items:
        while not early.get(item):
            other, result = next(found)
            early.setdefault(other, []).append(result)
        yield item, early[item].pop()


def _results(
    pool: "_Pool", waiting: "_Waiting", second_try: Callable[[Any], Any]
) -> Iterator[tuple[Any, Any]]:
    large: deque[Any] = deque()
    try:
        while True:
            for worker in () if large else pool.workers:
                worker.give(waiting)
            if large and not any(worker.given for worker in pool.workers):
                pool.workers[0].give_alone(large.popleft())
            busy = {worker.connection: worker for worker in pool.workers if worker.given}
            if not busy:
                return
            seconds = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
            ready = [busy[connection] for connection in wait(list(busy), seconds)]
            now = time.monotonic()
            late = [each for each in busy.values() if each not in ready and each.is_late(now)]
            for worker in (*ready, *late):
                item, result = worker.take(late=worker in late)
                # A result may be an array, which compares element-wise.
                too_large = isinstance(result, str) and result == TOO_LARGE
                if too_large and worker.shares and pool.share < MOST_BYTES_PER_PICTURE:
                    large.append(item)
                    continue
                instead = None
                if not worker.process.is_alive():
                    instead = second_try(item) if isinstance(result, str) else None
                    waiting.put_back(worker.given)
                    pool.replace(worker)
                if instead is None:
                    yield item, result
                else:
                    waiting.put_back([instead])
    finally:
        pool.end()


class _Pool:
    """The worker processes; they end on request, or with this process."""

    def __init__(self, function: Callable[[Any], Any], count: int):
        self.function = function
        self.share = min(MOST_BYTES_PER_PICTURE, measure_memory_for_pictures() // max(1, count))
        self.context: Any = multiprocessing.get_context("fork" if _may_fork() else "spawn")
        # All processes stop when its other end is closed, also by the end of this process.
        self.stop, self.stopped = self.context.Pipe(duplex=False)
        self.workers: list[_Worker] = []
        try:
            for _ in range(count):
                self.workers.append(self._start_worker())
        except BaseException:
            self.end()
            raise

    def _start_worker(self) -> "_Worker":
        others = [self.stopped, *(worker.connection for worker in self.workers)]
        job = WorkerJob(self.function, SECONDS_PER_PICTURE, self.share)
        return _Worker(context=self.context, job=job, stop=self.stop, others=others)

    def replace(self, worker: "_Worker") -> None:
        """Start another process in place of one that has ended."""
        place = self.workers.index(worker)
        del self.workers[place]
        if not _may_fork():
            self.context = multiprocessing.get_context("spawn")
        self.workers.insert(place, self._start_worker())

    def end(self) -> None:
        """Let every process finish writing its picture, within a time limit."""
        # A second Ctrl-C would interrupt them while they write.
        with delay_signals():
            self.stopped.close()
            for worker in self.workers:
                worker.connection.close()
            deadline = time.monotonic() + SECONDS_TO_END
            for worker in self.workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
            self.stop.close()


def _may_fork() -> bool:
    """Return whether processes may be forked, which is much faster than spawning them.

    Forking is safe only without other threads: another thread, for example of torch, may hold a lock that
    the new process would wait for.
    """
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class _Waiting:
    """Items that no process has received yet."""

    def __init__(self, items: Iterable[Any]):
        self.later = iter(items)
        self.next: deque[Any] = deque()

    def look_ahead(self, most: int) -> int:
        """Return how many items are left, counted up to `most`."""
        self.next.extend(itertools.islice(self.later, max(0, most - len(self.next))))
        return len(self.next)

    def put_back(self, items: Iterable[Any]) -> None:
        """Return items to the front of the queue."""
        self.next.extendleft(reversed(list(items)))


class _Worker:
    """A process and its queued items, in order.

    `shares`: other processes may have pictures too.
    """

    def __init__(self, context: Any, job: WorkerJob, stop: Connection, others: Sequence[Connection]):
        self.connection, theirs = context.Pipe()
        forked = context.get_start_method() == "fork"
        # A forked process inherits this one's ends of all pipes, which it must close.
        copied = [*others, self.connection] if forked else []
        self.process = context.Process(target=run_worker, args=(theirs, job, stop, copied), daemon=True)
        _start(self.process, forked)
        theirs.close()
        self.given: deque[Any] = deque()
        self.shares = True
        self.deadline, self.waited = 0.0, 0

    def give(self, waiting: _Waiting) -> None:
        """Fill the process's pipe."""
        if not self.given:
            self._await()
        while len(self.given) < ITEMS_QUEUED_PER_PROCESS and waiting.look_ahead(1):
            self._send(waiting.next.popleft(), None)

    def give_alone(self, item: Any) -> None:
        """Give the process an item for which it may use all free memory."""
        self._await()
        self.shares = False
        self._send(item, min(MOST_BYTES_PER_PICTURE, measure_memory_for_pictures()))

    def _await(self) -> None:
        self.shares = True
        self.deadline, self.waited = time.monotonic() + SECONDS_PER_PICTURE, 0

    def _send(self, item: Any, memory: int | None) -> None:
        self.given.append(item)
        # If the process has died, reading from it shows that.
        with suppress(OSError):
            self.connection.send((item, memory))

    def is_late(self, now: float) -> bool:
        """Return whether the oldest item takes too long: its time is up, and its process is not
        working."""
        if now < self.deadline:
            return False
        self.waited += 1
        self.deadline = now + SECONDS_PER_PICTURE
        return self.waited >= WALL_CLOCK_FACTOR or not _is_at_work(self.process.pid)

    def take(self, late: bool) -> tuple[Any, Any]:
        """Return the oldest item and its result; a process that died or is late is ended."""
        item = self.given.popleft()
        if not late:
            try:
                raised, result = self.connection.recv()
                self.deadline, self.waited = time.monotonic() + SECONDS_PER_PICTURE, 0
                if raised:
                    raise result
                return item, result
            except (EOFError, ConnectionError):
                pass
        if late:
            self.process.kill()
        self.process.join(SECONDS_TO_END)
        self.process.kill()
        self.process.join()
        self.connection.close()
        if late or self.process.exitcode == -TIME_LIMIT_SIGNAL:
            return item, f"takes longer than {SECONDS_PER_PICTURE:.0f} s"
        return item, "its decoder crashed"


def _is_at_work(number: int) -> bool:
    """Return whether a thread of a process computes, waits for a CPU or for a disk, as far as the
    system reports it."""
    states = set()
    with suppress(OSError):
        for thread in Path(f"/proc/{number}/task").iterdir():
            with suppress(OSError):
                # The process name before it, in parentheses, may contain any character.
                states.add((thread / "stat").read_text(errors="replace").rpartition(")")[2].split()[0])
    return bool(states & {"R", "D"})


def _start(process: Any, forked: bool) -> None:
    """Start a process that Ctrl-C does not reach: during its imports it would print a traceback."""
    if os.name == "posix" and not forked:
        from multiprocessing import resource_tracker

        # It would start with the first process and reset the signal mask that the child must inherit.
        resource_tracker.ensure_running()
    with delay_signals():
        process.start()
