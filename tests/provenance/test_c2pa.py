"""C2PA manifests in files signed here: what they prove is kept apart from what they state."""

import io
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import c2pa
import msgspec
import numpy as np
import pytest
from conftest import run
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from PIL import Image

from fakedetect.checking.inspection import InspectedPicture, Inspection, inspect_picture, without_verifier
from fakedetect.core.processes import pool
from fakedetect.core.processes.pool import map_images
from fakedetect.images.copies import CopyKind
from fakedetect.provenance.c2pa import (
    MANIFEST_UNREADABLE,
    VERIFIER_CRASHED,
    VERIFIER_MISSING,
    verify_manifest,
)
from fakedetect.provenance.claims import Claim, find_claim, format_origin
from fakedetect.provenance.rules import Finding
from fakedetect.provenance.verification import Assertion, Manifest, find_action_claim

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
UNCHANGED = "C2PA manifest: the file is unchanged since it was signed"
ANOTHER = (
    "C2PA manifest: does not match this file: changed after it was signed, or another picture's manifest"
)
DREAMT = "created with Dreamer 3 (trainedAlgorithmicMedia)"
BY = "C2PA signer: Ada Signer of Ada Signer Ltd, with Test Generator 1.0"
ON_LIST = "; on the C2PA trust list of"
CREATED = {
    "claim_generator_info": [{"name": "Test Generator", "version": "1.0"}],
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "digitalSourceType": TRAINED,
                        "softwareAgent": {"name": "Dreamer 3"},
                    }
                ]
            },
        }
    ],
}
EDITED = {
    "claim_generator_info": [{"name": "Test Editor"}],
    "assertions": [{"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.color_adjustments"}]}}],
}


class Authority:
    """A certificate authority with one signer."""

    def __init__(self, valid: timedelta = timedelta(days=30), ocsp: str = ""):
        now = datetime.now(UTC)
        key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        start = now - timedelta(days=90)
        root = _certify("Test Root", key, "Test Root", key, start, now + timedelta(days=90))
        leaf = _certify("Ada Signer", self.key, "Test Root", key, start, now + valid, ocsp)
        self.root, self.chain = _pem(root), _pem(leaf) + _pem(root)

    def sign(
        self,
        picture: bytes,
        mime: str = "image/jpeg",
        parent: bytes = b"",
        address: str = "",
        actions: list[dict[str, object]] | None = None,
    ) -> bytes:
        """Sign a picture: created by a generator, edited if it has a parent, or with these actions."""
        secret = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self.chain.encode(), secret, None))
        manifest = EDITED if parent else CREATED
        if actions is not None:
            manifest = {**manifest, "assertions": [{"label": "c2pa.actions", "data": {"actions": actions}}]}
        builder = c2pa.Builder(manifest)
        if parent:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            about = {"title": "parent.jpg", "relationship": "parentOf"}
            builder.add_ingredient(json.dumps(about), "image/jpeg", io.BytesIO(parent))
        if address:
            builder.set_no_embed()
            builder.set_remote_url(address)
        signed = io.BytesIO()
        builder.sign(signer, mime, io.BytesIO(picture), signed)
        return signed.getvalue()


