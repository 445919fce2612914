"""Ctrl-C and termination signals, raised where they do no harm and never lost."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS_TO_RETRY = 0.05

ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
HANDLED_SIGNALS = (signal.SIGINT, *ENDING_SIGNALS)

WAITING_FUNCTIONS = ("select", "_poll")
"""Functions in which an event loop waits, on POSIX and on Windows."""


class Terminated(SystemExit):
    """The terminal was closed, or the program received a termination signal."""

    code: int


@contextmanager
def handle_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C and Terminated on other signals, unless they are ignored
    (nohup).

    Neither is raised during an import: the module would stay half-imported, or a library's `except` would
    take it for a failed import. Neither is raised while asyncio, which runs the menu's prompts, does more
    than wait: a task that missed its result would sleep forever, and the process with it. Neither is lost
    in a finaliser, which cannot raise.
    """
    hook = sys.unraisablehook

    def retry_what_was_lost(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            _retry(signal.SIGINT)
        elif isinstance(unraisable.exc_value, Terminated):
            _retry(unraisable.exc_value.code - 128)
        else:
            hook(unraisable)

    with _handled(_raise, HANDLED_SIGNALS):
        sys.unraisablehook = retry_what_was_lost
        try:
            yield
        finally:
            sys.unraisablehook = hook


def _raise(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame) or _is_in_event_loop(frame):
        _retry(number)
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        raise Terminated(128 + number)


def _files(frame: FrameType | None) -> Iterator[str]:
    """Yield the source files of a frame and of its callers."""
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def _is_importing(frame: FrameType | None) -> bool:
    return any(file.startswith("<frozen importlib") for file in _files(frame))


def _is_in_event_loop(frame: FrameType | None) -> bool:
    """Return whether asyncio is running and not waiting for a key or a timer."""
    if frame is not None and frame.f_code.co_name in WAITING_FUNCTIONS:
        return False
    return any(Path(file).parent.name == "asyncio" for file in _files(frame))


def _retry(number: int) -> None:
    """Send the signal again in a moment."""
    timer = threading.Timer(SECONDS_TO_RETRY, _send, (number,))
    timer.daemon = True
    timer.start()


def _send(number: int) -> None:
    """Send this process a signal, unless nothing handles it any more."""
    main = threading.main_thread().ident
    if not callable(signal.getsignal(number)):
        return
    if main is not None and hasattr(signal, "pthread_kill"):
        # Unlike interrupt_main(), it interrupts a wait.
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


@contextmanager
def exit_on_interrupt(show_message: Callable[[], None]) -> Iterator[None]:
    """Exit at once on Ctrl-C, during imports that take seconds before any work begins."""

    def leave(number: int, frame: FrameType | None) -> None:
        show_message()
        os._exit(128 + number)

    with _handled(leave, (signal.SIGINT,)):
        yield


@contextmanager
def delay_signals() -> Iterator[None]:
    """Delay termination signals until the block ends.

    Processes started in it never receive Ctrl-C (POSIX).
    """
    came: set[int] = set()
    # The handler delays what another thread receives; only the mask is inherited.
    masks = hasattr(signal, "pthread_sigmask")
    try:
        with _handled(lambda number, frame: came.add(number), HANDLED_SIGNALS):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
            try:
                yield
            finally:
                if masks:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        if came:
            # Only one can be raised. Ctrl-C may end just a job; the others end the program.
            signal.raise_signal(min(came, key=lambda number: number == signal.SIGINT))


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], Any], numbers: Sequence[int]) -> Iterator[None]:
    """Install a handler for the signals that are not ignored; only the main thread may set one."""
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
