"""Standard output and standard error that handle a closed reader: `| head`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from fakedetect.core.errors import UserError

BROKEN_PIPE = 141
"""The exit code that shells report for a program ended by SIGPIPE: 128 + 13."""


class OutputClosed(SystemExit):
    """The reader of the output has gone."""


class _Guarded:
    """A text stream; writing to it after its reader has gone ends the program silently.

    SIGPIPE itself would end the program without any clean-up, and also when a worker's pipe breaks.

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
    """Discard everything that is buffered or will be written."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def guard_output() -> Iterator[None]:
    """End silently, with OutputClosed, when the reader of the output has gone.

    A stream that the caller has closed (`>&-`) is replaced by one that discards everything.

    Raises:
        UserError: the disk of the output is full.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    with Path(os.devnull).open("r+", encoding="utf-8") as nothing:
        sys.stdin = sys.stdin or nothing
        # Terminal libraries need the stream itself, and a terminal has no reader that goes away.
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
