"""Which fakedetect this is: its version and, in a git checkout, its commit."""

from fakedetect.core.installation import ROOT

VERSION = "0.6.0"
"""By Semantic Versioning; the package is built with it."""

PATIENCE = 5.0
"""Seconds for git to answer; it takes a few hundredths of one."""


def describe_version() -> str:
    """'0.6.0 (commit 1234567890ab)'; 'with changes' follows the commit where files differ from it.

    Reads local files only. There is no commit where the program is no git checkout of its own.
    """
    commit = _read_commit()
    return VERSION + (f" (commit {commit})" if commit else "")


def _read_commit() -> str:
    """The commit that is checked out; '' where there is none, no git, or one that does not answer."""
    # The menu needs the version only, and starts sooner without these.
    import shutil
    import subprocess

    git = shutil.which("git")
    # A folder above may be another project's repository; .git is a file in a worktree.
    if git is None or not (ROOT / ".git").exists():
        return ""
    # Without locks, it cannot get into the way of a git that the user runs at the same time.
    program = [git, "--no-optional-locks", "-C", str(ROOT)]
    command = [*program, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty= with changes"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
