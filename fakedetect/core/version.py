"""Which fakedetect this is: its version and, in a git checkout, its commit; how to cite it."""

import re

from fakedetect.core.installation import HOME, ROOT

VERSION = "0.6.0"
"""By Semantic Versioning; the package is built with it."""

GIT_TIMEOUT_SECONDS = 5.0
"""Seconds for git to answer; it takes a few hundredths of one."""

CODE_PATHS = ("fakedetect", "menu.py")
"""What a commit is said to be changed by; the settings file, for one, is there to be changed."""


def describe_version() -> str:
    """'0.6.0 (commit 1234567890ab)'; 'with changes' follows the commit where the code differs from it.

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
    commands = (
        ["describe", "--always", "--exclude=*", "--abbrev=12"],
        ["status", "--porcelain", "--untracked-files=no", "--", *CODE_PATHS],
    )
    answers = []
    for command in commands:
        try:
            answer = subprocess.run(
                [*program, *command],
                capture_output=True,
                text=True,
                timeout=GIT_TIMEOUT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        answers.append(answer.stdout.strip())
    commit, changes = answers
    return f"{commit} with changes" if changes else commit


def describe_citation(version: str) -> str:
    """How to cite fakedetect, as BibTeX made of CITATION.cff.

    Args:
        version: what did the work, as describe_version() says it.
    """
    text = (HOME / "CITATION.cff").read_text(encoding="utf-8")

    def read(key: str) -> str:
        found = re.search(rf'^[ -]*{key}: *"?(.*?)"?$', text, re.MULTILINE)
        return found[1] if found else ""

    fields = {"title": f"{{{read('title')}}}", "author": f"{{{read('name')}}}"}
    fields |= {"version": version, "license": read("license")}
    return "\n".join(
        ["@software{fakedetect,", *(f"  {key} = {{{it}}}," for key, it in fields.items()), "}"]
    )
