"""Where the program's own files lie, and by which command it was started."""

import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
"""The checkout, where there is one."""

HOME = PACKAGE if (PACKAGE / "paths.toml").is_file() else ROOT
"""Where paths.toml, model_folders/ and docs/ lie as they come with the program: the checkout, or, of a
wheel, the package."""

TEMPLATE = HOME / "paths.toml"

STARTER, SMALL_STARTER = STARTERS = ("starter", "starter_small")
"""The models that come with the program, for who has trained none: the small one needs no download."""


def is_console_command() -> bool:
    """Whether `fakedetect` was typed, which starts from the current folder, and not `python menu.py`, which
    starts from its own."""
    return HOME == PACKAGE or Path(sys.argv[0]).stem == "fakedetect"


def program_words() -> tuple[str, ...]:
    """What the user types before the command."""
    return ("fakedetect",) if is_console_command() else ("python", "menu.py")


def default_paths() -> Path:
    """The settings file of a call without --paths."""
    return (Path.cwd() if is_console_command() else HOME) / "paths.toml"


def shipped_folder(model: str) -> Path | None:
    """Where a starter came with the program, for who has no model folders of the checkout's."""
    folder = HOME / "model_folders" / model
    return folder if model in STARTERS and is_console_command() and folder.is_dir() else None
