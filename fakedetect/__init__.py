"""Detect AI-generated images: `load` a model and check pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakedetect.checking.library import PictureDetector


def load(
    model: str = "starter", paths: str | Path | None = None, stability: str = "auto"
) -> "PictureDetector":
    """Return a trained model that checks many pictures; its dependencies are imported now.

    import fakedetect

    detector = fakedetect.load("starter") print(detector.check("a.jpg").verdict)

    Args:
        model: a model of paths.toml, a starter, or "all" for all trained models together.
        paths: the settings file; by default that of `check` without --paths.
        stability: "auto", "all" or "none", as in `check`.

    Raises:
        fakedetect.core.errors.UserError: there is no such model, it is not trained, or its files are
            missing or unusable.
    """
    # Imported late: the menu and its workers import this package too.
    from fakedetect.checking.library import load_model

    return load_model(model, paths, stability)
