"""Mistakes in paths.toml, each told in one line with its place and what to write instead."""

from pathlib import Path

import pytest
from conftest import run

from fakedetect.core.model_input import InputKeys
from fakedetect.core.settings import load_settings

SYNTAX = [
    ("model = resnet18", 'line 1: model: text needs quotes. Write model = "resnet18"'),
    ("model = resnet18  # mine", 'Write model = "resnet18"'),
    (
        "\n[training]\npretrained = True",
        "line 3: pretrained in [training]: write true or false in lower case",
    ),
    ("[training]\ncompile = No", "Write compile = false"),
    (
        "[training]\nseed = 1\n# x\nseed = 2",
        "line 4: seed in [training] is set twice, first on line 2",
    ),
    ('model = "a"\nmodel = "b"', "line 2: model is set twice, first on line 1. Keep one"),
    (
        "[training]\nseed = 1\n[outputs]\n[training]",
        "line 4: [training] is opened twice",
    ),
    ("training.seed = 1\n[training]\npatience = 2", "line 2: [training] is opened twice"),
    ("[models.a]\ntimm = 'x'\n[models.a]", "line 3: [models.a] is opened twice"),
    ('model = "resnet18', "line 1: model: the closing quote is missing"),
    (
        'model = "resnet18\n[training]',
        'line 1: model: the closing quote is missing. Write model = "resnet18"',
    ),
    ('[training]\noptimizer = "AdamW # best\nseed = 1', 'quote is missing. Write optimizer = "AdamW"'),
    ("model = 'resnet18\n[training]\nseed = 1", "line 1: model: the closing quote is missing"),
    ("model = \"Jo's\n", 'line 1: model: the closing quote is missing. Write model = "Jo\'s"'),
    (
        '[models.a]\nx = ["b", "c]\ny = 1',
        'a closing quote is missing. Write x = ["b", "c"]',
    ),
    ('[models."a]\nx = 1', "Write [models.a]"),
    ("# a\x01comment", "line 1: an invisible control character"),
    ("model = 'a\x7f'", "line 1: an invisible control character"),
    ("model = “resnet18”", 'quotes must be straight. Write model = "resnet18"'),
    ("model = `resnet18`", 'quotes must be straight. Write model = "resnet18"'),
    ('model = """resnet18\n[training]', "line 1: model: the three closing quotes are missing"),
    ('model: "resnet18"', 'use =, not :. Write model = "resnet18"'),
    ('model == "resnet18"', "use =, not =="),
    ("model resnet18", 'there is no = after model. Write model = "resnet18"'),
    ("model = ", "line 1: model: the value is missing; write one or remove the line"),
    ("model = None", "the value is missing"),
    ('model = "resnet18" // mine', 'only a # comment can follow the text. Write model = "resnet18"'),
    ('model = "resnet18";', "only a # comment can follow"),
    ("// mine", "a comment starts with #. Write # mine"),
    ("; mine", "a comment starts with #"),
    ("max epochs = 3", "a key is one word of letters, digits, _ and -. Write max_epochs = 3"),
    (
        "[training]\nlearning_rate = 2,5e-5",
        "a decimal point, not a comma. Write learning_rate = 2.5e-05",
    ),
    ("[training]\nlearning_rate = .5", "Write learning_rate = 0.5"),
    ("[training]\nseed = 007", "Write seed = 7"),
    ("[training]\nlearning_rate = 2e-5f", "can follow the number. Write learning_rate = 2e-5"),
    ("[training]\nvalidation_share = 10 %", "Write validation_share = 0.1"),
    ("[training]\nseed = " + 5000 * "9", "line 2: a number with thousands of digits"),
    ("[models.a]\nmean = [0.5 0.5 0.5]", "commas between them. Write mean = [0.5, 0.5, 0.5]"),
    (
        "[models.a]\nmean = [0.5, 0.5\nstd = [1, 1, 1]",
        "line 2: mean in [models.a]: the list has no",
    ),
    ("[models.a]\nmean = (0.5, 0.5, 0.5)", "square brackets. Write mean = [0.5, 0.5, 0.5]"),
    ("model = [", "line 1: model: not a value"),
    ("model = " + 3000 * "[", "line 1: brackets nested too deeply"),
    ("model = @", "line 1: model: not a value"),
    ("training = {seed = 1,\n patience = 2}", "line 1: training: a {…} must end on its line"),
    (
        'model = "resnet18"\n[training\nseed = 1',
        "line 2: a section is a name in square brackets, without spaces",
    ),
    ("[models.my model]", "Write [models.my_model]"),
    ("[training] seed = 1", "[training] must stand alone on its line. Write seed = 1 below it"),
    ("<<<<<<< HEAD", "not a key = value, a [section] or a # comment"),
    ('model\u00a0= "resnet18"', "an invisible character (U+00A0)"),
    ('model = "a\x01"', "line 1: an invisible control character"),
    ('[resized]\ntrain = "C:\\Users\\x"', "line 2: train in [resized]: a backslash in double quotes"),
    ('[resized]\ntrain = "C:\\Users\\x"', "Write train = 'C:\\Users\\x'"),
    ('[resized]\ntrain = "C:\\x\\"', "Write train = 'C:\\x\\'"),
    ("[resized]\ntrain = C:\\x", "Write train = 'C:\\x'"),
    ("[resized]\ntrain = 'Jo's'", "ends at its first '. Write train = \"Jo's\""),
]

