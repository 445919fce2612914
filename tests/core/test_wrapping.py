"""Long messages on narrow terminals: broken between words, and never within what is to be copied."""

import io
import sys
import time
from pathlib import Path

import pytest
from conftest import Terminal

from fakedetect.core.calls import Call
from fakedetect.core.console import Console
from fakedetect.core.wrapping import columns_of, wrap

PLACES = (
    "/data/model_folders/resnet18/classifier_model.pth",
    "/home/ann/My Pictures/Summer 2024/a.jpg",
    "/home/ann/My Pictures/beach at night.jpeg",
    "~/My Pictures/x/",
    "/data/elsewhere/real/web/pages/a-dutch-road-sign-v0-abcdefghijk1.png",
    "C:\\Users\\Ann Lee\\Pictures\\a.png",
)
COMMANDS = (
    Call(Path("/p/paths.toml"), "a", "a").command("train", "--resume"),
    Call(Path("/my own/paths.toml"), "a", "b").command("explore", "--on", "resized"),
    Call(Path("/p/paths.toml"), "a", "a").command("evaluate", "--data", "FOLDER"),
    Call(Path("/p/paths.toml"), "a", "a").command("resize"),
)


@pytest.mark.parametrize("columns", [20, 40, 60, 80])
@pytest.mark.parametrize("whole", [*PLACES, *COMMANDS])
def test_words_paths_and_commands_stay_whole(whole: str, columns: int) -> None:
    text = (
        f"The training pictures were found in {whole} and in other folders; to start over, or to go on "
        f"with what was done before: {whole}; then test the model: {whole}\n  - indented: {whole}"
    )
    lines = wrap(text, columns).split("\n")
    assert sum(line.count(whole) for line in lines) == 4
    # Whether a word after an option is its value cannot be seen; it stays with the command.
    too_long = [line.strip(" ;") for line in lines if len(line) > columns]
    assert all(line.removesuffix(" and") == whole for line in too_long)
    assert " ".join(wrap(text, columns).split()) == " ".join(text.split())
    assert all(line == line.rstrip() for line in lines)


def test_other_words_break_as_they_should() -> None:
    text = "The copies of /a/b would go to /c/d. Give both of them folders of their own in /e/paths.toml."
    assert wrap(text, 30).split("\n") == [
        "The copies of /a/b would go to",
        "/c/d. Give both of them",
        "folders of their own in",
        "/e/paths.toml.",
    ]
    assert wrap("  - one two three", 10) == "  - one\n  two\n  three"
    assert wrap("short\n\nlines", 10) == "short\n\nlines"
    assert wrap("\ufdd0bold\ufdd1 word", 9) == "\ufdd0bold\ufdd1 word"
    assert wrap("图片 图片", 8) == "图片\n图片"
    assert wrap("x" * 500, None) == "x" * 500


def test_a_hostile_line_is_wrapped_in_no_time() -> None:
    for line in ("/" + "a " * 50_000, "/a" * 50_000, "python menu.py" + " --a b" * 20_000, "/ " * 50_000):
        start = time.monotonic()
        wrap(line, 40)
        assert time.monotonic() - start < 5


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_messages_wrap_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "No model has been trained yet. Train one: python menu.py --paths /p/paths.toml train"
    terminal = Terminal(40)
    assert columns_of(terminal.stream) == 40 and columns_of(io.StringIO()) is None
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    console = Console()
    console.fail(text)
    console.show(text)
    console.show(text, whole=True)
    shown = terminal.read()
    terminal.close()
    lines = shown.replace("\x1b[31m", "").replace("\x1b[0m", "").split("\r\n")
    broken = ["No model has been trained yet. Train", "one:", "python menu.py --paths /p/paths.toml train"]
    assert lines == [*broken, *broken, text, ""]
    monkeypatch.undo()
    Console().fail(text)
    assert capsys.readouterr().err == f"{text}\n"
