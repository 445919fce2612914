"""ONE table of options; the interactive menu and the commands are both read from it."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakedetect.console import BACK, Console, Outcome
from fakedetect.errors import ProcessError, UserError
from fakedetect.overview import describe
from fakedetect.recipes import METHODS
from fakedetect.settings import FOLDERS, Settings, load_settings


@dataclass(frozen=True)
class Argument:
    """A command's argument: argparse's flags and keywords."""

    flag: str
    keywords: Mapping[str, Any]


@dataclass(frozen=True)
class Option:
    """A row of the table.

    `key` and `label` put it into the menu, `command` and `help` onto the command line; `target`
    is 'module:function', called with (settings, console, **arguments). `entries` is a sub-menu.
    `several`: the command takes `--model all` too, as the argument all_models.
    """

    key: str
    label: str
    command: str = ""
    help: str = ""
    target: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[Argument, ...] = ()
    entries: tuple["Option", ...] = ()
    title: str = ""
    several: bool = False


SCAN = "fakedetect.bad_images:scan"
RESIZE = "fakedetect.preprocessing:resize"
TRAIN = "fakedetect.training:train"
EXPLORE = "fakedetect.exploring:explore"
EXPLAIN = "fakedetect.explaining:explain"
TEST = "fakedetect.testing:run_test"
FOLDER_ARGUMENT = Argument(
    "folders",
    {
        "nargs": "*",
        "metavar": "FOLDER",
        "help": f"any of {', '.join(FOLDERS)} (default: all four)",
    },
)
RATE = {"type": float, "default": 0.05, "metavar": "SHARE"}
SHARD_ARGUMENT = Argument(
    "--shard",
    {"metavar": "K/N", "help": "do the Kth of N shares only, as one job of N on a cluster"},
)


def _by_folder(target: str, also: tuple[Option, ...] = ()) -> tuple[Option, ...]:
    singles = (
        Option(str(number), name.replace("-", " "), target=target, arguments={"folders": (name,)})
        for number, name in enumerate(FOLDERS, start=1)
    )
    return (*singles, *also)


OPTIONS = (
    Option(
        "1",
        "Look for bad images",
        "scan",
        "find the pictures that cannot be used and list them with the reason",
        SCAN,
        takes=(FOLDER_ARGUMENT, SHARD_ARGUMENT),
        title="Bad Images Menu",
        entries=_by_folder(
            SCAN,
            (
                Option(
                    "5",
                    "list of bad images",
                    "bad-images",
                    "print the list that earlier scans wrote",
                    "fakedetect.bad_images:show_bad_images",
                ),
                Option("6", "all four folders", target=SCAN),
            ),
        ),
    ),
    Option(
        "2",
        "Resize images from the dataset",
        "resize",
        "write the 224 x 224 copies that training and testing use",
        RESIZE,
        takes=(
            FOLDER_ARGUMENT,
            Argument(
                "--align",
                {
                    "action": "store_true",
                    "help": "write every copy as RGB JPEG of one quality, so that the file formats "
                    "cannot give the classes away",
                },
            ),
            Argument(
                "--fast",
                {
                    "action": "store_true",
                    "help": "decode large JPEGs at a smaller size: several times as fast, and nearly the "
                    "same pixels",
                },
            ),
            SHARD_ARGUMENT,
        ),
        title="Resize Menu",
        entries=_by_folder(
            RESIZE,
            (
                Option("5", "all four folders", target=RESIZE),
                Option("6", "all four folders, aligned", target=RESIZE, arguments={"align": True}),
                Option("7", "all four folders, fast", target=RESIZE, arguments={"fast": True}),
            ),
        ),
    ),
    Option(
        "3",
        "Train/Test the model",
        title="Model Training Menu",
        entries=(
            Option(
                "1",
                "train the model",
                "train",
                "train the chosen model; the best epoch becomes classifier_model.pth",
                TRAIN,
                takes=(
                    Argument(
                        "--overwrite",
                        {"action": "store_true", "help": "start afresh, replacing what is there"},
                    ),
                    Argument(
                        "--resume",
                        {"action": "store_true", "help": "go on with a run that was stopped"},
                    ),
                    Argument(
                        "--recipe",
                        {
                            "choices": METHODS,
                            "help": "the way of training (default: recipe in paths.toml, else reference)",
                        },
                    ),
                ),
            ),
            Option("2", "use the model on the train dataset", target=TEST, arguments={"on": "train"}),
            Option(
                "3",
                "use the model on the test dataset",
                "test",
                "predict a data set and print accuracy, report and confusion matrix",
                TEST,
                {"on": "test"},
                (
                    Argument(
                        "--on",
                        {
                            "choices": ("train", "test"),
                            "default": "test",
                            "help": "the data set (default: test)",
                        },
                    ),
                ),
            ),
            Option(
                "4",
                "show loss graph",
                "loss-graph",
                "draw loss_plot.jpg from the last run's log and print its epochs",
                "fakedetect.training:show_loss_graph",
            ),
            Option(
                "5",
                "evaluate thoroughly",
                "evaluate",
                "intervals, sources, calibration and robustness; other pictures and unseen sources",
                "fakedetect.evaluating:evaluate",
                {"ask": True},
                (
                    Argument(
                        "--data",
                        {
                            "metavar": "FOLDER",
                            "help": "test on other pictures instead: a folder that holds real/ and fake/",
                        },
                    ),
                    Argument(
                        "--leave-out",
                        {
                            "metavar": "SOURCE",
                            "help": "train once more without this source (a sub-folder) and test on it",
                        },
                    ),
                ),
            ),
            Option(
                "6",
                "set thresholds",
                "fit-thresholds",
                "calibrate the probabilities and set the thresholds of fake, real and unsure",
                "fakedetect.thresholds:set_thresholds",
                takes=(
                    Argument(
                        "--max-false-alarms",
                        {**RATE, "help": "real pictures that may be called fake (default: 0.05)"},
                    ),
                    Argument(
                        "--max-missed",
                        {**RATE, "help": "fakes that may be called real (default: 0.05)"},
                    ),
                ),
            ),
            Option(
                "7",
                "report",
                "report",
                "all that is known of the model on one page, report.html, to keep or to pass on",
                "fakedetect.reporting:report",
            ),
        ),
    ),
    Option(
        "4",
        "Choose the model",
        "choose",
        "write the chosen model into paths.toml",
        "fakedetect.choosing:choose_model",
        takes=(Argument("name", {"metavar": "MODEL", "help": "the model's name"}),),
    ),
    Option(
        "5",
        "Explore the dataset",
        "explore",
        "sizes, samples, a shortcut audit and duplicates, as tables and figures",
        EXPLORE,
        takes=(
            Argument(
                "--on",
                {
                    "choices": ("original", "resized"),
                    "default": "original",
                    "help": "the pictures as downloaded, or their copies (default: original)",
                },
            ),
        ),
        title="Explore Menu",
        entries=(
            Option("1", "original pictures", target=EXPLORE, arguments={"on": "original"}),
            Option("2", "resized pictures", target=EXPLORE, arguments={"on": "resized"}),
        ),
    ),
    Option(
        "6",
        "Explain a prediction",
        "explain",
        "draw where in a picture the model finds its evidence, and how far to believe the map",
        EXPLAIN,
        takes=(
            Argument("images", {"nargs": "*", "metavar": "IMAGE", "help": "pictures to explain"}),
            Argument(
                "--layer",
                {"metavar": "NAME", "help": "the layer for Grad-CAM (default: the model's last map)"},
            ),
            Argument(
                "--class",
                {
                    "dest": "target",
                    "choices": ("fake", "real"),
                    "help": "the class to explain (default: the predicted one)",
                },
            ),
            Argument(
                "--method",
                {
                    "choices": ("grad-cam", "rollout"),
                    "help": "default: Grad-CAM, and for a ViT Attention Rollout too",
                },
            ),
            Argument(
                "--sheet",
                {
                    "nargs": "?",
                    "const": 24,
                    "type": int,
                    "metavar": "COUNT",
                    "help": "a contact sheet of COUNT test pictures (default: 24) instead",
                },
            ),
        ),
        title="Explain Menu",
        entries=(
            Option("1", "a real test picture, by its number", target=EXPLAIN, arguments={"ask": "real"}),
            Option("2", "a fake test picture, by its number", target=EXPLAIN, arguments={"ask": "fake"}),
            Option("3", "any picture, by its path", target=EXPLAIN, arguments={"ask": "path"}),
            Option("4", "contact sheet of test pictures", target=EXPLAIN, arguments={"sheet": 24}),
        ),
    ),
    Option(
        "7",
        "Compare the models",
        "compare",
        "the tested models side by side: table, intervals, tests, figures, wrong answers",
        "fakedetect.comparing:compare",
    ),
    Option(
        "8",
        "Check my own pictures",
        "check",
        "is this picture real? A verdict on each picture: fake, real or unsure",
        "fakedetect.checking:check",
        {"ask": True},
        (
            Argument(
                "pictures", {"nargs": "+", "metavar": "PATH", "help": "pictures, and folders with pictures"}
            ),
            Argument(
                "--csv",
                {
                    "metavar": "FILE",
                    "help": "write the results there as well; a run that was stopped goes on",
                },
            ),
            Argument(
                "--json", {"dest": "as_json", "action": "store_true", "help": "print JSON lines instead"}
            ),
            Argument(
                "--no-stability",
                {
                    "action": "store_true",
                    "help": "do not try whether the answer outlives small changes; several times as fast",
                },
            ),
            Argument("--heat-map", {"action": "store_true", "help": "draw a heat map of each picture"}),
            SHARD_ARGUMENT,
        ),
        several=True,
    ),
    Option(
        "9",
        "Demo: the whole job on made-up pictures",
        "demo",
        "make pictures and run scan, resize, train, test and loss graph on them",
        "fakedetect.demo:make_demo",
    ),
)
DEMO_STEPS = ("scan", "resize", "train", "test", "loss-graph")


def commands(options: Sequence[Option] = OPTIONS) -> list[Option]:
    """The rows that are commands too."""
    return [
        found
        for option in options
        for found in ((option,) if option.command else ()) + tuple(commands(option.entries))
    ]


def build_parser() -> argparse.ArgumentParser:
    """The command line, from the table."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--paths", type=Path, metavar="FILE", help="settings (default: paths.toml)")
    common.add_argument("--model", metavar="NAME", help="the model, for this call only")
    parser = argparse.ArgumentParser(
        prog="menu.py",
        parents=[common],
        description="Tell real photographs from AI-generated images. Without a command: the menu.",
    )
    rows = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for option in commands():
        row = rows.add_parser(option.command, parents=[common], help=option.help, description=option.help)
        for argument in option.takes:
            row.add_argument(argument.flag, **argument.keywords)
        if option.several:
            row.epilog = "--model all asks every trained model and says how far they agree."
    return parser


