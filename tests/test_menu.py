"""The menu through lines, through a real terminal, and its table against the documentation."""

import contextlib
import io
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from conftest import ROOT, paint, run
from pexpect import fdpexpect

from fakedetect.core.settings.settings import load_settings
from fakedetect.core.version import VERSION
from fakedetect.options import OPTIONS, SLOW_TO_LOAD, commands


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_numbers_from_a_pipe_reach_the_entries(data: Path, mark: str) -> None:
    result = run("--paths", data, keys=f"{mark}1\n1\n5\n0\n0\n")
    assert result.returncode == 0, result.stderr
    assert "train-real: 20 pictures, 0 bad" in result.stdout
    assert "Bad Images Menu" in result.stdout and "Goodbye" in result.stdout


@pytest.mark.parametrize(
    ("keys", "line", "wrong"),
    [("9x\n1\n1\n", 1, "9x"), ("1\n7\n1\n0\n0\n", 2, "7"), ("1\n1\n\n5\n", 3, "")],
)
def test_an_answer_from_a_pipe_that_fits_no_question_ends_the_program(
    data: Path, keys: str, line: int, wrong: str
) -> None:
    """Every answer behind it would be another question's."""
    result = run("--paths", data, keys=keys)
    assert result.returncode == 2 and "Goodbye" not in result.stdout
    assert f"Line {line} of the answers, {wrong!r}" in result.stderr and "Traceback" not in result.stderr
    assert ("train-real: 20 pictures" in result.stdout) == (line == 3)


def test_an_answer_that_is_not_utf_8_and_fits_no_question_ends_the_program_too(trained: Path) -> None:
    result = run("--paths", trained, keys="8\n/nowhere/\udce4.jpg\n0\n")
    assert result.returncode == 2 and "Goodbye" not in result.stdout
    assert "Line 2 " in result.stderr and "'/nowhere/\\\\udce4.jpg'" in result.stderr


def test_the_menu_ends_at_the_end_of_input(project: Path) -> None:
    assert run("--paths", project, keys="3\n").returncode == 0


def test_the_main_menu_says_what_is_there(data: Path) -> None:
    output = run("--paths", data, keys="0\n").stdout
    assert "tiny (not trained)" in output
    assert re.search(r"train real +20 pictures", output)
    assert re.search(r"resized test +missing", output)


def test_the_main_menu_counts_the_pictures_that_can_be_used(resized: Path) -> None:
    broken = resized.parent / "dataset/train/real/0003.png"
    broken.write_bytes(b"x")
    assert run("--paths", resized, "scan").returncode == 0
    output = run("--paths", resized, keys="0\n").stdout
    assert re.search(r"train real +19 pictures; 1 bad", output)
    assert re.search(r"train fake +20 pictures\n", output)
    # The copy was made before.
    assert re.search(r"resized train +39 pictures; 1 bad", output)
    broken.unlink()
    output = run("--paths", resized, keys="0\n").stdout
    assert re.search(r"train real +19 pictures\n", output)
    (resized.parent / "list_of_bad_images.csv").write_bytes(b"\0")
    output = run("--paths", resized, keys="0\n").stdout
    assert "list_of_bad_images.csv" in output and re.search(r"train real +19 pictures\n", output)


def test_a_first_run_offers_the_demo(project: Path) -> None:
    assert "No pictures yet" in run("--paths", project, keys="0\n").stdout


def test_choosing_changes_one_line_of_the_file(project: Path) -> None:
    before = project.read_text(encoding="utf-8")
    assert run("--paths", project, "choose", "vit_b_16").returncode == 0
    after = before.replace('model = "tiny"', 'model = "vit_b_16"')
    assert project.read_text(encoding="utf-8") == after
    assert run("--paths", project, keys="4\n1\n0\n").returncode == 0
    assert 'model = "resnet18"  # chosen' in project.read_text(encoding="utf-8")
    wrong = run("--paths", project, "choose", "resnet81")
    assert wrong.returncode == 2 and "resnet18" in wrong.stderr


