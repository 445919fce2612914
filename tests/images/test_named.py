"""Paths as users enter them."""

import os
from pathlib import Path

import pytest
from conftest import paint, run, shorten

from fakedetect.core.errors import UserError
from fakedetect.core.settings.settings import load_settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.listed import list_dataset_pictures
from fakedetect.images.named import parse_paths, parse_usable_paths, read_path_list


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with pictures whose names shells and desktops must quote."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.jpg",
        "My Pictures/b c.jpg",
        "it's.jpg",
        "100%25.jpg",
        "é (1).jpg",
        "#1 & co.jpg",
        "ü.jpg",
    ):
        paint(tmp_path / name, 1, (40, 40))
    return tmp_path


ONE = (
    ("{}/a.jpg", "a.jpg"),
    ("  {}/a.jpg \n", "a.jpg"),
    ("'{}/a.jpg'", "a.jpg"),
    ('"{}/My Pictures/b c.jpg"', "My Pictures/b c.jpg"),
    ("{}/My Pictures/b c.jpg", "My Pictures/b c.jpg"),
    ("{}/My\\ Pictures/b\\ c.jpg", "My Pictures/b c.jpg"),
    ("{}/My\\ Pictures/", "My Pictures"),
    ("file://{}/My%20Pictures/b%20c.jpg", "My Pictures/b c.jpg"),
    ("file://localhost{}/%C3%BC.jpg", "ü.jpg"),
    ("'file://{}/a.jpg'", "a.jpg"),
    ("{}/100%25.jpg", "100%25.jpg"),
    ("{}/é\\ \\(1\\).jpg", "é (1).jpg"),
    ("{}/#1 & co.jpg", "#1 & co.jpg"),
    ("'{}/#1 & co.jpg' ", "#1 & co.jpg"),
    ("{}/it's.jpg", "it's.jpg"),
    ("{}/it\\'s.jpg", "it's.jpg"),
    ("'{}/it'\\''s.jpg'", "it's.jpg"),
    ("~/a.jpg", "a.jpg"),
    ("~/My\\ Pictures", "My Pictures"),
    ("a.jpg", "a.jpg"),
    ("./My Pictures", "My Pictures"),
)


@pytest.mark.skipif(os.name == "nt", reason="the paths of POSIX")
@pytest.mark.parametrize(("text", "meant"), ONE)
def test_a_path_is_what_people_paste(pictures: Path, text: str, meant: str) -> None:
    (found,) = parse_paths([text.format(pictures)], windows=False)
    assert found.samefile(pictures / meant)


@pytest.mark.skipif(os.name == "nt", reason="the paths of POSIX")
@pytest.mark.parametrize(
    "text",
    [
        "'{0}/My Pictures/b c.jpg' '{0}/a.jpg'",
        "{0}/My\\ Pictures/b\\ c.jpg {0}/a.jpg ",
        "file://{0}/My%20Pictures/b%20c.jpg file://{0}/a.jpg",
        '"~/My Pictures/b c.jpg" ~/a.jpg',
    ],
)
def test_several_that_are_dropped_at_once_are_several(pictures: Path, text: str) -> None:
    found = parse_paths([text.format(pictures)], windows=False)
    assert [path.name for path in found] == ["b c.jpg", "a.jpg"]
    assert all(path.is_file() for path in found)


def test_backslashes_of_windows_part_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "ours.jpg", 1, (40, 40))
    monkeypatch.chdir(tmp_path)
    # What Windows would find there, POSIX finds as a name with backslashes in it.
    for name in (r"C:\Users\Ann Lee\new.jpg", r"\\server\share\t.jpg"):
        paint(Path(name), 1, (40, 40)) if os.name != "nt" else None
    if os.name == "nt":
        return
    both = r'"C:\Users\Ann Lee\new.jpg" \\server\share\t.jpg'
    found = parse_paths([both], windows=True)
    assert list(map(str, found)) == [r"C:\Users\Ann Lee\new.jpg", r"\\server\share\t.jpg"]


REFUSED = (
    ("https://example.org/a.jpg?x=1", "is a web address"),
    ("www.example.org/a.jpg", "is a web address"),
    ("data:image/png;base64,iVBORw0KGgo" + "A" * 500, "is a web address"),
    ("smb://server/pictures/a.jpg", "There is no picture or folder"),
    ("", "The name is empty. Name a picture or folder."),
    ("''", "The name is empty"),
    ("a.jgp", "There is no picture or folder a.jgp. Did you mean a.jpg?"),
    ("~/A.JPG.jpg", "There is no picture or folder"),
    ("no/such/place/a.jpg", "There is no picture or folder no/such/place/a.jpg"),
    ("a.jpg nothing.jpg", "There is no picture or folder nothing.jpg"),
    ("x" * 5000, "There is no picture or folder"),
    ("\0", "There is no picture or folder"),
    ("'", "There is no picture or folder"),
    ("file://", "The name is empty"),
)


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_not_there_is_one_line_that_says_what_to_do(pictures: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_paths([text], windows=False)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "name", "said"),
    [
        (b"PK\x03\x04", "a.zip", "ZIP archive: unpack it"),
        (b"%PDF-1.7", "a.pdf", "PDF document"),
        (b"\0\0\0\x18ftypmp42", "a.mp4", "video"),
        (b"\x1a\x45\xdf\xa3", "a.webm", "video"),
        (b"Rar!\x1a\x07", "photo.jpg", "RAR archive"),
        (b"II*\0", "a.nef", "raw file"),
        (b"<html>", "photo.jpg", "web page"),
    ],
)
def test_a_file_that_is_no_picture_says_what_to_do_with_it(
    tmp_path: Path, start: bytes, name: str, said: str
) -> None:
    (tmp_path / name).write_bytes(start + bytes(500))
    with pytest.raises(UserError, match=said) as caught:
        parse_paths([str(tmp_path / name)])
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("windows", [False, True])
def test_patterns_that_no_shell_has_expanded_name_what_they_match(pictures: Path, windows: bool) -> None:
    paint(pictures / "b.jpg", 2, (40, 40))
    paint(pictures / "photo[1].jpg", 2, (40, 40))

    def names(text: str) -> list[str]:
        return [path.as_posix() for path in parse_paths([text], windows=windows)]

    assert names("[ab].jpg") == ["a.jpg", "b.jpg"]
    assert names("[a-z].jpg My*/b*.jpg") == ["a.jpg", "b.jpg", "My Pictures/b c.jpg"]
    assert names("My Pictures/*.jpg") == ["My Pictures/b c.jpg"]
    assert "My Pictures/b c.jpg" in names("**/b*.jpg")
    # A name that is there as it stands is no pattern.
    assert names("photo[1].jpg") == ["photo[1].jpg"]
    with pytest.raises(UserError, match=r"Nothing matches the pattern \*\.webp"):
        names("*.webp")


