"""Files of weights: read without running anything in them, written whole or not at all."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import safetensors.torch
import torch

from fakedetect.core.errors import UserError
from fakedetect.core.files import atomic_write

HEADS = ("fc.", "head.fc.", "head.", "classifier.")
"""Prefixes of the last layer's keys in torchvision's and timm's models."""

WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
"""What torch.compile and DistributedDataParallel, in either order, put before every key."""


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state_dict in a file, read without running anything in it.

    Raises:
        UserError: the file is missing, empty, a Git LFS pointer, cut off or not a state_dict.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise UserError(f"There is no {path}.") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if not start:
        raise UserError(f"{path} is empty. Train the model or put the real file there.")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path} is a Git LFS pointer, not the model. Run 'git lfs pull' where it came from."
        )
    try:
        if start[8:9] == b"{":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            # torch warns of the pickle's protocol; the refusal below says what matters.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if start.startswith((b"PK", b"\x80")) and "Unsupported" in str(error):
            raise UserError(f"{path} holds code, not only weights; it was not opened.") from None
        raise UserError(f"{path} is not a PyTorch checkpoint. Put a state_dict there.") from None
    except Exception:
        raise UserError(f"{path} is cut off or not a PyTorch checkpoint. Fetch it again.") from None
    return _unwrap(state, path)


def _unwrap(state: object, path: Path) -> dict[str, torch.Tensor]:
    """The bare state_dict in what training programs save: wrapped, or with a wrapper's prefixes."""
    if isinstance(state, Mapping):
        state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items())
    ):
        raise UserError(f"{path} is not a state_dict (a mapping of names to tensors).")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


class _Sink:
    """A file for torch.save, which loses the system's error when a write fails: kept here."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._keep_error(self.file.write, data)

    def flush(self) -> None:
        self._keep_error(self.file.flush)

    def _keep_error(self, call: Callable[..., Any], *arguments: object) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            self.error = error
            raise


def save_tensors(value: object, path: Path) -> None:
    """torch.save, whole or not at all.

    Raises:
        UserError: the file cannot be written, because the disk is full, say.
    """
    with atomic_write(path) as file:
        sink = _Sink(file)
        try:
            torch.save(value, cast(BinaryIO, sink))
        except RuntimeError:
            if sink.error:
                raise sink.error from None
            raise
