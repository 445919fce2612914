"""The commands that messages tell the user to type, worded for the present call."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.installation import default_paths, program_words


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

        >>> Call(default_paths(), "resnet18", "resnet50").command("train", "--resume")
        'python menu.py --model resnet50 train --resume'
        """
        options: list[str] = []
        if self.paths != default_paths():
            options += ["--paths", str(_shortened(self.paths))]
        if self.model != self.chosen:
            options += ["--model", self.model]
        return shlex.join([*program_words(), *options, *words])

    def lasting_command(self, *words: str) -> str:
        """The same for a file that is read later: wherever that is, and whatever model is chosen then."""
        always = ("--paths", str(self.paths), "--model", self.model)
        return shlex.join([*program_words(), *always, *words])


def _shortened(path: Path) -> Path:
    """The path from the current folder on where it lies below it, as the user would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
