"""Parameters of a generation, as programs write them into a file: whose they are.

A key alone is no proof: its value has to look like what the program writes, and that is taken from what
writes it: ComfyUI (nodes.py, SaveImage, and its nodes for WebP), Stable Diffusion web UI (processing.py,
create_infotext; scripts/postprocessing_upscale.py), SD.Next and Fooocus (modules/meta_parser.py), InvokeAI
(image_files_disk.py; before 3.0 the keys Dream and sd-metadata), SwarmUI (docs, 'Image Metadata Format'),
Easy Diffusion (its snake_case keys), Draw Things (JSON in XMP's UserComment), Mochi Diffusion
(MetadataCodec.swift), NovelAI (its five text chunks), Midjourney (prompt and job in Description) and the
reference code of FLUX (save_image).

All patterns are read in linear time: between the fixed parts nothing repeats without a bound.
"""

import re
from dataclasses import dataclass

from fakedetect.provenance.field import Field
from fakedetect.provenance.finding import Finding, Kind

TEXTS = frozenset(
    {
        *("comment", "usercomment", "xpcomment", "description", "imagedescription", "caption", "headline"),
        *("title", "xptitle", "xpsubject", "documentname", "parameters", "prompt", "workflow"),
    }
)
"""Names of fields that hold words."""

CAMERA = frozenset({"make", "model"})
PROGRAMS = frozenset(
    {"software", "creatortool", "creation tool", "softwareagent", "program", "generator", "hostcomputer"}
)
"""Names of fields that hold a program's name."""

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def key(name: str, value: str) -> str:
    """A pattern for a key of JSON and how its value begins."""
    return rf'"{name}"\s{{0,9}}:\s{{0,9}}{value}'


STEPS = r"(?i:\bsteps: \d{1,5}[ \t]{0,9}(?:[,;|\r\n]|\Z))"
NODES = key("nodes", r"\[\s{0,9}[\]{]")
OBJECT = r'\A\s{0,9}\{\s{0,9}"'


@dataclass(frozen=True)
class Rule:
    """What a field of one of these names means whose text has all of the patterns in it.

    `how` is the part that the text plays: it holds 'parameters' of a generation, or it 'said' so.
    """

    says: str
    names: frozenset[str]
    patterns: tuple[str, ...]
    how: str = "parameters"
    kind: Kind = "generator"

    def find(self, of: Field) -> Finding | None:
        """What the field means by this rule, None for nothing."""
        if not all(re.search(pattern, of.text) for pattern in self.patterns):
            return None
        return Finding(self.kind, f"{self.kind}: {self.says} ({self.how} in {of.where})")


RULES = (
    Rule("ComfyUI", TEXTS | CAMERA | PROGRAMS, (key("class_type", '"'),)),
    # litegraph's own fields beside its list of nodes; in EXIF the key stands before the JSON.
    Rule(
        "ComfyUI", TEXTS,
        (NODES, key("(?:last_node_id|last_link_id|links|widgets_values)", r"[\d\[]")),
    ),
    Rule("ComfyUI", TEXTS | CAMERA | PROGRAMS, (r"\A\s{0,9}[Ww]orkflow:\s{0,9}\{", NODES)),
    Rule(
        "InvokeAI", frozenset({"invokeai_metadata", "invokeai_graph", "invokeai_workflow"}),
        (OBJECT + r'\w{1,60}"\s{0,9}:',),
    ),
    Rule("InvokeAI", frozenset({"sd-metadata"}), (OBJECT, key("(?:model|model_weights)", '"'))),
    Rule("InvokeAI", frozenset({"dream"}), (r"\s-s ?\d", r"\s-W ?\d", r"\s-H ?\d")),
    Rule("Fooocus", frozenset({"fooocus_scheme"}), (r"\A\s{0,9}(?:fooocus|a1111)\s{0,9}\Z",)),
    Rule("Fooocus", TEXTS, (key("version", '"Fooocus'),)),
    Rule("Fooocus", TEXTS, (STEPS, r"\bVersion: Fooocus\b")),
    Rule("SD.Next", TEXTS, (r"\bSteps: \d", r"\bApp: SD\.Next\b")),
    Rule("SwarmUI", TEXTS, (key("sui_image_params", r"\{"),)),
    Rule(
        "Easy Diffusion", TEXTS,
        (key("use_stable_diffusion_model", '"'), key("num_inference_steps", r"\d")),
    ),
    Rule(
        "Draw Things", TEXTS,
        (key("c", '"'), key("uc", '"'), key("sampler", '"'), key("steps", r"\d"), key("seed", r"\d")),
    ),
    Rule("Mochi Diffusion", TEXTS, (r"\bInclude in Image: ", r"\bGenerator: Mochi Diffusion\b")),
    Rule("NovelAI", frozenset({"source"}), (r"\A\s{0,9}NovelAI Diffusion\b",), "said"),
    Rule("Midjourney", TEXTS, (rf"\bJob ID: {UUID}(?![\w-])",), "said"),
    Rule(
        "Midjourney", TEXTS,
        (
            r"\s--(?:v|niji) \d{1,2}(?:\.\d)?(?!\S)",
            r"\s--(?:(?:ar|aspect) \d{1,4}:\d|(?:s|stylize|c|chaos|weird|q|iw) \d|(?:style|sref) \w)",
        ),
    ),
    Rule("FLUX", frozenset({"software"}), (r"\AAI generated;[\w ]{1,30};flux\b",), "said"),
    Rule(
        "Stable Diffusion", TEXTS,
        (
            STEPS,
            r"(?i:\b(?:sampler: \w|cfg scale: \d|negative prompt: |model hash: \w|seed: \d{1,20}[,;|\s]))",
        ),
    ),
    Rule(
        "Stable Diffusion", TEXTS,
        (
            key("steps", r"\d"),
            key("(?:sampler|sampler_name|scheduler)", '"'),
            key("(?:seed|cfg_scale|guidance_scale|scale)", r"[\d.]"),
        ),
    ),
    Rule(
        "Stable Diffusion web UI's upscaling", TEXTS | {"extras", "postprocessing"},
        (r"\APostprocess upscale (?:by|to): \d",), "said", "edit",
    ),
)  # fmt: skip
"""The rules; the first that fits a field counts."""

TOGETHER = (
    ("Easy Diffusion", {"use_stable_diffusion_model": r"\S", "num_inference_steps": r"\A\d{1,5}\Z"}),
)
"""Whose parameters fields are that only together say something: their names and patterns."""

BY_NAME = {
    name: tuple(rule for rule in RULES if name in rule.names)
    for name in frozenset().union(*(rule.names for rule in RULES))
}


def find_parameters(of: Field) -> Finding | None:
    """What the parameters in a field say, None for none."""
    found = (rule.find(of) for rule in BY_NAME.get(of.name, ()))
    return next((finding for finding in found if finding), None)


def find_together(texts: dict[str, str]) -> list[Finding]:
    """What fields say that belong together, by their names."""
    return [
        Finding("generator", f"generator: {says} (parameters in {', '.join(patterns)})")
        for says, patterns in TOGETHER
        if all(re.search(pattern, texts.get(name, "")) for name, pattern in patterns.items())
    ]
