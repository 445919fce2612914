"""Option 8: verdicts on any pictures, through the command."""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import REFERENCE_INPUT, ROOT, paint, run, shorten
from PIL import Image, PngImagePlugin

from fakedetect.checking.inspection import Inspection, inspect_picture
from fakedetect.core.processes.pool import map_images
from fakedetect.core.terminal.console import Console
from fakedetect.images.copies import CopyKind
from fakedetect.images.degradations import ROBUSTNESS_DEGRADATIONS, STABILITY_DEGRADATIONS, degrade
from fakedetect.metrics.calibration import Calibration
from fakedetect.models.verdicts import combine_predictions, decide_verdict

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif")
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta>'
)


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def test_every_format_gets_a_verdict_and_what_cannot_be_read_a_reason(trained: Path) -> None:
    folder = trained.parent / "mine"
    for number, suffix in enumerate(SUFFIXES):
        paint(folder / "sub" / f"{number}{suffix}", number)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("not a picture")
    named = paint(trained.parent / "one.png", 99).rename(trained.parent / "without_ending")
    out = trained.parent / "out.csv"
    result = run("--paths", trained, "check", folder, named, "--csv", out, "--stability", "all")
    assert result.returncode == 1, result.stderr
    rows = {Path(row["path"]).name: row for row in read_rows(out)}
    assert len(rows) == len(SUFFIXES) + 2 and "notes.txt" not in rows
    assert rows["empty.jpg"]["reason"] == "empty file" and rows["empty.jpg"]["verdict"] == ""
    for name, row in rows.items():
        if name == "empty.jpg":
            continue
        assert row["verdict"] in ("fake", "real", "unsure") and row["model_verdict"] == row["verdict"]
        assert (row["width"], row["height"]) == ("300", "260")
        assert 0 <= float(row["p_fake"]) <= 1 and 0 <= float(row["p_fake_raw"]) <= 1
        assert len(row["sha256"]) == 64 and row["stability"] and row["reason"] == ""
    assert {rows[f"{n}{s}"]["format"] for n, s in enumerate(SUFFIXES)} == {
        "JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF",
    }  # fmt: skip
    lines = result.stdout.splitlines()
    assert sum(line.startswith(("fake ", "real ", "unsure ")) for line in lines) == len(SUFFIXES) + 1
    assert "11 pictures: " in result.stdout and "1 cannot be read" in result.stdout
    assert not list(trained.parent.glob("out.csv.*"))


def test_its_answers_are_those_of_the_test_on_the_copies(trained: Path) -> None:
    text = trained.read_text(encoding="utf-8").replace("workers = 1", "workers = 2")
    trained.write_text(text, encoding="utf-8")
    result = run("--paths", trained, "check", trained.parent / "dataset/test", "--json", "--no-stability")
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    mine = {tuple(Path(row["path"]).parts[-3:]): row["p_fake_raw"] for row in found}
    tested = read_rows(trained.parent / "model_folders/tiny/test_predictions.csv")
    theirs = {tuple(Path(row["path"]).parts[-3:]): float(row["p_fake"]) for row in tested}
    assert len(mine) == 20 and mine == pytest.approx(theirs, abs=1e-4)
    assert all(row["stability"] is None and row["reason"] is None for row in found)
    facts = json.loads((trained.parent / "model_folders/tiny/training.json").read_text())["calibration"]
    for row in found:
        p, raw = row["p_fake"], row["p_fake_raw"]
        margin = np.log(raw / (1 - raw)) if 0 < raw < 1 else 0
        if abs(margin) < 8 and raw > 1e-3:
            assert p == pytest.approx(1 / (1 + np.exp(-margin / facts["temperature"])), abs=2e-3)
        thresholds = row["thresholds"]["tiny"]
        for name, value in thresholds.items():
            assert value == pytest.approx(facts[name])
        above, below = p >= thresholds["fake_from"], p < thresholds["real_below"]
        assert (
            row["verdict"] == row["model_verdict"] == ("fake" if above else "real" if below else "unsure")
        )