VALUES = [
    ('model = "resnet19"', "line 1: unknown model 'resnet19' (did you mean 'resnet18'?)"),
    ('model = "ResNet-18"', "unknown model 'ResNet-18' (did you mean 'resnet18'?)"),
    ("model = 18", 'model must be text in quotes, not 18. Write model = "18"'),
    ('modle = "resnet18"', "line 1: unknown key 'modle' (did you mean 'model'?)"),
    ('MODEL = "resnet18"', "did you mean 'model'?"),
    ("\n[trainig]\nseed = 1", "line 2: unknown section [trainig] (did you mean [training]?)"),
    ("\n\n[paths]\nx = 1", "line 3: unknown section [paths]. Known here: model, [original]"),
    ("[training]\n\nepochs = 5", "line 3: unknown key 'epochs' (did you mean 'max_epochs'?) in [training]"),
    ('[original]\ntrain-real = "x"', "line 2: unknown key 'train-real' (did you mean 'train_real'?)"),
    ("seed = 1", "line 1: unknown key 'seed'. It belongs under [training]"),
    ('[training]\nmodel = "resnet18"', "line 2: unknown key 'model' in [training]. It belongs above"),
    ('[training]\ntimm = "x"', "It belongs under [models.NAME]"),
    ('[models]\ntimm = "x"', "line 2: timm in [models] belongs to one model. Write [models.my_model]"),
    ('[model.mine]\ntimm = "x"', "line 1: model is not a section. Write [models.my_model]"),
    ('[models.a1.b2]\ntimm = "x"', '[models.a1]: a dot in a name needs quotes. Write [models."a1.b2"]'),
    ('[models.RESNET18]\ntimm = "x"', "a model named RESNET18 already exists"),
    ('[models.all]\ntimm = "x"', "'all' means every model"),
    ('[models."a b"]\ntimm = "x"', "a model's name may contain only letters"),
    ("[models.mine]\nbatch_size = 3", '[models.mine]: timm = "…" is missing'),
    ('[models.mine]\ntimm = "x"\nmean = [0.5]', "line 3: mean in [models.mine] must be three numbers"),
    ('[models.mine]\ntimm = "x"\nmean = [0.5, nan, 0.5]', "must be three numbers"),
    ('[models.mine]\ntimm = "x"\nstd = [0, 1, 1]', "must be three numbers from 0.0001 to 10,000"),
    (f'[models.mine]\ntimm = "x"\nmean = [0, 1, {10**400}]', "three numbers from -10,000 to 10,000"),
    ('[models.mine]\ntimm = "x"\nsize = 0', "line 3: size in [models.mine] must be at least 1, not 0"),
    ('[models.mine]\ntimm = "x"\nsize = 5000', "must be at most 4,096 pixels a side, not 5,000"),
    ('[models.mine]\ntimm = "x"\nsize = "384"', 'not "384". Write size = 384'),
    ('[models.mine]\ntimm = "x"\ninterpolation = "Bicubic"', 'Write interpolation = "bicubic"'),
    ("[training]\nsize = 384", "It belongs under [models.NAME]"),
    (
        '[models.mine]\ntimm = "x"\nweights = "no.pth"',
        "line 3: weights in [models.mine] names a file that does not exist: ",
    ),
    ('[models.mine]\ntimm = "x"\nweights = "."', "names a file that is a folder"),
    ("original = 3", "line 1: original must be a section. Write [original]"),
    ("[[training]]\nseed = 1", "line 1: a section needs single brackets. Write [training]"),
    ("[training]\nseed = 1\npatience = 'a'", "line 3: patience in [training] must be a whole number"),
    ("[training]\npatience = '3'", 'not "3". Write patience = 3'),
    ("[training]\nbatch_size = 32.0", "not 32.0. Write batch_size = 32"),
    ("[training]\nlearning_rate = '1e-3'", "Write learning_rate = 0.001"),
    ("[training]\npretrained = 'false'", "Write pretrained = false"),
    ("[training]\ncompile = 1", "line 2: compile in [training] must be true or false, not 1"),
    ("[training]\nworkers = 'Auto'", 'must be "auto" or a whole number. Write workers = "auto"'),
    ("[training]\nworkers = '4'", "Write workers = 4"),
    ("[training]\nprecision = 'fp8'", 'must be "auto", "fp32" or "bf16", not "fp8"'),
    ("[training]\nprecision = 'BF16'", 'Write precision = "bf16"'),
    ("[training]\noptimizer = 'adamw'", 'optimizer in [training] must be "Adam", "AdamW" or "SGD"'),
    ("[training]\noptimizer = 'adamw'", 'not "adamw". Write optimizer = "AdamW"'),
    ("[training]\nrecipe = 'Probe'", 'Write recipe = "probe"'),
    ("[training]\nrecipe = 'robust'", "recipe in [training] is \"robust\". The robust recipe was"),
    ('[models.mine]\ntimm = "x"\nrecipe = "robust"', "Use degrade = true under [training], or"),
    ("[training]\ndegrade = 'yes'", "Write degrade = true"),
    ("[training]\nlearning_rate = 0", "line 2: learning_rate in [training] must be more than 0"),
    ("[training]\nlearning_rate = inf", "learning_rate in [training] is too large (inf)"),
    ("[training]\nweight_decay = nan", "must be at least 0, not nan"),
    ("[training]\nseed = 99999999999999999999", "is too large"),
    (f"[training]\nseed = {10**400}", "line 2: seed in [training] is too large (1000"),
    (f"[training]\nseed = 0x{5000 * 'f'}", "is too large (a number with thousands of digits)"),
    (f"[training]\nseed = -{10**400}", "line 2: seed in [training] must be at least 0, not -1000"),
    ("[training]\nseed = 1e300", "must be a whole number, not 1e+300. Write seed = 42"),
    (f"[training]\nlearning_rate = {10**400}", "line 2: learning_rate in [training] must be a number"),
    (f"[training]\nworkers = {10**400}", "line 2: workers in [training] is too large"),
    (f"[training]\npretrained = 0x{5000 * 'f'}", "pretrained in [training] must be true or false"),
    (f"model = 0x{5000 * 'f'}", "line 1: model must be text in quotes, not a number with thousands"),
    (f"[probe]\nstrength = {10**400}", "line 2: strength in [probe] must be a number"),
    (f"[probe]\nlayers = [{10**400}]", 'line 2: layers in [probe] must be "all" or a list'),
    (f'[models.mine]\ntimm = "x"\nsize = {10**400}', "line 3: size in [models.mine] is too large (1000"),
    (f'[models.mine]\ntimm = "x"\nmean = [{10**400}, 1, 1]', "must be three numbers"),
    (f'[models.mine]\ntimm = "x"\nstd = [1, 1, {10**400}]', "must be three numbers"),
    ('[models.Calibrated]\ntimm = "x"', "line 1: [models.Calibrated]: 'Calibrated' is reserved"),
    ('[models.-x]\ntimm = "x"', "a model's name may contain only letters"),
    ("[training]\nseed = 4294967296", "line 2: seed in [training] is too large (4294967296)"),
    ("[training]\nbalance = 'class'", 'must be "none", "classes" or "sources", not "class"'),
    ("[training]\nvalidation_share = 1.0", "line 2: validation_share in [training] must be between"),
    ('[resized]\ntrain = ""', "line 2: train in [resized] is empty. Write a value between the quotes"),
    ('[outputs]\nexplore = " "', "line 2: explore in [outputs] is empty"),
    ('model = ""', "line 1: model is empty"),
    ('[models.mine]\ntimm = ""', "line 2: timm in [models.mine] is empty"),
    ('[models.mine]\ntimm = "x"\nweights = ""', "line 3: weights in [models.mine] is empty"),
    ('[resized]\ntrain = "C:\\train"', "(\\t is a tab). Write train = 'C:\\train'"),
    (
        '[outputs]\nexplore = "$NOT_SET/x"',
        "line 2: explore in [outputs] names the environment variable NOT_SET, which is not set",
    ),
    ('[resized]\ntest = "~nobody_of_this_name/x"', "line 2: test in [resized] names a home folder"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [*SYNTAX, *VALUES])
def test_a_mistake_is_one_line_that_says_where_and_what_to_write(
    tmp_path: Path, text: str, said: str
) -> None:
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
    ],
)  # fmt: skip
def test_a_file_that_is_no_utf8_text_says_what_it_is(tmp_path: Path, raw: bytes, said: str) -> None:
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
    assert own.given == InputKeys(mean=(0.5, 1.0, 0.25)) and own.weights == tmp_path / "w.pth"
    assert settings.plain_copies["test"] == tmp_path / "y"


def test_home_and_environment_are_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("PICTURES", str(tmp_path / "pictures"))
    paths = tmp_path / "paths.toml"
    paths.write_text('[resized]\ntrain = "~/a"\ntest = "$PICTURES/b"\n', encoding="utf-8")
    resized = load_settings(paths).resized
    assert resized == {"train": tmp_path / "home/a", "test": tmp_path / "pictures/b"}
