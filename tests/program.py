"""The program in processes of its own, forked from one that has imported its libraries already.

Importing torch and its kin takes seconds. What most tests want of a process of its own is that it can be
stopped, killed or joined to another; how menu.py starts is the subject of tests/test_menu.py,
tests/test_interrupts.py and tests/core/test_output.py.
"""

import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from subprocess import CompletedProcess

import pytest

SECONDS = 240
"""A process that takes longer is killed."""

# Without openvino, which reports to its makers where it is imported as it is.
LIBRARIES = [
    "pytest", "torch", "torch._dynamo", "torch.distributed", "torchvision", "timm", "pandas", "cv2",
    "scipy.stats", "sklearn.linear_model", "sklearn.ensemble", "matplotlib.figure",
    "matplotlib.backends.backend_agg", "safetensors.torch", "tqdm", "tomlkit", "msgspec",
]  # fmt: skip


def _context() -> multiprocessing.context.BaseContext:
    # Elsewhere the libraries do not bear a fork.
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


def _nothing() -> None:
    """What is done before the program starts, where nothing is asked for."""


def _run(
    arguments: Sequence[str], environment: Mapping[str, str], before: Callable[[], None], out: Connection
) -> None:
    """Be menu.py, in a session of its own, with both streams in one pipe."""
    if hasattr(os, "setsid"):
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    streams = (os.open(os.devnull, os.O_RDONLY), out.fileno(), out.fileno())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    out.close()
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, 1, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    # Where the tests run in the background of a shell, it is ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from fakedetect import menu

    before()
    sys.exit(menu.main(arguments))


class Program:
    """A running `menu.py ARGUMENTS`."""

    def __init__(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], None] = _nothing,
    ):
        """Start it.

        Args:
            before: what the process does first; a function of a module, without what it closes over.
        """
        context = _context()
        reading, writing = context.Pipe(duplex=False)
        given, variables = list(map(str, arguments)), {**os.environ, **(environment or {})}
        self._process = context.Process(target=_run, args=(given, variables, before, writing))
        self._process.start()
        self._end = threading.Timer(SECONDS, self._process.kill)
        self._end.daemon = True
        self._end.start()
        writing.close()
        self.output = os.fdopen(os.dup(reading.fileno()), encoding="utf-8")
        reading.close()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def wait_for(self, pattern: str) -> None:
        """Go on when a line of its output fits the pattern."""
        seen = []
        for line in self.output:
            seen.append(line)
            if re.search(pattern, line):
                return
        pytest.fail(f"{pattern!r} was not printed:\n{''.join(seen)}")

    def send(self, number: int) -> None:
        """Send a signal to it and to the processes that it has started, unless it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self) -> CompletedProcess[str]:
        """Its exit code and the rest of its output, when it has ended."""
        with self.output:
            rest = self.output.read()
        self._process.join()
        self._end.cancel()
        assert self._process.exitcode is not None
        return CompletedProcess([], self._process.exitcode, rest)


def run_together(
    count: int, *arguments: object, before: Callable[[], None] = _nothing
) -> CompletedProcess[str]:
    """`menu.py ARGUMENTS` in so many processes, joined as torchrun joins them.

    The exit code is that of the first one that failed.
    """
    from torch.distributed import TCPStore

    # As torchrun itself keeps it, so that no other program can take the port in between.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    group = {
        "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    started = [
        Program(
            *arguments, before=before, environment={**group, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(count)
    ]
    ended = [program.end() for program in started]
    code = next((result.returncode for result in ended if result.returncode), 0)
    return CompletedProcess(ended[0].args, code, "".join(result.stdout for result in ended))
