"""Nothing talks to the network where the weights are local."""

import json
import os
import subprocess
import sys
from pathlib import Path

import timm
import torch
from conftest import ROOT

FORBID = """
import socket

def forbidden(*arguments, **keywords):
    raise SystemExit("the network was used: %r" % (arguments[1:],))

socket.socket.connect = socket.socket.connect_ex = forbidden
socket.getaddrinfo = socket.create_connection = forbidden
"""

RUN_ALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fakedetect.menu import main

for command in json.loads(sys.argv[3]):
    code = main(["--paths", sys.argv[2], *command])
    if code:
        sys.exit(f"{command} ended with {code}")
print("all commands ended with 0")
"""


def test_no_option_opens_a_connection_with_local_weights(data: Path, tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), data.parent / "weights.pth")
    text = data.read_text(encoding="utf-8").replace("pretrained = false", "pretrained = true")
    text = text.replace("max_epochs = 2", "max_epochs = 1").replace("workers = 2", "workers = 1")
    text += 'weights = "weights.pth"\n'
    data.write_text(text, encoding="utf-8")
    block = tmp_path / "block"
    block.mkdir()
    (block / "sitecustomize.py").write_text(FORBID)
    picture = data.parent / "dataset/test/real/0001.png"
    commands = (
        ["scan"], ["resize"], ["train"], ["test"], ["explore"], ["explore", "--labels"],
        ["explain", str(picture)], ["compare"], ["loss-graph"], ["choose", "tiny"],
        ["check", str(picture)], ["report"],
    )  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(ROOT), str(data), json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": str(block)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, (result.stdout[-1000:], result.stderr[-1000:])
    assert "all commands ended with 0" in result.stdout
    probe = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('localhost', 9))"],
        env={**os.environ, "PYTHONPATH": str(block)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the network was used" in probe.stderr, "the block itself has to work"