def run_option(option: Option, settings: Settings, console: Console, arguments: Mapping[str, Any]) -> int:
    """Run one row and show what it did; returns the exit code."""
    try:
        module, function = option.target.split(":")
        outcome: Outcome = getattr(importlib.import_module(module), function)(
            settings, console, **arguments
        )
        console.show(outcome.text)
        if option.command == "demo" and outcome.status == 0:
            return _run_demo(settings, console)
        return outcome.status
    except UserError as error:
        console.fail(str(error), even_quiet=isinstance(error, ProcessError))
        return 2
    except KeyboardInterrupt:
        console.fail("Stopped. What was finished is kept.")
        return 130
    except ModuleNotFoundError as error:
        console.fail(f"The package {error.name} is not installed: pip install -r requirements.txt")
        return 2
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        console.fail(f"{error.strerror or error}{where}. Check the disk and the permissions.")
        return 2


def _run_demo(settings: Settings, console: Console) -> int:
    paths = settings.file.parent / "demo" / "paths.toml"
    demo = load_settings(paths)
    by_name = {option.command: option for option in commands()}
    for step in DEMO_STEPS:
        console.title(f"\n== {step} ==")
        if step == "train" and demo.checkpoint.is_file():
            console.show(f"Trained already: {demo.checkpoint}")
            continue
        status = run_option(by_name[step], demo, console, dict(by_name[step].arguments))
        if status:
            return status
    relative = paths.relative_to(settings.file.parent)
    console.title("\nThe demonstration is done. It says nothing about real detectors.")
    console.show(
        f"Next: python menu.py --paths {relative}   (the menu on the demo pictures)\n"
        f"      python menu.py                          (your own pictures, named in {settings.file.name})"
    )
    return 0


