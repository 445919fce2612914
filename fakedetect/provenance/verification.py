"""c2pa-python's JSON report on a file, as far as it is used, and the picture's history in words.

The whole report is validated.
"""

from collections.abc import Iterable, Iterator

import msgspec

from fakedetect.provenance.generators import names_generator
from fakedetect.provenance.rules import ClaimedOrigin, Finding, parse_claim, parse_source_type, quote

MOST_LISTED_ACTIONS = 6
MOST_LISTED_INGREDIENTS = 8
"""How much of a long history is listed; the rest is counted."""

RELATIONSHIPS = {
    "parentOf": "the picture before editing",
    "componentOf": "a part",
    "inputTo": "an input",
}

HARMLESS_CODES = (
    "signingCredential.",
    "timeStamp.",
    "claimSignature.outside",
    "ingredient.unknownProvenance",
)
"""Codes that are no fault of an ingredient's content: they are about its signer, or it has no manifest."""


class Status(msgspec.Struct, frozen=True):
    """A validation status: a code of the C2PA specification."""

    code: str


class Results(msgspec.Struct, frozen=True):
    """The validation statuses of a manifest."""

    success: list[Status] = []
    failure: list[Status] = []


class Delta(msgspec.Struct, frozen=True, rename="camel"):
    """Statuses of an ingredient that are new since it was added."""

    uri: str = msgspec.field(name="ingredientAssertionURI", default="")
    validation_deltas: Results = Results()


class Validation(msgspec.Struct, frozen=True, rename="camel"):
    """The validation results of the manifest itself and of its ingredients.

    `trust_list_uri` names the trust list that has the signer's certificate.
    """

    active_manifest: Results = Results()
    ingredient_deltas: list[Delta] = []
    trust_list_uri: str | None = None


class Program(msgspec.Struct, frozen=True):
    """A program and its version."""

    name: str = ""
    version: str | None = None


class Action(msgspec.Struct, frozen=True):
    """An action on the picture."""

    action: str = ""
    agent: str | Program | None = msgspec.field(name="softwareAgent", default=None)
    source_type: str | None = msgspec.field(name="digitalSourceType", default=None)


class Actions(msgspec.Struct, frozen=True):
    """The content of an actions assertion."""

    actions: list[Action] = []


class Assertion(msgspec.Struct, frozen=True):
    """An assertion in a manifest; its content depends on its label."""

    label: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Ingredient(msgspec.Struct, frozen=True):
    """A picture that this one was made from; `validation_results` date from when it was added."""

    title: str | None = None
    relationship: str = ""
    label: str = ""
    active_manifest: str | None = None
    validation_results: Validation | None = None


class Signature(msgspec.Struct, frozen=True):
    """The signer: organisation and name in the certificate, and the time of the time-stamp."""

    issuer: str | None = None
    common_name: str | None = None
    time: str | None = None


class Manifest(msgspec.Struct, frozen=True):
    """A manifest of a file."""

    claim_generator: str | None = None
    claim_generator_info: list[Program] = []
    signature_info: Signature | None = None
    ingredients: list[Ingredient] = []
    assertions: list[Assertion] = []

    def actions(self) -> Iterator[Action]:
        """Yield the actions of all actions assertions.

        Raises:
            msgspec.MsgspecError: an assertion's content does not fit its label.
        """
        for assertion in self.assertions:
            if assertion.label.startswith("c2pa.actions"):
                yield from msgspec.json.decode(assertion.data, type=Actions).actions


class Verification(msgspec.Struct, frozen=True):
    """The manifests of a file by label, and their validation results."""

    manifests: dict[str, Manifest]
    active_manifest: str
    validation_results: Validation = Validation()

    @property
    def active(self) -> Manifest:
        """The file's own manifest."""
        return self.manifests[self.active_manifest]


def read_verification(text: str) -> Verification | None:
    """Parse the library's report; None if it is invalid."""
    try:
        found = msgspec.json.decode(text, type=Verification)
        for manifest in found.manifests.values():
            list(manifest.actions())
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if found.active_manifest in found.manifests else None


def _describe_action(action: Action) -> str:
    name = quote(action.action.removeprefix("c2pa.").replace("_", " ")) or "an unnamed action"
    agent = action.agent if isinstance(action.agent, str) else action.agent and action.agent.name
    source_type = parse_source_type(action.source_type or "")
    return name + (f" with {quote(agent)}" if agent else "") + (f" ({source_type})" if source_type else "")


