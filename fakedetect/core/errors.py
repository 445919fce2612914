"""Exceptions that a user can cause, and suggestions for misspelt names."""

from collections.abc import Iterable
from pathlib import Path

from fakedetect.core.installation import HOME, PACKAGE, environment_command, install_command

BUG_TYPES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    StopIteration,
    TypeError,
)
"""Types that a decoder raises on a damaged file, and that our own code raises only by mistake."""


class UserError(Exception):
    """Bad input, reported in one line: what is wrong, where, and what to do next."""


class WrongAnswer(UserError):
    """A line of piped answers that does not fit its question; the lines after it must not be used."""


class ProcessError(UserError):
    """An error in one of several processes, which the others may not have noticed."""


class MissingWeightsError(UserError):
    """Pretrained weights are not on this machine and cannot be downloaded."""


def is_bug(error: Exception) -> bool:
    """Return whether an error was raised by this package itself, not by a library that reads a file."""
    trace = error.__traceback__
    if trace is None or not isinstance(error, BUG_TYPES) or isinstance(error, UnicodeError):
        return False
    while trace.tb_next:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).resolve().is_relative_to(PACKAGE)


def is_own_import(error: ImportError) -> bool:
    """Return whether the module that failed to import belongs to this package: a bug, not a missing
    package."""
    return (error.name or "").partition(".")[0] == PACKAGE.name


def describe_missing(error: ModuleNotFoundError) -> str:
    """Return the message for a package that is not installed, with the command that helps."""
    if HOME == PACKAGE:
        advice = "Install fakedetect again."
    elif command := environment_command():
        advice = f"The environment in .venv has its own Python: {command}"
    else:
        advice = f"To install what fakedetect needs: {install_command()}"
    return f"The package {error.name} is not installed. {advice}"


def find_nearest(name: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """Return the known name that was probably meant (case, hyphens, typing errors), or None.

    Args:
        alike: the lowest similarity that counts, as computed by difflib, at most 1.
    """
    import difflib

    folded = {fold_name(other): other for other in known}
    close = difflib.get_close_matches(fold_name(name), list(folded), n=1, cutoff=alike)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean 'resnet18'?)', or '' if no known name is similar."""
    near = find_nearest(name, known)
    return f" (did you mean {near!r}?)" if near else ""


def fold_name(name: str) -> str:
    """Return a name in lower case, with hyphens and blanks replaced by underscores."""
    return name.strip().casefold().replace("-", "_").replace(" ", "_")
