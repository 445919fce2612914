"""A finished CSV brought up to date: only what is new or changed is judged."""

import csv
import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from conftest import REFERENCE_INPUT, paint, run, stop_after_first

from fakedetect.checking.judged import RESULT_COLUMNS
from fakedetect.core.settings.model_folder import model_hash
from fakedetect.core.settings.settings import load_settings


def read_rows(file: Path) -> dict[str, dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return {Path(row["path"]).name: row for row in csv.DictReader(opened)}


@pytest.fixture
def folder(trained: Path) -> Path:
    """Five pictures, one of them empty."""
    for number in range(4):
        paint(trained.parent / "mine" / f"{number}.png", number)
    (trained.parent / "mine/empty.jpg").write_bytes(b"")
    return trained.parent / "mine"


def judged(text: str) -> set[str]:
    """The names that have a line of their own."""
    shown = re.findall(r"^(?:fake|real|unsure|-).{10,}?(/\S+)", text, re.MULTILINE)
    return {Path(path).name for path in shown}


def test_only_what_is_new_or_changed_is_judged_and_the_rest_stays(trained: Path, folder: Path) -> None:
    out = trained.parent / "out.csv"
    check = ("--paths", trained, "check", folder, "--csv", out, "--no-stability")
    assert run(*check).returncode == 1
    first = read_rows(out)
    checkpoint = model_hash(load_settings(trained))
    for name, row in first.items():
        assert (row["model"], row["checkpoint"]) == ("tiny", checkpoint)
        assert int(row["bytes"]) == (folder / name).stat().st_size and row["modified"].endswith("Z")
    assert list(first["0.png"])[-5:] == ["bytes", "modified", "model", "checkpoint", "options"]
    os.utime(folder / "0.png", (1, 1))
    paint(folder / "1.png", 77)
    paint(folder / "new.png", 78)
    (folder / "3.png").unlink()
    result = run(*check)
    assert result.returncode == 1 and judged(result.stdout) == {"1.png", "new.png"}
    assert "Skipped 3 unchanged pictures" in result.stdout and "; checked 2\n" in result.stdout
    assert "Kept 1 row " in result.stdout and "(1 of files that no" in result.stdout
    assert "4 pictures: " in result.stdout and "1 cannot be read" in result.stdout
    second = read_rows(out)
    assert set(second) == {*first, "new.png"} and second["3.png"] == first["3.png"]
    assert second["1.png"]["sha256"] != first["1.png"]["sha256"]
    # Its content is the old one; the new time is kept, so that it need not be read again.
    later = second["0.png"]["modified"]
    assert later > first["0.png"]["modified"] and second["0.png"] == {**first["0.png"], "modified": later}
    # Files of an archive share one time and may share a size: what is another picture now is judged again.
    twins = [folder / "1.png", folder / "2.png"]
    contents = [path.read_bytes() for path in twins]
    size = max(map(len, contents))
    for path, content in zip(twins, contents, strict=True):
        path.write_bytes(content.ljust(size, b"\0"))
        os.utime(path, (1, 1))
    run(*check)
    for path, content in zip(twins, contents[::-1], strict=True):
        path.write_bytes(content.ljust(size, b"\0"))
        os.utime(path, (1, 1))
    assert judged(run(*check).stdout) == {"1.png", "2.png"}
    second = read_rows(out)
    # Another folder joins the rows; notes of the user stay.
    lines = out.read_text(encoding="utf-8").splitlines()
    out.write_text("\n".join([f"{lines[0]},notes", *(f"{line},mine" for line in lines[1:])]), "utf-8")
    other = paint(trained.parent / "other.png", 79)
    result = run("--paths", trained, "check", other, "--csv", out, "--no-stability")
    assert "Skipped" not in result.stdout and "Kept 6 rows for other pictures" in result.stdout
    third = read_rows(out)
    assert set(third) == {*second, "other.png"} and third["2.png"]["notes"] == "mine"
    assert list(third["2.png"])[:10] == list(first["2.png"])[:10] and third["other.png"]["notes"] == ""


def test_rows_of_another_model_or_other_options_are_checked_again(trained: Path, folder: Path) -> None:
    out = trained.parent / "out.csv"
    check = ("--paths", trained, "check", folder, "--csv", out)
    assert run(*check, "--no-stability").returncode == 1
    result = run(*check)
    assert len(judged(result.stdout)) == 5 and "Skipped" not in result.stdout
    assert "Rechecked old verdicts: 5 with other" in result.stdout
    # The same checkpoint with other thresholds gives other verdicts.
    file = trained.parent / "model_folders/tiny/training.json"
    facts = json.loads(file.read_text())
    facts["calibration"]["fake_from"] = 0.987
    file.write_text(json.dumps(facts))
    result = run(*check)
    assert "5 with other thresholds or options" in result.stdout
    assert "Skipped 5 unchanged pictures" in run(*check).stdout
    drawn = run(*check, "--heat-map").stdout
    assert len(judged(drawn)) == 5 and "Rechecked" not in drawn
    # A CSV by an earlier version says nothing of the model.
    rows = list(read_rows(out).values())
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0])[:12], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    result = run(*check, "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == 5 and all(row["model"] == "tiny" for row in found)
    assert "verdicts: 5 by another model" in result.stderr
    assert read_rows(out)["0.png"]["model"] == "tiny" and "Skipped" not in result.stderr
    # Another model under another name, and then both together.
    own = f'[models.second]\ntimm = "test_resnet"\nbatch_size = 8\n{REFERENCE_INPUT}'
    text = f"{trained.read_text()}\n{own}"
    trained.write_text(text)
    folders = trained.parent / "model_folders"
    shutil.copytree(folders / "tiny", folders / "second")
    result = run(*check, "--model", "second")
    assert "verdicts: 5 by another model" in result.stdout
    result = run(*check, "--model", "all")
    assert "5 by another model" in result.stdout
    row = read_rows(out)["0.png"]
    assert row["model"] == "tiny; second" and row["p_fake_second"] and row["disagreement"]
    assert "Skipped 5 unchanged pictures" in run(*check, "--model", "all").stdout


def test_changed_verdicts_are_counted_by_direction_also_by_a_resumed_run(
    trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = trained.parent / "out.csv"
    check = ("--paths", trained, "check", folder, "--csv", out, "--no-stability")
    run(*check)
    new = {name: row["verdict"] for name, row in read_rows(out).items()}

    def write(verdicts: dict[str, str], *omitted: str, **cells: str) -> None:
        rows = [{**row, "verdict": verdicts[name], **cells} for name, row in read_rows(out).items()]
        with out.open("w", encoding="utf-8", newline="") as file:
            columns = [name for name in rows[0] if name not in omitted]
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    # Three old verdicts differ, one is no verdict, and one picture could be read.
    other = {name: "unsure" if verdict == "fake" else "fake" for name, verdict in new.items()}
    old = {**other, "3.png": "\x1b[31mfake?", "0.png": new["0.png"]}
    write(old, checkpoint="old")
    with monkeypatch.context() as patch:
        stop_after_first(patch)
        stopped = run(*check)
    assert stopped.returncode == 130 and "Verdicts that changed" not in stopped.stdout
    result = run(*check)
    assert "Continuing: 1 picture checked before" in result.stderr
    assert "verdicts: 5 by another model or version\n" in result.stdout
    old["3.png"] = "none"
    ways = Counter((old[name], new[name] or "none") for name in new if name != "0.png")
    listed = ", ".join(f"{before} -> {after} {count}" for (before, after), count in sorted(ways.items()))
    assert f"Verdicts that changed: 4 of 5 ({listed})\n" in result.stdout
    assert {name: row["verdict"] for name, row in read_rows(out).items()} == new
    # A file of a version without model_verdict; a heat map is no reason to keep silent about old verdicts.
    write(new, "model_verdict")
    result = run(*check, "--json", "--heat-map")
    assert "5 in a file of an earlier version; no verdict changed" in result.stderr
    assert "Rechecked" not in run(*check).stdout


def test_a_run_stopped_on_a_finished_csv_leaves_it_and_goes_on(
    trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = trained.parent / "out.csv"
    check = ("--paths", trained, "check", folder, "--csv", out, "--no-stability")
    assert run(*check).returncode == 1
    before = out.read_bytes()
    for number in (5, 6):
        paint(folder / f"{number}.png", number)
    with monkeypatch.context() as patch:
        stop_after_first(patch)
        result = run(*check)
    assert result.returncode == 130 and "same command to continue" in result.stdout
    assert out.read_bytes() == before and out.with_name("out.csv.partial").is_file()
    result = run(*check)
    assert "Continuing: 1 picture checked before" in result.stderr and len(judged(result.stdout)) == 1
    assert len(read_rows(out)) == 7 and not list(trained.parent.glob("out.csv.*"))


@pytest.mark.parametrize(
    ("cell", "shown"), [('"0,95"', "p(fake) 95.0 %"), ("n/a", None), ("nan", None), ("5", None)]
)
def test_a_number_that_a_spreadsheet_has_changed_is_no_traceback(
    trained: Path, cell: str, shown: str | None
) -> None:
    picture = paint(trained.parent / "a.png", 1)
    out, page = trained.parent / "out.csv", trained.parent / "out.html"
    check = ("--paths", trained, "check", picture, "--csv", out, "--no-stability")
    assert run(*check).returncode == 0
    text = out.read_text(encoding="utf-8")
    number = read_rows(out)["a.png"]["p_fake"]
    head, row = text.splitlines()
    before, _, after = row.partition(number)
    out.write_text(f"{head},p_fake_other\n{before}{cell}{after},{cell}\n", encoding="utf-8")
    result = run(*check, "--html", page)
    assert result.returncode == 0 and "Skipped 1 unchanged picture" in result.stdout
    card = page.read_text(encoding="utf-8").split('<li class="card"')[1].split("</ol>")[0]
    assert (shown in card and "other p(fake) 95.0 %" in card) if shown else "p(fake) " not in card


@pytest.mark.parametrize(
    ("encoding", "separator", "quoting", "decimal"),
    [
        ("utf-8-sig", ";", csv.QUOTE_MINIMAL, ","),
        ("utf-16", "\t", csv.QUOTE_MINIMAL, "."),
        ("utf-8", ",", csv.QUOTE_ALL, ","),
        ("utf-16", ";", csv.QUOTE_ALL, ","),
    ],
)
def test_a_csv_that_a_spreadsheet_has_saved_is_read(
    trained: Path, encoding: str, separator: str, quoting: int, decimal: str
) -> None:
    out = trained.parent / "out.csv"
    pictures = [paint(trained.parent / "mine" / name, 1) for name in ("a, b; c.png", "=ä東.png")]
    check = ("--paths", trained, "check", trained.parent / "mine", "--csv", out, "--no-stability")
    assert run(*check).returncode == 0
    before = read_rows(out)
    with out.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(
            file, [*before[pictures[0].name], "notes"], delimiter=separator, quoting=quoting
        )
        writer.writeheader()
        for row in before.values():
            number = row["p_fake"].replace(".", decimal)
            writer.writerow({**row, "p_fake": number, "notes": "mine\nalone"})
    saved = out.read_bytes()
    result = run(*check)
    assert result.returncode == 0, result.stderr
    assert "Skipped 2 unchanged pictures" in result.stdout and out.read_bytes() == saved
    new = paint(trained.parent / "mine/new.png", 3)
    result = run(*check)
    assert "Skipped 2 unchanged pictures" in result.stdout and judged(result.stdout) == {new.name}
    after = read_rows(out)
    assert set(after) == {*before, new.name} and out.read_bytes().startswith(b"\xef\xbb\xbfpath,verdict,")
    for name, row in before.items():
        assert after[name] == {**row, "notes": "mine\nalone"}


@pytest.mark.parametrize(
    "content",
    [
        # All in one cell, as where a table with commas was opened as one with semicolons.
        f'"{",".join(RESULT_COLUMNS)}"\n'.encode("utf-8-sig"),
        ", ".join(RESULT_COLUMNS).encode(),
        f"{';'.join(RESULT_COLUMNS)},\n".encode("utf-16").replace(b";\0", b"|\0", 3),
    ],
)
def test_a_csv_that_may_be_read_in_several_ways_is_named_and_kept(trained: Path, content: bytes) -> None:
    out = trained.parent / "out.csv"
    out.write_bytes(content)
    result = run("--paths", trained, "check", trained.parent / "dataset/test/real", "--csv", out)
    assert result.returncode == 2 and str(out) in result.stderr and result.stderr.count("\n") == 1
    assert ("saved by another program" in result.stderr) == (b"|" not in content)
    assert out.read_bytes() == content


def test_a_csv_with_half_a_letter_of_utf_16_is_one_line_and_is_kept(trained: Path) -> None:
    out = trained.parent / "out.csv"
    out.write_bytes((",".join(RESULT_COLUMNS) + "\n").encode("utf-16") + b"a\0\0\xd8")
    before = out.read_bytes()
    result = run("--paths", trained, "check", trained.parent / "dataset/test/real", "--csv", out)
    assert result.returncode == 2 and f"{out} cannot be read" in result.stderr
    assert out.read_bytes() == before
