"""The program as a library: trained models that are asked about one picture after the other."""

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
    """Models that were loaded once, and judge pictures in this process; nothing is printed.

    A decoder that crashes or hangs on a damaged file takes the process with it: for folders of unknown
    files use the command `check`, which reads them in other ones. It is not made for several threads.
    """

    def __init__(self, checker: Checker):
        self._checker = checker

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that answer."""
        return tuple(detector.name for detector in self._checker.detectors)

    def check(self, picture: str | Path) -> Judged:
        """What the models and its file say of a picture, as the command `check` does.

        Returns:
            The record; of a file that is no picture, or a damaged one, without a verdict and with `reason`.

        Raises:
            UserError: there is no such file, or a model answers with NaN.
        """
        path = Path(picture)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not there"
            raise UserError(f"{path} {what}. Name a picture.")
        return self._checker.check_one(path)


def load_model(model: str, paths: str | Path | None, stability: str) -> PictureDetector:
    """Load a model, or EVERY_MODEL that is trained; see `fakedetect.load`.

    Raises:
        UserError: there is no such model, it is not trained, or its files do not fit.
    """
    if stability not in (AUTO, ALL, NONE):
        raise UserError(f"stability is {stability!r}. Give {AUTO!r}, {ALL!r} or {NONE!r}.")
    settings = find_settings(Path(paths) if paths else None)
    quiet = Console(quiet=True)
    detectors = [load_detector(each, quiet) for each in _choose(settings, model)]
    return PictureDetector(Checker(detectors, stability))


def _choose(settings: Settings, model: str) -> Sequence[Settings]:
    if model != EVERY_MODEL:
        return [settings.with_model(model)]
    found = find_trained_models(settings)
    if not found:
        raise UserError(f"No model of {settings.file} is trained. Train one, or load a starter.")
    return found
