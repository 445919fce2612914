"""Where the program's own files are, and the command that started it.

Python versions that are too old read this file too, to name the right one: annotations that are new to
them are quoted.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
"""The checkout, if there is one."""

HOME = PACKAGE if (PACKAGE / "paths.toml").is_file() else ROOT
"""The folder of paths.toml, model_folders/ and docs/: the checkout, or the package of a wheel."""

TEMPLATE = HOME / "paths.toml"

STARTER, SMALL_STARTER = STARTERS = ("starter", "starter_small")
"""The models that come with the program; the small one needs no download."""


def is_console_command() -> bool:
    """Return whether the program was started as `fakedetect`, which uses the current folder, and not as
    `python menu.py`, which uses its own."""
    return HOME == PACKAGE or Path(sys.argv[0]).stem == "fakedetect"


def program_words() -> "tuple[str, ...]":
    """Return the words to type before a command, for the current folder and PATH."""
    if not is_console_command():
        return (_interpreter_name(), shorten_path(ROOT / "menu.py"))
    typed = sys.argv[0]
    if Path(typed).stem != "fakedetect" or typed == Path(typed).name or _is_found("fakedetect", typed):
        return ("fakedetect",)
    return (_without_exe(shorten_path(Path(typed))),)


def install_command(*packages: str) -> str:
    """Return the command that installs packages for this interpreter; by default requirements.txt."""
    wanted = packages or ("-r", shorten_path(ROOT / "requirements.txt"))
    return join_words((_interpreter_name(), "-m", "pip", "install", *wanted))


def environment_command() -> "str | None":
    """Return this call with the Python of the checkout's .venv; None if it does not exist or is already
    running."""
    for inside in ("Scripts/python.exe", "bin/python"):
        python = ROOT / ".venv" / inside
        if HOME == ROOT and python.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
            words = (_without_exe(shorten_path(python)), shorten_path(ROOT / "menu.py"), *sys.argv[1:])
            return join_words(words)
    return None


def join_words(words: "tuple[str, ...]", windows: bool = os.name == "nt") -> str:
    """Return words as they are typed into a shell, quoted where necessary.

    Args:
        windows: for cmd and PowerShell, where the backslash separates folders.
    """
    if not windows:
        return " ".join(map(shlex.quote, words))
    return " ".join(word if re.match(r"[\w.:/\\=+~-]+\Z", word) else f'"{word}"' for word in words)


def shorten_path(path: Path) -> str:
    """Return the path relative to the current folder if it is below it, else unchanged."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _interpreter_name() -> str:
    """Return 'python' if it starts this interpreter, as in an activated environment, or its path."""
    for word in ("python", "python3"):
        if not sys.executable or _is_found(word, sys.executable):
            return word
    return _without_exe(shorten_path(Path(sys.executable)))


def _is_found(word: str, program: str) -> bool:
    """Return whether a word typed into the shell starts exactly this program.

    Environments link to one interpreter, so both the folder and the resolved file are compared.
    """
    found = shutil.which(word)
    if found is None:
        return False
    of_both = [(Path(each).parent.resolve(), Path(each).resolve()) for each in (found, program)]
    return of_both[0] == of_both[1]


def _without_exe(program: str) -> str:
    return program[:-4] if program.lower().endswith(".exe") else program


def default_paths() -> Path:
    """Return the settings file that is used without --paths."""
    return (Path.cwd() if is_console_command() else HOME) / "paths.toml"


def shipped_folder(model: str) -> "Path | None":
    """Return the folder of a starter that came with the package; None in a checkout."""
    folder = HOME / "model_folders" / model
    return folder if model in STARTERS and is_console_command() and folder.is_dir() else None
