"""The menu loop, and a command that runs one of its entries, both read from the table of options."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fakedetect.command_line import parse
from fakedetect.core.errors import (
    ProcessError,
    UserError,
    WrongAnswer,
    describe_missing,
    did_you_mean,
    is_own_import,
)
from fakedetect.core.installation import HOME, TEMPLATE, default_paths
from fakedetect.core.processes.heap import freed_is_kept
from fakedetect.core.processes.signals import Ended, answer_signals, end_at_once
from fakedetect.core.settings.model_folder import adopt_starter, checkpoint_file, find_starter
from fakedetect.core.settings.settings import FOLDERS, Settings, find_settings, load_settings
from fakedetect.core.terminal.console import BACK, Console, Outcome
from fakedetect.core.terminal.output import BROKEN_PIPE, OutputClosed, guard_output
from fakedetect.options import DEMO_STEPS, INIT, OPTIONS, SLOW_TO_LOAD, WITHOUT_FILE, Option, commands
from fakedetect.overview import describe_state

SECONDS_TO_LET_SPEAK = 2.0
STOPPED = "Stopped. What was finished is kept."


def run_option(
    option: Option,
    settings: Settings,
    console: Console,
    arguments: Mapping[str, Any],
    alone: bool = False,
) -> Outcome:
    """Run one row and show what it did, or why it did not; returns what it came to.

    Args:
        alone: the process runs this row only, so that Ctrl-C need not wait for imports.
    """
    try:
        if option.target not in WITHOUT_FILE:
            _require_file(settings)
            adopt_starter(settings)
        module, function = option.target.split(":")
        if option.target.startswith(SLOW_TO_LOAD):
            console.loading(module)
        with end_at_once(lambda: console.fail(STOPPED)) if alone else nullcontext():
            target = getattr(importlib.import_module(module), function)
        with freed_is_kept():
            outcome: Outcome = target(settings, console, **arguments)
        console.show(outcome.text)
        if option.command == "demo" and outcome.status == 0:
            return _run_demo(settings, console)
        return outcome
    except WrongAnswer:
        # Not only this option ends.
        raise
    except UserError as error:
        console.fail(str(error), even_quiet=isinstance(error, ProcessError))
        return Outcome("", 2)
    except KeyboardInterrupt:
        console.fail(STOPPED)
        return Outcome("", 130)
    except ModuleNotFoundError as error:
        if is_own_import(error):
            raise
        console.fail(describe_missing(error))
        return Outcome("", 2)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        console.fail(f"{error.strerror or error}{where}. Check the disk and the permissions.")
        return Outcome("", 2)


def _require_file(settings: Settings) -> None:
    """Let nothing work on folders that no settings file names.

    Raises:
        UserError: there is none in the current folder.
    """
    if not settings.file.exists():
        raise UserError(
            f"There is no {settings.file.name} in this folder. To write one with every key explained: "
            f"{settings.command('init')}"
        )


def _run_demo(settings: Settings, console: Console) -> Outcome:
    paths = settings.file.parent / "demo" / "paths.toml"
    demo = load_settings(paths)
    by_name = {option.command: option for option in commands()}
    for step in DEMO_STEPS:
        console.title(f"\n== {step} ==")
        if step == "train" and (checkpoint := checkpoint_file(demo)).is_file():
            console.show(f"Trained already: {checkpoint}")
            continue
        arguments = {key: value for key, value in by_name[step].arguments.items() if key != "ask"}
        outcome = run_option(by_name[step], demo, console, arguments)
        if outcome.status:
            return outcome
    console.title("\nThe demonstration is done. It says nothing about real detectors.")
    console.show(
        f"Next: {demo.command()}   (the menu on the demo pictures)\n"
        f"      {settings.command()}   (your own pictures, named in {settings.file.name})"
    )
    if starter := find_starter(settings):
        console.show(
            f"      {starter.command('check', 'PATH')}   (a verdict without any training: the starter, "
            "whose backbone is downloaded once, 350 MB)"
        )
    return Outcome("")


def run_menu(file: Path, model: str | None, console: Console) -> int:
    """The interactive menu, until 0 or the end of input.

    Raises:
        UserError: the settings cannot be read when it opens; later, the menu says so and stays.
    """
    state = describe_state(_settings(file, model))
    while True:
        console.title("\nfakedetect: real photograph or AI-generated?")
        console.show(state)
        key = console.choose("Main Menu", _choices(OPTIONS, "Exit"))
        if key in (None, BACK):
            console.show("Goodbye.")
            return 0
        option = next(option for option in OPTIONS if option.key == key)
        if option.entries:
            if not _run_submenu(option, file, model, console):
                return 0
        else:
            outcome = _run_entry(option, file, model, console)
            if key == "4" and outcome.status == 0 and not outcome.left:
                model = None
        try:
            state = describe_state(_settings(file, model))
        except UserError as error:
            state = str(error)


def _choices(options: Sequence[Option], last: str) -> list[tuple[str, str]]:
    return [*((option.key, option.label) for option in options), (BACK, last)]


def _run_submenu(parent: Option, file: Path, model: str | None, console: Console) -> bool:
    """One sub-menu until 0; False at the end of input."""
    while True:
        key = console.choose(parent.title, _choices(parent.entries, "Back"))
        if key is None:
            return False
        if key == BACK:
            return True
        option = next(option for option in parent.entries if option.key == key)
        _run_entry(option, file, model, console)


def _run_entry(option: Option, file: Path, model: str | None, console: Console) -> Outcome:
    """Run an entry under the settings as they are now; what it shows stays on the screen until Enter."""
    if option.confirm and console.interactive and not console.confirm(option.confirm):
        return Outcome("", 1, left=True)
    # A package that was installed since the menu was opened.
    importlib.invalidate_caches()
    try:
        settings = _settings(file, model)
    except UserError as error:
        console.fail(str(error))
        outcome = Outcome("", 2)
    else:
        outcome = run_option(option, settings, console, option.arguments)
    if not outcome.left:
        console.wait_for_enter("Enter: menu ")
    return outcome


def _settings(file: Path, model: str | None) -> Settings:
    """The settings of a file; where the default one is missing, the program's own in its place."""
    settings = find_settings(file)
    return settings.with_model(model) if model else settings


