"""Signals that come at bad moments: in imports, in finalisers, while a process starts, ignored ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from fakedetect.core.processes.signals import Terminated, delay_signals, handle_signals


def wait_for_it() -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize(("name", "raised"), [("SIGINT", KeyboardInterrupt), ("SIGTERM", Terminated)])
def test_a_module_that_swallows_everything_is_imported_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, raised: type[BaseException]
) -> None:
    module = tmp_path / f"swallows_{name.lower()}.py"
    module.write_text(
        f"import signal\ntry:\n    signal.raise_signal(signal.{name})\n    done = True\n"
        "except BaseException:\n    done = False\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(raised), handle_signals():
        assert __import__(module.stem).done
        wait_for_it()
    assert sys.modules[module.stem].done
    assert signal.getsignal(getattr(signal, name)) is before


class Finalised:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_what_a_finaliser_cannot_raise_is_raised_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), handle_signals():
        thing = Finalised()
        del thing
        wait_for_it()
    assert "ignored" not in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs nohup's signal")
def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX masks")
def test_a_process_started_meanwhile_never_gets_it() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    with pytest.raises(KeyboardInterrupt), handle_signals():
        with delay_signals():
            signal.raise_signal(signal.SIGINT)
            child = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=False
            )
        pytest.fail("it comes when the block ends")
    assert (child.returncode, child.stdout, child.stderr) == (0, "alive\n", "")


TOLD = """
import asyncio, signal, sys
from fakedetect.core.processes.signals import handle_signals

def interrupted(callback, *arguments, context=None):
    signal.raise_signal(signal.SIGTERM)
    return call_soon(callback, *arguments, context=context)

def give(future):
    # Its task is told by call_soon.
    future.get_loop().call_soon = interrupted
    future.set_result(None)
    del future.get_loop().call_soon

async def wait():
    global call_soon
    loop = asyncio.get_running_loop()
    future, call_soon = loop.create_future(), loop.call_soon
    loop.call_later(0.01, give, future)
    await future
    print("told", flush=True)
    await asyncio.sleep(600)

with handle_signals():
    asyncio.run(wait())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="its loop is another one")
def test_an_event_loop_is_left_only_where_it_waits() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TOLD], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + signal.SIGTERM, "told\n", "")


ORPHANS = """
import os, sys, time
from fakedetect.core.processes import pool

pool.SECONDS_TO_END = 0.3

def work(item):
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    list(pool.map_images(work, ["a"], 1))
"""


def test_a_process_whose_parent_was_killed_ends_while_its_decoder_hangs(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS, encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) != parent.pid
    parent.kill()
    # The pipe ends when the last process that holds it does.
    assert parent.communicate(timeout=20) == ("", "")