def run_menu(file: Path, model: str | None, console: Console) -> int:
    """The interactive menu, until 0 or the end of input."""
    while True:
        try:
            settings = _settings(file, model)
        except UserError as error:
            console.fail(str(error))
            return 2
        console.title("\nfakedetect: real photograph or AI-generated?")
        console.show(describe(settings))
        key = console.choose("Main Menu", _choices(OPTIONS, "Exit"))
        if key in (None, BACK):
            console.show("Goodbye.")
            return 0
        option = next(option for option in OPTIONS if option.key == key)
        if option.entries:
            if not _run_submenu(option, settings, console):
                return 0
        else:
            if _run_entry(option, settings, console) == 0 and key == "4":
                model = None


def _choices(options: Sequence[Option], last: str) -> list[tuple[str, str]]:
    return [*((option.key, option.label) for option in options), (BACK, last)]


def _run_submenu(parent: Option, settings: Settings, console: Console) -> bool:
    """One sub-menu until 0; False at the end of input."""
    while True:
        key = console.choose(parent.title, _choices(parent.entries, "Back"))
        if key is None:
            return False
        if key == BACK:
            return True
        option = next(option for option in parent.entries if option.key == key)
        _run_entry(option, settings, console)


def _run_entry(option: Option, settings: Settings, console: Console) -> int:
    status = run_option(option, settings, console, option.arguments)
    console.forget_typed_keys()
    return status


