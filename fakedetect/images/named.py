"""Paths as users enter them: typed, pasted, dropped onto the terminal."""

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
from fakedetect.images.reading import find_other_file_type

MOST_COMPARED_NAMES = 10_000
"""Names in a folder that a missing name is compared with; more would take seconds."""

GLOB_PATTERN = re.compile(r"[*?]|\[.+\]")

WEB_ADDRESS = re.compile(r"(https?|ftps?|sftp|s3|gs|blob|data|hf):|www\.", re.IGNORECASE)


def parse_paths(
    texts: Sequence[str], what: str = "picture or folder", windows: bool = os.name == "nt"
) -> list[Path]:
    """Parse texts into paths of pictures and folders; each text may name several.

    A text that is an existing path, also after expanding `~` or `file://`, is that path. Otherwise it is
    split as by a shell: quotes, escaped blanks, several paths in a line, patterns (`*.jpg`).

    Args:
        what: what is expected, for the error message.
        windows: a backslash separates folders.

    Raises:
        UserError: a path does not exist, or is a file of another type, to be unpacked, saved or converted
            first.
    """
    return [_check_kind(path) for text in texts for path in _read_line(text, what, windows)]


def parse_usable_paths(
    texts: Sequence[str], warn: Callable[[str], None], what: str = "picture or folder"
) -> tuple[list[Path], int]:
    """Parse texts as parse_paths() does, but skip unusable ones with a warning.

    Returns:
        The paths, and how many texts were skipped.

    Raises:
        UserError: none of the texts can be used.
    """
    return _take_usable(texts, lambda text: parse_paths([text], what), warn)


def read_path_list(file: str, warn: Callable[[str], None]) -> tuple[list[Path], int]:
    """Read a list of pictures and folders: one path per line, or separated by NUL if the file contains NUL.

    Paths are taken literally and are relative to the current folder. Unusable ones are skipped with a
    warning.

    Args:
        file: the list's path; '-' for standard input.

    Returns:
        The paths, and how many were skipped.

    Raises:
        UserError: the list cannot be read, or none of its paths can be used.
    """
    where = "standard input" if file == "-" else file
    try:
        raw = sys.stdin.buffer.read() if file == "-" else parse_path(file).read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the list {where}: {error.strerror}. Check the name.") from None
    names = [name.removesuffix(b"\r") for name in raw.split(b"\0" if b"\0" in raw else b"\n")]
    listed = [os.fsdecode(name) for name in names if name]
    if not listed:
        raise UserError(f"The list {where} is empty. Write the name of one picture on each line.")

    def read(name: str) -> list[Path]:
        if not os.path.exists(name):
            raise UserError(f"There is no picture or folder {printable(name)} (in the list {where}).")
        return [_check_kind(Path(name))]

    return _take_usable(listed, read, warn)


def _take_usable(
    texts: Sequence[str], read: Callable[[str], list[Path]], warn: Callable[[str], None]
) -> tuple[list[Path], int]:
    paths: list[Path] = []
    errors: list[UserError] = []
    for text in texts:
        try:
            paths += read(text)
        except UserError as error:
            errors.append(error)
    for each in errors if paths else errors[:-1]:
        warn(f"Skipped: {each}" if paths else str(each))
    if errors and not paths:
        raise errors[-1]
    return paths, len(errors)


def _check_kind(path: Path) -> Path:
    if not path.is_dir() and (file_type := find_other_file_type(path)):
        raise UserError(f"{printable(path)} is {file_type}.")
    return path


def parse_path(text: str) -> Path:
    """Parse a text into one path; it may be quoted or start with `~` or `file://`."""
    bare = text.strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\"":
        bare = bare[1:-1]
    return Path(_expand_path(bare))


def _read_line(text: str, what: str, windows: bool) -> list[Path]:
    # Unlike Path.exists, os.path.exists does not raise for names that are too long or invalid.
    if os.path.exists(whole := _expand_path(text)):
        return [Path(whole)]
    if matching := _expand_pattern(whole):
        return matching
    words = [_expand_path(word) for word in _split_words(text, windows)]
    found = [[Path(word)] if os.path.exists(word) else _expand_pattern(word) for word in words]
    if words and all(found):
        return [path for paths in found for path in paths]
    # If none of several words exists, they may be one name with blanks in it.
    raise _missing_path(words[found.index([])] if len(words) == 1 or any(found) else text.strip(), what)


def _expand_pattern(pattern: str) -> list[Path]:
    """Return the paths that a pattern like *.jpg matches, sorted, if the shell has not expanded it."""
    if not GLOB_PATTERN.search(pattern) or "\0" in pattern:
        return []
    return [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]


def _expand_path(text: str) -> str:
    """Expand `file://` and `~` in a path."""
    if text.lower().startswith("file:"):
        # Imported here: it imports an HTTP client, which nothing else needs.
        from urllib.request import url2pathname

        text = url2pathname(urlsplit(text).path)
    expanded = os.path.expanduser(text)
    return expanded if expanded.isascii() else str(as_stored(Path(expanded)))


def _split_words(text: str, windows: bool) -> list[str]:
    """Split a line as a shell would."""
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.commenters = True, ""
    words.escape = "" if windows else words.escape
    try:
        return list(words)
    except ValueError:
        # A single quote mark, for example an apostrophe.
        return text.split()


def _missing_path(text: str, what: str) -> UserError:
    if WEB_ADDRESS.match(text):
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        return UserError(
            f"{shown} is a web address, and fakedetect downloads nothing. Save the picture first "
            "(right-click, 'Save image as'), then name the file."
        )
    if not text:
        return UserError(f"The name is empty. Name a {what}.")
    path = Path(_expand_path(text))
    if GLOB_PATTERN.search(text) and "[" not in text:
        return UserError(f"Nothing matches the pattern {printable(path)}. Check it, and the folder.")
    return UserError(f"There is no {what} {printable(path)}. {_suggest(path)}")


def _suggest(path: Path) -> str:
    """Suggest a similar name in the same folder."""
    missing = path
    while not os.path.isdir(missing.parent):
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, MOST_COMPARED_NAMES)]
    except OSError:
        return "Check the name."
    near = find_nearest(missing.name, names, alike=0.75)
    if near:
        return f"Did you mean {printable(missing.parent / near)}?"
    if missing != path:
        return f"The folder {printable(missing.parent)} contains no {printable(missing.name)}."
    return "Check the name."