def _certify(
    name: str, key, issuer: str, issuer_key, start: datetime, end: datetime, ocsp: str = ""
) -> x509.Certificate:
    ca = name == issuer
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{each} Ltd"),
                x509.NameAttribute(NameOID.COMMON_NAME, each),
            ]
        )
        for each in (name, issuer)
    ]
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"),
        False,
    )
    builder = (
        x509.CertificateBuilder(
            names[1], names[0], key.public_key(), x509.random_serial_number(), start, end
        )
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, decipher_only=False, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if ocsp:
        state = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([state]), critical=False)
    if not ca:
        mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(mail, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def picture(seed: int, file_format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    more = (
        {"append_images": [Image.fromarray(pixels[::-1])], "save_all": True} if file_format == "MPO" else {}
    )
    Image.fromarray(pixels).save(file, file_format, **more)
    return file.getvalue()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def signed(authority: Authority) -> bytes:
    return authority.sign(picture(0))


@pytest.fixture
def trust(authority: Authority, tmp_path: Path) -> Path:
    """A folder with a trust list that includes the authority."""
    folder = tmp_path / "trust"
    folder.mkdir()
    (folder / "signers-2026-01-02.pem").write_text(authority.root)
    return folder


def found_in(raw: bytes, trust: Path, file_format: str = "JPEG") -> list[tuple[str, str]]:
    """Return a file's findings and their certainty."""
    path = trust.parent / "picture"
    path.write_bytes(raw)
    return [(finding.says, finding.sure) for finding in verify_manifest(path, file_format, trust)]


def flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def segments(raw: bytes) -> bytes:
    """The segments of a JPEG that hold its manifest."""
    place, found = 2, b""
    while raw[place] == 0xFF and raw[place + 1] != 0xDA:
        end = place + 2 + struct.unpack(">H", raw[place + 2 : place + 4])[0]
        found += raw[place:end] if raw[place + 1] == 0xEB else b""
        place = end
    return found


FORMATS = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_untouched_file_is_unchanged_and_one_byte_more_is_not(
    authority: Authority, trust: Path, file_format: str
) -> None:
    raw = authority.sign(picture(0, file_format), FORMATS[file_format])
    assert found_in(raw, trust, file_format) == [
        (UNCHANGED, "verified"),
        (f"{BY}{ON_LIST} 2026-01-02: yes", "verified"),
        (f"C2PA actions: {DREAMT}", "verified"),
        ("IPTC source type: trainedAlgorithmicMedia", "verified"),
    ]
    # All formats are found and read as the pictures that they are, by the list that goes along.
    path = trust.parent / f"whole.{file_format.lower()}"
    path.write_bytes(raw)
    view = inspect_picture(Inspection(path, (CopyKind(),)))
    assert isinstance(view, InspectedPicture) and view.provenance[0] == UNCHANGED
    assert re.fullmatch(rf"{BY}{ON_LIST} 20\d\d-\d\d-\d\d(, \d+ days old)?: no", view.provenance[1])


@pytest.mark.parametrize("change", ["byte", "tail", "pasted"])
def test_a_manifest_that_is_not_this_files_says_nothing_of_it(
    authority: Authority, signed: bytes, trust: Path, change: str
) -> None:
    other = picture(1)
    raw = {
        "byte": flip(signed, len(signed) - 200),
        "tail": signed + b"x",
        "pasted": other[:2] + segments(signed) + other[2:],
    }[change]
    assert found_in(raw, trust) == [
        (ANOTHER, "verified"),
        (f"{BY}{ON_LIST} 2026-01-02: yes", "verified"),
        (f"C2PA actions, on the picture that was signed: {DREAMT}", "stated"),
    ]


def test_a_forged_manifest_proves_nothing(signed: bytes, trust: Path) -> None:
    for place in (signed.index(b"Dreamer 3"), signed.index(b"c2cs") + 700):
        says = found_in(flip(signed, place), trust)
        assert says[0][0].endswith("so it proves nothing")
        assert says[1][0].startswith(f"{BY}; named, not proven") and says[1][1] == "stated"
        assert "verified" not in [sure for _, sure in says[1:]]


def test_the_signer_is_told_apart_from_the_content(
    authority: Authority, signed: bytes, trust: Path, tmp_path: Path
) -> None:
    stranger = Authority().sign(picture(0))
    assert found_in(stranger, trust)[:2] == [
        (UNCHANGED, "verified"),
        (f"{BY}{ON_LIST} 2026-01-02: no", "stated"),
    ]
    # Whoever may date signatures may not sign.
    datings = tmp_path / "datings" / "trust"
    datings.mkdir(parents=True)
    (datings / "signers-2020-01-02.pem").write_text(Authority().root)
    (datings / "time-stamps-2026-01-02.pem").write_text(authority.root)
    says = found_in(signed, datings)[1]
    assert re.fullmatch(rf"{BY}{ON_LIST} 2020-01-02, \d{{4}} days old: no", says[0]), says


def test_without_a_list_nobody_is_called_untrusted(signed: bytes, tmp_path: Path) -> None:
    empty = tmp_path / "trust"
    empty.mkdir()
    (empty / "signers-2026-99-99.pem").write_text("no day")
    assert found_in(signed, empty)[:2] == [
        (UNCHANGED, "verified"),
        (f"{BY}; no trust list available", "stated"),
    ]


def test_an_expired_certificate_is_told(tmp_path: Path) -> None:
    # The library signs with a valid certificate only, and certificates count whole seconds.
    authority = Authority(valid=timedelta(seconds=3))
    raw = authority.sign(picture(0))
    folder = tmp_path / "trust"
    folder.mkdir()
    (folder / "signers-2026-01-02.pem").write_text(authority.root)
    time.sleep(5)
    assert found_in(raw, folder)[:2] == [(UNCHANGED, "verified"), (f"{BY}; certificate expired", "stated")]


STAMPED = Path(__file__).with_name("stamped")
"""A picture signed and time-stamped seconds before its signer's certificate expired, and trust lists that
include both authorities."""


def test_a_time_stamp_counts_if_its_authority_is_on_the_list(tmp_path: Path) -> None:
    raw = (STAMPED / "stamped.jpg").read_bytes()
    on_lists = verify_manifest(STAMPED / "stamped.jpg", "JPEG", STAMPED)
    assert on_lists[0] == Finding("manifest", UNCHANGED, "verified")
    assert re.fullmatch(rf"{BY}, on 2026-11-25{ON_LIST} .*: yes", on_lists[1].says)
    for time_stamps in ({}, {"time-stamps-2026-11-25.pem": Authority().root}):
        folder = tmp_path / f"{len(time_stamps)}" / "trust"
        folder.mkdir(parents=True)
        lists = {"signers-2026-11-25.pem": (STAMPED / "signers-2026-11-25.pem").read_text(), **time_stamps}
        for name, text in lists.items():
            (folder / name).write_text(text)
        assert found_in(raw, folder)[:2] == [
            (UNCHANGED, "verified"),
            (f"{BY}, on 2026-11-25 by an unlisted time-stamp authority; certificate expired", "stated"),
        ]


def test_the_picture_before_its_editing_is_told_with_its_faults(
    authority: Authority, signed: bytes, trust: Path
) -> None:
    edited = authority.sign(picture(1), parent=signed)
    story = (
        "C2PA ingredient 'parent.jpg', the picture before editing: "
        "created with Dreamer 3 (trainedAlgorithmicMedia)"
    )
    assert found_in(edited, trust)[2:] == [
        ("C2PA actions: opened, color adjustments", "verified"),
        (story, "stated"),
    ]
    changed = authority.sign(picture(1), parent=flip(signed, len(signed) - 200))
    assert found_in(changed, trust)[-1][0].startswith(f"{story} (it was changed")
    # Signatures stand in their order in the file: the parent's comes first.
    bad = flip(edited, edited.index(b"c2cs") + 700)
    says = found_in(bad, trust)
    assert says[0] == (UNCHANGED, "verified")
    assert says[-1][0] == f"{story} (its own signature is invalid)"


def test_the_parent_of_another_picture_is_not_told_as_this_ones(
    authority: Authority, signed: bytes, trust: Path
) -> None:
    edited = authority.sign(picture(1), parent=signed)
    says = found_in(flip(edited, len(edited) - 200), trust)
    assert says[0] == (ANOTHER, "verified")
    assert says[-1][0].startswith("C2PA ingredient of ") and "signed 'parent.jpg'" in says[-1][0]


def test_a_manifest_of_many_segments_is_verified(authority: Authority, signed: bytes, trust: Path) -> None:
    large = io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(large, "JPEG", quality=95)
    raw = authority.sign(large.getvalue(), parent=signed)
    assert len(segments(raw)) > 2 * 65_536
    assert found_in(raw, trust)[0] == (UNCHANGED, "verified")


def test_fill_bytes_before_a_segment_are_no_change_when_they_were_signed(
    authority: Authority, trust: Path
) -> None:
    plain = picture(0)
    filled = plain[:2] + b"\xff\xff" + plain[2:]
    assert found_in(authority.sign(filled), trust)[0] == (UNCHANGED, "verified")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        yield listening


def test_a_manifest_elsewhere_is_named_and_not_fetched(
    authority: Authority, tmp_path: Path, server: socket.socket
) -> None:
    address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
    for name, file_format in (("a.jpg", "JPEG"), ("a.png", "PNG")):
        path = tmp_path / name
        path.write_bytes(authority.sign(picture(0, file_format), FORMATS[file_format], address=address))
        view = inspect_picture(Inspection(path, (CopyKind(),)))
        assert isinstance(view, InspectedPicture)
        assert view.provenance == (f"C2PA manifest: stored remotely at {address}; not fetched",)
    with pytest.raises(TimeoutError):
        server.accept()


def is_called(server: socket.socket, read: Callable[[], object]) -> bool:
    """Return whether anything connects to a server while a function runs; connections are closed."""
    callers = []

    def answer() -> None:
        with suppress(TimeoutError):
            while True:
                connection, address = server.accept()
                callers.append(address)
                connection.close()

    thread = threading.Thread(target=answer)
    server.settimeout(1)
    thread.start()
    read()
    thread.join()
    return bool(callers)


def test_nothing_goes_out_though_the_library_would(trust: Path, server: socket.socket) -> None:
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    authority = Authority(ocsp=f"{address}/ocsp")
    (trust / "signers-2026-01-03.pem").write_text(authority.root)
    elsewhere = authority.sign(picture(0), address=f"{address}/manifest.c2pa")
    asked_for = authority.sign(picture(0))

    def read_with_defaults(raw: bytes, settings: dict[str, object]) -> None:
        with suppress(c2pa.C2paError):
            c2pa.Reader("image/jpeg", io.BytesIO(raw), context=c2pa.Context.from_dict(settings)).json()

    assert is_called(server, lambda: read_with_defaults(elsewhere, {"version": 1}))
    fetch = {"version": 1, "verify": {"ocsp_fetch": True}, "trust": {"trust_anchors": authority.root}}
    assert is_called(server, lambda: read_with_defaults(asked_for, fetch))
    assert not is_called(server, lambda: found_in(elsewhere, trust))
    assert not is_called(server, lambda: found_in(asked_for, trust))
    assert found_in(elsewhere, trust) == [(MANIFEST_UNREADABLE, "stated")]
    assert found_in(asked_for, trust)[1][0].endswith(": yes")


def test_without_the_library_a_manifest_is_not_verified(
    signed: bytes, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert found_in(signed, trust) == [(VERIFIER_MISSING, "stated")]
    path = trust.parent / "a.jpg"
    path.write_bytes(signed)
    view = inspect_picture(Inspection(path, (CopyKind(),)))
    assert isinstance(view, InspectedPicture)
    assert view.provenance == (VERIFIER_MISSING, "IPTC source type: trainedAlgorithmicMedia")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_manifests_harm_nothing(signed: bytes, trust: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    start, end = signed.index(b"jumb"), len(signed) - 3000
    for _ in range(40):
        raw = bytearray(signed)
        for place in random.integers(start, end, 3):
            raw[place] = random.integers(256)
        says = found_in(bytes(raw), trust)
        assert says and (UNCHANGED, "verified") not in says
        assert all(text.isprintable() and len(text) < 400 for text, _ in says)


def test_what_a_manifest_says_is_short_and_printable(authority: Authority, trust: Path) -> None:
    raw = authority.sign(picture(0))
    hostile = raw.replace(b"Dreamer 3", b"\x1b[2Jwipe")
    assert all(text.isprintable() for text, _ in found_in(hostile, trust))


def crash_or_hang(look: Inspection) -> InspectedPicture | str:
    """inspect_picture with a verifier that dies on one picture and hangs on another."""
    if look.verify and look.path.name.startswith("crash"):
        os._exit(3)
    if look.verify and look.path.name.startswith("hang"):
        time.sleep(600)
    return inspect_picture(look)


def test_a_verifier_that_crashes_or_hangs_takes_nothing_with_it(
    signed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SECONDS_PER_PICTURE", 5.0)
    names = ["crash.jpg", "a.jpg", "hang.jpg", "b.jpg", "crash_plain.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(picture(3) if "plain" in name else signed)
    looks = [Inspection(tmp_path / name, (CopyKind(),)) for name in names]
    seen = {look.path.name: view for look, view in map_images(crash_or_hang, looks, 1, without_verifier)}
    assert sorted(seen) == sorted(names)
    for name in ("crash.jpg", "hang.jpg"):
        view = seen[name]
        assert isinstance(view, InspectedPicture) and view.view.images[0].size
        assert view.provenance == (VERIFIER_CRASHED, "IPTC source type: trainedAlgorithmicMedia")
    for name in ("a.jpg", "b.jpg"):
        view = seen[name]
        assert isinstance(view, InspectedPicture) and view.provenance[0] == UNCHANGED
    # Without a manifest the verifier had no part in it.
    assert seen["crash_plain.jpg"] == "its decoder crashed"


def test_check_tells_it_on_the_screen_and_in_json(signed: bytes, data: Path) -> None:
    path = data.parent / "signed.jpg"
    path.write_bytes(signed)
    (data.parent / "plain.jpg").write_bytes(picture(4))
    shown = run("--paths", data, "check", path)
    assert re.search(r"\[signed: Ada Signer Ltd .*; signer not on .*\]", shown.stdout)
    shown = run("--paths", data, "check", path, "--details")
    assert UNCHANGED in shown.stdout and "C2PA signer: Ada Signer" in shown.stdout
    lines = run("--paths", data, "check", path, data.parent / "plain.jpg", "--json").stdout.splitlines()
    rows = {Path(row["path"]).name: row for row in map(json.loads, lines)}
    assert rows["plain.jpg"]["origin"] == [] and rows["plain.jpg"]["provenance"] == ""
    told = rows["signed.jpg"]["origin"]
    origin = [Finding(**{key: value or "" for key, value in each.items()}) for each in told]
    assert origin[0] == Finding("manifest", UNCHANGED, "verified")
    assert [finding.kind for finding in origin] == ["manifest", "signer", "history", "source type"]
    assert rows["signed.jpg"]["provenance"] == "; ".join(finding.says for finding in origin)


TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def act(action: str, source_type: str = "") -> dict[str, object]:
    return {
        "action": f"c2pa.{action}",
        **({"digitalSourceType": TYPES + source_type} if source_type else {}),
    }


@pytest.mark.parametrize(
    ("agent", "says"), [("Adobe Firefly", "generated"), ("DALL·E", "generated"), ("Photo Editor 3", "")]
)
def test_without_a_source_type_the_name_of_who_created_it_counts(agent: str, says: str) -> None:
    # As version 1 of the actions allows; the library no longer signs such ones.
    actions = msgspec.json.encode({"actions": [{"action": "c2pa.created", "softwareAgent": agent}]})
    manifest = Manifest(assertions=[Assertion("c2pa.actions", msgspec.Raw(actions))])
    assert find_action_claim(manifest) == says


def claim_in(raw: bytes, trust: Path) -> Claim | None:
    path = trust.parent / "claim.jpg"
    path.write_bytes(raw)
    return find_claim(verify_manifest(path, "JPEG", trust))


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ([act("created", "trainedAlgorithmicMedia")], "generated"),
        ([act("created", "digitalCapture")], "captured"),
        ([act("created", "computationalCapture"), act("color_adjustments")], "captured"),
        ([act("created", "digitalCapture"), act("edited", "compositeWithTrainedAlgorithmicMedia")], None),
        ([act("created", "compositeWithTrainedAlgorithmicMedia")], None),
        ([act("created", "digitalArt"), act("edited", "trainedAlgorithmicMedia")], None),
        ([act("created", "screenCapture")], None),
    ],
    ids=str,
)
def test_only_how_a_picture_was_created_says_what_it_is(
    authority: Authority, trust: Path, actions: list[dict[str, object]], says: str | None
) -> None:
    found = claim_in(authority.sign(picture(0), actions=actions), trust)
    assert (found.says if found else None) == says
    # Of a signer whom nobody knows, a capture is worth nothing.
    stranger = claim_in(Authority().sign(picture(0), actions=actions), trust)
    assert (stranger.says if stranger else None) == (says if says == "generated" else None)
    assert found is None or (found.is_proven and not (stranger and stranger.is_proven))


def test_what_is_not_this_files_claims_nothing(authority: Authority, signed: bytes, trust: Path) -> None:
    other = picture(1)
    assert claim_in(signed, trust).is_proven
    assert claim_in(flip(signed, len(signed) - 200), trust) is None
    assert claim_in(other[:2] + segments(signed) + other[2:], trust) is None
    assert claim_in(flip(signed, signed.index(b"Dreamer 3")), trust) is None


def test_an_edited_generated_picture_is_said_to_be_generated(
    authority: Authority, signed: bytes, trust: Path
) -> None:
    edited = authority.sign(picture(1), parent=signed)
    found = claim_in(edited, trust)
    assert found and (found.says, found.is_proven) == ("generated", False)
    twice = claim_in(authority.sign(picture(2), parent=edited), trust)
    assert twice and twice.says == "generated"
    assert claim_in(authority.sign(picture(1), parent=flip(signed, len(signed) - 200)), trust) is None
    photo = authority.sign(picture(0), actions=[act("created", "digitalCapture")])
    assert claim_in(authority.sign(picture(1), parent=photo), trust) is None


def test_the_clause_names_who_signed_and_whether_he_is_listed(
    authority: Authority, signed: bytes, trust: Path
) -> None:
    path = trust.parent / "clause.jpg"
    path.write_bytes(signed)
    listed = format_origin(verify_manifest(path, "JPEG", trust))
    assert listed.startswith("signed: Ada Signer Ltd ") and "; signer on the" in listed
    path.write_bytes(authority.sign(picture(1), parent=signed))
    edited = format_origin(verify_manifest(path, "JPEG", trust))
    assert edited.startswith("signed: Ada") and "AI-generated, then edited" in edited and len(edited) <= 80
    path.write_bytes(flip(signed, len(signed) - 200))
    assert format_origin(verify_manifest(path, "JPEG", trust)).startswith("C2PA manifest: does not")