def test_a_checkpoint_from_elsewhere_is_offered_with_the_lines_that_it_needs(trained: Path) -> None:
    before = trained.read_text(encoding="utf-8")
    folder = trained.parent / "model_folders"
    shutil.copytree(folder / "tiny", folder / "told")
    (folder / "bare").mkdir()
    shutil.copy(folder / "tiny/classifier_model.pth", folder / "bare")
    (folder / "not a name").mkdir()
    shutil.copy(folder / "tiny/classifier_model.pth", folder / "not a name")
    shown = run("--paths", trained, keys="4\n7\n\n0\n")
    assert "7. bare: a checkpoint" in shown.stdout
    assert "[models.bare]\ntimm = " in shown.stdout and "was not changed" in shown.stderr
    wrong = run("--paths", trained, keys="4\n8\ntest_resnet\n0\n")
    assert "a model's name has letters" in wrong.stderr
    assert trained.read_text(encoding="utf-8") == before
    named = run("--paths", trained, keys="4\n9\ntest_resnet\n0\n")
    assert "Added [models.told]" in named.stdout and "is now told (trained" in named.stdout
    after = trained.read_text(encoding="utf-8")
    assert after.startswith(before.replace('model = "tiny"', 'model = "told"').rstrip())
    assert (
        load_settings(trained).written["told"].as_model_input()
        == load_settings(trained).written["tiny"].as_model_input()
    )
    assert run("--paths", trained, "choose", "bare").returncode == 2
    assert "told on the test dataset: 20" in run("--paths", trained, "test").stdout


def test_a_failing_entry_leaves_the_menu_open(project: Path) -> None:
    result = run("--paths", project, keys="3\n1\n4\n0\n0\n")
    assert result.returncode == 0
    assert "Traceback" not in result.stderr and "Goodbye" in result.stdout


def test_a_package_that_is_missing_is_one_line_and_a_module_of_ours_is_a_bug(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("fakedetect.preprocessing.scan.scan", scan)
    missing = "pandas"
    result = run("--paths", project, "scan")
    assert result.returncode == 2 and "package pandas is not installed" in result.stderr
    missing = "fakedetect.core.erors"
    with pytest.raises(ModuleNotFoundError):
        run("--paths", project, "scan")


IN_TERMINAL = (
    "import fcntl, os, signal, sys, termios;"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    # Where the tests run under nohup, it is ignored, and that is inherited.
    "signal.signal(signal.SIGHUP, signal.SIG_DFL);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Makes standard input the terminal that controls the program."""


class Menu(fdpexpect.fdspawn):
    """The menu in a pseudo-terminal.

    pexpect.spawn would fork this process, and the child may crash once libraries with threads are loaded.
    """

    def __init__(self, project: Path, columns: int, environment: dict[str, str]):
        import fcntl
        import pty
        import struct
        import termios

        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.program = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, str(ROOT / "menu.py"), "--paths", str(project)],
            env={
                **os.environ,
                "PROMPT_TOOLKIT_NO_CPR": "1",
                "TERM": "xterm",
                "PYTHONUTF8": "1",
                **environment,
            },
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        super().__init__(leader, encoding="utf-8", timeout=30)
        self.logfile_read = io.StringIO()

    def wait(self) -> int:
        """The exit code; closes the terminal."""
        code = self.program.wait(30)
        self.close()
        return code


def open_menu(project: Path, columns: int = 100, **environment: str) -> Menu:
    """The menu in a pseudo-terminal, as soon as it is there."""
    child = Menu(project, columns, environment)
    child.expect("Main Menu.*Exit|Exit.*Main Menu")
    return child


def close_menu(child: Menu) -> None:
    """Leave the main menu as a user does."""
    child.send("0\r")
    child.expect("Goodbye")
    assert child.wait() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_numbers_arrows_and_ctrl_c_in_a_real_terminal(project: Path) -> None:
    child = open_menu(project)
    # Enter comes as a line feed where the keys were typed before the menu was there.
    for enter, typed in itertools.product("\r\n", ("x", "77", "12", "3x")):
        child.send(f"{typed}{enter}")
        child.expect("Please enter a valid choice.*Main Menu.*Exit")
    child.send("\x1b[B\r")
    child.expect("Resize Menu.*Back")
    child.send("\x03")
    child.expect("Main Menu.*Exit")
    child.send("3\r")
    child.expect("Model Training Menu.*Back")
    child.send("4\r")
    child.expect("Train the model first.*Enter: menu")
    child.send("\r")
    child.expect("Model Training Menu.*Back")
    child.send("0\r")
    child.expect("Main Menu.*Exit")
    close_menu(child)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_keys_typed_before_a_job_ends_start_no_other(data: Path) -> None:
    child = open_menu(data)
    child.send("1\r")
    child.expect("Bad Images Menu.*Back")
    child.send("1\r2\r3\r")
    # Nor do they take the result off the screen.
    child.expect("train-real: 20 pictures.*0 bad pictures found.*Enter: menu")
    for key in ("\r", "\x1b", "\x03", "\x04"):
        # A number waits for the menu that it is meant for.
        child.send("2")
        with pytest.raises(pexpect.TIMEOUT):
            child.expect("Bad Images Menu", timeout=0.3)
        child.send(key)
        child.expect("Bad Images Menu.*Back")
        child.send("5\r")
        child.expect("0 bad pictures in.*Enter: menu")
    child.send("\r")
    child.expect("Bad Images Menu.*Back")
    child.send("0\r")
    child.expect("Main Menu.*Exit")
    close_menu(child)
    assert "train-fake: " not in child.logfile_read.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_dumb_terminal_keeps_a_result_in_sight_too(project: Path) -> None:
    child = open_menu(project, TERM="dumb")
    for answer in ("\r", "\x04", "\x03"):
        child.send("7\r")
        child.expect("No model has been tested.*Enter: menu")
        child.send(answer)
        child.expect("Exit.*Main Menu")
    close_menu(child)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_menu_reads_settings_that_have_changed_and_survives_a_mistake_in_them(project: Path) -> None:
    child = open_menu(project)
    child.send("3\r")
    child.expect("Model Training Menu.*Back")
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace('model = "tiny"', 'model = "vit_b_16"'), encoding="utf-8")
    child.send("4\r")
    child.expect("model_folders/vit_b_16/.*Enter: menu")
    child.send("\r")
    child.expect("Model Training Menu.*Back")
    project.write_text(text.replace("max_epochs", "max_epoch"), encoding="utf-8")
    child.send("4\r")
    child.expect("unknown key 'max_epoch'.*Enter: menu")
    child.send("\r")
    child.expect("Model Training Menu.*Back")
    child.send("0\r")
    child.expect("unknown key 'max_epoch'.*Main Menu.*Exit")
    project.write_text(text, encoding="utf-8")
    child.send("3\r")
    child.expect("Model Training Menu.*Back")
    child.send("0\r")
    child.expect("Model: tiny.*Main Menu.*Exit")
    close_menu(child)


