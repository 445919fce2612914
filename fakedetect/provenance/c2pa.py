"""Offline verification of C2PA manifests by the reference implementation (c2pa-python).

Two questions are kept apart: whether the file is unchanged since it was signed, and who signed it. The
library fetches neither remote manifests nor the status of certificates. It is loaded at the first manifest,
in a process that may crash or hang (checking/inspection.py).

The folder `trust` holds the trust lists of C2PA's conformance programme as NAME-YEAR-MONTH-DAY.pem: the
certificates that may sign (signers), and those that may time-stamp a signature (time-stamps). The newest
list of each name is used.
"""

import re
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakedetect.provenance.rules import Certainty, Finding, find_source_type, quote
from fakedetect.provenance.verification import (
    Manifest,
    Verification,
    describe_actions,
    find_action_claim,
    find_ingredients,
    read_verification,
)

if TYPE_CHECKING:
    import c2pa

VERIFIER_MISSING = "C2PA manifest (not verified: c2pa-python is not installed or cannot be loaded)"
MANIFEST_UNREADABLE = "C2PA manifest (not verified: it cannot be read)"
VERIFIER_CRASHED = "C2PA manifest (not verified: the verifier crashed or hung on it)"

MIME_TYPES = {
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

OLD_LIST_DAYS = 365
"""An older list is reported as old, since certificates are added and revoked."""

SIGNERS_URI, TIME_STAMPS_URI = "urn:fakedetect:signers", "urn:fakedetect:time-stamps"

BINDING_CODES = (
    "assertion.dataHash.",
    "assertion.bmffHash.",
    "assertion.boxesHash.",
    "assertion.collectionHash.",
)
"""Prefixes of the codes for bindings of a manifest to its file (C2PA 2.2, section 'Hard bindings')."""

SIGNATURE_CODES = ("claimSignature.mismatch", "claimSignature.missing", "claim.malformed", "claim.missing")
ALTERED_CODES = ("assertion.hashedURI.", "assertion.missing", "assertion.inaccessible")
"""Codes of a manifest that was changed after signing: as a whole, and in a part."""

SIGNER_CODES = ("signingCredential.", "timeStamp.", "claimSignature.outsideValidity")
"""Codes about the signer, not the content."""

CERTIFICATE_FAULTS = {
    "signingCredential.expired": "certificate expired",
    "claimSignature.outsideValidity": "certificate expired",
    "signingCredential.ocsp.revoked": "certificate revoked",
    "signingCredential.invalid": "certificate invalid",
}
"""Faults of a certificate, whether it is on a trust list or not, by code."""


@dataclass(frozen=True)
class TrustList:
    """A trust list: its date and its certificates (PEM)."""

    day: date
    certificates: str

    def __str__(self) -> str:
        """The list's name in a finding."""
        age = (date.today() - self.day).days
        return f"C2PA trust list of {self.day}" + (f", {age} days old" if age > OLD_LIST_DAYS else "")


def _parse_day(path: Path) -> date | None:
    dated = re.fullmatch(r"[a-z-]+-(\d{4})-(\d\d)-(\d\d)\.pem", path.name)
    try:
        return date(*map(int, dated.groups())) if dated else None
    except ValueError:
        return None


def find_trust_list(name: str, folder: Path = TRUST_FOLDER) -> TrustList | None:
    """Read the newest trust list of a name ('signers' or 'time-stamps'); None if there is none."""
    days = {path: day for path in folder.glob(f"{name}-*.pem") if (day := _parse_day(path))}
    if not days:
        return None
    newest = max(days, key=lambda path: days[path])
    return TrustList(days[newest], newest.read_text(encoding="utf-8"))


def _settings(signers: TrustList | None, time_stamps: TrustList | None) -> dict[str, Any]:
    """Return the c2pa settings: no network, and each trust list for its own purpose."""
    # The library accepts a signer's certificate from either list; trust_uri names the list that it was on.
    anchors = [
        {"trust_anchors": found.certificates, "trust_kind": kind, "trust_uri": name}
        for found, kind, name in ((signers, "manifest", SIGNERS_URI), (time_stamps, "tsa", TIME_STAMPS_URI))
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
        # Decoding identity assertions would need the network.
        "core": {"allowed_network_hosts": [], "decode_identity_assertions": False},
        "trust": {"anchors": anchors},
    }


@cache
def _load_verifier(folder: Path) -> tuple["c2pa.Context", TrustList | None]:
    """Load the library with a folder's trust lists, once per process; return it and the signers' list."""
    import c2pa

    signers = find_trust_list("signers", folder)
    return c2pa.Context.from_dict(_settings(signers, find_trust_list("time-stamps", folder))), signers


def verify_manifest(path: Path, file_format: str, trust_folder: Path = TRUST_FOLDER) -> list[Finding]:
    """Verify the manifest in a file and return its findings. Never raises for a file's content.

    Args:
        file_format: Pillow's name of the format.
        trust_folder: the folder of the trust lists.
    """
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError):
        return [Finding("manifest", VERIFIER_MISSING)]
    context, signers = _load_verifier(trust_folder)
    try:
        with path.open("rb") as file, c2pa.Reader(MIME_TYPES[file_format], file, context=context) as reader:
            found = read_verification(reader.json())
    except (c2pa.C2paError, OSError):
        found = None
    if found is None:
        return [Finding("manifest", MANIFEST_UNREADABLE)]
    return _list_findings(found, signers)


