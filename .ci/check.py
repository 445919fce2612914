"""What `make check` and `make test` run; on Windows, which has no make: `python .ci/check.py [--all]`."""

import os
import subprocess
import sys

QUICK = (
    *("tests/core", "tests/images", "tests/provenance", "tests/test_house.py", "tests/test_docs.py"),
    *("tests/preprocessing/test_scan.py", "tests/preprocessing/test_resize.py"),
    *("-m", "not trained", "--ignore=tests/core/test_calls.py"),
)
"""Tests that hardly need torch, and no trained model."""

# Two files at a time, one thread each: more threads than cores would wait for each other. A process that
# dies ends the run, and its test is named: xdist may wait for ever after it has started another.
TESTS = ("pytest", "-n", "2", "--dist", "loadfile", "--max-worker-restart=0", "--durations=15")


def main() -> int:
    """Style, types, and the quick tests or all; returns the exit code of the first that fails."""
    everything = "--all" in sys.argv
    os.environ["OMP_NUM_THREADS"] = "1"
    commands = [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        *([("pip", "check"), TESTS] if everything else [(*TESTS, *QUICK)]),
    ]
    for command in commands:
        print("+", *command, flush=True)
        if code := subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