def describe_actions(manifest: Manifest) -> str:
    """Describe the actions of a manifest in their order; '' for none."""
    described = list(dict.fromkeys(map(_describe_action, manifest.actions())))
    left = len(described) - MOST_LISTED_ACTIONS
    return ", ".join(described[:MOST_LISTED_ACTIONS] + ([f"{left} more"] if left > 0 else []))


def find_action_claim(manifest: Manifest) -> ClaimedOrigin:
    """Return what the actions claim about the whole picture.

    Only its creation counts; the source type of any other action is that of a part. A picture counts as
    captured only if no action has another source type.
    """
    types = [(action, parse_source_type(action.source_type or "")) for action in manifest.actions()]
    created = [(action, name) for action, name in types if action.action == "c2pa.created"]
    if any(parse_claim(name) == "generated" or _is_generator(action) for action, name in created):
        return "generated"
    others = [name for _, name in types if name and parse_claim(name) != "captured"]
    captured = any(parse_claim(name) == "captured" for _, name in created)
    return "captured" if captured and not others else ""


def _is_generator(action: Action) -> bool:
    agent = action.agent.name if isinstance(action.agent, Program) else action.agent
    return bool(agent) and not action.source_type and names_generator(agent or "")


def _explain_fault(codes: Iterable[str]) -> str:
    """Explain what is wrong with an ingredient; '' for nothing."""
    faults = [code for code in codes if not code.startswith(HARMLESS_CODES)]
    if any("claimSignature.mi" in code for code in faults):
        return "its own signature is invalid"
    if any("Hash.mismatch" in code or "hashedURI" in code for code in faults):
        return "it was changed after it was signed"
    if any(code.startswith("ingredient.manifest.") for code in faults):
        return "its manifest is missing or a different one"
    return f"its manifest breaks a rule: {quote(faults[0])}" if faults else ""


def _describe_ingredient(ingredient: Ingredient, holder: str, found: Verification) -> tuple[str, bool]:
    """Describe an ingredient; also return whether it is faulty."""
    of_it = f"{holder}/c2pa.assertions/{ingredient.label}"
    deltas = found.validation_results.ingredient_deltas
    codes = [
        status.code
        for delta in deltas
        if delta.uri.endswith(of_it)
        for status in delta.validation_deltas.failure
    ]
    if ingredient.validation_results:
        codes += [status.code for status in ingredient.validation_results.active_manifest.failure]
    parts = [f"'{quote(ingredient.title or 'untitled')}'"]
    parts.append(RELATIONSHIPS.get(ingredient.relationship, quote(ingredient.relationship)))
    own = found.manifests.get(ingredient.active_manifest or "")
    actions = describe_actions(own) if own else ""
    text = ", ".join(part for part in parts if part) + (f": {actions}" if actions else "")
    fault = _explain_fault(codes)
    return text + (f" ({fault})" if fault else ""), bool(fault)


def find_ingredients(found: Verification, of_this_file: bool, by: str) -> list[Finding]:
    """Return the findings on the pictures that a file was made from, and on the ingredients of those.

    They state what the programs that added the ingredients wrote.

    A picture that was made from a generated one by editing alone counts as generated.

    Args:
        of_this_file: the manifest belongs to this file.
        by: who signed it.
    """
    described: list[tuple[str, ClaimedOrigin]] = []
    seen: set[str] = set()
    waiting = [(found.active_manifest, of_this_file)]
    while waiting:
        label, is_this_picture = waiting.pop(0)
        manifest = found.manifests.get(label)
        if manifest is None or label in seen:
            continue
        seen.add(label)
        for ingredient in manifest.ingredients:
            text, is_faulty = _describe_ingredient(ingredient, label, found)
            own = found.manifests.get(ingredient.active_manifest or "")
            is_before = is_this_picture and ingredient.relationship == "parentOf" and not is_faulty
            generated = is_before and own is not None and find_action_claim(own) == "generated"
            described.append((text, "generated" if generated else ""))
            waiting.append((ingredient.active_manifest or "", is_before))
    left = len(described) - MOST_LISTED_INGREDIENTS
    if left > 0:
        claims: ClaimedOrigin = (
            "generated" if any(claims for _, claims in described[MOST_LISTED_INGREDIENTS:]) else ""
        )
        described[MOST_LISTED_INGREDIENTS:] = [(f"{left} more", claims)]
    whose = "C2PA ingredient" if of_this_file else "C2PA ingredient of the picture that was signed"
    return [Finding("ingredient", f"{whose} {text}", claims=claims, by=by) for text, claims in described]
