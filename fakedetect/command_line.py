"""The command line, read from the table of options: its words, its help, and what was probably meant."""

import argparse
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakedetect.core.errors import UserError, did_you_mean, find_nearest
from fakedetect.core.installation import join_words, program_words
from fakedetect.core.version import VERSION
from fakedetect.options import Option, commands

COMMON = ("--help", "--paths", "--model", "--quiet")
"""Options of every command."""

DOCUMENTATION = "Documentation: docs/commands.md"
HELP_COLUMNS = 78


def build_parser() -> argparse.ArgumentParser:
    """The command line, from the table."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--paths", type=Path, metavar="FILE", help="settings (default: paths.toml)")
    common.add_argument("--model", metavar="NAME", help="the model, for this call only")
    common.add_argument(
        "--quiet", action="store_true", help="show results, warnings and errors, but no progress"
    )
    parser = argparse.ArgumentParser(
        prog=Path(program_words()[-1]).name,
        parents=[common],
        description="Tell real photographs from AI-generated images. Without a command: the menu.",
        epilog=DOCUMENTATION,
    )
    parser.add_argument("--version", action="version", version=f"fakedetect {VERSION}")
    rows = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for option in commands():
        row = rows.add_parser(
            option.command,
            parents=[common],
            help=option.help,
            description=textwrap.fill(option.help, HELP_COLUMNS),
            epilog=_describe_more(option, parser.prog),
            # An example is not to be wrapped.
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for argument in option.takes:
            row.add_argument(argument.flag, **argument.keywords)
    return parser


def _describe_more(option: Option, program: str) -> str:
    """What stands below a command's options."""
    example = " ".join(filter(None, (program, option.command, option.example)))
    several = "--model all uses every trained model and reports how far they agree."
    return "\n".join([*([several] if option.several else []), f"Example: {example}", DOCUMENTATION])


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What was typed behind the program's name, by argparse's names; the command is None for the menu.

    Raises:
        UserError: there is no such command, or it takes no such option.
        SystemExit: help was asked for, or argparse has refused a value.
    """
    given = _mark_files(arguments)
    _check_command(given)
    values, unknown = build_parser().parse_known_args(given)
    if unknown:
        raise _refuse(unknown[0], values.command)
    return vars(values)


def _flags(command: str | None = None) -> list[str]:
    """The options of a command; without one, of all of them."""
    rows = [option for option in commands() if command in (None, option.command)]
    return [argument.flag for option in rows for argument in option.takes if argument.flag.startswith("-")]


def _mark_files(arguments: Sequence[str]) -> list[str]:
    """The arguments, with `./` before the name of a file that would be taken for an option: -1.jpg."""
    flags = {*_flags(), *COMMON, "-h", "--version", "-", "--"}
    # Behind -- nothing is taken for an option.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [
        f"./{each}"
        if number < end and each.startswith("-") and each not in flags and os.path.lexists(each)
        else each
        for number, each in enumerate(arguments)
    ]


def _check_command(given: Sequence[str]) -> None:
    """Refuse a first word that is no command, with what was probably meant.

    Raises:
        UserError: there is no such command.
    """
    place = 0
    while place < len(given) and given[place].startswith("-"):
        place += 2 if given[place] in ("--paths", "--model") else 1
    known = [option.command for option in commands()]
    if place >= len(given) or given[place] in known:
        return
    word, before, behind = given[place], given[:place], given[place + 1 :]
    said = f"There is no command {word!r}."
    # A picture, or a folder of them.
    if os.path.lexists(word) or "/" in word or Path(word).suffix:
        meant: tuple[str, ...] = ("check", word)
    elif near := find_nearest(word, known):
        meant = (near,)
    else:
        raise UserError(f"{said} The commands are: {', '.join(known)}.")
    raise UserError(f"{said} Did you mean: {join_words((*program_words(), *before, *meant, *behind))}")


def _refuse(word: str, command: str | None) -> UserError:
    """The error for a word that the program, or one of its commands, does not take."""
    near = did_you_mean(word, [*COMMON, *(_flags(command) if command else ["--version"])])
    words = (*program_words(), *([command] if command else []), "--help")
    said = f"{command or 'fakedetect'} does not take {word!r}{near}"
    return UserError(f"{said}. What it takes: {join_words(words)}")