def test_without_thresholds_the_verdict_changes_at_a_half_and_check_notes_it(trained: Path) -> None:
    file = trained.parent / "model_folders/tiny/training.json"
    facts = json.loads(file.read_text())
    del facts["calibration"]
    file.write_text(json.dumps(facts))
    pictures = sorted((trained.parent / "dataset/test/fake/gan").iterdir())[:3]
    result = run("--paths", trained, "check", *pictures, "--csv", trained.parent / "o.csv")
    assert "No thresholds are fitted" in result.stderr and "fit-thresholds" in result.stderr
    # Fake and real part at a half then, as the test counted them.
    assert "Of 100 '" in result.stdout and "if 5 in 100" in result.stdout
    told = run("--paths", trained, "check", *pictures, "--details").stdout
    assert "the 20 pictures of the" in told
    for row in read_rows(trained.parent / "o.csv"):
        assert row["p_fake"] == row["p_fake_raw"]
        if row["stability"] == "stable":
            assert row["verdict"] == ("fake" if float(row["p_fake"]) >= 0.5 else "real")
    # A checkpoint that was replaced afterwards has no thresholds either.
    assert run("--paths", trained, "fit-thresholds", "--max-false-alarms", 0.2,
               "--max-missed", 0.2).returncode == 0  # fmt: skip
    assert "No thresholds" not in run("--paths", trained, "check", pictures[0]).stderr
    shorten(trained)
    again = run("--paths", trained, "train", "--overwrite")
    assert again.returncode == 0, (again.returncode, again.stdout, again.stderr)
    assert "No thresholds" in run("--paths", trained, "check", pictures[0]).stderr


