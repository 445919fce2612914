"""The program as a library: check pictures one by one with loaded models."""

from collections.abc import Sequence
from pathlib import Path

from fakedetect.checking.checker import Checker
from fakedetect.checking.judged import Judged
from fakedetect.checking.request import ALL, AUTO, NONE
from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_folder import find_trained_models
from fakedetect.core.settings.settings import Settings, find_settings
from fakedetect.core.terminal.console import Console
from fakedetect.models.detector import load_detector

EVERY_MODEL = "all"


class PictureDetector:
    """Loaded models that check pictures in this process; nothing is printed.

    A decoder that crashes or hangs on a damaged file takes the process with it. For unknown files, use
    the command `check`, which reads them in worker processes. Not thread-safe.
    """

    def __init__(self, checker: Checker):
        self._checker = checker

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(detector.name for detector in self._checker.detectors)

    def check(self, picture: str | Path) -> Judged:
        """Check a picture, as the command `check` does.

        Returns:
            The record. For a file that is damaged or not a picture, it has a `reason` and no verdict.

        Raises:
            UserError: there is no such file, or a model predicts NaN.
        """
        path = Path(picture)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not there"
            raise UserError(f"{path} {what}. Name a picture.")
        return self._checker.check_one(path)


def load_model(model: str, paths: str | Path | None, stability: str) -> PictureDetector:
    """Load a model, or all trained ones for EVERY_MODEL; see `fakedetect.load`.

    Raises:
        UserError: there is no such model, it is not trained, or its files do not match.
    """
    if stability not in (AUTO, ALL, NONE):
        raise UserError(f"stability is {stability!r}. Give {AUTO!r}, {ALL!r} or {NONE!r}.")
    settings = find_settings(Path(paths) if paths else None)
    quiet = Console(quiet=True)
    detectors = [load_detector(each, quiet) for each in _choose_models(settings, model)]
    return PictureDetector(Checker(detectors, stability))


def _choose_models(settings: Settings, model: str) -> Sequence[Settings]:
    if model != EVERY_MODEL:
        return [settings.with_model(model)]
    found = find_trained_models(settings)
    if not found:
        raise UserError(f"No model of {settings.file} is trained. Train one, or load a starter.")
    return found
