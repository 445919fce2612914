"""Weight files: read without running code from them, written atomically."""

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

HEAD_PREFIXES = ("fc.", "head.", "heads.", "classifier.")
"""Prefixes of the last layer's keys in torchvision's and timm's models."""

WRAPPER_KEYS = ("state_dict", "model", "model_state_dict")
WRAPPER_PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
"""Prefixes that torch.compile and DistributedDataParallel, in either order, put before every key."""

MOST_OPCODES = 150_000
"""A pickle of a thousand tensors has about 25,000 instructions."""

LEGACY_PICKLE_COUNT = 5
"""The pickles in a file of torch before 1.6: magic number, protocol, system, object, storage keys."""

MOST_EXTRA_BYTES = 1_000_000
"""Bytes by which the unpacked entries may exceed the file's size; small entries may be compressed."""

PLAIN_DTYPES = (
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
    """A file that torch cannot read to the end."""


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read the state_dict in a file without running code from it.

    Raises:
        UserError: the file is missing, empty, a Git LFS pointer, truncated or not a state_dict.
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
    """Load a file of torch.save without running code from it.

    Raises:
        pickle.UnpicklingError: the file contains code, or more instructions than any model needs.
        DamagedFile: the file is truncated or of another format.
    """
    try:
        _refuse_oversized(path)
        with warnings.catch_warnings():
            # torch warns about the pickle's protocol; the error below says what matters.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise
    except Exception as error:
        # Damaged bytes make torch and zipfile raise errors of almost any class.
        if is_bug(error):
            raise
        raise DamagedFile from error


def _refuse_oversized(path: Path) -> None:
    """Refuse a file that would keep torch's reader busy for minutes or fill the memory."""
    with path.open("rb") as file:
        # The same test as torch's: a zip archive that starts differently is read as a pickle.
        if file.read(4) != b"PK\x03\x04":
            file.seek(0)
            _count_opcodes(file, pickles=LEGACY_PICKLE_COUNT)
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > path.stat().st_size + MOST_EXTRA_BYTES:
            raise pickle.UnpicklingError("it unpacks to more than the file's size: torch does not compress")
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
        # The pickle ends here or is damaged. torch's reader stops at the same place and gives the reason.
        return


def _refuse_special_tensors(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse tensors that no supported model has: they would fail later, or lose values silently."""
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
        elif value.dtype not in PLAIN_DTYPES:
            kind = f"of the type {str(value.dtype).removeprefix('torch.')}"
        elif value.nbytes > value.untyped_storage().nbytes():
            kind = f"of {value.numel():,} values that are not all in the file"
        if kind:
            raise UserError(
                f"{path} contains a tensor {kind} ({key}); fakedetect reads only plain floating-point or "
                "integer tensors. Save the model's plain weights there."
            )


def _unwrap(state: object, path: Path) -> dict[str, torch.Tensor]:
    """Return the bare state_dict of a file that a training program saved in a wrapper or with prefixes."""
    if isinstance(state, Mapping):
        known = [key for key in WRAPPER_KEYS if isinstance(state.get(key), Mapping)][:1]
        # A state_dict under any other name, if it is the only one.
        inner = known or [key for key, value in state.items() if _is_state(value)]
        state = state[inner[0]] if len(inner) == 1 else state
    if not _is_state(state):
        raise UserError(f"{path} is not a state_dict (a mapping of names to tensors).")
    _refuse_special_tensors(state, path)
    for prefix in WRAPPER_PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def _is_state(value: object) -> TypeGuard[Mapping[str, torch.Tensor]]:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) and isinstance(each, torch.Tensor) for key, each in value.items())
    )


class _ErrorKeepingFile:
    """A file for torch.save that keeps the OSError of a failed write, which torch replaces by its own."""

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
    """Write a file with torch.save, atomically.

    Raises:
        UserError: the file cannot be written, for example because the disk is full.
    """
    with atomic_write(path) as file:
        sink = _ErrorKeepingFile(file)
        try:
            torch.save(value, cast(BinaryIO, sink))
        except RuntimeError:
            if sink.error:
                raise sink.error from None
            raise