def test_a_killed_check_goes_on_where_it_was(trained: Path) -> None:
    folder = trained.parent / "many"
    source = paint(folder / "0000.png", 1)
    for number in range(1, 400):
        shutil.copy(source, folder / f"{number:04}.png")
    out = trained.parent / "out.csv"
    command = [sys.executable, str(ROOT / "menu.py"), "--paths", str(trained), "check", str(folder)]
    process = subprocess.Popen(
        [*command, "--csv", str(out), "--no-stability"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    partial = out.with_name("out.csv.partial")
    end = time.monotonic() + 60
    while time.monotonic() < end and not (partial.is_file() and partial.read_bytes().count(b"\n") > 20):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.communicate()
    with partial.open("ab") as file:
        # The last row may have been cut off in its middle.
        file.write(b"/somewhere/x.png,fake,0.9")
    assert not out.exists()
    before = partial.read_bytes().count(b"\n")
    # Other options make other rows: those are not mixed.
    other = run("--paths", trained, "check", folder / "0000.png", "--csv", trained.parent / "p.csv")
    assert "Continuing" not in other.stderr
    shutil.copy(partial, trained.parent / "q.csv.partial")
    other = run("--paths", trained, "check", folder / "0000.png", "--csv", trained.parent / "q.csv")
    assert "made by another model" in other.stderr and len(read_rows(trained.parent / "q.csv")) == 1
    result = run("--paths", trained, "check", folder, "--csv", out, "--no-stability")
    assert result.returncode == 0, result.stderr
    resumed = int(re.search(r"Continuing: (\d+) pictures", result.stderr)[1])
    assert 20 <= resumed <= before
    assert sum(str(folder) in line for line in result.stdout.splitlines()) == 400 - resumed
    rows = read_rows(out)
    assert sorted(Path(row["path"]).name for row in rows) == [f"{n:04}.png" for n in range(400)]
    assert "400 pictures: " in result.stdout and not partial.exists()
    # What has its row in a finished CSV is passed over, and nothing is written.
    before = out.stat()
    result = run("--paths", trained, "check", folder, "--csv", out, "--no-stability")
    assert result.returncode == 0 and "Continuing" not in result.stderr
    assert "400 pictures: " in result.stdout and "Skipped 400 unchanged pictures" in result.stdout
    assert str(folder) not in result.stdout.replace(str(out), "")
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not list(trained.parent.glob("out.csv.*"))


def test_shards_are_disjoint_and_together_whole(trained: Path) -> None:
    folder = trained.parent / "dataset/test/real"
    names = []
    for shard in ("1/2", "2/2"):
        result = run("--paths", trained, "check", folder, "--json", "--no-stability", "--shard", shard)
        names.append({json.loads(line)["path"] for line in result.stdout.splitlines()})
    assert len(names[0]) == len(names[1]) == 5 and not names[0] & names[1]


def test_several_models_give_their_mean_and_their_disagreement(trained: Path) -> None:
    own = f'[models.second]\ntimm = "test_resnet"\nbatch_size = 8\n{REFERENCE_INPUT}'
    text = f"{trained.read_text()}\n{own}"
    trained.write_text(text)
    folders = trained.parent / "model_folders"
    shutil.copytree(folders / "tiny", folders / "second")
    shorten(trained)
    assert run("--paths", trained, "--model", "second", "train", "--overwrite").returncode == 0
    out = trained.parent / "o.csv"
    result = run(
        "--paths", trained, "check", trained.parent / "dataset/test", "--model", "all", "--csv", out
    )
    assert result.returncode == 0, result.stderr
    for row in read_rows(out):
        each = [float(row["p_fake_tiny"]), float(row["p_fake_second"])]
        assert float(row["p_fake"]) == pytest.approx(np.mean(each), abs=2e-6)
        assert float(row["disagreement"]) == pytest.approx(max(each) - min(each), abs=2e-6)
    assert "points apart" in result.stdout


def test_models_that_contradict_each_other_are_unsure() -> None:
    plain = Calibration()
    fake, real = (decide_verdict(plain, np.array([margin]), ()) for margin in (3.0, -3.0))
    assert combine_predictions([fake, real]).verdict == "unsure"
    assert (
        combine_predictions([fake, fake]).verdict == "fake"
        and combine_predictions([real]).verdict == "real"
    )
    hesitant = decide_verdict(Calibration(1.0, 0.99, 0.01), np.array([1.0]), ())
    assert combine_predictions([fake, fake, hesitant]).verdict == "fake"
    assert combine_predictions([fake, hesitant]).verdict == "unsure"


def test_an_answer_that_a_small_change_turns_is_unsure_and_says_why() -> None:
    margins = np.array([4.0, -1.0, 3.0, 3.0, -0.5])
    found = decide_verdict(Calibration(), margins, STABILITY_DEGRADATIONS)
    assert found.verdict == "unsure" and found.p_fake > 0.5
    assert found.flips == ("real after JPEG 70", "real after 5 % crop")
    assert decide_verdict(Calibration(), np.abs(margins), STABILITY_DEGRADATIONS).stability == "stable"
    assert decide_verdict(Calibration(), margins[:1], ()).stability == ""


@pytest.mark.parametrize("how", ROBUSTNESS_DEGRADATIONS, ids=str)
def test_degradations_change_a_picture_and_do_so_the_same_way_every_time(how: object) -> None:
    random = np.random.default_rng(1)
    image = Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    once, again = degrade(image, how), degrade(image, how)
    assert once.mode == "RGB" and once.tobytes() == again.tobytes()
    keeps_size = how.kind not in ("crop", "screenshot")
    assert (once.size == image.size) == keeps_size
    assert not keeps_size or once.tobytes() != image.tobytes()


def insert_chunk(path: Path, name: bytes, data: bytes) -> None:
    """Put a chunk behind a PNG's header."""
    raw = path.read_bytes()
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(raw[:33] + chunk + raw[33:])


def plant_provenance(folder: Path) -> dict[str, str]:
    """Pictures with all kinds of metadata, and the expected text on each."""
    folder.mkdir()
    image = Image.fromarray(np.full((64, 64, 3), 90, np.uint8))
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7")
    image.save(folder / "webui.png", pnginfo=text)
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", '{"3": {"class_type": "KSampler"}}')
    text.add_text("workflow", "{}")
    image.save(folder / "comfy.png", pnginfo=text)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Canon", "Canon EOS R5", "darktable 4.6"
    image.save(folder / "camera.jpg", exif=exif)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "Steps: 30, Sampler: DDIM".encode("utf-16-be")
    image.save(folder / "comment.jpg", exif=exif)
    image.save(folder / "iptc.jpg", xmp=XMP.encode())
    image.save(folder / "c2pa.png")
    insert_chunk(folder / "c2pa.png", b"caBX", b"\0\0\0\x20jumb....c2pa" + SOURCE_TYPE.encode())
    image.save(folder / "c2pa.jpg")
    raw = (folder / "c2pa.jpg").read_bytes()
    box = b"JP\0\1\0\0\0\1" + b"\0\0\0\x40jumb\0\0\0\x20jumdc2pa\0"
    segment = b"\xff\xeb" + struct.pack(">H", len(box) + 2) + box
    (folder / "c2pa.jpg").write_bytes(raw[:2] + segment + raw[2:])
    image.save(folder / "c2pa.webp")
    raw = (folder / "c2pa.webp").read_bytes() + b"C2PA" + struct.pack("<I", 4) + b"jumb"
    (folder / "c2pa.webp").write_bytes(raw[:4] + struct.pack("<I", len(raw) - 8) + raw[8:])
    image.save(folder / "plain.jpg")
    manifest = "C2PA manifest (not verified: it cannot be read)"
    return {
        "webui.png": "generator: Stable Diffusion (parameters in PNG parameters)",
        "comfy.png": "generator: ComfyUI (parameters in PNG prompt)",
        "camera.jpg": "EXIF camera: Canon EOS R5; EXIF software: darktable 4.6",
        "comment.jpg": "generator: Stable Diffusion (parameters in EXIF UserComment)",
        "iptc.jpg": "IPTC source type: trainedAlgorithmicMedia",
        "c2pa.png": f"{manifest}; IPTC source type: trainedAlgorithmicMedia",
        "c2pa.jpg": manifest,
        "c2pa.webp": manifest,
        "plain.jpg": "",
    }


def test_provenance_is_shown_with_the_verdict_and_does_not_change_it(trained: Path) -> None:
    folder = trained.parent / "origins"
    expected = plant_provenance(folder)
    out = trained.parent / "o.csv"
    assert run("--paths", trained, "check", folder, "--csv", out).returncode == 0
    rows = {Path(row["path"]).name: row for row in read_rows(out)}
    assert {name: row["provenance"] for name, row in rows.items()} == expected
    for suffix in (".png", ".jpg"):
        alike = {(r["verdict"], r["p_fake"]) for name, r in rows.items() if name.endswith(suffix)}
        assert len(alike) == 1


def test_broken_metadata_harms_nothing(tmp_path: Path) -> None:
    expected = plant_provenance(tmp_path / "origins")
    random = np.random.default_rng(3)
    read = 0
    for name, _ in itertools.product(expected, range(25)):
        raw = bytearray((tmp_path / "origins" / name).read_bytes())
        for place in random.integers(8, min(len(raw), 700), 6):
            raw[place] = random.integers(256)
        file = tmp_path / f"broken{Path(name).suffix}"
        file.write_bytes(raw)
        found = inspect_picture(Inspection(file, (CopyKind(),)))
        assert isinstance(found, str) or all("\n" not in each for each in found.provenance)
        read += not isinstance(found, str)
    assert read > 25


def test_a_stream_of_pictures_is_taken_as_it_is_needed() -> None:
    taken = []

    def numbers() -> itertools.chain[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    results = map_images(abs, numbers(), 2)
    first = [next(results) for _ in range(50)]
    results.close()
    assert len({item for item, _ in first}) == 50 and all(item == result for item, result in first)
    assert len(taken) < 120


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.jpg"], "There is no picture or folder"),
        (["empty"], "No pictures found"),
        (["empty", "--shard", "3/2"], "is not a share"),
        (["pictures", "--csv", "missing_folder/deeper/o.csv/x"], "Cannot write"),
        (["pictures", "--prevalence=0"], "--prevalence 0 is not a share"),
        (["pictures", "--prevalence=1"], "--prevalence 1 is not a share"),
        (["pictures", "--prevalence=nan"], "--prevalence nan is not a share"),
        (["pictures", "--prevalence=5 %"], "--prevalence 5 % is not a share"),
    ],
)
def test_mistakes_are_reported_in_one_line(trained: Path, arguments: list[str], said: str) -> None:
    (trained.parent / "empty").mkdir()
    paint(trained.parent / "pictures" / "1.png", 1)
    (trained.parent / "missing_folder").write_text("a file")
    paths = [a if a.startswith("-") or "/2" in a else trained.parent / a for a in arguments]
    result = run("--paths", trained, "check", *paths)
    assert result.returncode == 2 and said in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2 and "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_read_is_reported_and_skipped(trained: Path) -> None:
    paint(trained.parent / "pictures" / "1.png", 1)
    (trained.parent / "pictures" / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with mock.patch("os.scandir", refuse):
        result = run("--paths", trained, "check", trained.parent / "pictures", "--no-stability")
    assert result.returncode == 1 and result.stdout.count("p(fake)") == 1
    assert re.search("folder .*closed: Permission denied", result.stderr)


def test_the_menu_asks_what_to_check_and_draws_heat_maps(trained: Path) -> None:
    picture = sorted((trained.parent / "dataset/test/fake/gan").iterdir())[0]
    out = trained.parent / "menu.csv"
    result = run("--paths", trained, keys=f"8\n{picture}\n{out}\n8\n\n0\n")
    assert result.returncode == 0 and "No picture given" in result.stdout
    assert f"p(fake)  {100 * float(read_rows(out)[0]['p_fake']):.1f} %" in result.stdout
    assert len(read_rows(out)) == 1
    result = run("--paths", trained, "check", picture, "--heat-map")
    figure = Path(re.search(r"heat map: (.+\.png)", result.stdout)[1])
    with Image.open(figure) as drawn:
        assert min(drawn.size) > 300


def test_without_a_model_it_says_what_is_needed_and_what_the_files_say(data: Path) -> None:
    marked = data.parent / "marked.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    Image.new("RGB", (64, 48), "red").save(marked, pnginfo=info)
    (data.parent / "broken.jpg").write_bytes(b"")
    result = run("--paths", data, "check", marked, data.parent / "broken.jpg")
    assert result.returncode == 2
    for way in ("menu.py --paths", "train", "demo", "classifier_model.pth"):
        assert way in result.stderr
    said = r"its metadata say AI-generated \(generator: Stable Diffusion\)"
    assert re.search(rf"PNG +64x48 .*marked.png  \[{said}\]", result.stdout)
    assert "broken.jpg  [empty file]" in result.stdout and "p(fake)" not in result.stdout
    rows = [
        json.loads(line) for line in run("--paths", data, "check", marked, "--json").stdout.splitlines()
    ]
    assert rows[0]["verdict"] is None and rows[0]["provenance"].startswith("generator")
    # A file is judged as scan and check with a model judge it: decoded to its end.
    cut = paint(data.parent / "cut.jpg", 1)
    cut.write_bytes(cut.read_bytes()[:-3000])
    found = run("--paths", data, "check", cut)
    assert re.search(r"cut.jpg  \[.*ends too early", found.stdout) and "of its origin" not in found.stdout
    # In the menu the need is told before the first question.
    menu = run("--paths", data, keys=f"8\n{marked}\n0\n")
    assert "has not been trained" in menu.stderr and "generator: Stable Diffusion" in menu.stdout


def test_a_name_that_begins_as_an_option_does_is_a_picture(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.parent)
    for name in ("-1.jpg", "--json"):
        paint(trained.parent / "a.jpg", 3).rename(name)
    result = run("--paths", trained, "check", "-1.jpg", "--csv", "o.csv", "--no-stability")
    assert result.returncode == 0 and "-1.jpg" in Path("o.csv").read_text(encoding="utf-8")
    told = run("--paths", trained, "check", "-1.jpg", "--json", "--no-stability").stdout
    assert len(told.splitlines()) == 1 and json.loads(told)["path"] == "-1.jpg"
    behind = run("--paths", trained, "check", "--no-stability", "--", "--json")
    assert behind.stdout.splitlines()[-1].endswith("--json") and "p(fake)" in behind.stdout


def test_another_model_that_is_trained_is_offered(trained: Path) -> None:
    result = run("--paths", trained, "--model", "resnet18", "check", trained.parent / "dataset/test/real")
    assert result.returncode == 2 and "use tiny, which is trained" in result.stderr
    (offered,) = [line.strip() for line in result.stderr.splitlines() if "use tiny" in line]
    assert "check PATH" in offered and "resnet18" not in offered


@pytest.mark.parametrize("name", ["nowhere.jpg", "https://example.org/a.jpg", "a.zip"])
def test_a_missing_picture_is_reported_before_anything_is_loaded(trained: Path, name: str) -> None:
    (trained.parent / "a.zip").write_bytes(b"PK\x03\x04" + bytes(30))
    code = (
        "import sys; from fakedetect import menu;"
        f"code = menu.main(['--paths', {str(trained)!r}, 'check', {name!r}]);"
        "print(code, 'torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, cwd=trained.parent, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert found.stdout.strip() == "2 False"
    assert len(found.stderr.splitlines()) == 1 and name in found.stderr


def test_a_verdict_of_a_model_that_failed_elsewhere_is_a_hint(trained: Path) -> None:
    picture = sorted((trained.parent / "dataset/test/fake/gan").iterdir())[0]
    details = ("check", picture, "--no-stability", "--details")
    before = run("--paths", trained, *details).stdout
    assert "not tested on other" in before and "fake?" not in before
    assert "If 5 % of" in before and "(--prevalence)" in before
    assert "on the 24 validation pictures" in before
    # Every answer of the model is wrong there.
    for label, other in (("real", "fake"), ("fake", "real")):
        shutil.copytree(trained.parent / "dataset/test" / label, trained.parent / "elsewhere" / other)
    assert run("--paths", trained, "evaluate", "--data", trained.parent / "elsewhere").returncode == 0
    result = run("--paths", trained, *details, "--csv", trained.parent / "o.csv", "--prevalence", 0.2)
    assert "If 20 % of" in result.stdout
    assert re.search(r"about 0 % of the 'fake' .*\(95 % interval 0 % to ", result.stdout)
    assert re.search(r"20 pictures .*\(elsewhere\): .* 0 % of 10 fakes", result.stdout)
    lines = result.stdout.splitlines()
    (reminder,) = [n for n, line in enumerate(lines) if "on the pictures of elsewhere" in line]
    (verdict,) = [n for n, line in enumerate(lines) if str(picture) in line]
    assert reminder < verdict == len(lines) - 1 and lines[verdict].startswith("fake?   p(fake)")
    assert "not proof" in result.stdout and "A question mark" in result.stdout
    assert read_rows(trained.parent / "o.csv")[0]["verdict"] == "fake"


def test_answers_come_as_they_are_found(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakedetect.checking.checker import Checker
    from fakedetect.core.settings.settings import load_settings
    from fakedetect.models.detector import Detector, load_detector

    asked: list[int] = []
    margins = Detector.margins

    def slow(detector: Detector, images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        time.sleep(0.3 * len(images))
        return margins(detector, images)

    monkeypatch.setattr(Detector, "margins", slow)
    paths = sorted((trained.parent / "dataset/test/real").rglob("*.jpg"))[:4]
    checker = Checker([load_detector(load_settings(trained), Console(quiet=True))], "none")
    rows = list(checker.check(iter(paths), 2))
    assert sorted(row.path for row in rows) == paths and asked == [1, 1, 1, 1]


def test_a_csv_never_replaces_something_else(trained: Path) -> None:
    picture = paint(trained.parent / "mine.jpg", 1)
    before = picture.read_bytes()
    result = run("--paths", trained, "check", picture, "--csv", picture)
    assert result.returncode == 2 and "Name another file" in result.stderr
    assert picture.read_bytes() == before
    result = run("--paths", trained, "check", picture, "--csv", trained.parent)
    assert result.returncode == 2 and "is a folder" in result.stderr


def test_the_menu_takes_pasted_paths(trained: Path) -> None:
    first = paint(trained.parent / "My Pictures" / "a b.jpg", 1)
    second = paint(trained.parent / "it's.png", 2)
    keys = f"8\n'{first}' {str(second).replace(chr(39), chr(92) + chr(39))} \n\n0\n"
    assert "2 pictures: " in run("--paths", trained, keys=keys).stdout
    result = run("--paths", trained, keys=f"8\n'file://{trained.parent}/My%20Pictures'\n\n0\n")
    assert result.stdout.count("p(fake)") == 1 and "a b.jpg" in result.stdout
