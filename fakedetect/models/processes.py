"""Training and testing in several processes, with PyTorch's torchrun and DistributedDataParallel."""

import datetime
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fakedetect.core.errors import ProcessError, UserError
from fakedetect.core.installation import HOME, PACKAGE
from fakedetect.core.processes.shards import count_workers

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")

SECONDS_BEFORE_RAISING = 2.0
MOST_PROCESSES = 65_536
MINUTES_TO_WAIT = 30
"""How long a process waits for the others, such as while the first one decodes the pictures."""


@dataclass(frozen=True)
class Group:
    """This process among those of the run. A single process is the first of one."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.rank == 0

    def part_of(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share: every `size`th item."""
        return items[self.rank :: self.size]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes by rank, in every process."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def total(self, *values: float) -> tuple[float, ...]:
        """Return the sums over all processes."""
        return tuple(sum(column) for column in zip(*self.gather(values), strict=True))

    def reduce(self, value: "torch.Tensor") -> "torch.Tensor":
        """Return the sum of a tensor over all processes, without waiting for the GPU."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        self.gather(None)


@contextmanager
def join_group() -> Iterator[Group]:
    """Join the processes that torchrun started with this one, according to its environment variables.

    Raises:
        ProcessError: a process other than the first failed, or the variables are not valid.
        UserError: another process of the group has ended.
    """
    size = _count_processes()
    if size == 1:
        yield Group()
        return
    # A single process needs no torch, which takes seconds to import.
    import torch
    from torch import distributed

    rank = _read_number("RANK", range(size))
    if torch.cuda.is_available():
        torch.cuda.set_device(_read_number("LOCAL_RANK", range(torch.cuda.device_count())))
    distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        timeout=datetime.timedelta(minutes=MINUTES_TO_WAIT),
    )
    group = Group(rank, size)
    try:
        yield group
        # A process that exits while another still communicates with it can crash that one.
        group.wait()
    except UserError as error:
        if rank == 0:
            raise
        # If the first process fails in the same way, it prints the error and torchrun ends this one.
        time.sleep(SECONDS_BEFORE_RAISING)
        raise ProcessError(f"Process {rank}: {error}") from error
    except RuntimeError as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, distributed.DistError) or "onnection" in text or "gloo" in text:
            raise UserError(f"Another process of this run has ended, so process {rank} ends too.") from None
        raise
    finally:
        distributed.destroy_process_group()


def in_group() -> bool:
    """Whether torchrun started this process together with others.

    Raises:
        ProcessError: its environment variables are not valid.
    """
    return _count_processes() > 1


def is_first() -> bool:
    """Whether this process is the only one or the first of its group."""
    return os.environ.get("RANK", "0") == "0"


def _count_processes() -> int:
    if "WORLD_SIZE" not in os.environ:
        return 1
    size = _read_number("WORLD_SIZE", range(1, MOST_PROCESSES + 1))
    if size > 1:
        _read_number("RANK", range(size))
        _read_number("MASTER_PORT", range(1, 65536))
        if not os.environ.get("MASTER_ADDR"):
            raise _bad_environment(f"WORLD_SIZE is {size} but MASTER_ADDR is not set.")
    return size


def _read_number(name: str, allowed: range) -> int:
    """Read a whole number from an environment variable of torchrun."""
    text = os.environ.get(name)
    if text is None:
        raise _bad_environment(f"WORLD_SIZE is {os.environ['WORLD_SIZE']} but {name} is not set.")
    if re.fullmatch(r"[0-9]{1,6}", text) and int(text) in allowed:
        return int(text)
    raise _bad_environment(f"{name} is {text!r}, not a number from {allowed[0]} to {allowed[-1]}.")


def _bad_environment(reason: str) -> ProcessError:
    return ProcessError(f"{reason} torchrun sets these variables; for one process, unset WORLD_SIZE.")


def distribute_model(model: "nn.Module", group: Group) -> "nn.Module":
    """Wrap a model so that its gradients are averaged over the processes; no change for a single one.

    On GPUs batch normalisation uses the statistics of the whole batch, as one process does, so the result
    stays the recipe's. PyTorch supports that on GPUs only. On CPUs each process uses the statistics of its
    own share, and the first one's running statistics are saved.
    """
    if group.size == 1:
        return model
    from torch import nn

    device = next(model.parameters()).device
    if device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return nn.parallel.DistributedDataParallel(
        model, device_ids=[device.index] if device.type == "cuda" else None
    )


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run the program in `count` processes on this machine, as torchrun does.

    Returns:
        The exit code: 0, or that of the first process that failed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Its failure reports fill screens, and the process that failed has printed its error.
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    config = LaunchConfig(
        run_id=uuid.uuid4().hex,
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_workers(None) // count)))
    # An installed package is on the interpreter's path, a checkout is not.
    program = ("-m", PACKAGE.name) if HOME == PACKAGE else (str(HOME / "menu.py"),)
    try:
        elastic_launch(config, sys.executable)(*program, *arguments)
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        return next((code for code in codes if code > 0), 1)
    except (KeyboardInterrupt, SignalException):
        return 130
    finally:
        logging.disable(before)
    return 0
