"""The table of options, from which the menu and the command line are built."""

from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakedetect.core.settings.recipes import METHODS, ROBUST
from fakedetect.core.settings.settings import FOLDERS

SCAN = "fakedetect.preprocessing.scan:scan"
RESIZE = "fakedetect.preprocessing.resize:resize"
EXPLORE = "fakedetect.preprocessing.explore:explore"
EXPLAIN = "fakedetect.explaining.explain:explain"
TEST = "fakedetect.testing.test:run_test"
CHECK = "fakedetect.checking.check:check"
REVIEW = "fakedetect.testing.review:review"
DEMO = "fakedetect.preprocessing.demo:make_demo"
INIT = "fakedetect.init:write_paths"

WITHOUT_FILE = frozenset({EXPLAIN, CHECK, DEMO, INIT})
"""Targets that need no paths.toml; without one, they use the program's own."""

SLOW_TO_LOAD = (EXPLORE, DEMO, "fakedetect.training.", "fakedetect.testing.", "fakedetect.reporting.")
"""Prefixes of targets that import PyTorch or matplotlib, which takes seconds."""


@dataclass(frozen=True)
class Argument:
    """An argument of a command: argparse's flag and keywords."""

    flag: str
    keywords: Mapping[str, Any]


def flag(name: str, help: str, **more: Any) -> Argument:
    """Return a boolean option."""
    return Argument(name, {"action": "store_true", "help": help, **more})


def text(name: str, metavar: str, help: str, **more: Any) -> Argument:
    """Return an option or a positional argument with a text."""
    return Argument(name, {"metavar": metavar, "help": help, **more})


def number(name: str, metavar: str, help: str, kind: type = int, **more: Any) -> Argument:
    """Return an option with a number."""
    return text(name, metavar, help, type=kind, **more)


def choice(name: str, words: Sequence[str], help: str, **more: Any) -> Argument:
    """Return an option with one of several words."""
    return Argument(name, {"choices": words, "help": help, **more})


FOLDERS_ARGUMENT = text("folders", "FOLDER", f"any of {', '.join(FOLDERS)} (default: all four)", nargs="*")
SHARD_ARGUMENT = text("--shard", "K/N", "process only the Kth of N shares, as one of N jobs on a cluster")


def _rate(name: str, what: str) -> Argument:
    return number(name, "SHARE", f"allow this share of {what} (default: 0.05)", kind=float, default=0.05)


