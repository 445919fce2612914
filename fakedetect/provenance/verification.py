"""What c2pa-python answers about a file (its JSON), as far as it is used; everything in it is checked."""

from collections.abc import Iterator

import msgspec


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
