"""A settings file in TOML: its values by section, and each mistake with its line."""

import os
import re
import tomllib
from collections.abc import Mapping
from errno import EINVAL
from pathlib import Path
from typing import Annotated, Any

import msgspec

from fakedetect.core.errors import UserError, did_you_mean, fold_name
from fakedetect.core.files import as_stored, check_regular

LARGEST_SETTINGS_BYTES = 1024**2
"""Larger than any settings file: --paths may name a picture or a disk by mistake."""

LONGEST_SHOWN = 70
"""Characters of a line or a value that a message repeats."""

BACKSLASH_HINT = "a backslash in double quotes starts an escape. Use single quotes, as in 'C:\\pictures'"

Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="text in quotes")]

TEXT_HINT = "text needs straight quotes; write true and false in lower case, and numbers with a point"
MISSING_QUOTE = "the closing quote is missing"
REASONS = {
    "Illegal character '\\n'": MISSING_QUOTE,
    "Unterminated string": MISSING_QUOTE,
    'Expected "\'"': MISSING_QUOTE,
    "Invalid value": f"not a value: {TEXT_HINT}",
    "Invalid statement": "not a key = value, a [section] or a # comment",
    "Expected newline or end of document after a statement": f"only a # comment can follow; {TEXT_HINT}",
    "Cannot overwrite a value": "the key is set twice",
}
"""Clearer wording for messages of tomllib."""

OTHER_NAMES = {
    "learning_rate": ("lr", "base_lr", "initial_lr", "max_lr"),
    "weight_decay": ("wd", "decay", "l2"),
    "batch_size": ("bs", "batch", "train_batch_size", "per_device_train_batch_size"),
    "optimizer": ("opt", "optim"),
    "max_epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "nb_epochs", "num_train_epochs"),
    "patience": ("early_stopping", "early_stop", "early_stopping_patience"),
    "validation_share": ("val_split", "val_share", "val_ratio", "validation_split", "val_size"),
    "seed": ("random_seed", "random_state", "manual_seed"),
    "workers": ("num_workers", "n_workers", "n_jobs", "threads"),
    "precision": ("amp", "fp16", "bf16", "dtype", "mixed_precision"),
    "compile": ("torch_compile",),
    "balance": ("class_weight", "class_weights", "weighted_sampler"),
    "degrade": ("augment", "augmentation", "augmentations"),
    "model": ("arch", "architecture", "net", "network"),
    "timm": ("model_name", "timm_name", "timm_model", "backbone"),
    "weights": ("checkpoint", "checkpoint_path", "weights_path", "ckpt"),
    "size": ("img_size", "image_size", "imgsz", "input_size", "resolution"),
    "recipe": ("method",),
}
"""Names of our keys in other programs."""

KeyPath = tuple[str, ...]
"""The names that lead to a section or a key: ('models', 'mine', 'timm')."""

Kinds = Mapping[str, Any]
"""The type of each key of a section, with its description."""

ANY_NAME = "*"
"""Stands for all keys of a section in which the user chooses the names."""


class TomlFile:
    """A parsed TOML file; `values` is the result of tomllib.

    Args:
        sections: the keys of each section by its title; '' for those above the first section.
        content: a file to read instead of `path`.

    Raises:
        UserError: the file is missing, not UTF-8, or not TOML.
    """

    def __init__(self, path: Path, sections: Mapping[str, Kinds], content: Path | None = None):
        self.path, self._sections = path, sections
        self._text = _decode(path, _read(content or path)).replace("\r\n", "\n").replace("\r", "\n")
        try:
            self.values = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise _syntax_error(path, self._text, str(error)) from None
        except RecursionError:
            raise UserError(f"{path}: brackets nested too deeply. Remove them.") from None
        except ValueError:
            # Python limits the number of digits that it converts.
            raise UserError(f"{path}: a number with thousands of digits. Write a smaller one.") from None

    def error_at(self, what: str, *place: str) -> UserError:
        """Return the error with message `what` and the line of a key, or of its section."""
        lines = (_find_line(self._text, place[:length]) for length in range(len(place), 0, -1))
        return UserError(f"{self.path}, line {next(filter(None, lines), 1)}: {what}")

    def take(self, title: str, values: Mapping[str, Any], *place: str) -> dict[str, Any]:
        """Return the values of a section, converted to the types of their keys.

        Args:
            title: the section's title in SECTIONS.
            values: the values of the section at `place`.

        Raises:
            UserError: a key is unknown, or its value has the wrong type.
        """
        kinds, here = self._sections[title], f" in {name_section(*place)}" if place else ""
        taken = {}
        for key, value in values.items():
            kind = kinds.get(key, kinds.get(ANY_NAME))
            if kind is None:
                raise self.error_at(f"unknown key {key!r}{self._advise(key, kinds, here)}", *place, key)
            try:
                taken[key] = msgspec.convert(value, kind)
            except msgspec.ValidationError:
                what = f"must be {kind.__metadata__[-1].description}, not {_format_value(value)}."
                raise self.error_at(f"{key}{here} {what}", *place, key) from None
        return taken

    def locate(self, text: str, *place: str) -> Path:
        """Return the absolute path that a key at `place` names.

        Relative paths start at the file's folder; ~ and $NAME are expanded.

        Raises:
            UserError: it contains an unintended escape, or names an unknown user or variable.
        """
        where = f"{place[-1]} in {name_section(*place[:-1])}"
        if any(ord(character) < 32 for character in text):
            raise self.error_at(f"{where}: {BACKSLASH_HINT}: {_format_value(text)}", *place)
        try:
            expanded = os.path.expandvars(Path(text).expanduser())
        except RuntimeError:
            raise self.error_at(f"{where} names no home folder that exists: {text!r}.", *place) from None
        path = as_stored(Path(os.path.abspath(self.path.parent / expanded)))
        unset = re.search(r"\$\{?([A-Za-z_]\w*)", expanded)
        if unset and not os.path.exists(path):
            what = f"names the environment variable {unset[1]}, which is not set; there is no {path}."
            raise self.error_at(f"{where} {what}", *place)
        return path

    def _advise(self, key: str, kinds: Kinds, here: str) -> str:
        """Return where an unknown key belongs, or which key was probably meant."""
        meant = next((ours for ours, others in OTHER_NAMES.items() if fold_name(key) in others), key)
        near = f" (did you mean {meant!r}?)" if meant != key else ""
        homes = [title for title, others in self._sections.items() if meant in others]
        if homes and meant not in kinds:
            home = f"under {' or '.join(homes)}" if homes[0] else "above the first [section]"
            return f"{near}{here}. It belongs {home}."
        return f"{near or did_you_mean(key, kinds)}{here}. Known here: {', '.join(kinds)}."