@dataclass(frozen=True)
class Option:
    """A row of the table.

    `key` and `label` add it to the menu, `command` and `help` to the command line. `target` is
    'module:function', called with (settings, console, **arguments). `entries` is a sub-menu. `several`:
    the command accepts `--model all` too, as the argument all_models. `together`: processes started by
    torchrun share its work; other options run in the first process only. `confirm`: the menu's question
    before it starts. `example`: arguments for the example in the help.
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
    example: str = ""


def _by_folder(target: str, *also: Option) -> tuple[Option, ...]:
    singles = (
        Option(str(number), name.replace("-", " "), target=target, arguments={"folders": (name,)})
        for number, name in enumerate(FOLDERS, start=1)
    )
    return (*singles, *also)


OPTIONS = (
    Option(
        key="1",
        label="Look for bad images",
        command="scan",
        example="train-real",
        help="find the pictures that cannot be used and list them with the reason",
        target=SCAN,
        takes=(FOLDERS_ARGUMENT, Argument("--shard", {"help": SUPPRESS})),
        title="Bad Images Menu",
        entries=_by_folder(
            SCAN,
            Option(
                key="5",
                label="list of bad images",
                command="bad-images",
                help="print the list that earlier scans wrote",
                target="fakedetect.preprocessing.scan:show_bad_images",
            ),
            Option("6", "all four folders", target=SCAN),
        ),
    ),
    Option(
        key="2",
        label="Resize images from the dataset",
        command="resize",
        example="--align",
        help="write the copies for training and testing, in the input size of the chosen model",
        target=RESIZE,
        takes=(
            FOLDERS_ARGUMENT,
            flag(
                "--align",
                "write every copy as RGB JPEG of one quality, so that file formats cannot leak the class",
            ),
            flag(
                "--fast",
                "decode large JPEGs at a smaller size: several times as fast, and nearly the same pixels",
            ),
            flag("--prune", "delete copies whose original has been moved or deleted"),
            flag("--dry-run", "show what would be done, and change nothing"),
            SHARD_ARGUMENT,
        ),
        title="Resize Menu",
        entries=_by_folder(
            RESIZE,
            Option("5", "all four folders", target=RESIZE),
            Option("6", "all four folders, aligned", target=RESIZE, arguments={"align": True}),
            Option("7", "all four folders, fast", target=RESIZE, arguments={"fast": True}),
            Option(
                key="8",
                label="all four folders, and delete copies without an original",
                target=RESIZE,
                arguments={"prune": True},
            ),
        ),
    ),
    Option(
        key="3",
        label="Train/Test the model",
        title="Model Training Menu",
        entries=(
            Option(
                key="1",
                label="train the model",
                command="train",
                example="--recipe probe",
                help="train the chosen model; the best epoch becomes classifier_model.pth",
                target="fakedetect.training.train:train",
                arguments={"ask": True},
                takes=(
                    flag("--overwrite", "start over and replace the existing checkpoint"),
                    flag("--resume", "continue a run that was stopped"),
                    choice(
                        "--recipe",
                        (*METHODS, ROBUST),
                        "choose the training recipe (default: recipe in paths.toml, else reference)",
                        metavar=f"{{{','.join(METHODS)}}}",
                    ),
                    number(
                        "--repeat",
                        "N",
                        "train N times with consecutive seeds, test each run and report how far the "
                        "figures vary; finished runs are kept",
                    ),
                    text(
                        "--leave-out",
                        "SOURCE",
                        "train once more without this source (a sub-folder), and test on it",
                    ),
                ),
                together=True,
            ),
            Option("2", "use the model on the train dataset", target=TEST, arguments={"on": "train"}),
            Option(
                key="3",
                label="use the model on the test dataset",
                command="test",
                help="predict a dataset and print accuracy, report and confusion matrix",
                target=TEST,
                arguments={"on": "test"},
                takes=(
                    choice("--on", ("train", "test"), "choose the dataset (default: test)", default="test"),
                ),
                together=True,
            ),
            Option(
                key="4",
                label="show loss graph",
                command="loss-graph",
                help="draw loss_plot.jpg from the last run's log and print its epochs",
                target="fakedetect.training.log:show_loss_graph",
            ),
            Option(
                key="5",
                label="evaluate thoroughly",
                command="evaluate",
                example="--data FOLDER",
                help="measure intervals, sources, calibration and robustness, or test on other pictures",
                target="fakedetect.testing.evaluate:evaluate",
                arguments={"ask": True},
                takes=(
                    text(
                        "--data", "FOLDER", "test on other pictures instead: a folder with real/ and fake/"
                    ),
                    text("--leave-out", "SOURCE", SUPPRESS),
                ),
            ),
            Option(
                key="6",
                label="set thresholds",
                command="fit-thresholds",
                example="--max-false-alarms 0.01",
                help="calibrate the probabilities and set the thresholds of fake, real and unsure",
                target="fakedetect.testing.thresholds:set_thresholds",
                arguments={"ask": True},
                takes=(
                    _rate("--max-false-alarms", "real pictures to be called fake"),
                    _rate("--max-missed", "fakes to be called real"),
                    text(
                        "--own",
                        "FOLDER",
                        "measure your own photographs, known to be real, and raise the threshold for them",
                    ),
                    flag("--forget-own", "remove the threshold for your own photographs"),
                ),
            ),
            Option(
                key="7",
                label="report",
                command="report",
                help="write report.html, one page with everything known about the model",
                target="fakedetect.reporting.report:report",
            ),
            Option(
                key="8",
                label="export",
                command="export",
                help="write the model as ONNX, OpenVINO IR and safetensors, with a model card",
                target="fakedetect.reporting.export:export",
            ),
            Option("9", "review the wrong answers", target=REVIEW, arguments={"answers": "test"}),
        ),
    ),
    Option(
        key="4",
        label="Choose the model",
        command="choose",
        example="convnext_v2_tiny",
        help="write the chosen model into paths.toml and show its input",
        target="fakedetect.choose:choose_model",
        takes=(text("name", "MODEL", "the model's name"),),
    ),
    Option(
        key="5",
        label="Explore the dataset",
        command="explore",
        example="--labels",
        help="show sizes, samples, a shortcut audit and duplicates as tables and figures, or find wrong "
        "labels",
        target=EXPLORE,
        takes=(
            choice(
                "--on",
                ("original", "resized"),
                "explore the pictures as downloaded, or their copies (default: original)",
                default="original",
            ),
            flag("--labels", "find pictures whose label is probably wrong instead"),
        ),
        title="Explore Menu",
        entries=(
            Option("1", "original pictures", target=EXPLORE, arguments={"on": "original"}),
            Option("2", "resized pictures", target=EXPLORE, arguments={"on": "resized"}),
            *(
                Option(
                    key,
                    f"suspected wrong labels, {on} pictures",
                    target=EXPLORE,
                    arguments={"on": on, "labels": True},
                )
                for key, on in (("3", "original"), ("4", "resized"))
            ),
            Option(
                key="5",
                label="take over the review.csv of a review page",
                command="review",
                example="Downloads/review.csv",
                help="take over decisions on doubtful labels from a review page, or write a page of wrong "
                "answers",
                target=REVIEW,
                arguments={"ask": True},
                takes=(
                    text(
                        "file",
                        "FILE",
                        "the review.csv that a page has saved (default: the newest in Downloads)",
                        nargs="?",
                    ),
                    choice(
                        "--answers",
                        ("test", "train"),
                        "write a review page of the last test's wrong answers instead (default: test)",
                        nargs="?",
                        const="test",
                    ),
                ),
            ),
        ),
    ),
    Option(
        key="6",
        label="Explain a prediction",
        command="explain",
        example="picture.jpg",
        help="draw a heat map of the evidence in a picture, and test how far to trust it",
        target=EXPLAIN,
        takes=(
            text("images", "IMAGE", "pictures to explain", nargs="*"),
            text("--layer", "NAME", "use this layer for Grad-CAM (default: the model's last map)"),
            choice(
                "--class",
                ("fake", "real"),
                "explain this class (default: the predicted one)",
                dest="target",
            ),
            choice(
                "--method",
                ("grad-cam", "rollout"),
                "choose the method (default: Grad-CAM, and Attention Rollout too for a ViT)",
            ),
            number(
                "--sheet",
                "COUNT",
                "draw a contact sheet of COUNT test pictures (default: 24) instead",
                nargs="?",
                const=24,
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
        key="7",
        label="Compare the models",
        command="compare",
        help="compare the tested models: table, intervals, tests, figures, wrong predictions",
        target="fakedetect.reporting.compare:compare",
        takes=(flag("--reference", "also show the published results of the course project"),),
    ),
    Option(
        key="8",
        label="Check my own pictures",
        command="check",
        example="pictures/ --html result.html",
        help="give each picture a verdict: fake, real or unsure",
        target=CHECK,
        arguments={"ask": True},
        takes=(
            text("pictures", "PATH", "pictures and folders of pictures; -: a list of them", nargs="*"),
            text(
                "--files-from",
                "FILE",
                "check the pictures listed in FILE, one name per line (or ended by NUL); -: standard input",
            ),
            text(
                "--csv",
                "FILE",
                "also write the results to FILE; a stopped run continues, and in a finished file only new "
                "or changed pictures are checked",
            ),
            text(
                "--html",
                "FILE",
                "write a page to read and share: thumbnails, verdicts and how far to trust them",
            ),
            flag("--json", "print JSON lines instead", dest="as_json"),
            flag(
                "--details",
                "print what is known about the model's accuracy and each picture's origin",
            ),
            choice(
                "--stability",
                ("auto", "all"),
                "test whether the verdict survives small changes of the picture: only where it might not "
                "(auto, the default), or for all pictures, which takes several times as long",
                default="auto",
            ),
            Argument(
                "--no-stability",
                {
                    "action": "store_const",
                    "dest": "stability",
                    "const": "none",
                    "help": "skip this test",
                },
            ),
            flag("--heat-map", "draw a heat map of each picture"),
            text(
                "--prevalence",
                "SHARE",
                "expect this share of AI-generated pictures, to estimate how many verdicts would be "
                "correct (default: 0.05)",
            ),
            SHARD_ARGUMENT,
        ),
        several=True,
    ),
    Option(
        key="9",
        label="Demo: the whole job on made-up pictures",
        command="demo",
        help="make pictures and run scan, resize, train, test and loss graph on them",
        target=DEMO,
        confirm="Make 580 small pictures in demo/ and train on them? It takes a minute or two.",
    ),
)
COMMANDS = (Option("", "", "init", "write a paths.toml with every key explained", INIT),)
"""Commands that are not in the menu."""

DEMO_STEPS = ("scan", "resize", "train", "test", "loss-graph")


def commands(options: Sequence[Option] = (*OPTIONS, *COMMANDS)) -> list[Option]:
    """Return the rows that are commands."""
    return [
        found
        for option in options
        for found in ((option,) if option.command else ()) + tuple(commands(option.entries))
    ]
