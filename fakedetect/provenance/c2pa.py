"""C2PA manifests verified, offline, by the reference implementation (c2pa-python).

Two statements that must not be mixed up: whether the file is what was signed, and who signed it. The
library fetches neither manifests from elsewhere nor the state of certificates. It is loaded when the first
manifest is met, in a process that may crash or hang (checking/look.py).

The trust lists of C2PA's conformance programme lie in the folder `trust` as NAME-YEAR-MONTH-DAY.pem: whose
certificates may sign (signers), and whose may date a signature (time-stamps). The newest of a name counts.
"""

import re
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakedetect.provenance.rules import Certainty, Finding, find_source_type, shorten
from fakedetect.provenance.verification import (
    Manifest,
    Verification,
    claim_of_actions,
    find_ingredients,
    read_verification,
    tell_actions,
)

if TYPE_CHECKING:
    import c2pa

NOT_INSTALLED = "C2PA manifest (not verified: c2pa-python is not installed or cannot be loaded)"
UNREADABLE = "C2PA manifest (not verified: it cannot be read)"
CRASHED = "C2PA manifest (not verified: the verifier crashed or hung on it)"

MIME = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}

TRUST_FOLDER = Path(__file__).with_name("trust")

OLD_DAYS = 365
"""An older list is told to be old: certificates come and go."""

SIGNERS, TIME_STAMPS = "urn:fakedetect:signers", "urn:fakedetect:time-stamps"

BINDINGS = (
    "assertion.dataHash.",
    "assertion.bmffHash.",
    "assertion.boxesHash.",
    "assertion.collectionHash.",
)
"""Codes of the assertions that bind a manifest to its file (C2PA 2.2, section 'Hard bindings')."""

SIGNATURE = ("claimSignature.mismatch", "claimSignature.missing", "claim.malformed", "claim.missing")
ALTERED = ("assertion.hashedURI.", "assertion.missing", "assertion.inaccessible")
"""Codes of a manifest that is not as its signer signed it: as a whole, and in a part."""

SIGNER = ("signingCredential.", "timeStamp.", "claimSignature.outsideValidity")
"""Codes that concern the signer, not the content."""

CERTIFICATE = {
    "signingCredential.expired": "certificate expired",
    "claimSignature.outsideValidity": "certificate expired",
    "signingCredential.ocsp.revoked": "certificate revoked",
    "signingCredential.invalid": "certificate invalid",
}
"""What can be wrong with a certificate, on a list or not."""


@dataclass(frozen=True)
class TrustList:
    """Certificates (PEM) and the day from which they are."""

    day: date
    certificates: str

    def __str__(self) -> str:
        """The list's name in a sentence."""
        age = (date.today() - self.day).days
        return f"C2PA trust list of {self.day}" + (f", {age} days old" if age > OLD_DAYS else "")


def _day_of(path: Path) -> date | None:
    dated = re.fullmatch(r"[a-z-]+-(\d{4})-(\d\d)-(\d\d)\.pem", path.name)
    try:
        return date(*map(int, dated.groups())) if dated else None
    except ValueError:
        return None


def find_list(name: str, folder: Path = TRUST_FOLDER) -> TrustList | None:
    """The newest list of a name ('signers' or 'time-stamps'); None where there is none."""
    days = {path: day for path in folder.glob(f"{name}-*.pem") if (day := _day_of(path))}
    if not days:
        return None
    newest = max(days, key=lambda path: days[path])
    return TrustList(days[newest], newest.read_text(encoding="utf-8"))


def _settings(signers: TrustList | None, time_stamps: TrustList | None) -> dict[str, Any]:
    """What the library is told: nothing goes out, and the lists count for what they are lists of."""
    # The library takes a certificate from either list for a signer's: the name says on which it was.
    anchors = [
        {"trust_anchors": found.certificates, "trust_kind": kind, "trust_uri": name}
        for found, kind, name in ((signers, "manifest", SIGNERS), (time_stamps, "tsa", TIME_STAMPS))
        if found
    ]
    return {
        "version": 1,
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_trust": bool(signers),
            "verify_timestamp_trust": True,
        },
        # Identities of other kinds are looked up on the web.
        "core": {"allowed_network_hosts": [], "decode_identity_assertions": False},
        "trust": {"anchors": anchors},
    }


@cache
def _prepare(folder: Path) -> tuple["c2pa.Context", TrustList | None]:
    """The library with the lists of a folder, and its list of signers; read once in a process."""
    import c2pa

    signers = find_list("signers", folder)
    return c2pa.Context.from_dict(_settings(signers, find_list("time-stamps", folder))), signers


