"""The page of a check: its content, and the files that it does not replace."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import REFERENCE_INPUT, ROOT, paint, run, stop_after_first
from PIL import Image, PngImagePlugin

from fakedetect.core.settings.model_folder import model_hash
from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console


@dataclass
class Card:
    """An item of the list of pictures."""

    data: dict[str, str]
    text: str = ""
    images: list[dict[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """The cards of a page, its text, and every address in it."""

    def __init__(self, file: Path):
        super().__init__()
        self.html = file.read_text(encoding="utf-8")
        self.cards: list[Card] = []
        self.text = ""
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.ids: set[str] = set()
        self.inside: list[str] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.add(found.get("id", ""))
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        assert not [name for name in found if name.startswith("on")]
        if tag == "li" and found.get("class") == "card":
            self.cards.append(Card(found))
        if tag == "img":
            self.cards[-1].images.append(found)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag not in ("meta", "link", "img", "input"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.inside):
            return
        self.text += data
        if "ol" in self.inside and self.cards:
            self.cards[-1].text += data

    @property
    def by_name(self) -> dict[str, Card]:
        return {re.search(r"Thumbnail of (.+)", card.images[0]["alt"])[1]: card for card in self.cards}


def open_image(source: str) -> Image.Image:
    assert source.startswith("data:image/webp;base64,")
    return Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))


@pytest.fixture(scope="module")
def checked(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two folders of pictures, checked with a CSV and a page."""
    folder = tmp_path_factory.mktemp("page") / "project"
    shutil.copytree(trained_once.parent, folder)
    mine = folder / "mine"
    for number in range(3):
        paint(mine / "holidays" / f"{number}.jpg", number)
    paint(mine / "tall & <wide>.png", 5, size=(60, 900))
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    Image.new("RGB", (64, 48), "red").save(mine / "marked.png", pnginfo=info)
    (mine / "empty.jpg").write_bytes(b"")
    result = run("--paths", folder / "paths.toml", "check", mine, "--html", folder / "new/page.html",
                 "--csv", folder / "out.csv")  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert f"Page: {folder / 'new/page.html'} (open it with a browser)" in result.stdout
    assert [path.name for path in (folder / "new").iterdir()] == ["page.html"]
    return folder / "paths.toml"


def test_every_picture_is_a_card_with_what_the_csv_says(checked: Path) -> None:
    page = Page(checked.parent / "new/page.html")
    with (checked.parent / "out.csv").open(encoding="utf-8-sig", newline="") as opened:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(opened)}
    assert len(page.cards) == len(rows) == 6 and not page.inside
    (empty,) = [card for card in page.cards if card.data["data-verdict"] == "unreadable"]
    assert "empty.jpg" in empty.text and "empty file" in empty.text and not empty.images
    page.cards.remove(empty)
    assert set(page.by_name) == set(rows) - {"empty.jpg"}
    for name, card in page.by_name.items():
        row = rows[name]
        assert card.data["data-verdict"] == row["verdict"] and card.data["data-p"] == row["p_fake"]
        assert f"p(fake) {100 * float(row['p_fake']):.1f} %" in card.text
        assert row["sha256"] in card.text and f"{row['width']}x{row['height']}" in card.text
        assert ("not stable" in card.text) == (row["stability"] not in ("", "stable"))
        assert card.images[0]["loading"] == "lazy" and card.images[0]["decoding"] == "async"
    marked = page.by_name["marked.png"]
    assert marked.data["data-origin"] == "generator" and "stated generator: Stable Diffusion" in marked.text
    assert page.by_name["0.jpg"].data["data-origin"] == "no-information"
    assert page.by_name["0.jpg"].data["data-folder"] != marked.data["data-folder"]
    sizes = {name: open_image(card.images[0]["src"]).size for name, card in page.by_name.items()}
    assert sizes["0.jpg"] == (240, 208) and sizes["tall & <wide>.png"] == (16, 240)
    assert sizes["marked.png"] == (64, 48)


