"""Standard output and standard error whose reader may go away: `| head`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from fakedetect.core.errors import UserError

BROKEN_PIPE = 141
"""The exit code that shells show of a program that SIGPIPE has ended: 128 + 13."""


class OutputClosed(SystemExit):
    """Nobody reads the output any more."""


class _Guarded:
    """A text stream; a write after its reader has gone ends the program in silence.

    SIGPIPE itself would do so without any clean-up, and would end it too where a worker's pipe breaks.

    Raises:
        OutputClosed: the reader has gone.
        UserError: the disk is full.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._end(error)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> NoReturn:
        _discard(self._stream)
        if isinstance(error, BrokenPipeError):
            raise OutputClosed(BROKEN_PIPE) from None
        raise UserError(f"Cannot write the output: {error.strerror}. Check the disk.") from None


def _discard(stream: Any) -> None:
    """Send all that is written from now on, and what waits in buffers, to nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def guard_output() -> Iterator[None]:
    """End in silence where the reader of the output goes away, by OutputClosed.

    A stream that the caller has closed (`>&-`) is replaced by nothing.

    Raises:
        UserError: the disk on which the output lies is full.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    with Path(os.devnull).open("r+", encoding="utf-8") as nothing:
        sys.stdin = sys.stdin or nothing
        # A terminal's own libraries want the stream itself, and it has no reader that goes away.
        sys.stdout, sys.stderr = (
            stream if stream.isatty() else _Guarded(stream)
            for stream in (sys.stdout or nothing, sys.stderr or nothing)
        )
        try:
            yield
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                sys.stdin, sys.stdout, sys.stderr = before
