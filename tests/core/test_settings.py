"""Mistakes in paths.toml, each told in one line with its place and what is wrong."""

from pathlib import Path

import pytest
from conftest import run

from fakedetect.core.settings.recipes import Input
from fakedetect.core.settings.settings import load_settings

SYNTAX = [
    ("model = resnet18", "line 1: not a value: text needs straight quotes"),
    ("model = resnet18  # mine", "line 1: not a value: text needs straight quotes"),
    ("\n[training]\npretrained = True", "line 3: not a value: text needs straight quotes"),
    ("[training]\ncompile = No", "line 2: not a value: text needs straight quotes"),
    ("[training]\nseed = 1\n# x\nseed = 2", "line 4: the key is set twice"),
    ('model = "a"\nmodel = "b"', "line 2: the key is set twice"),
    ("[training]\nseed = 1\n[outputs]\n[training]", "line 4: Cannot declare ('training',) twice"),
    ("training.seed = 1\n[training]\npatience = 2", "line 2: Cannot declare ('training',) twice"),
    ("[models.a]\ntimm = 'x'\n[models.a]", "line 3: Cannot declare ('models', 'a') twice"),
    ('model = "resnet18', "line 1: the closing quote is missing"),
    ('model = "resnet18\n[training]', "line 1: the closing quote is missing"),
    ('[training]\noptimizer = "AdamW # best\nseed = 1', "line 2: the closing quote is missing"),
    ("model = 'resnet18\n[training]\nseed = 1", "line 1: the closing quote is missing"),
    ("model = \"Jo's\n", "line 1: the closing quote is missing"),
    ('[models.a]\nx = ["b", "c]\ny = 1', "line 2: the closing quote is missing"),
    ('[models."a]\nx = 1', "line 1: the closing quote is missing"),
    ("# a\x01comment", "line 1: Found invalid character '\\x01'"),
    ("model = 'a\x7f'", "line 1: Found invalid character '\\x7f'"),
    ("model = “resnet18”", "line 1: not a value: text needs straight quotes"),
    ("model = `resnet18`", "line 1: not a value: text needs straight quotes"),
    ('model = """resnet18\n[training]', "line 2: the closing quote is missing"),
    ('model: "resnet18"', "line 1: Expected '=' after a key in a key/value pair: model"),
    ('model == "resnet18"', "line 1: not a value: text needs straight quotes"),
    ("model resnet18", "line 1: Expected '=' after a key in a key/value pair"),
    ("model = ", "line 1: not a value: text needs straight quotes"),
    ("model = None", "line 1: not a value: text needs straight quotes"),
    ('model = "resnet18" // mine', "line 1: only a # comment can follow"),
    ('model = "resnet18";', "only a # comment can follow"),
    ("// mine", "line 1: not a key = value, a [section] or a # comment"),
    ("; mine", "line 1: not a key = value, a [section] or a # comment"),
    ("max epochs = 3", "line 1: Expected '=' after a key in a key/value pair"),
    ("[training]\nlearning_rate = 2,5e-5", "line 2: only a # comment can follow"),
    ("[training]\nlearning_rate = .5", "line 2: not a value: text needs straight quotes"),
    ("[training]\nseed = 007", "line 2: only a # comment can follow"),
    ("[training]\nlearning_rate = 2e-5f", "line 2: only a # comment can follow"),
    ("[training]\nvalidation_share = 10 %", "line 2: only a # comment can follow"),
    ("[models.a]\nmean = [0.5 0.5 0.5]", "line 2: Unclosed array"),
    ("[models.a]\nmean = [0.5, 0.5\nstd = [1, 1, 1]", "line 3: Unclosed array"),
    ("[models.a]\nmean = (0.5, 0.5, 0.5)", "line 2: not a value: text needs straight quotes"),
    ("model = [", "line 1: not a value: text needs straight quotes"),
    ("model = @", "line 1: not a value: text needs straight quotes"),
    ("training = {seed = 1,\n patience = 2}", "line 1: Invalid initial character for a key part"),
    ('model = "resnet18"\n[training\nseed = 1', "line 2: Expected ']' at the end of a table declaration"),
    ("[models.my model]", "line 1: Expected ']' at the end of a table declaration"),
    ("[training] seed = 1", "line 1: only a # comment can follow"),
    ("<<<<<<< HEAD", "not a key = value, a [section] or a # comment"),
    ('model\u00a0= "resnet18"', "line 1: Expected '=' after a key in a key/value pair"),
    ('model = "a\x01"', "line 1: Illegal character '\\x01'"),
    ('[resized]\ntrain = "C:\\Users\\x"', "line 2: a backslash in double quotes"),
    ('[resized]\ntrain = "C:\\x\\"', "line 2: a backslash in double quotes starts an escape. Use single"),
    ("[resized]\ntrain = C:\\x", "line 2: not a value: text needs straight quotes"),
    ("[resized]\ntrain = 'Jo's'", "line 2: only a # comment can follow"),
]  # fmt: skip