def verify_manifest(path: Path, file_format: str, trust_folder: Path = TRUST_FOLDER) -> list[Finding]:
    """What the manifest in a file proves, and what it says. Never raises for a file's content.

    Args:
        file_format: Pillow's name of the format.
        trust_folder: where the trust lists are.
    """
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError):
        return [Finding("manifest", NOT_INSTALLED)]
    context, signers = _prepare(trust_folder)
    try:
        with path.open("rb") as file, c2pa.Reader(MIME[file_format], file, context=context) as reader:
            found = read_verification(reader.json())
    except (c2pa.C2paError, OSError):
        found = None
    if found is None:
        return [Finding("manifest", UNREADABLE)]
    return _describe(found, signers)


def _describe(found: Verification, signers: TrustList | None) -> list[Finding]:
    results = found.validation_results.active_manifest
    failures = [status.code for status in results.failure]
    successes = [status.code for status in results.success]
    signed = "claimSignature.validated" in successes and not _first(failures, SIGNATURE + ALTERED)
    fits = bool(_first(successes, BINDINGS)) and not _first(failures, BINDINGS)
    content = _find_content(signed, failures, fits)
    signer = _find_signer(found, signed, successes, failures, signers)
    sure: Certainty = "verified" if fits and signer.sure == "verified" else "stated"
    own = fits and signed
    return [
        content,
        signer,
        *_find_history(found.active, own, sure, signer.by),
        *find_ingredients(found, own, signer.by),
    ]


def _first(codes: list[str], starts: tuple[str, ...]) -> str | None:
    return next((code for code in codes if code.startswith(starts)), None)


def _find_content(signed: bool, failures: list[str], fits: bool) -> Finding:
    """Whether the file is what was signed."""
    said = "C2PA manifest: "
    if not signed and _first(failures, ALTERED):
        said += "altered after it was signed, so it proves nothing"
    elif not signed:
        said += "its own signature is invalid, so it proves nothing"
    elif fits:
        said += "the file is unchanged since it was signed"
        if broken := next((code for code in failures if not code.startswith(SIGNER)), None):
            said += f" (but the manifest breaks a rule: {shorten(broken)})"
    elif _first(failures, BINDINGS):
        said += "does not match this file: changed after it was signed, or another picture's manifest"
    else:
        return Finding("manifest", said + "bound to no file, so it may belong to another picture")
    return Finding("manifest", said, "verified")


def _find_signer(
    found: Verification, signed: bool, successes: list[str], failures: list[str], signers: TrustList | None
) -> Finding:
    """Who signed, with what, when, and whether that certificate is on the trust list."""
    signature = found.active.signature_info
    names = [signature.common_name, signature.issuer] if signature else []
    who = " of ".join(dict.fromkeys(shorten(name) for name in names if name)) or "an unnamed signer"
    by = next((shorten(name) for name in reversed(names) if name), "an unnamed signer")
    said = f"C2PA signer: {who}{_tell_program(found.active)}"
    if signature and signature.time:
        unlisted = "" if "timeStamp.trusted" in successes else " by an unlisted time-stamp authority"
        said += f", on {shorten(signature.time)[:10]}{unlisted}"
    if not signed:
        return Finding("signer", f"{said}; named, not proven: the signature is invalid", by=by)
    if fault := next((CERTIFICATE[code] for code in failures if code in CERTIFICATE), None):
        return Finding("signer", f"{said}; {fault}", by=by)
    if signers is None:
        return Finding("signer", f"{said}; no trust list available", by=by)
    trusted = (
        found.validation_results.trust_list_uri == SIGNERS and "signingCredential.trusted" in successes
    )
    answer = "yes" if trusted else "no"
    sure: Certainty = "verified" if trusted else "stated"
    return Finding("signer", f"{said}; on the {signers}: {answer}", sure, by=by)


def _tell_program(manifest: Manifest) -> str:
    programs = manifest.claim_generator_info
    if programs and programs[0].name:
        return f", with {shorten(' '.join(filter(None, (programs[0].name, programs[0].version))))}"
    return f", with {shorten(manifest.claim_generator)}" if manifest.claim_generator else ""


def _find_history(manifest: Manifest, of_this_file: bool, sure: Certainty, by: str) -> list[Finding]:
    """What was done to the picture; the history of another one is told as that."""
    actions = tell_actions(manifest)
    if not actions:
        return []
    if not of_this_file:
        return [Finding("history", f"C2PA actions, on the picture that was signed: {actions}")]
    claims = claim_of_actions(manifest)
    types = (find_source_type(action.source_type or "") for action in manifest.actions())
    return [
        Finding("history", f"C2PA actions: {actions}", sure, claims, by),
        # What they say of the whole picture depends on the action that they belong to.
        *(replace(found, sure=sure, claims=claims and found.claims, by=by) for found in types if found),
    ]


def find_remote(address: str) -> Finding:
    """A manifest that lies elsewhere."""
    # What an address has before its end is all that helps to find it, and it is data of a file.
    shown = address if address.isprintable() and len(address) <= 200 else shorten(address)
    return Finding("manifest", f"C2PA manifest: stored remotely at {shown}; not fetched")
