"""The version of fakedetect, its git commit, and its citation."""

import re

from fakedetect.core.installation import HOME, ROOT

VERSION = "0.7.0"
"""Semantic Versioning; the package is built with it."""

GIT_TIMEOUT_SECONDS = 5.0
"""git normally takes a few hundredths of a second."""

CODE_PATHS = ("fakedetect", "menu.py")
"""Only changes here count as changes to a commit; the settings file is meant to be edited."""


def describe_version() -> str:
    """Return '0.7.0 (commit 1234567890ab)', with 'with changes' if the code differs from the commit.

    Reads local files only. Without a git checkout there is no commit.
    """
    commit = _read_commit()
    return VERSION + (f" (commit {commit})" if commit else "")


def _read_commit() -> str:
    """Return the commit that is checked out; '' without git, or if git does not answer."""
    # Imported late, so that the menu starts faster.
    import shutil
    import subprocess

    git = shutil.which("git")
    # A parent folder may be another project's repository. In a worktree, .git is a file.
    if git is None or not (ROOT / ".git").exists():
        return ""
    # Without locks, this cannot interfere with a git command of the user.
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
    """Return the BibTeX entry for fakedetect, from CITATION.cff.

    Args:
        version: the version that did the work, from describe_version().
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