def test_it_is_self_contained_readable_without_its_script_and_explains_how_far_to_trust_it(
    checked: Path,
) -> None:
    page = Page(checked.parent / "new/page.html")
    assert all(address.startswith(("data:", "#", "./", "../")) for address in page.addresses)
    assert not re.search(r"https?:|url\(|@import", page.html)
    script = re.search(r"<script>(.*)</script>", page.html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in (page.html)
    )
    assert '<form id="controls" hidden' in page.html and page.headings.count("h1") == 1
    assert all(below <= above + 1 for above, below in zip(
        [int(name[1]) for name in page.headings], [int(name[1]) for name in page.headings[1:]], strict=False
    ))  # fmt: skip
    for said in (
        "'real' does not mean that a picture shows what happened",
        "tiny was not tested on other sources",
        "It calls a picture fake at p(fake)",
        model_hash(load_settings(checked)),
        "It was trained on 60 pictures (30 fake, 30 real)",
        "If 5 % of such pictures were AI-generated, ",
        "on which its thresholds were fitted",
        "test dataset, like its training pictures",
    ):
        assert said in page.text, said
    assert "menu.py" not in page.text and "--prevalence" not in page.text
    # The guide is that of the docs, word for word.
    guide = (ROOT / "docs/reading-a-verdict.md").read_text(encoding="utf-8")
    assert "reading" in page.ids and '<a href="#reading">' in page.html
    words = re.sub(r"[#*]+|^\d\. |^- |\s+", " ", guide.split("\n", 1)[1], flags=re.MULTILINE).split()
    shown = page.text.split("How to read a verdict")[-1].split()
    assert "".join(shown) == "".join(words)


def test_filters_name_what_is_there(checked: Path) -> None:
    page = Page(checked.parent / "new/page.html")
    controls = page.html.split('<form id="controls"')[1].split("</form>")[0]
    for state in {card.data["data-verdict"] for card in page.cards}:
        assert f'value="{state}" checked' in controls
    assert '<option value="generator">generator (1)</option>' in controls
    assert '<option value="no-information">no information (4)</option>' in controls
    folders = dict(re.findall(r'<option value="(\d)">([^<]+) \(\d\)</option>', controls))
    assert {Path(name).name for name in folders.values()} == {"mine", "holidays"}
    assert {card.data["data-folder"] for card in page.cards} == set(folders)


def test_unchanged_rows_of_a_csv_are_on_the_page_too(checked: Path) -> None:
    first = Page(checked.parent / "new/page.html")
    second = checked.parent / "second.html"
    result = run("--paths", checked, "check", checked.parent / "mine", "--html", second,
                 "--csv", checked.parent / "out.csv", "--json")  # fmt: skip
    assert (
        result.stdout == ""
        and "Skipped 6 unchanged pictures" in result.stderr
        and "Page: " in result.stderr
    )
    cards = [[(card.data, card.text, card.images) for card in Page(file).cards] for file in (
        checked.parent / "new/page.html", second
    )]  # fmt: skip
    assert cards[0] == cards[1] and len(first.cards) == 6


