"""Ctrl-C at fixed moments: while Python starts, in imports, as a worker starts, in the middle of a job."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")

PRESS = """
import os, signal, sys, threading, time

MODULE, IN_WORKER = {module!r}, {in_worker!r}

def press():
    os.killpg(0, signal.SIGINT)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            press()

if MODULE == "fork":
    os.register_at_fork(after_in_child=press)
elif ("--multiprocessing-fork" in sys.orig_argv) != IN_WORKER:
    # Beside a thread, workers start afresh.
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
else:
    if MODULE:
        sys.meta_path.insert(0, Finder())
    else:
        press()
"""
"""Python imports it first: presses Ctrl-C, which reaches the whole group, when a process imports MODULE."""


def left_behind(folder: Path) -> set[str]:
    """What a run may not leave: locks, half-written files."""
    names = {path.name for path in folder.rglob("*")}
    return {name for name in names if "partial" in name or ".lock" in name}


def interrupt(
    paths: Path, command: list[str], hook: Path, module: str, in_worker: bool
) -> subprocess.CompletedProcess[str]:
    """Run a command that is interrupted when it, or a worker of it, imports the module."""
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(PRESS.format(module=module, in_worker=in_worker))
    return subprocess.run(
        [sys.executable, str(ROOT / "menu.py"), "--paths", str(paths), *command],
        env={**os.environ, "PYTHONPATH": str(hook)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # Where the tests run in the background of a shell, it is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "module", "in_worker"),
    [
        (["scan"], "fakedetect.menu", False),
        (["scan"], "argparse", False),
        (["scan"], "fakedetect.core.settings.settings", False),
        (["scan"], "fakedetect.preprocessing.scan", False),
        (["scan"], "fakedetect.core.processes.pool", False),
        (["scan"], "", True),
        (["scan"], "fakedetect.core.processes.worker", True),
        (["scan"], "fork", True),
        (["resize"], "PIL.Image", True),
        (["explore"], "pandas", False),
        (["explore"], "fakedetect.preprocessing.headers", True),
        (["train"], "torch", False),
        (["train"], "timm", False),
    ],
)
def test_one_line_and_nothing_left(
    data: Path, tmp_path: Path, command: list[str], module: str, in_worker: bool
) -> None:
    if command == ["train"]:
        assert run("--paths", data, "resize", "train-real", "train-fake").returncode == 0
    # The pipes end when the last process that holds them does: none outlives the first.
    result = interrupt(data, command, tmp_path / "hook", module, in_worker)
    assert result.returncode == 130, result.stderr
    said = [
        line
        for line in result.stderr.splitlines()
        if not line.startswith(("Training tiny on", "tiny trains on"))
    ]
    assert said and said[-1].startswith("Stopped") and len(said) == 1, result.stderr
    assert not left_behind(data.parent)


def test_ctrl_c_in_the_imports_of_an_entry_leaves_the_menu_usable(data: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        PRESS.format(module="fakedetect.core.processes.pool", in_worker=False)
    )
    menu = subprocess.run(
        [sys.executable, str(ROOT / "menu.py"), "--paths", str(data)],
        env={**os.environ, "PYTHONPATH": str(hook)},
        input="1\n1\n1\n0\n0\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        timeout=120,
        check=False,
    )
    assert menu.returncode == 0, menu.stderr
    assert menu.stderr.count("Stopped") == 1
    assert "train-real: 20 pictures, 0 bad" in menu.stdout
