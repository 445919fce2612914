"""Real photographs told from AI-generated images: `load` a model, and ask it about pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakedetect.checking.library import PictureDetector


def load(
    model: str = "starter", paths: str | Path | None = None, stability: str = "auto"
) -> "PictureDetector":
    """A trained model, ready to be asked about many pictures; what it needs is imported now.

        import fakedetect

        detector = fakedetect.load("starter")
        print(detector.check("a.jpg").verdict)

    Args:
        model: a name of paths.toml, a starter among them, or "all" for all trained models together.
        paths: the settings file; the one of `check` without --paths otherwise.
        stability: "auto", "all" or "none", as `check` takes it.

    Raises:
        fakedetect.core.errors.UserError: there is no such model, it is not trained, or its files are not
            to be had or do not fit.
    """
    # The menu and its workers import this package and none of that.
    from fakedetect.checking.library import load_model

    return load_model(model, paths, stability)
