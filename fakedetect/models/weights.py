"""Files of weights: read without running anything in them, written whole or not at all."""

import itertools
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard, cast

import safetensors
import safetensors.torch
import torch

from fakedetect.core.errors import UserError, is_bug
from fakedetect.core.files import atomic_write, check_regular

HEADS = ("fc.", "head.", "heads.", "classifier.")
"""Prefixes of the last layer's keys in torchvision's and timm's models."""

WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
"""What torch.compile and DistributedDataParallel, in either order, put before every key."""

MOST_OPCODES = 150_000
"""A pickle of a thousand tensors has about 25,000 instructions."""

LEGACY_PICKLES = 5
"""torch's format before 1.6: magic number, protocol, system, object and the storages' keys."""

MOST_UNPACKED = 1_000_000
"""Bytes by which the entries of an archive may outgrow the file: small ones may be compressed."""

DTYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
)


class DamagedFile(Exception):
    """A file that torch cannot read to its end."""


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state_dict in a file, read without running anything in it.

    Raises:
        UserError: the file is missing, empty, a Git LFS pointer, cut off or not a state_dict.
    """
    try:
        check_regular(path)
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
        state = safetensors.torch.load_file(path) if start[8:9] == b"{" else load_tensors(path)
    except pickle.UnpicklingError as error:
        if start.startswith((b"PK\x03\x04", b"\x80")) and "Unsupported" in str(error):
            raise UserError(
                f"{path} contains code, not only weights, and was not loaded. Save the weights alone."
            ) from None
        raise UserError(f"{path} is not a PyTorch checkpoint. Put a state_dict there.") from None
    except (DamagedFile, safetensors.SafetensorError, ValueError, OSError):
        raise UserError(f"{path} is truncated or not a PyTorch checkpoint. Download it again.") from None
    return _unwrap(state, path)


def load_tensors(path: Path) -> Any:
    """What torch.save has written, with nothing in it run.

    Raises:
        pickle.UnpicklingError: it holds code, or more instructions than any model's file.
        DamagedFile: it is cut off or something else.
    """
    try:
        _refuse_endless(path)
        with warnings.catch_warnings():
            # torch warns of the pickle's protocol; a refusal says what matters.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise
    except Exception as error:
        # torch and zipfile raise whatever the bytes lead them to.
        if is_bug(error):
            raise
        raise DamagedFile from error


def _refuse_endless(path: Path) -> None:
    """Refuse a file that would keep torch's reader busy for minutes, or fill the memory."""
    with path.open("rb") as file:
        # As torch tells the formats apart: a zip archive behind another start is read as a pickle.
        if file.read(4) != b"PK\x03\x04":
            file.seek(0)
            _count_opcodes(file, pickles=LEGACY_PICKLES)
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > path.stat().st_size + MOST_UNPACKED:
            raise pickle.UnpicklingError("it unpacks to more than the file's size: torch packs nothing")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                with archive.open(entry) as packed:
                    _count_opcodes(cast(BinaryIO, packed), pickles=1)


def _count_opcodes(file: BinaryIO, pickles: int) -> None:
    numbers = itertools.count()
    try:
        for _ in range(pickles):
            for _ in pickletools.genops(file):
                if next(numbers) > MOST_OPCODES:
                    raise pickle.UnpicklingError(f"more than {MOST_OPCODES:,} instructions")
    except ValueError:
        # Not, or no longer, a pickle: torch's reader stops there too, and says why.
        return


def _refuse_odd(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that no model of ours can hold: they would fail later, or lose a part in silence."""
    for key, value in state.items():
        kind = ""
        if value.is_nested:
            kind = "nested"
        elif value.device.type != "cpu":
            kind = f"without values ({value.device.type})"
        elif value.is_quantized:
            kind = "quantised"
        elif value.layout != torch.strided:
            kind = "sparse"
        elif value.dtype not in DTYPES:
            kind = f"of the type {str(value.dtype).removeprefix('torch.')}"
        elif value.nbytes > value.untyped_storage().nbytes():
            kind = f"of {value.numel():,} values that are not all in the file"
        if kind:
            raise UserError(
                f"{path} contains a tensor {kind} ({key}); fakedetect reads only plain floating-point or "
                "integer tensors. Save the model's plain weights there."
            )


def _unwrap(state: object, path: Path) -> dict[str, torch.Tensor]:
    """The bare state_dict in what training programs save: wrapped, or with a wrapper's prefixes."""
    if isinstance(state, Mapping):
        known = [key for key in WRAPPERS if isinstance(state.get(key), Mapping)][:1]
        # Under a name of somebody's own, where it is the only one there.
        inner = known or [key for key, value in state.items() if _is_state(value)]
        state = state[inner[0]] if len(inner) == 1 else state
    if not _is_state(state):
        raise UserError(f"{path} is not a state_dict (a mapping of names to tensors).")
    _refuse_odd(state, path)
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def _is_state(value: object) -> TypeGuard[Mapping[str, torch.Tensor]]:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and isinstance(each, torch.Tensor) for key, each in value.items())
    )


class _Sink:
    """A file for torch.save, which loses the system's error when a write fails: kept here."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        written: int = self._keep_error(self.file.write, data)
        return written

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
