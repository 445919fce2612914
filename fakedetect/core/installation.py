"""Where the program's own files lie, and by which command it was started.

Pythons that are too old read it too, to name the right one: annotations new to them are in quotes.
"""

import os
import re
import shlex
import shutil
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


def program_words() -> "tuple[str, ...]":
    """What is to be typed before the command, in the current folder and with the PATH as it is."""
    if not is_console_command():
        return (_interpreter_word(), shorten_path(ROOT / "menu.py"))
    typed = sys.argv[0]
    if Path(typed).stem != "fakedetect" or typed == Path(typed).name or _is_found("fakedetect", typed):
        return ("fakedetect",)
    return (_without_exe(shorten_path(Path(typed))),)


def install_command(*packages: str) -> str:
    """The command that installs packages where this program finds them; those of requirements.txt unless
    named."""
    wanted = packages or ("-r", shorten_path(ROOT / "requirements.txt"))
    return join_words((_interpreter_word(), "-m", "pip", "install", *wanted))


def environment_command() -> "str | None":
    """The call of this process by the Python of the checkout's own environment; None where there is none,
    or it is the one that runs."""
    for inside in ("Scripts/python.exe", "bin/python"):
        python = ROOT / ".venv" / inside
        if HOME == ROOT and python.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
            words = (_without_exe(shorten_path(python)), shorten_path(ROOT / "menu.py"), *sys.argv[1:])
            return join_words(words)
    return None


def join_words(words: "tuple[str, ...]", windows: bool = os.name == "nt") -> str:
    """Words as they are typed into a shell: with quotes where it needs them.

    Args:
        windows: for cmd and PowerShell, in which a backslash parts folders.
    """
    if not windows:
        return " ".join(map(shlex.quote, words))
    return " ".join(word if re.match(r"[\w.:/\\=+~-]+\Z", word) else f'"{word}"' for word in words)


def shorten_path(path: Path) -> str:
    """The path from the current folder on where it lies below it, as the user would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _interpreter_word() -> str:
    """'python' where that starts the interpreter that runs, as in an activated environment, or its path."""
    for word in ("python", "python3"):
        if not sys.executable or _is_found(word, sys.executable):
            return word
    return _without_exe(shorten_path(Path(sys.executable)))


def _is_found(word: str, program: str) -> bool:
    """Whether a word typed into the shell starts that very program.

    Environments link to one interpreter: the folder counts, and what of it is found there.
    """
    found = shutil.which(word)
    if found is None:
        return False
    of_both = [(Path(each).parent.resolve(), Path(each).resolve()) for each in (found, program)]
    return of_both[0] == of_both[1]


def _without_exe(program: str) -> str:
    return program[:-4] if program.lower().endswith(".exe") else program


def default_paths() -> Path:
    """The settings file of a call without --paths."""
    return (Path.cwd() if is_console_command() else HOME) / "paths.toml"


def shipped_folder(model: str) -> "Path | None":
    """Where a starter came with the program, for who has no model folders of the checkout's."""
    folder = HOME / "model_folders" / model
    return folder if model in STARTERS and is_console_command() and folder.is_dir() else None
