"""Key bindings of a menu on a terminal, in addition to those of questionary, and of a pause."""

from collections.abc import Callable
from typing import Any


def make_pause(prompt: str) -> Callable[[], str]:
    """Return a function that waits for Enter, Esc, Ctrl-C or Ctrl-D and then erases its prompt.

    Other keys do nothing: a number before Enter is meant for the menu that is not shown yet.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.keys import Keys

    keys = KeyBindings()
    keys.add(Keys.Any)(lambda _: None)
    for key in ("enter", "c-j", "escape", "c-c", "c-d"):
        keys.add(key, eager=True)(lambda event: event.app.exit(result=""))
    session: PromptSession[str] = PromptSession(prompt, key_bindings=keys, erase_when_done=True)
    session.app.ttimeoutlen = 0.05
    return session.prompt


def add_keys(application: Any, choices: set[str], back: str, invalid: str) -> None:
    """Return `back` for Esc and Ctrl-D, and `invalid` for Enter after characters that are no entry.

    '7' and Enter must not run the highlighted entry if there is no 7, and '77' or '12' must not run the
    entry of their last digit: the characters before Enter are read as a whole.
    """
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings

    theirs = application.key_bindings or KeyBindings()
    ours = KeyBindings()
    typed = {"now": "", "before": ""}

    def next_key(_: Any) -> None:
        typed["before"], typed["now"] = typed["now"], ""

    def remember(event: Any) -> None:
        key = event.key_sequence[0].key
        typed["now"] = typed["before"] + key
        for binding in theirs.get_bindings_for_keys((key,)):
            binding.call(event)

    for character in "0123456789abcdefghijklmnopqrstuvwxyz":
        ours.add(character, eager=True)(remember)

    def answer(event: Any) -> None:
        event.app.exit(result=typed["before"] if typed["before"] in choices else invalid)

    # Enter typed before the menu was shown arrives as a line feed.
    for enter in ("c-m", "c-j"):
        ours.add(enter, eager=True, filter=Condition(lambda: bool(typed["before"])))(answer)
    for key in ("escape", "c-d"):
        ours.add(key, eager=True)(lambda event: event.app.exit(result=back))
    application.key_bindings = merge_key_bindings([theirs, ours])
    application.key_processor.before_key_press += next_key
    application.ttimeoutlen = 0.05
