"""Terminal output and input: prompts, progress bars, messages, colours."""

import locale
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TextIO, TypeVar

from fakedetect.core.errors import UserError, WrongAnswer
from fakedetect.core.terminal.keys import add_keys, make_pause
from fakedetect.core.terminal.progress import Pace, Progress, terminal_columns

T = TypeVar("T")

BACK = "0"
INVALID = "Please enter a valid choice"
INSTRUCTIONS = ("(number or arrow keys, then Enter)", "(number, then Enter)", "(number)")
"""How to choose an entry, from wide to narrow terminals."""

FILE_COLUMNS = 100
"""The width of tables that are not written to a terminal."""

BOLD, PLAIN = "\ufdd0", "\ufdd1"
"""show() prints the text between them in bold on a terminal. No text contains these noncharacters."""


@dataclass(frozen=True)
class Outcome:
    """The result of an option: the text to show, and status 0 (done), 1 (done in part) or 130
    (stopped).

    The most important line is the last, because earlier ones may scroll away. `left`: the user went back,
    and nothing was done.
    """

    text: str
    status: int = 0
    left: bool = False


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: '1 picture', '2 pictures', '2 copies'."""
    if count == 1:
        return f"1 {noun}"
    ending_in_y = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{count:,} {noun[:-1]}ies" if ending_in_y else f"{count:,} {noun}s"


class Console:
    """Results go to stdout; progress, warnings and errors go to stderr.

    `quiet` shows nothing, for tests and for library use; `brief` shows no progress and no notes.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.brief = False
        self._pace = Pace()
        self._shown_loading = False
        self._lines = 0
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.fancy = (
            self.interactive
            and os.environ.get("TERM", "") not in ("dumb", "unknown")
            and "utf" in (sys.stdout.encoding or locale.getpreferredencoding()).lower()
        )
        for stream in (sys.stdout, sys.stderr):
            # A file name may contain anything; printing it must not end the program.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    def _paint(self, text: str, code: str, stream: Any) -> str:
        if not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
            return text
        return f"\x1b[{code}m{text}\x1b[0m"

    @property
    def columns(self) -> int:
        """The width available to a result: that of the terminal, or FILE_COLUMNS."""
        return terminal_columns(sys.stdout) or FILE_COLUMNS

    def show(self, text: str) -> None:
        """Print a result to stdout; control characters in file names are escaped."""
        if self.quiet or not text:
            return
        self._shown_loading = False
        shown = printable(text, BOLD + PLAIN + "\n")
        for mark, code in ((BOLD, "\x1b[1m"), (PLAIN, "\x1b[0m")):
            shown = shown.replace(mark, code if self._paint("", "1", sys.stdout) else "")
        with _above_bars(sys.stdout):
            print(shown, flush=True)

    def title(self, text: str) -> None:
        """Print a heading to stdout."""
        self.show(f"{BOLD}{text}{PLAIN}")

    def note(self, text: str, code: str = "") -> None:
        """Print a note about the running job to stderr, above a progress bar."""
        if self.quiet or (self.brief and not code):
            return
        self._shown_loading = False
        shown = printable(text, "\n")
        with _above_bars(sys.stderr):
            print(self._paint(shown, code, sys.stderr) if code else shown, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a warning to stderr."""
        self.note(text, "33")

    def fail(self, text: str, even_quiet: bool = False) -> None:
        """Print an error to stderr."""
        if not self.quiet or even_quiet:
            print(self._paint(printable(text, "\n"), "31", sys.stderr), file=sys.stderr, flush=True)

    def track(
        self, items: Iterable[T], total: int, label: str, pictures: Callable[[T], int] = lambda _: 1
    ) -> Iterator[T]:
        """Yield the items under a progress bar that counts pictures.

        Args:
            pictures: returns the number of pictures in an item; one by default.
        """
        with self.progress(total, label) as progress:
            for item in items:
                yield item
                progress.advance(pictures(item))

    def progress(self, total: int, label: str, done: int = 0) -> Progress:
        """Return the progress of a job, to be entered and advanced by the caller; `done` pictures are
        finished."""
        write = None if self.quiet or self.brief else self.note
        return Progress(total, printable(label), self._pace, done, write)

    def show_loading(self, module: str) -> None:
        """Print 'Loading …' on a terminal before a slow import, once for several in a row."""
        known = module in sys.modules or self._shown_loading
        if known or self.quiet or self.brief or not sys.stderr.isatty():
            return
        print("Loading …", file=sys.stderr, flush=True)
        self._shown_loading = True

    def confirm(self, question: str) -> bool:
        """Ask yes or no; everything but yes, and any call without a terminal, is no."""
        if not self.interactive:
            return False
        self.forget_typed_keys()
        try:
            return self._read_line(f"{printable(question)} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def ask(self, question: str, path: bool = False) -> str | None:
        """Ask for a line of text; None for Esc, Ctrl-C and the end of input.

        Args:
            path: the Tab key completes names of files and folders.
        """
        try:
            return self._read_line(f"{printable(question)}: ", path).strip()
        except (EOFError, KeyboardInterrupt):
            self.show("")
            return None

    def ask_until(self, question: str, read: Callable[[str], T], path: bool = False) -> T | None:
        """Ask until `read` accepts the answer; None for an empty answer, or when ask() returns None.

        Raises:
            UserError: `read` refuses the answer, and no user can give another.
        """
        while answer := self.ask(question, path):
            try:
                return read(answer)
            except UserError as error:
                if not self.interactive:
                    raise self._wrong_answer(answer, str(error)) from None
                self.fail(str(error))
        return None

    def _read_line(self, question: str, path: bool = False) -> str:
        """Return a line as typed; Esc raises EOFError."""
        if not self.fancy:
            return self._input(question)
        # The menu may have read ahead; only prompt_toolkit has the keys that it buffers.
        from prompt_toolkit import PromptSession
        from prompt_toolkit.key_binding import KeyBindings
        from questionary.prompts.path import GreatUXPathCompleter

        keys = KeyBindings()
        keys.add("escape")(lambda event: event.app.exit(exception=EOFError()))
        session: PromptSession[str] = PromptSession(
            question,
            completer=GreatUXPathCompleter(expanduser=True) if path else None,
            complete_while_typing=False,
            key_bindings=keys,
        )
        # The time that Esc waits for a second key, as in Alt-B: long enough for a slow connection.
        session.app.timeoutlen = 0.2
        return session.prompt()

    def _input(self, question: str) -> str:
        """Return the next line of the input, without a byte-order mark at its beginning."""
        if not self._lines and hasattr(sys.stdin, "reconfigure"):
            # A file's name in another encoding keeps its bytes, as everywhere.
            sys.stdin.reconfigure(errors="surrogateescape")
        line = input(question)
        self._lines += 1
        return line.removeprefix("\ufeff").removeprefix("ï»¿") if self._lines == 1 else line

    def _wrong_answer(self, answer: str, why: str) -> WrongAnswer:
        """Return the error for a wrong line of piped answers: the next line answers another question."""
        return WrongAnswer(f"Line {self._lines} of the answers, {printable(answer)!r}: {why}")

    def choose(self, title: str, choices: Sequence[tuple[str, str]]) -> str | None:
        """Let the user choose a numbered entry, by number and Enter or with the arrow keys.

        Args:
            title: the question.
            choices: (key, label) pairs; keys are numbers.

        Returns:
            The chosen key, '0' for Ctrl-C, Ctrl-D and Esc, or None at the end of input.
        """
        if self.fancy:
            return self._choose_fancy(title, choices)
        while True:
            for key, label in choices:
                self.show(f"{key}. {label}")
            self.show(f"{title}: enter a number")
            try:
                answer = self._input("> " if self.interactive else "").strip()
            except EOFError:
                return None
            except KeyboardInterrupt:
                self.show("")
                return BACK
            if any(answer == key for key, _ in choices):
                return answer
            if not self.interactive:
                raise self._wrong_answer(answer, f"{INVALID}: {', '.join(key for key, _ in choices)}")
            self.show(INVALID)

    def _choose_fancy(self, title: str, choices: Sequence[tuple[str, str]]) -> str | None:
        import questionary

        single = all(len(key) == 1 for key, _ in choices)
        question = questionary.select(
            title,
            choices=[
                questionary.Choice(label, value=key, shortcut_key=key)
                if single
                else questionary.Choice(f"{key:>2}) {label}", value=key)
                for key, label in choices
            ],
            use_shortcuts=single,
            use_jk_keys=False,
            qmark="",
            # A prompt that is too long would break within words.
            instruction=next(
                (how for how in INSTRUCTIONS if len(f" {title} {how}") < self.columns), INSTRUCTIONS[-1]
            ),
        )
        add_keys(question.application, {key for key, _ in choices}, BACK, INVALID)
        try:
            answer: str = question.unsafe_ask()
        except KeyboardInterrupt:
            return BACK
        except EOFError:
            return None
        if answer == INVALID:
            self.fail(INVALID)
            return self._choose_fancy(title, choices)
        return answer

    def wait_for_enter(self, prompt: str) -> None:
        """Keep a terminal's screen in sight until Enter, Esc, Ctrl-C or Ctrl-D.

        Without a terminal it reads nothing.
        """
        if not self.interactive:
            return
        wait = make_pause(prompt) if self.fancy else lambda: input(prompt)
        self.forget_typed_keys()
        with suppress(EOFError, KeyboardInterrupt):
            wait()

    def forget_typed_keys(self) -> None:
        """Discard keys typed while a job ran, so that they do not answer the next question."""
        if not self.interactive:
            return
        if self.fancy:
            from prompt_toolkit.input import create_input
            from prompt_toolkit.input.typeahead import clear_typeahead

            clear_typeahead(create_input(sys.stdin))
        try:
            import termios
        except ImportError:
            return
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


@contextmanager
def _above_bars(stream: TextIO) -> Iterator[None]:
    """Hide progress bars while something else is written to `stream`."""
    if "tqdm" not in sys.modules:
        yield
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=stream):
        yield


def printable(text: str | PurePath, keep: str = "") -> str:
    """Return text on one line, with control characters escaped except those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in str(text))


def can_show() -> bool:
    """Return whether a display can show a picture or a page."""
    desktop = sys.platform in ("win32", "darwin")
    return desktop or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_picture(path: Any) -> bool:
    """Open a picture in the desktop's viewer; False if there is no display."""
    import subprocess

    if not can_show():
        return False
    if sys.platform == "win32":
        os.startfile(path)
        return True
    command = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        subprocess.Popen([command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return True