def name_section(*place: str) -> str:
    """Return a section's title: '[models.mine]'."""
    names = (name if re.fullmatch(r"[\w-]+", name) else _format_value(name) for name in place)
    return f"[{'.'.join(names)}]"


def _format_value(value: object) -> str:
    """Format a value as TOML on one line."""
    if isinstance(value, (dict, list)):
        return "a section" if isinstance(value, dict) else "a list"
    try:
        shown = msgspec.json.encode(value).decode() if isinstance(value, (str, bool)) else str(value)
    except ValueError:
        # Python does not convert such a number, which a file may contain in hexadecimal.
        return "a number with thousands of digits"
    return _shorten(shown)


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _find_line(text: str, place: KeyPath) -> int | None:
    """Return the line that opens a section or sets a key, or anything in it."""
    section: KeyPath = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith("["):
            here = section = _split(line.strip("[] \t").partition("]")[0])
        else:
            key, sign, _ = line.partition("=")
            here = (*section, *_split(key)) if sign else ()
        if here[: len(place)] == place:
            return number
    return None


def _split(dotted: str) -> KeyPath:
    """Split a dotted key into its names."""
    names = re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s\"']+", dotted)
    return tuple(name.strip("\"'") for name in names)


def _syntax_error(path: Path, text: str, message: str) -> UserError:
    """Return the error for invalid TOML, with the line and the message of tomllib."""
    lines = text.rstrip().split("\n")
    what, _, place = message.rstrip(")").rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    number = int(found[1]) if found else len(lines)
    if what == 'Expected "\'"':
        # tomllib has searched for the closing quote to the end of the file.
        number = text[: text.rindex("'")].count("\n") + 1
    line = lines[min(number, len(lines)) - 1].strip()
    what = BACKSLASH_HINT if re.search(r'"[^"]*\\', line) else REASONS.get(what, what)
    return UserError(f"{path}, line {number}: {what}: {_shorten(line)}")


def _read(path: Path) -> bytes:
    try:
        check_regular(path)
        with path.open("rb") as file:
            raw = file.read(LARGEST_SETTINGS_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"There is no settings file {path}. Give one with --paths FILE.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Give a file: --paths {path / 'paths.toml'}.") from None
    except OSError as error:
        advice = "Check its permissions." if error.errno != EINVAL else "Give a file with --paths FILE."
        raise UserError(f"Cannot read {path}: {error.strerror}. {advice}") from None
    if len(raw) > LARGEST_SETTINGS_BYTES:
        raise UserError(f"{path} is too large to be a settings file. Give one with --paths FILE.")
    return raw


def _decode(path: Path, raw: bytes) -> str:
    how = "Save it as UTF-8 (in Notepad: Save as, Encoding: UTF-8)."
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw[1:2] == b"\0" or raw[:1] == b"\0" != raw[1:2]:
        raise UserError(f"{path} is UTF-16 text; settings must be UTF-8. {how}")
    if b"\0" in raw:
        raise UserError(f"{path} is not text. Give a settings file with --paths FILE.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}, line {line}: a character that is not UTF-8 (byte 0x{raw[error.start]:02x}). {how}"
        ) from None