def test_of_several_names_those_that_are_not_there_are_passed_over(pictures: Path) -> None:
    told: list[str] = []
    found, missing = parse_usable_paths(["a.jpg", "a.jgp", "My Pictures"], told.append)
    assert (found, missing) == ([Path("a.jpg"), Path("My Pictures")], 1)
    assert len(told) == 1 and "a.jgp" in told[0] and "Did you mean a.jpg?" in told[0]
    told.clear()
    with pytest.raises(UserError, match=r"c\.jgp"):
        parse_usable_paths(["a.jgp", "c.jgp"], told.append)
    assert len(told) == 1 and "a.jgp" in told[0]


def test_a_list_names_pictures_by_lines_or_by_nul(pictures: Path) -> None:
    names = ["a.jpg", "My Pictures/b c.jpg", "it's.jpg"]
    for end in ("\n", "\r\n", "\0"):
        Path("list.txt").write_bytes(end.join(names).encode())
        assert read_path_list("list.txt", pytest.fail) == (list(map(Path, names)), 0)
    told: list[str] = []
    # What a shell would part or expand is a name as it stands.
    Path("list.txt").write_text("a.jpg\n\n*.jpg\na.jpg a.jpg\n", encoding="utf-8")
    assert read_path_list("list.txt", told.append) == ([Path("a.jpg")], 2)
    assert "*.jpg" in told[0] and "a.jpg a.jpg" in told[1] and "list.txt" in told[0]
    for content, said in (("", "is empty"), ("nothing.jpg\n", "nothing.jpg")):
        Path("list.txt").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=said):
            read_path_list("list.txt", pytest.fail)
    with pytest.raises(UserError, match="no-list"):
        read_path_list("no-list.txt", pytest.fail)


NFC, NFD = "Gemälde", "Gema\u0308lde"
"""One name in two normal forms: as most systems store it, and as macOS does."""


@pytest.mark.parametrize(("stored", "typed"), [(NFC, NFD), (NFD, NFC)])
def test_a_name_in_another_normal_form_is_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = paint(tmp_path / stored / f"{stored} 1.png", 1, (40, 40))
    for text in (
        *(f"{tmp_path}/{typed}/{typed} 1.png", f"{typed}/{typed} 1.png", f"{typed}/{typed}\\ 1.png"),
        f"'{typed}/{stored} 1.png'",
    ):
        (found,) = parse_paths([text], windows=False)
        assert found.samefile(picture) and stored in str(found)
    assert parse_paths([typed])[0].samefile(picture.parent)
    with pytest.raises(UserError):
        parse_paths([f"{typed}/another {typed}.png"])
    # Both there: each is itself.
    other = paint(tmp_path / typed / f"{stored} 1.png", 2, (40, 40))
    assert parse_paths([f"{tmp_path}/{typed}/{stored} 1.png"])[0].samefile(other)


@pytest.mark.parametrize(("stored", "typed"), [(NFC, NFD), (NFD, NFC)])
def test_folders_sources_and_settings_are_found_in_either_form(data: Path, stored: str, typed: str) -> None:
    train = data.parent / "dataset/train"
    (train / "fake/gan").rename(train / "fake" / stored)
    home = data.parent / f"{stored} set"
    (data.parent / "dataset").rename(home)
    paths = data.parent / f"{stored}.toml"
    lines = [
        f'{part}_{label} = "{typed} set/{part}/{label}"'
        for part in ("train", "test")
        for label in ("real", "fake")
    ]
    paths.write_text(
        data.read_text(encoding="utf-8") + "\n[original]\n" + "\n".join(lines), encoding="utf-8"
    )
    scanned = run("--paths", data.parent / f"{typed}.toml", "scan")
    assert scanned.returncode == 0 and "train-fake: 20 pictures" in scanned.stdout, scanned.stderr
    settings = load_settings(data.parent / f"{typed}.toml")
    console = Console(quiet=True)
    places, _ = list_dataset_pictures(settings, console, "original")
    assert {place.source for place in places if place.part == "train"} == {"", NFC}


@pytest.mark.parametrize(("stored", "typed"), [(NFC, NFD), (NFD, NFC)])
def test_a_source_is_left_out_however_its_name_is_stored(trained: Path, stored: str, typed: str) -> None:
    shorten(trained)
    for number, part in enumerate(("resized_train", "resized_test")):
        # The two parts may have been copied from different systems.
        folder = trained.parent / "dataset" / part / "fake"
        (folder / "diffusion").rename(folder / (stored, typed)[number])
    result = run("--paths", trained, "train", "--leave-out", typed)
    assert "No source" not in result.stderr and result.returncode == 0, result.stderr
