"""Mistakes in paths.toml, each told in one line with its place."""

from pathlib import Path

import pytest
from conftest import run


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "resnet19"', "line 1: unknown model 'resnet19' (did you mean 'resnet18'?)"),
        ('modle = "resnet18"', "unknown key 'modle' (did you mean 'model'?)"),
        ("[training]\nseed = 1\npatience = 'a'", "line 3: patience has to be a whole number"),
        ("[training]\nprecision = 'fp8'", "line 2: precision has to be one of"),
        ('[resized]\ntrain = "C:\\Users\\x"', "line 2: a back-slash"),
        ("[models.mine]\nbatch_size = 3", "line 1: [models.mine] needs timm"),
        ("model = [", "at end of document"),
        ("[training]\nlearning_rate = 0", "line 2: learning_rate has to be more than"),
        ("original = 3", "line 1: original has to be a section"),
        ('model = "resnet18"\n[training\nseed = 1', "line 2"),
        ("[training]\n\nepochs = 5", "line 3: unknown key 'epochs' (did you mean 'max_epochs'?)"),
        (
            '[outputs]\nexplore = "$NOT_SET/x"',
            "line 2: explore: the environment variable NOT_SET",
        ),
        ('[resized]\ntest = "~nobody_of_this_name/x"', "line 2: test: there is no home folder"),
        ("[training]\nvalidation_share = 1.0", "line 2: validation_share has to lie between"),
        ("[training]\ncompile = 1", "line 2: compile has to be true or false"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    paths = tmp_path / "paths.toml"
    paths.write_text(text, encoding="utf-8")
    result = run("--paths", paths, "scan")
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_byte_order_mark_is_no_mistake_and_stays(tmp_path: Path) -> None:
    paths = tmp_path / "paths.toml"
    paths.write_bytes(b'\xef\xbb\xbfmodel = "resnet18"\r\n# end\r\n')
    assert run("--paths", paths, "choose", "resnet50").returncode == 0
    assert paths.read_bytes() == b'\xef\xbb\xbfmodel = "resnet50"\r\n# end\r\n'


def test_home_and_environment_are_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakedetect.core.settings import load_settings

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("PICTURES", str(tmp_path / "pictures"))
    paths = tmp_path / "paths.toml"
    paths.write_text('[resized]\ntrain = "~/a"\ntest = "$PICTURES/b"\n', encoding="utf-8")
    resized = load_settings(paths).resized
    assert resized == {"train": tmp_path / "home/a", "test": tmp_path / "pictures/b"}