VALUES = [
    ('model = "resnet19"', "line 1: unknown model 'resnet19' (did you mean 'resnet18'?)"),
    ('model = "ResNet-18"', "unknown model 'ResNet-18' (did you mean 'resnet18'?)"),
    ("model = 18", "line 1: model must be the name of a model in quotes, not 18"),
    ('modle = "resnet18"', "line 1: unknown key 'modle' (did you mean 'model'?)"),
    ('MODEL = "resnet18"', "did you mean 'model'?"),
    ("\n[trainig]\nseed = 1", "line 2: unknown key 'trainig' (did you mean 'training'?)"),
    ("\n\n[paths]\nx = 1", "line 3: unknown key 'paths'"),
    ("[training]\n\nepochs = 5", "line 3: unknown key 'epochs' (did you mean 'max_epochs'?) in [training]"),
    ("[training]\nlr = 1e-3", "line 2: unknown key 'lr' (did you mean 'learning_rate'?) in [training]"),
    ("[training]\nNum-Epochs = 5", "(did you mean 'max_epochs'?)"),
    ("[training]\nbs = 5", "(did you mean 'batch_size'?)"),
    ("wd = 0.1", "(did you mean 'weight_decay'?). It belongs under [training]"),
    ('arch = "resnet18"', "(did you mean 'model'?)"),
    ('[models.a]\ntimm = "x"\nimg_size = 5', "(did you mean 'size'?) in [models.a]"),
    ('[original]\ntrain-real = "x"', "line 2: unknown key 'train-real' (did you mean 'train_real'?)"),
    ("seed = 1", "line 1: unknown key 'seed'. It belongs under [training]"),
    ('[training]\nmodel = "resnet18"', "line 2: unknown key 'model' in [training]. It belongs above"),
    ('[training]\ntimm = "x"', "It belongs under [models.NAME]"),
    ('[models]\ntimm = "x"', "line 2: timm in [models] belongs to one model. Write [models.my_model]"),
    ('[model.mine]\ntimm = "x"', "line 1: model must be the name of a model in quotes, not a section"),
    ('[models.a1.b2]\ntimm = "x"', "line 1: unknown key 'b2' in [models.a1]"),
    ('[models.RESNET18]\ntimm = "x"', "a model named RESNET18 already exists"),
    ('[models.all]\ntimm = "x"', "'all' means every model"),
    ('[models."a b"]\ntimm = "x"', 'line 1: [models."a b"]: a model\'s name has letters, digits'),
    ("[models.mine]\nbatch_size = 3", '[models.mine]: timm = "…" is missing'),
    ('[models.mine]\ntimm = "x"\nmean = [0.5]', "line 3: mean in [models.mine] must be three numbers"),
    ('[models.mine]\ntimm = "x"\nmean = [0.5, nan, 0.5]', "must be three numbers"),
    ('[models.mine]\ntimm = "x"\nstd = [0, 1, 1]', "must be three numbers from 0.0001 to 10,000"),
    (f'[models.mine]\ntimm = "x"\nmean = [0, 1, {10**400}]', "three numbers from -10,000 to 10,000"),
    ('[models.mine]\ntimm = "x"\nsize = 0', "must be a whole number from 1 to 4,096, not 0"),
    ('[models.mine]\ntimm = "x"\nsize = 5000', "must be a whole number from 1 to 4,096, not 5000"),
    ('[models.mine]\ntimm = "x"\nsize = "384"', 'must be a whole number from 1 to 4,096, not "384"'),
    ('[models.mine]\ntimm = "x"\ninterpolation = "Bicubic"', 'must be "lanczos", "bicubic" or "bilinear"'),
    ("[training]\nsize = 384", "It belongs under [models.NAME]"),
    ('[models.mine]\ntimm = "x"\nweights = "no.pth"', "line 3: weights in [models.mine] names no file"),
    ('[models.mine]\ntimm = "x"\nweights = "."', "line 3: weights in [models.mine] names no file"),
    ("original = 3", "line 1: original must be a section, [NAME] on a line of its own, not 3"),
    ("[[training]]\nseed = 1", "must be a section, [NAME] on a line of its own, not a list"),
    ("[training]\nseed = 1\npatience = 'a'", "line 3: patience in [training] must be a whole number"),
    ("[training]\npatience = '3'", 'line 2: patience in [training] must be a whole number from 1, not "3"'),
    ("[training]\nbatch_size = 32.0", "must be a whole number from 1, not 32.0"),
    ("[training]\nlearning_rate = '1e-3'", 'must be a number above 0, not "1e-3"'),
    ("[training]\npretrained = 'false'", 'must be true or false, not "false"'),
    ("[training]\ncompile = 1", "line 2: compile in [training] must be true or false, not 1"),
    ("[training]\nworkers = 'Auto'", 'must be "auto" or a whole number from 1, not "Auto"'),
    ("[training]\nworkers = '4'", 'must be "auto" or a whole number from 1, not "4"'),
    ("[training]\nprecision = 'fp8'", 'must be "auto", "fp32" or "bf16", not "fp8"'),
    ("[training]\nprecision = 'BF16'", 'must be "auto", "fp32" or "bf16", not "BF16"'),
    ("[training]\noptimizer = 'adamw'", 'must be "Adam", "AdamW" or "SGD", not "adamw"'),
    ("[training]\nrecipe = 'Robust'", 'line 2: recipe in [training] must be "reference" or "probe"'),
    ("[training]\nlearning_rate = 0", "must be a number above 0, not 0"),
    ("[training]\nlearning_rate = inf", "must be a number above 0, not inf"),
    ("[training]\nweight_decay = nan", "must be a number from 0, not nan"),
    ("[training]\nseed = 99999999999999999999", "must be a whole number from 0 to 4294967295"),
    (f"[training]\nseed = {10**400}", "must be a whole number from 0 to 4294967295"),
    (f"[training]\nseed = 0x{5000 * 'f'}", "must be a whole number from 0 to 4294967295"),
    (f"[training]\nseed = -{10**400}", "must be a whole number from 0 to 4294967295"),
    ("[training]\nseed = 1e300", "must be a whole number from 0 to 4294967295, not 1e+300"),
    ("[training]\nrecipe = 'robust'", "recipe in [training] is \"robust\". The robust recipe was"),
    ('[models.mine]\ntimm = "x"\nrecipe = "robust"', "Use degrade = true under [training], or"),
    ("[training]\ndegrade = 'yes'", 'degrade in [training] must be true or false, not "yes"'),
    (f"[training]\nlearning_rate = {10**400}", "line 2: learning_rate in [training] must be a number"),
    (f"[training]\nworkers = {10**400}", 'must be "auto" or a whole number from 1'),
    (f"[training]\npretrained = 0x{5000 * 'f'}", "pretrained in [training] must be true or false"),
    (f"model = 0x{5000 * 'f'}", "must be the name of a model in quotes"),
    (f"[probe]\nstrength = {10**400}", 'line 2: strength in [probe] must be "auto" or a number above 0'),
    ("[probe]\ncollections = ['a']", "line 2: collections in [probe] must be a section, [NAME] on a line"),
    ("[probe.collections]\na = 'b'", 'line 2: a in [probe.collections] must be a list of sources: ["'),
    ("[probe.collections]\na = ['b']\nc = []", "line 3: c in [probe.collections] must be a list of"),
    (f"[probe]\nlayers = [{10**400}]", 'line 2: layers in [probe] must be "all" or a list'),
    (f'[models.mine]\ntimm = "x"\nsize = {10**400}', "must be a whole number from 1 to 4,096"),
    (f'[models.mine]\ntimm = "x"\nmean = [{10**400}, 1, 1]', "must be three numbers"),
    (f'[models.mine]\ntimm = "x"\nstd = [1, 1, {10**400}]', "must be three numbers"),
    ('[models.Calibrated]\ntimm = "x"', "line 1: [models.Calibrated]: 'Calibrated' is reserved"),
    ('[models.-x]\ntimm = "x"', "line 1: [models.-x]: a model's name has letters, digits"),
    ("[training]\nseed = 4294967296", "must be a whole number from 0 to 4294967295, not 4294967296"),
    ("[training]\nbalance = 'class'", 'must be "none", "classes" or "sources", not "class"'),
    ("[training]\nvalidation_share = 1.0", "must be a number between 0 and 1, not 1.0"),
    ('[resized]\ntrain = ""', 'line 2: train in [resized] must be text in quotes, not ""'),
    ('[outputs]\nexplore = " "', 'line 2: explore in [outputs] must be text in quotes, not " "'),
    ('model = ""', 'line 1: model must be the name of a model in quotes, not ""'),
    ('[models.mine]\ntimm = ""', 'line 2: timm in [models.mine] must be text in quotes, not ""'),
    ('[models.mine]\ntimm = "x"\nweights = ""', 'must be text in quotes, not ""'),
    ('[resized]\ntrain = "C:\\train"', "line 2: train in [resized]: a backslash in double quotes"),
    ('[outputs]\nexplore = "$NOT_SET/x"', "line 2: explore in [outputs] names the environment variable N"),
    ('[resized]\ntest = "~nobody_of_this_name/x"', "line 2: test in [resized] names no home folder"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [*SYNTAX, *VALUES])
def test_a_mistake_is_one_line_that_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    paths = tmp_path / "paths.toml"
    paths.write_text(text, encoding="utf-8")
    result = run("--paths", paths, "scan")
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.startswith(f"{paths}, line ")
    assert len(result.stderr.strip().splitlines()) == 1 and len(result.stderr) < 400 + len(str(paths))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('model = "resnet18"'.encode("utf-16"), "is UTF-16 text; settings must be UTF-8. Save it"),
        ('model = "resnet18"'.encode("utf-16-be"), "is UTF-16 text"),
        ('# 1\n[outputs]\nexplore = "Bücher"'.encode("cp1252"), ", line 3: a character that is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not text"),
        (b"#" * 2_000_000, "is too large to be a settings file"),
        (b"model = " + 3000 * b"[", "paths.toml: brackets nested too deeply"),
        (b"seed = " + 5000 * b"9", "paths.toml: a number with thousands of digits"),
        (b"[models.a]\ntimm = 'x'\nweights = '" + 5000 * b"w" + b"'", "names no file that exists"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_settings_file_says_what_it_is(tmp_path: Path, raw: bytes, said: str) -> None:
    paths = tmp_path / "paths.toml"
    paths.write_bytes(raw)
    result = run("--paths", paths, "scan")
    assert result.returncode == 2 and said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_or_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    folder = run("--paths", tmp_path, "scan")
    assert folder.returncode == 2
    assert folder.stderr == f"{tmp_path} is a folder. Give a file: --paths {tmp_path / 'paths.toml'}.\n"
    missing = run("--paths", tmp_path / "none.toml", "scan")
    assert missing.returncode == 2 and "There is no settings file" in missing.stderr


def test_a_byte_order_mark_is_no_mistake_and_stays(tmp_path: Path) -> None:
    paths = tmp_path / "paths.toml"
    paths.write_bytes(b'\xef\xbb\xbfmodel = "resnet18"\r\n# end\r\n')
    assert run("--paths", paths, "choose", "resnet50").returncode == 0
    assert paths.read_bytes() == b'\xef\xbb\xbfmodel = "resnet50"\r\n# end\r\n'


def test_a_choice_is_written_above_the_sections_where_the_file_made_none(tmp_path: Path) -> None:
    paths = tmp_path / "paths.toml"
    paths.write_text("[training]\nseed = 1\n", encoding="utf-8")
    assert run("--paths", paths, "choose", "resnet50").returncode == 0
    assert load_settings(paths).model == "resnet50" and load_settings(paths).training.seed == 1


def test_what_is_right_in_toml_is_no_mistake(tmp_path: Path) -> None:
    paths = tmp_path / "paths.toml"
    (tmp_path / "w.pth").touch()
    paths.write_text(
        '\'model\' = """a.b"""\ntraining.seed = 1_000\ntraining.\'patience\' = 5 # kept\nresized = '
        "{train = 'C:\\x', test = \"y\"}\n[models.\"a.b\"]\ntimm = 'x'\nweights = 'w.pth'\n"
        "mean = [\n  0.5, # red\n  1,\n  0.25,\n]\n",
        encoding="utf-8",
    )
    settings = load_settings(paths)
    assert settings.model == "a.b" and settings.training.seed == 1000 and settings.training.patience == 5
    own = settings.written["a.b"]
    assert Input.of(own) == Input(mean=(0.5, 1.0, 0.25)) and own.weights == str(tmp_path / "w.pth")
    assert settings.plain_copies["test"] == tmp_path / "y"


def test_home_and_environment_are_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("PICTURES", str(tmp_path / "pictures"))
    paths = tmp_path / "paths.toml"
    paths.write_text('[resized]\ntrain = "~/a"\ntest = "$PICTURES/b"\n', encoding="utf-8")
    resized = load_settings(paths).resized
    assert resized == {"train": tmp_path / "home/a", "test": tmp_path / "pictures/b"}
