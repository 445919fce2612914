"""What the terminal shows: prompts, progress bars, messages, colours."""

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
from fakedetect.core.terminal.progress import Pace, Progress, columns_of

T = TypeVar("T")

BACK = "0"
INVALID = "Please enter a valid choice"
INSTRUCTIONS = ("(number or arrow keys, then Enter)", "(number, then Enter)", "(number)")
"""How to choose an entry, for wide and for narrow terminals."""

FILE_COLUMNS = 100
"""The width of tables where there is no terminal."""

BOLD, PLAIN = "\ufdd0", "\ufdd1"
"""show() makes what is between them stand out, where the terminal can. No text holds such noncharacters."""


@dataclass(frozen=True)
class Outcome:
    """What an option did: the text to show, and 0 when done, 1 when done in part, 130 when stopped.

    The result itself is the last line of the text: what stands above it may be scrolled away. `left`: the
    user went back, and nothing was done.
    """

    text: str
    status: int = 0
    left: bool = False


def plural(count: int, noun: str) -> str:
    """'1 picture', '2 pictures', '2 copies'."""
    if count == 1:
        return f"1 {noun}"
    ending_in_y = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{count:,} {noun[:-1]}ies" if ending_in_y else f"{count:,} {noun}s"


class Console:
    """Results go to stdout; progress, warnings and errors to stderr.

    `quiet` shows nothing at all, for tests and for use as a library; `brief` shows no progress and no news.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.brief = False
        self._pace = Pace()
        self._said_loading = False
        self._lines = 0
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.fancy = (
            self.interactive
            and os.environ.get("TERM", "") not in ("dumb", "unknown")
            and "utf" in (sys.stdout.encoding or locale.getpreferredencoding()).lower()
        )
        for stream in (sys.stdout, sys.stderr):
            # A file name may hold anything; showing it must not end the program.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    def _paint(self, text: str, code: str, stream: Any) -> str:
        if not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
            return text
        return f"\x1b[{code}m{text}\x1b[0m"

    @property
    def columns(self) -> int:
        """How wide a result may be: the terminal, or FILE_COLUMNS where it goes into a file."""
        return columns_of(sys.stdout) or FILE_COLUMNS

    def show(self, text: str) -> None:
        """A result, to stdout; whatever a file name in it holds, it cannot drive the terminal."""
        if self.quiet or not text:
            return
        self._said_loading = False
        shown = printable(text, BOLD + PLAIN + "\n")
        for mark, code in ((BOLD, "\x1b[1m"), (PLAIN, "\x1b[0m")):
            shown = shown.replace(mark, code if self._paint("", "1", sys.stdout) else "")
        with _above_bars(sys.stdout):
            print(shown, flush=True)

    def title(self, text: str) -> None:
        """A heading, to stdout."""
        self.show(f"{BOLD}{text}{PLAIN}")

    def note(self, text: str, code: str = "") -> None:
        """News of the work going on, to stderr, above a progress bar if there is one."""
        if self.quiet or (self.brief and not code):
            return
        self._said_loading = False
        said = printable(text, "\n")
        with _above_bars(sys.stderr):
            print(self._paint(said, code, sys.stderr) if code else said, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """A warning, to stderr."""
        self.note(text, "33")

    def fail(self, text: str, even_quiet: bool = False) -> None:
        """An error, to stderr."""
        if not self.quiet or even_quiet:
            print(self._paint(printable(text, "\n"), "31", sys.stderr), file=sys.stderr, flush=True)

    def track(
        self, items: Iterable[T], total: int, label: str, pictures: Callable[[T], int] = lambda _: 1
    ) -> Iterator[T]:
        """Pass items on under a progress bar that counts pictures.

        Args:
            pictures: how many pictures an item stands for; one unless said.
        """
        with self.progress(total, label) as progress:
            for item in items:
                yield item
                progress.advance(pictures(item))

    def progress(self, total: int, label: str, done: int = 0) -> Progress:
        """A job of so many pictures, `done` of them before, to be entered and advanced by its doer."""
        say = None if self.quiet or self.brief else self.note
        return Progress(total, printable(label), self._pace, done, say)

    def loading(self, module: str) -> None:
        """Say on a terminal that a module is being loaded that takes seconds, where it is not there yet; of
        several in a row, once."""
        known = module in sys.modules or self._said_loading
        if known or self.quiet or self.brief or not sys.stderr.isatty():
            return
        print("Loading …", file=sys.stderr, flush=True)
        self._said_loading = True

    def confirm(self, question: str) -> bool:
        """Ask yes or no; anything but yes, Esc and no terminal at all are no."""
        if not self.interactive:
            return False
        self.forget_typed_keys()
        try:
            return self._read_line(f"{printable(question)} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def ask(self, question: str, path: bool = False) -> str | None:
        """Ask for a line of text; None for Esc, Ctrl-C and at the end of input.

        Args:
            path: the tabulator key completes the names of files and folders.
        """
        try:
            return self._read_line(f"{printable(question)}: ", path).strip()
        except (EOFError, KeyboardInterrupt):
            self.show("")
            return None

    def ask_until(self, question: str, read: Callable[[str], T], path: bool = False) -> T | None:
        """Ask until `read` takes the answer; None for an empty one, and where ask() gives None.

        Raises:
            UserError: `read` refuses the answer, and nobody is there to give another.
        """
        while answer := self.ask(question, path):
            try:
                return read(answer)
            except UserError as error:
                if not self.interactive:
                    raise self._refuse(answer, str(error)) from None
                self.fail(str(error))
        return None

    def _read_line(self, question: str, path: bool = False) -> str:
        """A line as typed; Esc raises EOFError."""
        if not self.fancy:
            return self._input(question)
        # The menu may have read ahead; only prompt_toolkit sees keys that it holds back.
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
        # How long Esc waits for a second key, as in Alt-B: long enough for a slow line.
        session.app.timeoutlen = 0.2
        return session.prompt()

    def _input(self, question: str) -> str:
        """The next line of the input. The mark that editors begin a file with is no part of an answer."""
        if not self._lines and hasattr(sys.stdin, "reconfigure"):
            # A file's name in another encoding keeps its bytes, as everywhere.
            sys.stdin.reconfigure(errors="surrogateescape")
        line = input(question)
        self._lines += 1
        return line.removeprefix("\ufeff").removeprefix("ï»¿") if self._lines == 1 else line

    def _refuse(self, answer: str, why: str) -> WrongAnswer:
        """The error for an answer that nobody can be asked for again: the next line answers another
        question."""
        return WrongAnswer(f"Line {self._lines} of the answers, {printable(answer)!r}: {why}")

    def choose(self, title: str, choices: Sequence[tuple[str, str]]) -> str | None:
        """Let the user choose a numbered entry by number and Enter or by the arrow keys.

        Args:
            title: what is asked.
            choices: (key, label) pairs; keys are numbers.

        Returns:
            The key that was chosen, '0' for Ctrl-C, Ctrl-D and Esc, None at the end of input.
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
                raise self._refuse(answer, f"{INVALID}: {', '.join(key for key, _ in choices)}")
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
            # The prompt breaks within words where it does not fit.
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
        """Keep what is on a terminal's screen in sight until Enter; Esc, Ctrl-C and Ctrl-D will do too.

        Elsewhere it reads nothing.
        """
        if not self.interactive:
            return
        wait = make_pause(prompt) if self.fancy else lambda: input(prompt)
        self.forget_typed_keys()
        with suppress(EOFError, KeyboardInterrupt):
            wait()

    def forget_typed_keys(self) -> None:
        """Keys typed while a job ran must not answer the next question."""
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
    """Take progress bars off the screen while something else is written to `stream`."""
    if "tqdm" not in sys.modules:
        yield
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=stream):
        yield


def printable(text: str | PurePath, keep: str = "") -> str:
    """Text of a file or its name, on one line, in which nothing drives a terminal; `keep` stays."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in str(text))


def can_show() -> bool:
    """Whether there is a display on which a picture or a page could be shown."""
    desktop = sys.platform in ("win32", "darwin")
    return desktop or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_picture(path: Any) -> bool:
    """Show a picture in the desktop's own viewer; False where there is no display."""
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
