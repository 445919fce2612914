"""The exceptions that a user can cause, and the words for a name that is nearly right."""

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
"""Errors that a decoder meets in a damaged file, and that a line of our own raises by mistake alone."""


class UserError(Exception):
    """Bad input, reported in one line: what is wrong, where, and what to do next."""


class WrongAnswer(UserError):
    """A line of piped answers that does not fit its question: those behind it are not for the next ones."""


class ProcessError(UserError):
    """What one process of several has met, while the others may not know."""


class MissingWeightsError(UserError):
    """Pretrained weights are not here and cannot be downloaded."""


def is_bug(error: Exception) -> bool:
    """Whether an error comes of a line of this package, not of the library that reads the file."""
    trace = error.__traceback__
    if trace is None or not isinstance(error, BUG_TYPES) or isinstance(error, UnicodeError):
        return False
    while trace.tb_next:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).resolve().is_relative_to(PACKAGE)


def is_own_import(error: ImportError) -> bool:
    """Whether a module of this package could not be imported: a bug, and not a package to be installed."""
    return (error.name or "").partition(".")[0] == PACKAGE.name


def describe_missing(error: ModuleNotFoundError) -> str:
    """That a package is not installed for the interpreter that runs, and the command to type instead."""
    if HOME == PACKAGE:
        advice = "Install fakedetect again."
    elif command := environment_command():
        advice = f"The environment in .venv has its own Python: {command}"
    else:
        advice = f"To install what fakedetect needs: {install_command()}"
    return f"The package {error.name} is not installed. {advice}"


def find_nearest(name: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known name that was probably meant: another case, a hyphen, a slip of the finger.

    Args:
        alike: the least likeness that counts, as difflib measures it, at most 1.
    """
    import difflib

    folded = {fold_name(other): other for other in known}
    close = difflib.get_close_matches(fold_name(name), list(folded), n=1, cutoff=alike)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' (did you mean 'resnet18'?)', or '' where no known name is near."""
    near = find_nearest(name, known)
    return f" (did you mean {near!r}?)" if near else ""


def fold_name(name: str) -> str:
    """A name without what people write in different ways: capitals, hyphens, blanks."""
    return name.strip().casefold().replace("-", "_").replace(" ", "_")
