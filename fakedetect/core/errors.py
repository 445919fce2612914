"""The exceptions that a user can cause, and the words for a name that is nearly right."""

from collections.abc import Iterable


class UserError(Exception):
    """Bad input, reported in one line: what is wrong, where, and what to do next."""


class ProcessError(UserError):
    """What one process of several has met, while the others may not know."""


class MissingWeightsError(UserError):
    """Pretrained weights are not here and cannot be downloaded."""


def find_nearest(name: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known name that was probably meant: another case, a hyphen, a slip of the finger.

    Args:
        alike: the least likeness that counts, as difflib measures it, at most 1.
    """
    import difflib

    folded = {_fold(other): other for other in known}
    close = difflib.get_close_matches(_fold(name), list(folded), n=1, cutoff=alike)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' (did you mean 'resnet18'?)', or '' where no known name is near."""
    near = find_nearest(name, known)
    return f" (did you mean {near!r}?)" if near else ""


def _fold(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")
