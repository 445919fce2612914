"""The names of generators: how they are spelled, and where in a text they stand as names.

The programs, services and models whose pictures are met most; no list is complete. Names that are words or
surnames too (Dalle, Gemini, Imagen, Sora) count with a version, or where they are all that a field says.
"""

import re
from dataclasses import dataclass

VERSION = r"[\s_.-]?v?\d{1,4}(?:\.\d{1,3}){0,3}[a-z]{0,2}"
START, END = r"(?<![^\W_])", r"(?![^\W_])"
"""Where a name begins and ends: not within a word."""

SEPARATORS = {" ": r"[\s_.·•∙‐-]?", "-": r"[\s_.·•∙‐-]"}
"""What may, and what has to, stand between the parts of a name: ComfyUI, Comfy UI; DALL-E, DALL·E."""


@dataclass(frozen=True)
class Generator:
    """A generator and its spellings in lower case, with SEPARATORS between their parts.

    `words` are those that mean something else too.
    """

    name: str
    spellings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


GENERATORS = (
    Generator("Adobe Firefly", ("adobe firefly",), ("firefly", "firefly image")),
    Generator("Artbreeder", ("artbreeder",)),
    Generator("AUTOMATIC1111", ("automatic 1111",), ("a1111",)),
    Generator("Bing Image Creator", ("bing image creator", "microsoft image creator")),
    Generator("ChatGPT", ("chat gpt",)),
    Generator("Civitai", ("civitai",)),
    Generator("ComfyUI", ("comfy ui",)),
    Generator("Craiyon", ("craiyon",)),
    Generator("DALL-E", ("dall-e",), ("dalle",)),
    Generator("DiffusionBee", ("diffusion bee",)),
    Generator("Doubao", ("doubao", "豆包")),
    Generator("Draw Things", ("draw things",)),
    Generator("Dreamina", ("dreamina", "jimeng", "即梦")),
    Generator("DreamStudio", ("dreamstudio",)),
    Generator("Easy Diffusion", ("easy diffusion",)),
    Generator("FLUX", ("black forest labs", "flux-ai", "flux-schnell", "flux-kontext"), ("flux",)),
    Generator("FLUX", ("flux-dev", "flux-pro")),
    Generator("Fooocus", ("fooocus",)),
    Generator("getimg.ai", ("getimg ai",)),
    Generator("Google Gemini", ("google gemini", "nano banana"), ("gemini",)),
    Generator("Google Imagen", ("google imagen",), ("imagen",)),
    Generator("GPT-4o", ("gpt-4o",)),
    Generator("GPT-image", ("gpt image",)),
    Generator("HiDream", ("hidream",)),
    Generator("Hunyuan", ("hunyuan", "hunyuan image", "hunyuan dit")),
    Generator("Ideogram", ("ideogram",)),
    Generator("Image Playground", ("image playground",)),
    Generator("Imagine with Meta AI", ("imagine with meta ai",)),
    Generator("InvokeAI", ("invoke ai",)),
    Generator("Kandinsky", words=("kandinsky",)),
    Generator("Kling", ("kling ai",), ("kling",)),
    Generator("Krea", ("krea ai",), ("krea",)),
    Generator("Krita AI Diffusion", ("krita ai diffusion",)),
    Generator("Leonardo.Ai", ("leonardo ai",)),
    Generator("Luma", ("luma ai", "luma photon", "luma dream machine")),
    Generator("Microsoft Copilot", ("microsoft copilot",)),
    Generator("Microsoft Designer", ("microsoft designer",)),
    Generator("Midjourney", ("midjourney",)),
    Generator("Mochi Diffusion", ("mochi diffusion",)),
    Generator("NightCafe", ("nightcafe studio", "nightcafe creator", "nightcafe ai")),
    Generator("Niji Journey", ("niji journey",)),
    Generator("NovelAI", ("novelai",)),
    Generator("OpenAI", ("open ai",)),
    Generator("PixAI", ("pixai",)),
    Generator("Playground AI", ("playground ai",)),
    Generator("Qwen-Image", ("qwen image",), ("qwen",)),
    Generator("Recraft", ("recraft", "recraft ai")),
    Generator("Runway", ("runwayml", "runway gen"), ("runway",)),
    Generator("SD.Next", ("sd-next",)),
    Generator("SDXL", ("sdxl",)),
    Generator("SeaArt", ("seaart",)),
    Generator("Seedream", ("seedream",)),
    Generator("Sora", ("openai sora",), ("sora",)),
    Generator("Stability AI", ("stability ai",)),
    Generator("Stable Cascade", ("stable cascade",)),
    Generator("Stable Diffusion", ("stable diffusion",)),
    Generator("StarryAI", ("starryai",)),
    Generator("SwarmUI", ("swarm ui", "stable swarm ui")),
    Generator("WOMBO Dream", ("wombo",)),
    Generator("xAI Grok", ("xai grok", "grok imagine"), ("grok",)),
)


def _choose(spellings: list[str]) -> str:
    """A pattern for any of the spellings, the longest first."""
    ordered = sorted(spellings, key=len, reverse=True)
    return "|".join("".join(SEPARATORS.get(c, re.escape(c)) for c in spelling) for spelling in ordered)


SPELLINGS = _choose([spelling for each in GENERATORS for spelling in each.spellings])
WORDS = _choose([word for each in GENERATORS for word in each.words])

NAME = re.compile(
    rf"{START}(?:(?P<name>{SPELLINGS})|(?P<word>{WORDS}))(?P<version>{VERSION})?{END}", re.IGNORECASE
)
"""A generator's name, or a word that may be one, with its version."""


def _squeeze(spelling: str) -> str:
    return re.sub(r"[\W_]", "", spelling.lower())


BY_SPELLING = {
    _squeeze(spelling): each.name for each in GENERATORS for spelling in (*each.spellings, *each.words)
}


@dataclass(frozen=True)
class Named:
    """A generator's name in a text: whose, where it ends, and whether it can be nothing else."""

    generator: str
    end: int
    certain: bool
    has_version: bool


def _read(match: re.Match[str]) -> Named:
    return Named(
        generator=BY_SPELLING[_squeeze(match["name"] or match["word"])],
        end=match.end(),
        certain=bool(match["name"]),
        has_version=bool(match["version"]),
    )


def name_at(text: str, place: int) -> Named | None:
    """The generator whose name begins at a place of a text, None for none."""
    match = NAME.match(text, place)
    return _read(match) if match else None


def names_generator(text: str, *, camera: bool = False) -> bool:
    """Whether a program's name has a generator's in it, or is a word that is a generator's name.

    Args:
        camera: it is the name of a camera or its maker, which may be any word with any number.
    """
    found = [_read(match) for match in NAME.finditer(text)]
    if any(each.certain for each in found):
        return True
    return not camera and (any(each.has_version for each in found) or bool(NAME.fullmatch(text)))


def is_generator(text: str) -> bool:
    """Whether a person's or a company's name is a generator's or two ('OpenAI DALL-E 3')."""
    place = 0
    while named := name_at(text, place):
        if not (named.certain or named.has_version):
            return False
        if named.end == len(text):
            return True
        place = named.end + 1
    return False
