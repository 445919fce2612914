"""The menu loop and the command line, both driven by the table of options."""

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
from fakedetect.core.processes.memory import freed_memory_kept
from fakedetect.core.processes.signals import Terminated, exit_on_interrupt, handle_signals
from fakedetect.core.settings.model_folder import adopt_starter, checkpoint_file, find_starter
from fakedetect.core.settings.settings import FOLDERS, Settings, find_settings, load_settings
from fakedetect.core.terminal.console import BACK, Console, Outcome
from fakedetect.core.terminal.output import BROKEN_PIPE, OutputClosed, guard_output
from fakedetect.options import DEMO_STEPS, INIT, OPTIONS, SLOW_TO_LOAD, WITHOUT_FILE, Option, commands
from fakedetect.overview import describe_state

SECONDS_FOR_FIRST_PROCESS = 2.0
STOPPED = "Stopped. What was finished is kept."


def run_option(
    option: Option,
    settings: Settings,
    console: Console,
    arguments: Mapping[str, Any],
    alone: bool = False,
) -> Outcome:
    """Run an option, show its result or the error, and return the outcome.

    Args:
        alone: the process runs only this option, so Ctrl-C need not wait for imports.
    """
    try:
        if option.target not in WITHOUT_FILE:
            _require_file(settings)
            adopt_starter(settings)
        module, function = option.target.split(":")
        if option.target.startswith(SLOW_TO_LOAD):
            console.show_loading(module)
        with exit_on_interrupt(lambda: console.fail(STOPPED)) if alone else nullcontext():
            target = getattr(importlib.import_module(module), function)
        with freed_memory_kept():
            outcome: Outcome = target(settings, console, **arguments)
        console.show(outcome.text)
        if option.command == "demo" and outcome.status == 0:
            return _run_demo(settings, console)
        return outcome
    except WrongAnswer:
        # The whole program ends, not only this option.
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
    """Refuse to work on folders that no settings file names.

    Raises:
        UserError: the settings file is missing.
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
            console.show(f"Already trained: {checkpoint}")
            continue
        arguments = {key: value for key, value in by_name[step].arguments.items() if key != "ask"}
        outcome = run_option(by_name[step], demo, console, arguments)
        if outcome.status:
            return outcome
    console.title("\nThe demonstration is finished. Its results say nothing about real pictures.")
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
    """Run the interactive menu until 0 or the end of input.

    Raises:
        UserError: the settings cannot be read at the start; later, the menu shows the error and continues.
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
    """Run a sub-menu until 0; return False at the end of input."""
    while True:
        key = console.choose(parent.title, _choices(parent.entries, "Back"))
        if key is None:
            return False
        if key == BACK:
            return True
        option = next(option for option in parent.entries if option.key == key)
        _run_entry(option, file, model, console)


def _run_entry(option: Option, file: Path, model: str | None, console: Console) -> Outcome:
    """Run an entry with the current settings; its output stays on the screen until Enter."""
    if option.confirm and console.interactive and not console.confirm(option.confirm):
        return Outcome("", 1, left=True)
    # A package may have been installed since the menu was opened.
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
    """Return the settings of a file; if the default file is missing, the program's own."""
    settings = find_settings(file)
    return settings.with_model(model) if model else settings


def _is_first() -> bool:
    """Return whether this process is the only one or the first of those started by torchrun."""
    return os.environ.get("RANK", "0") == "0"


def _met_gloo() -> bool:
    """Return whether this process may have used gloo, the backend of PyTorch without a GPU."""
    torch = sys.modules.get("torch")
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    return several and torch is not None and not torch.cuda.is_available()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    Raises:
        SystemExit: the arguments were wrong, or help was requested.
    """
    try:
        with handle_signals(), guard_output():
            code = _run(arguments)
    except OutputClosed:
        code = BROKEN_PIPE
    except UserError as error:
        print(error, file=sys.stderr)
        code = 2
    if code and not _is_first():
        # torchrun ends all processes once one has failed; the first one may still have to print the reason.
        time.sleep(SECONDS_FOR_FIRST_PROCESS)
    if _met_gloo():
        # Threads of gloo can outlive their group and abort the interpreter's exit after all work is done,
        # once in some dozens of runs (described in PyTorch's pull request 179291).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _leave_deleted_folder() -> None:
    """Leave a deleted working folder, which some libraries cannot handle; absolute paths stay valid."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir(HOME.anchor)


def _run(arguments: Sequence[str] | None) -> int:
    # Of several processes started by torchrun, only the first one prints.
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
    except Terminated as end:
        if end.code == 128 + signal.SIGTERM:
            together = " (another process of this run may have failed)" if "RANK" in os.environ else ""
            console.fail(f"Terminated by a signal{together}. What was finished is kept.")
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
