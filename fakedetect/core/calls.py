"""The commands that messages tell the user to type, worded for the present call."""

import shlex
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PATHS = Path(__file__).resolve().parents[2] / "paths.toml"
"""The settings file of a call without --paths: the one beside menu.py."""


@dataclass(frozen=True)
class Call:
    """What a further command has to repeat of the present call.

    `paths` is the settings file, `chosen` the model that it chooses, `model` the one of this call.
    """

    paths: Path
    chosen: str
    model: str

    def command(self, *words: str) -> str:
        """A command line that acts on the same settings and model as this call.

        >>> Call(DEFAULT_PATHS, "resnet18", "resnet50").command("train", "--resume")
        'python menu.py --model resnet50 train --resume'
        """
        options: list[str] = []
        if self.paths != DEFAULT_PATHS:
            options += ["--paths", str(_shortened(self.paths))]
        if self.model != self.chosen:
            options += ["--model", self.model]
        return _join(*options, *words)

    def lasting_command(self, *words: str) -> str:
        """The same for a file that is read later: wherever that is, and whatever model is chosen then."""
        return _join("--paths", str(self.paths), "--model", self.model, *words)


def _join(*words: str) -> str:
    return shlex.join(["python", "menu.py", *words])


def _shortened(path: Path) -> Path:
    """The path from the current folder on where it lies below it, as the user would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