def _settings(file: Path, model: str | None) -> Settings:
    settings = load_settings(file)
    return settings.with_model(model) if model else settings


class _Ended(SystemExit):
    """The terminal was closed, or the program was told to end."""

    code: int


def _hang_up(number: int, frame: Any) -> None:
    raise _Ended(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit code."""
    code = _run(arguments)
    if "RANK" in os.environ:
        # Threads of gloo can outlive its group and abort the interpreter's own ending, once in some
        # dozens of runs, after all is done (PyTorch's pull request 179291 describes it).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    given = vars(build_parser().parse_args(arguments))
    for name in ("SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _hang_up)
    # Of several processes that torchrun has started, the first one talks.
    console = Console(quiet=os.environ.get("RANK", "0") != "0")
    file = given.pop("paths", Path(__file__).resolve().parent.parent / "paths.toml")
    model = given.pop("model", None)
    command = given.pop("command")
    try:
        if command is None:
            return run_menu(file, model, console)
        for name in given.get("folders", ()):
            if name not in FOLDERS:
                raise UserError(f"Unknown folder {name!r}. Name any of {', '.join(FOLDERS)}.")
        option = next(option for option in commands() if option.command == command)
        if option.several and model == "all":
            given["all_models"], model = True, None
        return run_option(option, _settings(file, model), console, given)
    except UserError as error:
        console.fail(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    except _Ended as end:
        if end.code == 128 + signal.SIGTERM:
            together = " (another process of this run may have ended)" if "RANK" in os.environ else ""
            console.fail(f"Stopped from outside{together}. What was finished is kept.")
        return end.code
