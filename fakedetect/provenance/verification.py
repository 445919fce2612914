"""What c2pa-python answers about a file (its JSON), as far as it is used, and the picture's past in words.

Everything in the answer is checked.
"""

from collections.abc import Iterable, Iterator

import msgspec

from fakedetect.provenance.generators import names_generator
from fakedetect.provenance.rules import Claimed, Finding, claim_of_type, shorten, spell_source_type

MOST_ACTIONS = 6
MOST_INGREDIENTS = 8
"""What is told of a long history; the rest is counted."""

RELATIONSHIPS = {
    "parentOf": "the picture before editing",
    "componentOf": "a part",
    "inputTo": "an input",
}

NO_FAULTS = ("signingCredential.", "timeStamp.", "claimSignature.outside", "ingredient.unknownProvenance")
"""Codes that are no fault of an ingredient's content: those of its signer, and that it has no manifest."""


class Status(msgspec.Struct, frozen=True):
    """One result of the validation: a code of C2PA's table."""

    code: str


class Results(msgspec.Struct, frozen=True):
    """The results for one manifest."""

    success: list[Status] = []
    failure: list[Status] = []


class Delta(msgspec.Struct, frozen=True, rename="camel"):
    """What is new about an ingredient since it was taken in."""

    uri: str = msgspec.field(name="ingredientAssertionURI", default="")
    validation_deltas: Results = Results()


class Validation(msgspec.Struct, frozen=True, rename="camel"):
    """The results for the manifest itself, and for its ingredients.

    `trust_list_uri` names the list on which the signer's certificate was found.
    """

    active_manifest: Results = Results()
    ingredient_deltas: list[Delta] = []
    trust_list_uri: str | None = None


class Program(msgspec.Struct, frozen=True):
    """A program and its version."""

    name: str = ""
    version: str | None = None


class Action(msgspec.Struct, frozen=True):
    """Something that was done to the picture."""

    action: str = ""
    agent: str | Program | None = msgspec.field(name="softwareAgent", default=None)
    source_type: str | None = msgspec.field(name="digitalSourceType", default=None)


class Actions(msgspec.Struct, frozen=True):
    """The content of an assertion of actions."""

    actions: list[Action] = []


class Assertion(msgspec.Struct, frozen=True):
    """A statement in a manifest, whose content depends on its label."""

    label: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Ingredient(msgspec.Struct, frozen=True):
    """A picture that went into this one; `validation_results` are from when it was taken in."""

    title: str | None = None
    relationship: str = ""
    label: str = ""
    active_manifest: str | None = None
    validation_results: Validation | None = None


class Signature(msgspec.Struct, frozen=True):
    """Who signed: the organisation and the name in the certificate, and the time in the time stamp."""

    issuer: str | None = None
    common_name: str | None = None
    time: str | None = None


class Manifest(msgspec.Struct, frozen=True):
    """One manifest of a file."""

    claim_generator: str | None = None
    claim_generator_info: list[Program] = []
    signature_info: Signature | None = None
    ingredients: list[Ingredient] = []
    assertions: list[Assertion] = []

    def actions(self) -> Iterator[Action]:
        """All actions of all assertions of actions.

        Raises:
            msgspec.MsgspecError: an assertion is not what its label says.
        """
        for assertion in self.assertions:
            if assertion.label.startswith("c2pa.actions"):
                yield from msgspec.json.decode(assertion.data, type=Actions).actions


class Verification(msgspec.Struct, frozen=True):
    """The manifests of a file by their labels, and what came of their validation."""

    manifests: dict[str, Manifest]
    active_manifest: str
    validation_results: Validation = Validation()

    @property
    def active(self) -> Manifest:
        """The manifest that is this file's own."""
        return self.manifests[self.active_manifest]


def read_verification(text: str) -> Verification | None:
    """The library's answer; None for one that says nothing that can be understood."""
    try:
        found = msgspec.json.decode(text, type=Verification)
        for manifest in found.manifests.values():
            list(manifest.actions())
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found if found.active_manifest in found.manifests else None