def test_importing_the_menu_loads_nothing_heavy() -> None:
    code = (
        "import sys, fakedetect.menu;"
        "print({'torch', 'numpy', 'PIL', 'pandas', 'timm', 'cv2', 'matplotlib', 'questionary', 'jinja2'}"
        " & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.strip() == "set()"


def test_what_takes_seconds_to_load_is_known() -> None:
    targets = {option.target for option in (*OPTIONS, *commands()) if option.target}
    modules = sorted({target.partition(":")[0] for target in targets})
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if {'torch', 'matplotlib'} & set(sys.modules): print(name)\n"
    )
    slow = {target.partition(":")[0] for target in targets if target.startswith(SLOW_TO_LOAD)}
    # Those that load neither first: what one has loaded, all have.
    ordered = sorted(modules, key=lambda name: name in slow)
    found = subprocess.run(
        [sys.executable, "-c", code, *ordered], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert set(found.stdout.split()) == slow


def test_the_version_is_the_package_s() -> None:
    assert run("--version").stdout.strip() == f"fakedetect {VERSION}"


def test_every_key_is_single_and_unique() -> None:
    for level in (OPTIONS, *(option.entries for option in OPTIONS)):
        keys = [option.key for option in level]
        assert len(set(keys)) == len(keys) and all(re.fullmatch("[1-9]", key) for key in keys)


def test_ctrl_c_while_scanning_stops_with_130_and_keeps_the_list(project: Path) -> None:
    import shutil

    from conftest import paint

    folder = project.parent / "dataset/train/real"
    first = paint(folder / "0000.png", 1, (1500, 1500))
    for number in range(1, 400):
        shutil.copy(first, folder / f"{number:04}.png")
    (folder / "0000.png").write_bytes(b"x")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "menu.py"), "--paths", str(project), "scan", "train-real"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "bad:" in line:
            break
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "0000.png" in (project.parent / "list_of_bad_images.txt").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_thousands_of_random_keys_do_not_crash_it(project: Path, terminal: str) -> None:
    child = open_menu(project, TERM=terminal)
    chance = random.Random(11)
    keys = [
        *"0123456789abxyz?\t ",
        *["\r"] * 12,
        "\x1b[A",
        "\x1b[B",
        "\x1b[5~",
        "\x1b",
        "\x7f",
        "é",
        "\x01",
    ]
    for _ in range(150):
        child.send("".join(chance.choice(keys) for _ in range(20)))
        with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
            child.read_nonblocking(100_000, timeout=0.01)
        if child.program.poll() is not None:
            # A zero in the main menu is a proper way out.
            assert child.wait() == 0
            assert "Traceback" not in child.logfile_read.getvalue()
            child = open_menu(project, TERM=terminal)
    child.program.kill()
    child.wait()
    assert "Traceback" not in child.logfile_read.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_closed_terminal_ends_it(project: Path) -> None:
    child = open_menu(project)
    child.program.send_signal(signal.SIGHUP)
    child.expect(pexpect.EOF)
    code = child.wait()
    assert "Traceback" not in child.logfile_read.getvalue()
    assert code in (128 + signal.SIGHUP, -signal.SIGHUP)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_narrow_terminal_without_colours_or_utf8_is_usable(
    project: Path, environment: dict[str, str]
) -> None:
    child = open_menu(project, columns=40, **environment)
    child.send("1\r")
    child.expect("Bad Images Menu.*Back|Back.*Bad Images Menu")
    child.send("0\r")
    child.expect("Main Menu.*Exit|Exit.*Main Menu")
    close_menu(child)
    # The whole instruction would break within a word.
    assert ("(number, then Enter)" in child.logfile_read.getvalue()) == ("NO_COLOR" in environment)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_escape_leaves_questions_and_tab_completes_paths(trained: Path) -> None:
    picture = paint(trained.parent / "My Pictures" / "unusual name.jpg", 1)
    child = open_menu(trained)
    child.send("8\r")
    child.expect("Pictures or folder to check")
    child.send("\x1b")
    child.expect("No picture given.*Main Menu.*Exit")
    child.send("8\r")
    child.expect("Pictures or folder to check")
    # What is not there is asked for again, before anything is loaded.
    child.send("nowhere.jpg\r")
    child.expect("There is no picture or folder nowhere.jpg.*Pictures or folder to check")
    child.send(f"{picture.parent}/unus\t")
    child.expect("ual name.jpg")
    child.send("\r")
    # A file that cannot be is asked for again too, and the pictures are kept.
    child.expect("or a CSV file")
    child.send(f"{picture.parent}\r")
    child.expect(r"is\s+a\s+folder\..*or a CSV file")
    child.send("\r")
    child.expect("Draw a heat map")
    child.send("\x1b")
    child.expect("Loading.*p\\(fake\\) .*unusual name.jpg.*Enter: menu")
    child.send("\r")
    child.expect("Main Menu.*Exit")
    child.send("9\r")
    child.expect("Make 580 small pictures.*y/N")
    child.send("\r")
    child.expect("Main Menu.*Exit")
    assert not (trained.parent / "demo").exists()
    close_menu(child)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_menu_offers_recipes_and_rates(trained: Path) -> None:
    child = open_menu(trained)
    child.send("3\r")
    child.expect("Model Training Menu.*Back")
    child.send("1\r")
    child.expect("Leave out a source.*camera, diffusion, gan, phone; Enter: none")
    child.send("midjourney\r")
    child.expect("Please enter one of camera, diffusion, gan, phone.*Enter: none")
    child.send("\r")
    child.expect("Train again and replace it.*y/N")
    child.send("y\r")
    child.expect("Recipe.*reference.*set in paths.toml.*probe.*Back")
    child.send("0\r")
    child.expect("Nothing was trained.*Model Training Menu.*Back")
    child.send("6\r")
    child.expect("your own photographs.*Enter: no")
    child.send("\r")
    child.expect("Real pictures that may be called fake.*with 8 to fit on, at least 11.2; Enter: 11.2")
    child.send("none\r")
    child.expect("Please enter a number above 0 and at most 50")
    child.send("20 %\r")
    child.expect("Fakes that may be called real.*Enter: 5.9")
    child.send("12,5\r")
    child.expect("at most 20.0 %.*at most 12.5 %.*Thresholds: fake from.*Enter: menu")
    child.send("\r")
    child.expect("Model Training Menu.*Back")
    child.send("0\r")
    child.expect("Main Menu.*Exit")
    close_menu(child)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_any_number_of_models_can_be_chosen(project: Path) -> None:
    with project.open("a", encoding="utf-8") as file:
        for number in range(9):
            file.write(
                f'\n[models.own{number}]\ntimm = "test_resnet"\nbatch_size = 8\nlearning_rate = 1e-3\n'
            )
    child = open_menu(project)
    child.send("4\r")
    child.expect("Choose the model.*14\\) own7.*Back")
    child.send("16\r")
    child.expect("Please enter a valid choice.*Choose the model.*Back")
    child.send("14\r")
    child.expect("The model is now own7.*Enter: menu")
    child.send("\r")
    child.expect("Main Menu.*Exit")
    close_menu(child)
    assert 'model = "own7"' in project.read_text(encoding="utf-8")
