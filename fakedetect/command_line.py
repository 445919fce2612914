"""The command line, built from the table of options: parser, help, and suggestions for mistakes."""

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
    """Build the parser from the table of options."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--paths", type=Path, metavar="FILE", help="use this settings file (default: paths.toml)"
    )
    common.add_argument("--model", metavar="NAME", help="use this model for this call only")
    common.add_argument(
        "--quiet", action="store_true", help="show results, warnings and errors, but no progress"
    )
    parser = argparse.ArgumentParser(
        prog=Path(program_words()[-1]).name,
        parents=[common],
        description="Detect AI-generated images. Without a command, the menu opens.",
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
            # Examples must not be wrapped.
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for argument in option.takes:
            row.add_argument(argument.flag, **argument.keywords)
    return parser


def _describe_more(option: Option, program: str) -> str:
    """Return the text below a command's options."""
    example = " ".join(filter(None, (program, option.command, option.example)))
    several = "--model all uses every trained model and reports how far they agree."
    return "\n".join([*([several] if option.several else []), f"Example: {example}", DOCUMENTATION])


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Parse the words after the program's name into argparse's names; the command is None for the menu.

    Raises:
        UserError: there is no such command, or the command has no such option.
        SystemExit: help was requested, or argparse rejected a value.
    """
    given = _mark_files(arguments)
    _check_command(given)
    values, unknown = build_parser().parse_known_args(given)
    if unknown:
        raise _unknown_argument(unknown[0], values.command)
    return vars(values)


def _flags(command: str | None = None) -> list[str]:
    """Return the options of a command, or of all commands."""
    rows = [option for option in commands() if command in (None, option.command)]
    return [argument.flag for option in rows for argument in option.takes if argument.flag.startswith("-")]


def _mark_files(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `./` before file names that look like options, such as -1.jpg."""
    flags = {*_flags(), *COMMON, "-h", "--version", "-", "--"}
    # After --, nothing is an option.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [
        f"./{each}"
        if number < end and each.startswith("-") and each not in flags and os.path.lexists(each)
        else each
        for number, each in enumerate(arguments)
    ]


def _check_command(given: Sequence[str]) -> None:
    """Raise an error for a first word that is no command, with a suggestion.

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
    problem = f"Unknown command {word!r}."
    # A picture, or a folder of them.
    if os.path.lexists(word) or "/" in word or Path(word).suffix:
        meant: tuple[str, ...] = ("check", word)
    elif near := find_nearest(word, known):
        meant = (near,)
    else:
        raise UserError(f"{problem} The commands are: {', '.join(known)}.")
    raise UserError(f"{problem} Did you mean: {join_words((*program_words(), *before, *meant, *behind))}")


def _unknown_argument(word: str, command: str | None) -> UserError:
    """Return the error for an argument that the program or a command does not accept."""
    near = did_you_mean(word, [*COMMON, *(_flags(command) if command else ["--version"])])
    words = (*program_words(), *([command] if command else []), "--help")
    problem = f"{command or 'fakedetect'}: unknown argument {word!r}{near}"
    return UserError(f"{problem}. For help: {join_words(words)}")