def _tell_action(action: Action) -> str:
    name = shorten(action.action.removeprefix("c2pa.").replace("_", " ")) or "an unnamed action"
    agent = action.agent if isinstance(action.agent, str) else action.agent and action.agent.name
    source_type = spell_source_type(action.source_type or "")
    return (
        name + (f" with {shorten(agent)}" if agent else "") + (f" ({source_type})" if source_type else "")
    )


def tell_actions(manifest: Manifest) -> str:
    """The actions of a manifest in their order; '' for none."""
    told = list(dict.fromkeys(map(_tell_action, manifest.actions())))
    more = [f"{len(told) - MOST_ACTIONS} more"] if len(told) > MOST_ACTIONS else []
    return ", ".join(told[:MOST_ACTIONS] + more)


def claim_of_actions(manifest: Manifest) -> Claimed:
    """What the actions say of the whole picture.

    That is said by how it was created: the source type of another action is that of a part. A capture is
    one only where no other type came to it.
    """
    types = [(action, spell_source_type(action.source_type or "")) for action in manifest.actions()]
    created = [(action, name) for action, name in types if action.action == "c2pa.created"]
    if any(claim_of_type(name) == "generated" or _is_generator(action) for action, name in created):
        return "generated"
    others = [name for _, name in types if name and claim_of_type(name) != "captured"]
    captured = any(claim_of_type(name) == "captured" for _, name in created)
    return "captured" if captured and not others else ""


def _is_generator(action: Action) -> bool:
    agent = action.agent.name if isinstance(action.agent, Program) else action.agent
    return bool(agent) and not action.source_type and names_generator(agent or "")


def _explain_fault(codes: Iterable[str]) -> str:
    """What is wrong with an ingredient, '' for nothing."""
    faults = [code for code in codes if not code.startswith(NO_FAULTS)]
    if any("claimSignature.mi" in code for code in faults):
        return "its own signature is invalid"
    if any("Hash.mismatch" in code or "hashedURI" in code for code in faults):
        return "it was changed after it was signed"
    if any(code.startswith("ingredient.manifest.") for code in faults):
        return "its manifest is missing or a different one"
    return f"its manifest breaks a rule: {shorten(faults[0])}" if faults else ""


def _describe_ingredient(ingredient: Ingredient, holder: str, found: Verification) -> tuple[str, bool]:
    """An ingredient in words, and whether something is wrong with it."""
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
    parts = [f"'{shorten(ingredient.title or 'untitled')}'"]
    parts.append(RELATIONSHIPS.get(ingredient.relationship, shorten(ingredient.relationship)))
    own = found.manifests.get(ingredient.active_manifest or "")
    told = tell_actions(own) if own else ""
    text = ", ".join(part for part in parts if part) + (f": {told}" if told else "")
    fault = _explain_fault(codes)
    return text + (f" ({fault})" if fault else ""), bool(fault)


def find_ingredients(found: Verification, of_this_file: bool, by: str) -> list[Finding]:
    """The pictures that went into a file, and those that went into them, as whoever took them in states.

    A picture that was made from a generated one by editing alone was generated.

    Args:
        of_this_file: the manifest is this file's own.
        by: who signed it.
    """
    told: list[tuple[str, Claimed]] = []
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
            generated = is_before and own is not None and claim_of_actions(own) == "generated"
            told.append((text, "generated" if generated else ""))
            waiting.append((ingredient.active_manifest or "", is_before))
    left = len(told) - MOST_INGREDIENTS
    if left > 0:
        claims: Claimed = "generated" if any(claims for _, claims in told[MOST_INGREDIENTS:]) else ""
        told[MOST_INGREDIENTS:] = [(f"{left} more", claims)]
    whose = "C2PA ingredient" if of_this_file else "C2PA ingredient of the picture that was signed"
    return [Finding("ingredient", f"{whose} {text}", claims=claims, by=by) for text, claims in told]