def _is_first() -> bool:
    """Whether this process is alone, or the first of those that torchrun has started."""
    return os.environ.get("RANK", "0") == "0"


def _met_gloo() -> bool:
    """Whether this process may have joined others by gloo, which PyTorch uses where there is no GPU."""
    torch = sys.modules.get("torch")
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    return several and torch is not None and not torch.cuda.is_available()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit code.

    Raises:
        SystemExit: the call was wrong, or asked for help.
    """
    try:
        with answer_signals(), guard_output():
            code = _run(arguments)
    except OutputClosed:
        code = BROKEN_PIPE
    except UserError as error:
        print(error, file=sys.stderr)
        code = 2
    if code and not _is_first():
        # torchrun ends all processes once one has failed; the first one may still have to say why.
        time.sleep(SECONDS_TO_LET_SPEAK)
    if _met_gloo():
        # Threads of gloo can outlive its group and abort the interpreter's own ending, once in some
        # dozens of runs, after all is done (PyTorch's pull request 179291 describes it).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _leave_deleted_folder() -> None:
    """Go to a folder that is there, for libraries that cannot do without one: absolute paths still hold."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir(HOME.anchor)


def _run(arguments: Sequence[str] | None) -> int:
    # Of several processes that torchrun has started, the first one talks.
    console = Console(quiet=not _is_first())
    try:
        _leave_deleted_folder()
        return _run_command(parse(sys.argv[1:] if arguments is None else arguments), console)
    except UserError as error:
        console.fail(str(error))
        return 2
    except KeyboardInterrupt:
        console.fail(STOPPED)
        return 130
    except Ended as end:
        if end.code == 128 + signal.SIGTERM:
            together = " (another process of this run may have ended)" if "RANK" in os.environ else ""
            console.fail(f"Stopped from outside{together}. What was finished is kept.")
        return end.code


def _run_command(given: dict[str, Any], console: Console) -> int:
    file = given.pop("paths", None) or default_paths()
    model = given.pop("model", None)
    console.brief = given.pop("quiet", False)
    command = given.pop("command")
    if command is None:
        return run_menu(file, model, console)
    for name in given.get("folders", ()):
        if name not in FOLDERS:
            raise UserError(
                f"Unknown folder {name!r}{did_you_mean(name, FOLDERS)}. Name any of {', '.join(FOLDERS)}."
            )
    option = next(option for option in commands() if option.command == command)
    if not (_is_first() or option.together):
        return 0
    if option.several and model == "all":
        given["all_models"], model = True, None
    settings = load_settings(file, TEMPLATE) if option.target == INIT else _settings(file, model)
    return run_option(option, settings, console, given, alone=True).status
