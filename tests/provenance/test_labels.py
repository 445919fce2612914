"""Labels of services and phones: reported if a file has them, and not for similar texts."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture

PIXELS = np.full((64, 64, 3), 90, np.uint8)
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" {}</rdf:RDF></x:xmpmeta>'
)
LABEL = json.dumps({"Label": "1", "ContentProducer": "001191610133596325171T12566", "ProduceID": "x"})
PRODUCER = "producer 001191610133596325171T12566"


def says(path: Path) -> tuple[str, ...]:
    view = inspect_picture(Inspection(path, ()))
    assert isinstance(view, InspectedPicture), view
    assert {finding.sure for finding in view.origin} <= {"stated"}
    return view.provenance


def save(path: Path, exif: dict[int, object] | None = None, xmp: str = "", text: str = "") -> Path:
    """Make a picture with EXIF fields (0x9286 in its own folder), an XMP packet and a text 'AIGC'."""
    written, info = Image.Exif(), PngImagePlugin.PngInfo()
    for tag, value in (exif or {}).items():
        (written.get_ifd(0x8769) if tag == 0x9286 else written)[tag] = value
    if text:
        info.add_text("AIGC", text)
    more = {"pnginfo": info} if path.suffix == ".png" else {"xmp": xmp.encode()}
    Image.fromarray(PIXELS).save(path, exif=written, **more)
    return path


def comment(text: str) -> dict[int, object]:
    return {0x9286: b"ASCII\0\0\0" + text.encode()}


def test_chinas_label_is_told_wherever_it_stands(tmp_path: Path) -> None:
    said = f"label: AI-generated, {PRODUCER} (China's AIGC label in "
    assert says(save(tmp_path / "a.png", text=LABEL)) == (f"{said}PNG aigc)",)
    quoted = LABEL.replace('"', "&quot;")
    for properties in (
        f'TC260:AIGC="{quoted}"/>',
        f"><TC260:AIGC>{LABEL}</TC260:AIGC></rdf:Description>",
    ):
        assert says(save(tmp_path / "a.jpg", xmp=XMP.format(properties))) == (f"{said}XMP AIGC)",)
    named = comment(f'{{"AIGC": {LABEL}}}')
    assert says(save(tmp_path / "a.jpg", named)) == (f"{said}EXIF UserComment)",)


def test_a_label_of_another_kind_is_not_chinas(tmp_path: Path) -> None:
    assert says(save(tmp_path / "a.jpg", comment(LABEL))) == ()


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ('{"Label": 1}', "AI-generated"),
        ('{"Label": "2"}', "possibly AI-generated"),
        ('{"Label": "3", "ContentProducer": null}', "suspected to be AI-generated"),
        ('{"Label": "0"}', None),
        ('{"Label": "genuine"}', None),
        ('{"Label": [1]}', None),
        ('{"Label": "1"', None),
        ('see {"Label": "1"} in the guide', None),
        ('"Label"' + "[" * 60_000, None),
        ("[" * 60_000 + '"Label"', None),
        ("1", None),
    ],
)
def test_the_label_counts_by_its_value(tmp_path: Path, label: str, said: str | None) -> None:
    expected = (f"label: {said} (China's AIGC label in PNG aigc)",) if said else ()
    assert says(save(tmp_path / "a.png", text=label)) == expected


SIGNATURE = "Signature: " + "Ab3+/" * 20 + "="
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("description", "artist", "is_grok"),
    [
        (SIGNATURE, UUID, True),
        (SIGNATURE, "Jane Doe", False),
        ("Signature: Jane Doe", UUID, False),
        ("A cat", UUID, False),
        (SIGNATURE, f"{UUID} and more", False),
    ],
)
def test_grok_signs_with_a_pair_of_fields(
    tmp_path: Path, description: str, artist: str, is_grok: bool
) -> None:
    path = save(tmp_path / "a.jpg", {0x010E: description, 0x013B: artist})
    grok = ("generator: xAI Grok (signature in EXIF ImageDescription)",)
    assert says(path) == (grok if is_grok else ())


def put_trailer(path: Path, **entries: bytes) -> Path:
    """Append a trailer of Samsung's phones to a picture: the entries, their directory and its length."""
    blocks = [struct.pack("<HHI", 0, 0x0BA1, len(name)) + name.encode() + entries[name] for name in entries]
    directory = b"SEFH" + struct.pack("<II", 107, len(blocks))
    for number, block in enumerate(blocks):
        back = sum(map(len, blocks[number:]))
        directory += struct.pack("<HHII", 0, 0x0BA1, back, len(block))
    end = b"".join(blocks) + directory + struct.pack("<I", len(directory)) + b"SEFT"
    path.write_bytes(path.read_bytes() + end)
    return path


def test_samsungs_edits_are_told(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg")
    plain = path.read_bytes()
    for data, said in (
        (b'{"isApplied": true, "genAIType":1}', "Samsung's Galaxy AI (genAIType 1 in the phone's trailer)"),
        (b'{"genAIType":0, "filter": 2}', "Samsung's photo editor (said in the phone's trailer)"),
    ):
        path.write_bytes(plain)
        put_trailer(
            path, Image_UTC_Data=b"1700000000000", PhotoEditor_Re_Edit_Data=data, Other=b"genAIType"
        )
        assert says(path) == (f"edit: {said}",)
    path.write_bytes(plain)
    assert says(put_trailer(path, Image_UTC_Data=b'"genAIType":1 PhotoEditor_Re_Edit_Data')) == ()


def test_a_trailer_that_lies_harms_nothing(tmp_path: Path) -> None:
    path = put_trailer(save(tmp_path / "a.jpg"), PhotoEditor_Re_Edit_Data=b'{"genAIType":1}')
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(200):
        raw = bytearray(whole)
        for place in random.integers(len(raw) - 70, len(raw) - 4, 4):
            raw[place] = random.integers(256)
        path.write_bytes(raw)
        assert all(each.isprintable() for each in says(path))


@pytest.mark.parametrize(
    "credit", ["Made with Google AI", "Edited with Google AI", "Apple Photos Clean Up"]
)
def test_phones_edits_are_credits(tmp_path: Path, credit: str) -> None:
    properties = f'xmlns:photoshop="ps" photoshop:Credit="{credit}"/>'
    assert says(save(tmp_path / "a.jpg", xmp=XMP.format(properties))) == (f"credit: {credit}",)
