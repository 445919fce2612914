"""Pictures and folders as people name them: typed, pasted, dropped onto the terminal."""

import itertools
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fakedetect.core.console import printable
from fakedetect.core.errors import UserError, find_nearest
from fakedetect.images.reading import find_other_kind

QUOTES = (
    ("'", "'"),
    ('"', '"'),
    ("\u201c", "\u201d"),
    ("\u2018", "\u2019"),
    ("\u00ab", "\u00bb"),
    ("`", "`"),
)
"""What word processors and chats turn a path's quotes into, beside the plain ones."""

UNSEEN = "\ufeff\u200b\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\u00a0"
"""Marks without a width that come along when a path is copied from a window's title or a web page."""

MOST_COMPARED = 10_000
"""Names of a folder that a missing one is compared with; more would take seconds."""

WEB = re.compile(r"(https?|ftps?|sftp|s3|gs|blob|data|hf):|www\.", re.IGNORECASE)
NETWORK = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]|%\w+%[\\/]")


def read_named(
    texts: Sequence[str], what: str = "picture or folder", windows: bool = os.name == "nt"
) -> list[Path]:
    """The pictures and folders that texts name, each of which may name several.

    A text that is a path as it stands is that path. Otherwise quotes, blanks around it, a blank behind a
    backslash, `~`, `file://` and variables are read as a shell or a desktop means them.

    Args:
        what: what is looked for, for the message that it is not there.
        windows: read backslashes as Windows does.

    Raises:
        UserError: a path is not there, or is no picture but something that has to be unpacked, saved or
            converted first.
    """
    try:
        paths = [path for text in texts for path in _read_line(text, windows)]
    except _NotThere as error:
        raise _say_missing(error.text, what, windows) from None
    for path in paths:
        if not path.is_dir() and (said := find_other_kind(path)):
            raise UserError(f"{printable(path)} is {said}.")
    return paths


class _NotThere(Exception):
    """What a text names is not there."""

    def __init__(self, text: str):
        self.text = text


def _read_line(text: str, windows: bool) -> list[Path]:
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    if len(lines) > 1 and not os.path.exists(text):
        return [path for line in lines for path in _read_line(line, windows)]
    whole = text if os.path.exists(text) or not lines else lines[0]
    if found := _first_that_exists(_readings(whole, windows)):
        return [found]
    to_name = whole
    for separators in ("", ",;"):
        words = list(_words(whole, windows, separators))
        found_words = [_first_that_exists(_readings(word, windows)) for word in words]
        missing = [word for word, path in zip(words, found_words, strict=True) if path is None]
        if words and not missing:
            return [path for path in found_words if path]
        if len(missing) < len(words):
            to_name = missing[0]
    raise _NotThere(to_name)


def _first_that_exists(readings: Iterator[str]) -> Path | None:
    # Unlike Path.exists, it answers for names that are too long or hold what no path may.
    return next((Path(reading) for reading in readings if os.path.exists(reading)), None)


def _readings(text: str, windows: bool) -> Iterator[str]:
    """What a text may mean as one path, the likeliest first; the last is the one to name in a message."""
    yield text
    bare = _unquoted(text)
    yield bare
    if not windows and not DRIVE.match(bare):
        yield (bare := re.sub(r"\\(.)", r"\1", bare))
    if bare.lower().startswith("file:"):
        bare = _from_uri(bare, windows)
        yield (bare := bare[1:] if re.match("/[A-Za-z]:/", bare) else bare)
    elif "%" in bare:
        yield unquote(bare)
    if not windows and re.match("[A-Za-z]:", bare):
        # Under Windows' Linux, where its drives are mounted.
        yield f"/mnt/{bare[0].lower()}/{bare[2:].replace(chr(92), '/').lstrip('/')}"
    bare = os.path.expandvars(os.path.expanduser(bare))
    if bare.endswith(("/", os.sep)):
        # As some shells complete a name that is a file's.
        yield bare.rstrip(f"/{os.sep}")
    yield bare


def _unquoted(text: str) -> str:
    bare = text.strip().strip(UNSEEN).strip()
    # PowerShell puts its call operator before what is dropped onto it.
    bare = re.sub(r"^& (?=['\"])", "", bare)
    for first, last in QUOTES:
        if len(bare) > 1 and bare.startswith(first) and bare.endswith(last):
            return bare[1:-1]
    return bare


def _from_uri(uri: str, windows: bool) -> str:
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if windows:
        path = path.lstrip("/") if re.match("/[A-Za-z]:", path) else path
    return f"//{parts.netloc}{path}" if parts.netloc not in ("", "localhost") else path


def _words(text: str, windows: bool, separators: str = "") -> Iterator[str]:
    """The parts of a line as a shell would part it.

    Args:
        separators: characters that part words as a blank does.
    """
    for first, last in QUOTES:
        text = text.replace(first, "'").replace(last, "'") if first not in "'\"" else text
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.commenters = True, ""
    words.whitespace += separators
    if windows or DRIVE.search(text):
        words.escape = ""
    try:
        yield from list(words)
    except ValueError:
        # A quote without its second, as in an apostrophe.
        yield from text.split()


def _say_missing(text: str, what: str, windows: bool) -> UserError:
    bare = _unquoted(text)
    if WEB.match(bare):
        return UserError(
            f"{_shortened(bare)} is a web address, and fakedetect downloads nothing. Save the "
            "picture first (right-click, 'Save image as'), then name the file."
        )
    if NETWORK.match(bare):
        return UserError(
            f"{_shortened(bare)} is a network address. Copy the picture from there into a folder first, "
            "then name the file."
        )
    if not bare:
        return UserError(f"The name is empty. Name a {what}.")
    path = Path(list(_readings(text, windows))[-1])
    if not windows and (DRIVE.match(bare) or DRIVE.match(str(path))):
        return UserError(f"{printable(bare)} is a Windows path, which this computer does not have.")
    return UserError(f"There is no {what} {printable(path)}. {_advice(path)}")


def _shortened(address: str) -> str:
    return address if len(address) <= 60 else f"{address[:57]}..."


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


def read_target(text: str, windows: bool = os.name == "nt") -> Path:
    """The file to be written that a text names, in quotes or from `~` on, say."""
    bare = _unquoted(text)
    return Path(_from_uri(bare, windows) if bare.lower().startswith("file:") else bare).expanduser()
