"""What a manifest tells of its picture's past, in words: actions and ingredients."""

from collections.abc import Iterable

from fakedetect.provenance.finding import Finding, shorten
from fakedetect.provenance.rules import spell_source_type
from fakedetect.provenance.verification import Action, Ingredient, Manifest, Verification

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


def _tell_ingredient(ingredient: Ingredient, holder: str, found: Verification) -> str:
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
    return text + (f" ({fault})" if fault else "")


def find_ingredients(found: Verification, of_this_file: bool) -> list[Finding]:
    """The pictures that went into a file, and those that went into them, as whoever took them in states.

    Args:
        of_this_file: the manifest is this file's own.
    """
    told: list[str] = []
    waiting, seen = [found.active_manifest], set()
    while waiting:
        label = waiting.pop(0)
        manifest = found.manifests.get(label)
        if manifest is None or label in seen:
            continue
        seen.add(label)
        for ingredient in manifest.ingredients:
            told.append(_tell_ingredient(ingredient, label, found))
            waiting.append(ingredient.active_manifest or "")
    left = len(told) - MOST_INGREDIENTS
    more = [f"{left} more"] if left > 0 else []
    whose = "C2PA ingredient" if of_this_file else "C2PA ingredient of the picture that was signed"
    return [Finding("ingredient", f"{whose} {text}") for text in told[:MOST_INGREDIENTS] + more]
