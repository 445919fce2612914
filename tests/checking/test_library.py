"""fakedetect.load: a model that is loaded once and checks many pictures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REFERENCE_INPUT, ROOT, run

import fakedetect
from fakedetect.core.errors import UserError


@pytest.mark.parametrize("stability", ["auto", "all", "none"])
def test_it_says_what_check_says_and_prints_nothing(
    trained: Path, stability: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted((trained.parent / "dataset/test").rglob("*.jpg"))[::4]
    option = ["--no-stability"] if stability == "none" else ["--stability", stability]
    said = run("--paths", trained, "check", "--json", *option, *pictures).stdout
    wanted = {row["path"]: row for row in map(json.loads, said.splitlines())}
    capfd.readouterr()
    detector = fakedetect.load("tiny", paths=trained, stability=stability)
    found = [detector.check(str(path)) for path in pictures]
    assert capfd.readouterr() == ("", "")
    assert detector.models == ("tiny",) and len(found) == len(wanted) == 5
    for judged in found:
        row = wanted[str(judged.path)]
        assert (judged.verdict, judged.stability) == (row["verdict"], row["stability"] or "")
        assert judged.p_fake == pytest.approx(row["p_fake"], abs=1e-4)
        assert (judged.sha256, judged.format) == (row["sha256"], "JPEG")
        assert judged.stamp.bytes == judged.path.stat().st_size and judged.judges.model == "tiny"
        assert (stability == "all") <= bool(judged.stability)


def test_a_damaged_file_has_a_reason_and_one_that_is_missing_is_a_mistake(trained: Path) -> None:
    detector = fakedetect.load("tiny", paths=trained)
    broken = trained.parent / "broken.jpg"
    broken.write_bytes(b"")
    judged = detector.check(broken)
    assert (judged.verdict, judged.p_fake, judged.reason) == ("", None, "empty file")
    for path, said in ((trained.parent / "nowhere.jpg", "is not there"), (trained.parent, "is a folder")):
        with pytest.raises(UserError, match=said) as error:
            detector.check(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_all_models_answer_together_and_mistakes_are_one_line(trained: Path, data: Path) -> None:
    own = f'\n[models.second]\ntimm = "test_resnet"\nbatch_size = 8\n{REFERENCE_INPUT}'
    trained.write_text(trained.read_text(encoding="utf-8") + own, encoding="utf-8")
    folders = trained.parent / "model_folders"
    shutil.copytree(folders / "tiny", folders / "second")
    both = fakedetect.load("all", paths=trained, stability="none")
    judged = both.check(next((trained.parent / "dataset/test/real").rglob("*.jpg")))
    assert both.models == ("tiny", "second") == tuple(each.model for each in judged.answers)
    for arguments, said in (
        ({"model": "tinny", "paths": trained}, "did you mean 'tiny'"),
        ({"model": "resnet18", "paths": trained}, "has no checkpoint"),
        ({"model": "tiny", "paths": trained.parent / "other.toml"}, "There is no settings file"),
        ({"model": "all", "paths": data}, "is trained"),
        ({"model": "tiny", "paths": trained, "stability": "some"}, "'some'"),
    ):
        with pytest.raises(UserError, match=said) as error:
            fakedetect.load(**arguments)
        assert "\n" not in str(error.value)


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import sys, fakedetect; print(any(name in sys.modules for name in ('torch', 'numpy', 'PIL')))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.strip() == "False"


def test_its_example_in_the_docs_works_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    (example, *_) = (part.partition("```")[0] for part in page.split("```python\n")[1:])
    shutil.copy(ROOT / "docs/explanation.png", tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    monkeypatch.setattr("builtins.print", lambda *words: seen.append(" ".join(map(str, words))))
    exec(compile(example, "docs/library.md", "exec"), {})  # noqa: S102
    assert seen and seen[0].split()[0] in ("fake", "real", "unsure")


LET_GO = """
import signal, sys
import fakedetect
signal.signal(signal.SIGINT, signal.default_int_handler)
held = [fakedetect.load("tiny", paths=sys.argv[1]) for _ in range(2)]
for detector in held:
    detector.check(sys.argv[2])
del detector
while held:
    # The first one goes first, where a list alone would let the last one go first.
    del held[0]
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_after_several_models_were_let_go_stops_and_does_not_crash(trained: Path) -> None:
    picture = next((trained.parent / "dataset/test/real").rglob("*.jpg"))
    ended = subprocess.run(
        [sys.executable, "-c", LET_GO, str(trained), str(picture)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, "stopped\n"), ended.stderr
