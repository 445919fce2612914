"""Pictures and folders as people name them: typed, pasted, dropped onto the terminal."""

import glob
import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from fakedetect.core.errors import UserError, find_nearest
from fakedetect.core.files import as_stored
from fakedetect.core.terminal.console import printable
from fakedetect.images.reading import find_other_kind

MOST_COMPARED = 10_000
"""Names of a folder that a missing one is compared with; more would take seconds."""

PATTERN = re.compile(r"[*?]|\[.+\]")

WEB = re.compile(r"(https?|ftps?|sftp|s3|gs|blob|data|hf):|www\.", re.IGNORECASE)


def read_named(
    texts: Sequence[str], what: str = "picture or folder", windows: bool = os.name == "nt"
) -> list[Path]:
    """The pictures and folders that texts name, each of which may name several.

    A text that is a path as it stands, or from `~` or `file://` on, is that path. Otherwise it is read as a
    shell does: quotes, blanks behind a backslash, several paths in a line, patterns (`*.jpg`).

    Args:
        what: what is looked for, for the message that it is not there.
        windows: backslashes part folders.

    Raises:
        UserError: a path is not there, or is no picture but something that has to be unpacked, saved or
            converted first.
    """
    return [_check_kind(path) for text in texts for path in _read_line(text, what, windows)]


def read_several(
    texts: Sequence[str], tell: Callable[[str], None], what: str = "picture or folder"
) -> tuple[list[Path], int]:
    """As read_named; of several texts, those that name nothing that can be used are told and passed over.

    Returns:
        The paths, and how many texts were passed over.

    Raises:
        UserError: none of them can be used.
    """
    return _take_usable(texts, lambda text: read_named([text], what), tell)


def read_list(file: str, tell: Callable[[str], None]) -> tuple[list[Path], int]:
    """The pictures and folders that a file lists: a name a line, or, where it holds NUL, up to each NUL.

    Names are paths as they stand, from the current folder on. Otherwise as read_several.

    Args:
        file: '-' for standard input.

    Raises:
        UserError: it cannot be read, or lists nothing that can be used.
    """
    where = "standard input" if file == "-" else file
    try:
        raw = sys.stdin.buffer.read() if file == "-" else read_target(file).read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the list {where}: {error.strerror}. Check the name.") from None
    names = [name.removesuffix(b"\r") for name in raw.split(b"\0" if b"\0" in raw else b"\n")]
    listed = [os.fsdecode(name) for name in names if name]
    if not listed:
        raise UserError(f"The list {where} is empty. Write the name of a picture into each line.")

    def read(name: str) -> list[Path]:
        if not os.path.exists(name):
            raise UserError(f"There is no picture or folder {printable(name)} (in the list {where}).")
        return [_check_kind(Path(name))]

    return _take_usable(listed, read, tell)


def _take_usable(
    texts: Sequence[str], read: Callable[[str], list[Path]], tell: Callable[[str], None]
) -> tuple[list[Path], int]:
    paths: list[Path] = []
    errors: list[UserError] = []
    for text in texts:
        try:
            paths += read(text)
        except UserError as error:
            errors.append(error)
    for each in errors if paths else errors[:-1]:
        tell(f"Skipped: {each}" if paths else str(each))
    if errors and not paths:
        raise errors[-1]
    return paths, len(errors)


def _check_kind(path: Path) -> Path:
    if not path.is_dir() and (said := find_other_kind(path)):
        raise UserError(f"{printable(path)} is {said}.")
    return path


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
    if matching := _match(whole):
        return matching
    words = [_resolve(word) for word in _words(text, windows)]
    found = [[Path(word)] if os.path.exists(word) else _match(word) for word in words]
    if words and all(found):
        return [path for paths in found for path in paths]
    # Where none of several words is there, they may be one name with blanks in it.
    raise _missing(words[found.index([])] if len(words) == 1 or any(found) else text.strip(), what)


def _match(pattern: str) -> list[Path]:
    """What a pattern like *.jpg names, where the shell has left it as it is; in the order of names."""
    if not PATTERN.search(pattern) or "\0" in pattern:
        return []
    return [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]


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
    if PATTERN.search(text) and "[" not in text:
        return UserError(f"Nothing matches the pattern {printable(path)}. Check it, and the folder.")
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
