"""Work on pictures spread over processes, each picture within limits of time and memory."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from fakedetect.core.processes.heap import MOST_FOR_PICTURES, keep_freed
from fakedetect.core.processes.signals import ENDING, delay_signals

SECONDS_A_PICTURE = 60.0
MEMORY_A_PICTURE = 4 * 1024**3
"""Bytes that a process may take beyond what its libraries need."""

AHEAD = 4
"""Pictures that wait in each process's pipe, so that none stands idle."""

ITEMS_A_PROCESS = 16
"""Starting a process takes as long as about so many pictures do."""

SECONDS_TO_END = 5.0


def map_images(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int,
    second_try: Callable[[Any], Any] = lambda _: None,
) -> Iterator[tuple[Any, Any]]:
    """Start up to `workers` processes, and yield (item, function(item)) as they are done.

    A picture whose decoder crashes its process, hangs or takes too much memory harms no other: its
    process is replaced, and its result is the reason as a str. `function` and the items must be
    importable and picklable; what `function` raises is raised here. The items are taken as they
    are needed, so there may be more of them than the memory holds.

    Args:
        second_try: of an item that a process was lost on, another one to try in its place; None for no.
    """
    waiting = _Waiting(items)
    count = min(workers, 1 + waiting.look_ahead(workers * ITEMS_A_PROCESS) // ITEMS_A_PROCESS)
    # Now, not when the first result is asked for: a bar's thread would stand in the way of a fork.
    return _results(_Pool(function, count if waiting.next else 0), waiting, second_try)


def in_order(items: Iterable[Any], results: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """What map_images yields of the items, in their order; one may be there several times."""
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
    try:
        while True:
            for worker in pool.workers:
                worker.give(waiting)
            busy = {worker.connection: worker for worker in pool.workers if worker.given}
            if not busy:
                return
            seconds = max(0.0, min(worker.deadline for worker in busy.values()) - time.monotonic())
            ready = [busy[connection] for connection in wait(list(busy), seconds)]
            now = time.monotonic()
            late = [worker for worker in busy.values() if worker.deadline < now and worker not in ready]
            for worker in (*ready, *late):
                item, result = worker.take(late=worker in late)
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
    """The processes, which all end when they are told to, or when this one does."""

    def __init__(self, function: Callable[[Any], Any], count: int):
        self.function = function
        self.context: Any = multiprocessing.get_context("fork" if _may_fork() else "spawn")
        # Closing its other end tells all processes to stop, as this process's own end does.
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
        return _Worker(context=self.context, function=self.function, stop=self.stop, others=others)

    def replace(self, worker: "_Worker") -> None:
        """Start another process in the place of one that has ended."""
        place = self.workers.index(worker)
        del self.workers[place]
        if not _may_fork():
            self.context = multiprocessing.get_context("spawn")
        self.workers.insert(place, self._start_worker())

    def end(self) -> None:
        """Let every process finish the picture that it is writing, but not wait for ever."""
        # A second Ctrl-C would end them in the middle of it.
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
    """Whether processes may be forked, which takes a fraction of the time of starting them afresh.

    Only where nothing else runs in this one: another thread, torch's among them, may hold what the
    process would wait for.
    """
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class _Waiting:
    """The items that no process has been given yet."""

    def __init__(self, items: Iterable[Any]):
        self.later = iter(items)
        self.next: deque[Any] = deque()

    def look_ahead(self, most: int) -> int:
        """How many items there are, counted up to `most`."""
        self.next.extend(itertools.islice(self.later, max(0, most - len(self.next))))
        return len(self.next)

    def put_back(self, items: Iterable[Any]) -> None:
        """Items that are to be given once more, before all others."""
        self.next.extendleft(reversed(list(items)))


class _Worker:
    """A process and the items that it has been given, in their order."""

    def __init__(
        self, context: Any, function: Callable[[Any], Any], stop: Connection, others: Sequence[Connection]
    ):
        self.connection, theirs = context.Pipe()
        forked = context.get_start_method() == "fork"
        # A process that is forked has this one's ends of all pipes too, which must end with this one.
        copied = [*others, self.connection] if forked else []
        self.process = context.Process(target=_work, args=(theirs, function, stop, copied), daemon=True)
        _start(self.process, forked)
        theirs.close()
        self.given: deque[Any] = deque()
        self.deadline = 0.0

    def give(self, waiting: _Waiting) -> None:
        if not self.given:
            self.deadline = time.monotonic() + SECONDS_A_PICTURE
        while len(self.given) < AHEAD and waiting.look_ahead(1):
            self.given.append(waiting.next.popleft())
            try:
                self.connection.send(self.given[-1])
            except OSError:
                # It has died; reading from it will tell.
                return

    def take(self, late: bool) -> tuple[Any, Any]:
        """The oldest item and its result; a process that died or is late is ended for good."""
        item = self.given.popleft()
        if not late:
            try:
                raised, result = self.connection.recv()
                self.deadline = time.monotonic() + SECONDS_A_PICTURE
                if raised:
                    raise result
                return item, result
            except (EOFError, ConnectionError):
                pass
        self.process.kill()
        self.process.join()
        self.connection.close()
        if late:
            return item, f"takes longer than {SECONDS_A_PICTURE:.0f} s"
        return item, "its decoder crashed"


def _start(process: Any, forked: bool) -> None:
    """Start a process that no Ctrl-C reaches: while it imports, it would answer with a traceback."""
    if os.name == "posix" and not forked:
        from multiprocessing import resource_tracker

        # Starts with the first process otherwise, and lifts the mask that the child is to inherit.
        resource_tracker.ensure_running()
    with delay_signals():
        process.start()


def _limit_memory() -> None:
    try:
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_A_PICTURE
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        return


def _end_with_parent() -> None:
    """End this process soon after a parent that was killed, also while a decoder hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # The picture in work may still be finished; the pipe that ends says that there is no other.
        time.sleep(SECONDS_TO_END)
        os._exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    """End this process, which removes what it has half written."""
    sys.exit(128 + number)


def _work(
    connection: Connection, function: Callable[[Any], Any], stop: Connection, copied: Sequence[Connection]
) -> None:
    """Answer items until the pipe ends; `copied` are the parent's ends of pipes, which a fork brings."""
    # Ctrl-C reaches the whole process group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    for other in copied:
        other.close()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory()
    keep_freed(MOST_FOR_PICTURES)
    try:
        while True:
            item = connection.recv()
            if stop.poll():
                return
            try:
                answer = False, function(item)
            except Exception as error:
                answer = True, error
            connection.send(answer)
    except (EOFError, OSError):
        return
