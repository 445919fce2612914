"""THE table of options: the menu and the command line are both read from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakedetect.core.recipes import METHODS
from fakedetect.core.settings import FOLDERS

SCAN = "fakedetect.preprocessing.scan:scan"
RESIZE = "fakedetect.preprocessing.resize:resize"
TRAIN = "fakedetect.training.train:train"
EXPLORE = "fakedetect.preprocessing.explore:explore"
EXPLAIN = "fakedetect.inference.explain:explain"
TEST = "fakedetect.testing.test:run_test"

SLOW_TO_LOAD = frozenset(
    f"fakedetect.{name}"
    for name in (
        *("preprocessing.explore", "preprocessing.demo", "training.train", "training.log", "testing.test"),
        *("testing.evaluate", "testing.thresholds"),
        *("reporting.compare", "reporting.report", "reporting.export"),
    )
)
"""Modules of targets that load PyTorch or matplotlib, which takes seconds."""


@dataclass(frozen=True)
class Argument:
    """A command's argument: argparse's flags and keywords."""

    flag: str
    keywords: Mapping[str, Any]


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
    {"metavar": "K/N", "help": "process only the Kth of N shares, as one of N jobs on a cluster"},
)


@dataclass(frozen=True)
class Option:
    """A row of the table.

    `key` and `label` put it into the menu, `command` and `help` onto the command line; `target`
    is 'module:function', called with (settings, console, **arguments). `entries` is a sub-menu.
    `several`: the command takes `--model all` too, as the argument all_models. `together`: processes
    that torchrun started share its work; of the others' the first process does all. `confirm`:
    what the menu asks before it starts.
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
    together: bool = False
    confirm: str = ""


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
                    "fakedetect.preprocessing.scan:show_bad_images",
                ),
                Option("6", "all four folders", target=SCAN),
            ),
        ),
    ),
    Option(
        "2",
        "Resize images from the dataset",
        "resize",
        "write the copies that training and testing use, in the size that the chosen model takes",
        RESIZE,
        takes=(
            FOLDER_ARGUMENT,
            Argument(
                "--align",
                {
                    "action": "store_true",
                    "help": "write every copy as RGB JPEG of one quality, so that file formats "
                    "cannot leak the class",
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
            Argument(
                "--prune",
                {"action": "store_true", "help": "delete copies whose original has been moved or deleted"},
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
                Option(
                    "8",
                    "all four folders, and delete copies without an original",
                    target=RESIZE,
                    arguments={"prune": True},
                ),
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
                {"ask": True},
                takes=(
                    Argument(
                        "--overwrite",
                        {"action": "store_true", "help": "start over and replace what is there"},
                    ),
                    Argument(
                        "--resume",
                        {"action": "store_true", "help": "continue a run that was stopped"},
                    ),
                    Argument(
                        "--recipe",
                        {
                            "choices": METHODS,
                            "help": "the training recipe (default: recipe in paths.toml, else reference)",
                        },
                    ),
                    Argument(
                        "--repeat",
                        {
                            "type": int,
                            "metavar": "N",
                            "help": "train N times with consecutive seeds, test each run and report how "
                            "far the figures vary; finished runs are kept",
                        },
                    ),
                ),
                together=True,
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
                together=True,
            ),
            Option(
                "4",
                "show loss graph",
                "loss-graph",
                "draw loss_plot.jpg from the last run's log and print its epochs",
                "fakedetect.training.log:show_loss_graph",
            ),
            Option(
                "5",
                "evaluate thoroughly",
                "evaluate",
                "intervals, sources, calibration and robustness; other pictures and unseen sources",
                "fakedetect.testing.evaluate:evaluate",
                {"ask": True},
                (
                    Argument(
                        "--data",
                        {
                            "metavar": "FOLDER",
                            "help": "test on other pictures instead: a folder with real/ and fake/",
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
                "fakedetect.testing.thresholds:set_thresholds",
                {"ask": True},
                takes=(
                    Argument(
                        "--max-false-alarms",
                        {**RATE, "help": "share of real pictures that may be called fake (default: 0.05)"},
                    ),
                    Argument(
                        "--max-missed",
                        {**RATE, "help": "share of fakes that may be called real (default: 0.05)"},
                    ),
                ),
            ),
            Option(
                "7",
                "report",
                "report",
                "everything known about the model on one page, report.html, to keep or to share",
                "fakedetect.reporting.report:report",
            ),
            Option(
                "8",
                "export",
                "export",
                "write the model as ONNX, OpenVINO IR and safetensors, with a model card",
                "fakedetect.reporting.export:export",
            ),
        ),
    ),
    Option(
        "4",
        "Choose the model",
        "choose",
        "write the chosen model into paths.toml and show what input it takes",
        "fakedetect.choose:choose_model",
        takes=(Argument("name", {"metavar": "MODEL", "help": "the model's name"}),),
    ),
    Option(
        "5",
        "Explore the dataset",
        "explore",
        "sizes, samples, a shortcut audit and duplicates, as tables and figures; suspected wrong labels",
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
            Argument(
                "--labels",
                {
                    "action": "store_true",
                    "help": "look for pictures whose label is probably wrong instead",
                },
            ),
        ),
        title="Explore Menu",
        entries=(
            Option("1", "original pictures", target=EXPLORE, arguments={"on": "original"}),
            Option("2", "resized pictures", target=EXPLORE, arguments={"on": "resized"}),
            Option(
                "3",
                "suspected wrong labels, original pictures",
                target=EXPLORE,
                arguments={"on": "original", "labels": True},
            ),
            Option(
                "4",
                "suspected wrong labels, resized pictures",
                target=EXPLORE,
                arguments={"on": "resized", "labels": True},
            ),
        ),
    ),
    Option(
        "6",
        "Explain a prediction",
        "explain",
        "draw where in a picture the model finds its evidence, and test how far to trust the map",
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
        "the tested models side by side: table, intervals, tests, figures, wrong predictions",
        "fakedetect.reporting.compare:compare",
    ),
    Option(
        "8",
        "Check my own pictures",
        "check",
        "is this picture real? A verdict on each picture: fake, real or unsure",
        "fakedetect.inference.check:check",
        {"ask": True},
        (
            Argument(
                "pictures", {"nargs": "+", "metavar": "PATH", "help": "pictures and folders of pictures"}
            ),
            Argument(
                "--csv",
                {
                    "metavar": "FILE",
                    "help": "also write the results to FILE; a stopped run continues, and in a finished "
                    "file only new or changed pictures are checked",
                },
            ),
            Argument(
                "--html",
                {
                    "metavar": "FILE",
                    "help": "write a page to read and share: thumbnails, verdicts and how far to trust "
                    "them",
                },
            ),
            Argument(
                "--json", {"dest": "as_json", "action": "store_true", "help": "print JSON lines instead"}
            ),
            Argument(
                "--no-stability",
                {
                    "action": "store_true",
                    "help": "do not test whether the answer survives small changes; several times as fast",
                },
            ),
            Argument("--heat-map", {"action": "store_true", "help": "draw a heat map of each picture"}),
            Argument(
                "--prevalence",
                {
                    "metavar": "SHARE",
                    "help": "the share of AI-generated pictures to expect, to estimate how many verdicts "
                    "would be correct (default: 0.05)",
                },
            ),
            SHARD_ARGUMENT,
        ),
        several=True,
    ),
    Option(
        "9",
        "Demo: the whole job on made-up pictures",
        "demo",
        "make pictures and run scan, resize, train, test and loss graph on them",
        "fakedetect.preprocessing.demo:make_demo",
        confirm="Make 520 small pictures in demo/ and train on them? It takes a minute or two.",
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
