"""Pictures and folders as people name them: typed, pasted, dropped onto the terminal."""

import itertools
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from fakedetect.core.errors import UserError, find_nearest
from fakedetect.core.files import as_stored
from fakedetect.core.terminal.console import printable
from fakedetect.images.reading import find_other_kind

MOST_COMPARED = 10_000
"""Names of a folder that a missing one is compared with; more would take seconds."""

WEB = re.compile(r"(https?|ftps?|sftp|s3|gs|blob|data|hf):|www\.", re.IGNORECASE)


def read_named(
    texts: Sequence[str], what: str = "picture or folder", windows: bool = os.name == "nt"
) -> list[Path]:
    """The pictures and folders that texts name, each of which may name several.

    A text that is a path as it stands, or from `~` or `file://` on, is that path. Otherwise it is read as a
    shell does: quotes, blanks behind a backslash, several paths in a line.

    Args:
        what: what is looked for, for the message that it is not there.
        windows: backslashes part folders.

    Raises:
        UserError: a path is not there, or is no picture but something that has to be unpacked, saved or
            converted first.
    """
    paths = [path for text in texts for path in _read_line(text, what, windows)]
    for path in paths:
        if not path.is_dir() and (said := find_other_kind(path)):
            raise UserError(f"{printable(path)} is {said}.")
    return paths


def read_target(text: str) -> Path:
    """The file to be written that a text names, in quotes or from `~` or `file://` on, say."""
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\"":
        bare = bare[1:-1]
    return Path(_resolve(bare))


def _read_line(text: str, what: str, windows: bool) -> list[Path]:
    # Unlike Path.exists, os.path.exists answers for names that are too long or hold what no path may.
    if os.path.exists(whole := _resolve(text)):
        return [Path(whole)]
    words = [_resolve(word) for word in _words(text, windows)]
    there = [os.path.exists(word) for word in words]
    if words and all(there):
        return [Path(word) for word in words]
    # Where none of several words is there, they may be one name with blanks in it.
    raise _missing(words[there.index(False)] if len(words) == 1 or any(there) else text.strip(), what)


def _resolve(text: str) -> str:
    """A text as a path, from `file://` or `~` on too."""
    if text.lower().startswith("file:"):
        # It imports an HTTP client, which nothing else needs.
        from urllib.request import url2pathname

        text = url2pathname(urlsplit(text).path)
    expanded = os.path.expanduser(text)
    return expanded if expanded.isascii() else str(as_stored(Path(expanded)))


def _words(text: str, windows: bool) -> list[str]:
    """The parts of a line as a shell would part it."""
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.commenters = True, ""
    words.escape = "" if windows else words.escape
    try:
        return list(words)
    except ValueError:
        # A quote without its second, as in an apostrophe.
        return text.split()


def _missing(text: str, what: str) -> UserError:
    if WEB.match(text):
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        return UserError(
            f"{shown} is a web address, and fakedetect downloads nothing. Save the picture first "
            "(right-click, 'Save image as'), then name the file."
        )
    if not text:
        return UserError(f"The name is empty. Name a {what}.")
    path = Path(_resolve(text))
    return UserError(f"There is no {what} {printable(path)}. {_advice(path)}")


def _advice(path: Path) -> str:
    """What may have been meant: a name of the same folder that is much like it."""
    missing = path
    while not os.path.isdir(missing.parent):
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, MOST_COMPARED)]
    except OSError:
        return "Check the name."
    near = find_nearest(missing.name, names, alike=0.75)
    if near:
        return f"Did you mean {printable(missing.parent / near)}?"
    if missing != path:
        return f"The folder {printable(missing.parent)} contains no {printable(missing.name)}."
    return "Check the name."