def _list_findings(found: Verification, signers: TrustList | None) -> list[Finding]:
    results = found.validation_results.active_manifest
    failures = [status.code for status in results.failure]
    successes = [status.code for status in results.success]
    signed = "claimSignature.validated" in successes and not _find_code(
        failures, SIGNATURE_CODES + ALTERED_CODES
    )
    fits = bool(_find_code(successes, BINDING_CODES)) and not _find_code(failures, BINDING_CODES)
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


def _find_code(codes: list[str], starts: tuple[str, ...]) -> str | None:
    return next((code for code in codes if code.startswith(starts)), None)


def _find_content(signed: bool, failures: list[str], fits: bool) -> Finding:
    """Return the finding on whether the file is unchanged since it was signed."""
    phrase = "C2PA manifest: "
    if not signed and _find_code(failures, ALTERED_CODES):
        phrase += "altered after it was signed, so it proves nothing"
    elif not signed:
        phrase += "its own signature is invalid, so it proves nothing"
    elif fits:
        phrase += "the file is unchanged since it was signed"
        if broken := next((code for code in failures if not code.startswith(SIGNER_CODES)), None):
            phrase += f" (but the manifest breaks a rule: {quote(broken)})"
    elif _find_code(failures, BINDING_CODES):
        phrase += "does not match this file: changed after it was signed, or another picture's manifest"
    else:
        return Finding("manifest", phrase + "bound to no file, so it may belong to another picture")
    return Finding("manifest", phrase, "verified")


def _find_signer(
    found: Verification, signed: bool, successes: list[str], failures: list[str], signers: TrustList | None
) -> Finding:
    """Return the finding on who signed, with what and when, and whether the certificate is on the list."""
    signature = found.active.signature_info
    names = [signature.common_name, signature.issuer] if signature else []
    who = " of ".join(dict.fromkeys(quote(name) for name in names if name)) or "an unnamed signer"
    by = next((quote(name) for name in reversed(names) if name), "an unnamed signer")
    phrase = f"C2PA signer: {who}{_describe_program(found.active)}"
    if signature and signature.time:
        unlisted = "" if "timeStamp.trusted" in successes else " by an unlisted time-stamp authority"
        phrase += f", on {quote(signature.time)[:10]}{unlisted}"
    if not signed:
        return Finding("signer", f"{phrase}; named, not proven: the signature is invalid", by=by)
    if fault := next((CERTIFICATE_FAULTS[code] for code in failures if code in CERTIFICATE_FAULTS), None):
        return Finding("signer", f"{phrase}; {fault}", by=by)
    if signers is None:
        return Finding("signer", f"{phrase}; no trust list available", by=by)
    trusted = (
        found.validation_results.trust_list_uri == SIGNERS_URI and "signingCredential.trusted" in successes
    )
    answer = "yes" if trusted else "no"
    sure: Certainty = "verified" if trusted else "stated"
    return Finding("signer", f"{phrase}; on the {signers}: {answer}", sure, by=by)


def _describe_program(manifest: Manifest) -> str:
    programs = manifest.claim_generator_info
    if programs and programs[0].name:
        return f", with {quote(' '.join(filter(None, (programs[0].name, programs[0].version))))}"
    return f", with {quote(manifest.claim_generator)}" if manifest.claim_generator else ""


def _find_history(manifest: Manifest, of_this_file: bool, sure: Certainty, by: str) -> list[Finding]:
    """Return the findings on the picture's history; that of another picture is marked as such."""
    actions = describe_actions(manifest)
    if not actions:
        return []
    if not of_this_file:
        return [Finding("history", f"C2PA actions, on the picture that was signed: {actions}")]
    claims = find_action_claim(manifest)
    types = (find_source_type(action.source_type or "") for action in manifest.actions())
    return [
        Finding("history", f"C2PA actions: {actions}", sure, claims, by),
        # Whether a source type applies to the whole picture depends on its action.
        *(replace(found, sure=sure, claims=claims and found.claims, by=by) for found in types if found),
    ]


def find_remote_manifest(address: str) -> Finding:
    """Return the finding on a manifest that is stored elsewhere."""
    # A truncated address cannot be opened, so the limit is generous; it is untrusted data from the file.
    shown = address if address.isprintable() and len(address) <= 200 else quote(address)
    return Finding("manifest", f"C2PA manifest: stored remotely at {shown}; not fetched")