def test_a_stopped_check_leaves_a_page_of_what_was_judged(
    checked: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paint(checked.parent / "mine/new.png", 8)
    paint(checked.parent / "mine/newer.png", 9)
    file, table = tmp_path / "page.html", tmp_path / "out.csv"
    shutil.copy(checked.parent / "out.csv", table)
    stop_after_first(monkeypatch)
    result = run("--paths", checked, "check", checked.parent / "mine", "--html", file, "--csv", table)
    assert result.returncode == 130 and f"Page: {file}" in result.stdout
    page = Page(file)
    assert len(page.cards) == 7 and "stopped: 7 of 8 pictures" in page.text
    assert "generator: Stable Diffusion" in page.text
    for name in ("new.png", "newer.png"):
        (checked.parent / "mine" / name).unlink()


def test_a_page_never_replaces_something_else(checked: Path, tmp_path: Path) -> None:
    picture = paint(tmp_path / "mine.jpg", 1)
    other = tmp_path / "other.html"
    other.write_text("<!DOCTYPE html>\n<p>mine</p>")
    for target, said in (
        (picture, "is not a page of check"),
        (other, "is not a page"),
        (tmp_path, "a folder"),
    ):
        result = run("--paths", checked, "check", picture, "--html", target)
        assert result.returncode == 2 and said in result.stderr and len(result.stderr.splitlines()) == 1
    assert other.read_text() == "<!DOCTYPE html>\n<p>mine</p>"
    both = run("--paths", checked, "check", picture, "--html", tmp_path / "a.x", "--csv", tmp_path / "a.x")
    assert both.returncode == 2 and "name the same file" in both.stderr
    (tmp_path / "file").write_text("a file")
    result = run("--paths", checked, "check", picture, "--html", tmp_path / "file/page.html")
    assert result.returncode == 2 and "Cannot write" in result.stderr
    assert run("--paths", checked, "check", picture, "--html", tmp_path / "p.html").returncode == 0
    # A page of check may be replaced; the menu takes one where it takes a CSV.
    menu = run("--paths", checked, keys=f"8\n{picture}\n{tmp_path / 'p.html'}\n0\n")
    assert "Page: " in menu.stdout and len(Page(tmp_path / "p.html").cards) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine.jpg", "other.html", "p.html"]


def test_several_models_heat_maps_and_shares_are_on_the_page(trained: Path) -> None:
    own = f'[models.second]\ntimm = "test_resnet"\nbatch_size = 8\n{REFERENCE_INPUT}'
    trained.write_text(f"{trained.read_text()}\n{own}")
    folders = trained.parent / "model_folders"
    shutil.copytree(folders / "tiny", folders / "second")
    for number in range(3):
        paint(trained.parent / "mine" / f"{number}.jpg", number)
    file = trained.parent / "page.html"
    result = run("--paths", trained, "check", trained.parent / "mine", "--html", file, "--model", "all",
                 "--heat-map", "--no-stability", "--shard", "1/3")  # fmt: skip
    assert result.returncode == 0, result.stderr
    page = Page(file)
    (card,) = page.cards
    assert "tiny " in card.text and "second " in card.text and "share 1/3" in page.text
    assert "accuracy of their joint verdict" in page.text
    heat_maps = [image for image in card.images if image["alt"] == "Heat map of 0.jpg"]
    assert len(heat_maps) == 2 and max(open_image(heat_maps[0]["src"]).size) > 300
    for record in (trained.parent / "grad-cam_images").glob("*.json"):
        assert json.loads(record.read_text())["trust"] in card.text


def test_without_a_model_the_page_says_what_the_files_say(data: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    Image.new("RGB", (64, 48), "red").save(data.parent / "marked.png", pnginfo=info)
    file = data.parent / "page.html"
    result = run("--paths", data, "check", data.parent / "marked.png", "--html", file, "--json")
    assert result.returncode == 2 and f"Page: {file}" in result.stderr
    assert json.loads(result.stdout)["verdict"] is None
    page = Page(file)
    assert page.cards[0].data["data-verdict"] == "none" and page.cards[0].images
    assert "No model has checked" in page.text and "generator: Stable" in page.cards[0].text


def test_pictures_come_first_and_each_leads_to_its_file(checked: Path) -> None:
    file = checked.parent / "new/page.html"
    page = Page(file)
    places = [page.html.index(part) for part in ('<ol id="cards">', "<h2>The model</h2>", 'id="reading"')]
    assert places == sorted(places)
    links = set(re.findall(r'<h3><a href="([^"]+)">', page.html))
    assert len(links) == 6 and all(link.startswith("../mine/") for link in links)
    for link in links:
        assert (file.parent / unquote(link)).resolve().is_file(), link
    (tall,) = [card for card in page.cards if "tall" in card.text]
    # The folder is read beside the name, without a click.
    assert re.search(r"tall & <wide>.png\s+in \S+/mine\s", tall.text)
    assert page.html.count('class="copy" hidden') == 6


def test_a_page_to_share_names_no_home(
    checked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "ada"
    shutil.copytree(checked.parent / "mine", home / "mine")
    paint(tmp_path / "ada2/other.png", 3)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    given = (
        "--paths",
        checked,
        "check",
        home / "mine",
        home,
        tmp_path / "ada2",
        "--no-stability",
        "--html",
    )
    assert run(*given, home / "page.html").returncode == 1
    page = Page(home / "page.html")
    assert f"{home}/" not in page.html and f"{home}<" not in page.html
    assert f"in ~{os.sep}mine" in page.text and "./mine/marked.png" in page.html
    assert str(tmp_path / "ada2") in page.text
    # Seen from outside, a link would name it.
    assert run(*given, tmp_path / "page.html").returncode == 1
    outside = Page(tmp_path / "page.html")
    assert "/ada/" not in outside.html and "./ada2/other.png" in outside.html
    assert outside.html.count('class="copy"') == 1 and len(outside.cards) == len(page.cards)


def test_names_without_an_ending_get_one(checked: Path, tmp_path: Path) -> None:
    picture = paint(tmp_path / "a.png", 1)
    command = ("--paths", checked, "check", picture, "--no-stability")
    run(*command, "--html", tmp_path / "result", "--csv", tmp_path / "result")
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.png", "result.html", "result.csv", "result_about.txt",
    }  # fmt: skip
    said = (tmp_path / "result_about.txt").read_text(encoding="utf-8")
    assert "If 5 % of such pictures" in said and "Keep in mind" in said and "not proof" in said
    menu = run("--paths", checked, keys=f"8\n{picture}\n{tmp_path / 'typed'}\n0\n")
    assert f"Page: {tmp_path / 'typed.html'}" in menu.stdout and not (tmp_path / "typed").exists()
    # What is there under its name keeps it, and what beside it is the user's own stays.
    (tmp_path / "result.csv").rename(tmp_path / "bare")
    assert "Skipped 1 unchanged picture" in run(*command, "--csv", tmp_path / "bare").stdout
    (tmp_path / "mine_about.txt").write_text("my notes")
    refused = run(*command, "--csv", tmp_path / "mine.csv")
    assert refused.returncode == 2 and "mine_about.txt" in refused.stderr
    assert (tmp_path / "mine_about.txt").read_text() == "my notes"


@pytest.mark.parametrize(
    ("display", "answer", "opened"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_the_page_is_opened_only_if_wanted(
    checked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, display: bool, answer: bool, opened: int
) -> None:
    asked: list[str] = []
    shown: list[Path] = []
    monkeypatch.setattr("fakedetect.checking.check_page.can_show", lambda: display)
    monkeypatch.setattr(
        "fakedetect.checking.check_page.open_picture", lambda path: bool(shown.append(path) or True)
    )
    monkeypatch.setattr(Console, "confirm", lambda _, question: bool(asked.append(question) or answer))
    picture, file = paint(tmp_path / "a.png", 1), tmp_path / "page.html"
    result = run("--paths", checked, "check", picture, "--no-stability", "--html", file)
    assert len(asked) == display and shown == [file] * opened
    assert ("open it with a browser" in result.stdout) == (not opened)


def test_a_check_without_a_page_does_not_wait_for_templates() -> None:
    code = "import sys, fakedetect.checking.judging; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_how_often_such_verdicts_are_right_is_above_the_pictures(checked: Path) -> None:
    top = (checked.parent / "new/page.html").read_text(encoding="utf-8").partition('id="cards"')[0]
    assert "are right if 5 in 100" in top
