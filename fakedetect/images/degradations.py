"""Degradations that pictures undergo when shared: re-encoding, scaling, blur, noise, cropping.

The random chain follows Wang et al. 2020 ('CNN-generated images are surprisingly easy to spot ... for now':
random blur and JPEG); rescaling, noise and WebP are added.
"""

import io
import math
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

SHARED_SIDE = 1024
"""Pixels of the longer side to which larger pictures are scaled first, as sites do on upload."""

DEGRADATION_PHRASES = {
    "jpeg": "JPEG {:.0f}",
    "webp": "WebP {:.0f}",
    "scale": "{:.0%} size and back",
    "blur": "blur {:g} px",
    "noise": "noise {:g}",
    "crop": "{:.0%} crop",
    "screenshot": "shown at {:.0%}",
}


@dataclass(frozen=True)
class StrengthAxis:
    """The axis of a degradation's figure: its title, the strength's unit, and the factor from the strength
    to that unit."""

    name: str
    unit: str
    factor: float = 1


STRENGTH_AXES = {
    "jpeg": StrengthAxis("JPEG compression", "JPEG quality (1 to 100)"),
    "webp": StrengthAxis("WebP compression", "WebP quality (1 to 100)"),
    "scale": StrengthAxis("Scaled down and back", "Size between (% of the side)", 100),
    "blur": StrengthAxis("Gaussian blur", "Sigma (pixels)"),
    "noise": StrengthAxis("Gaussian noise", "Sigma (grey levels of 255)"),
    "crop": StrengthAxis("Cropped", "Cut off (% of the side)", 100),
    "screenshot": StrengthAxis("Screenshot at another size", "Size (% of the side)", 100),
}
"""By the keys of DEGRADATION_PHRASES."""


@dataclass(frozen=True)
class Degradation:
    """A kind (a key of DEGRADATION_PHRASES) and its strength.

    The strength is the quality of 'jpeg' and 'webp'; the factor of 'scale' (down and back up) and
    'screenshot' (not scaled back); the sigma of 'blur' in pixels and of 'noise' in grey levels of 255; the
    share of each side that 'crop' removes.
    """

    kind: str
    strength: float

    def __str__(self) -> str:
        return DEGRADATION_PHRASES[self.kind].format(self.strength).replace("%", " %")


STABILITY_DEGRADATIONS = (
    Degradation("jpeg", 70),
    Degradation("scale", 0.5),
    Degradation("blur", 1.0),
    Degradation("crop", 0.05),
)
"""Degradations under which a stable verdict must not change."""

ROBUSTNESS_DEGRADATIONS = (
    *(Degradation("jpeg", quality) for quality in (95, 85, 70, 50, 30)),
    *(Degradation("webp", quality) for quality in (90, 70, 50, 30)),
    *(Degradation("scale", factor) for factor in (0.5, 0.25)),
    *(Degradation("blur", sigma) for sigma in (1.0, 2.0, 3.0)),
    *(Degradation("noise", sigma) for sigma in (4.0, 8.0, 16.0)),
    *(Degradation("crop", share) for share in (0.05, 0.15, 0.3)),
    *(Degradation("screenshot", factor) for factor in (1.5, 0.8, 0.6)),
)
"""Points of the robustness curves, from weak to strong within each kind."""

RESCALING_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
LEAST_RESCALING = 0.2
ENCODING_QUALITIES = (30, 95)
MOST_ENCODINGS = 2
LIKELY_PROBABILITY, UNLIKELY_PROBABILITY = 0.7, 0.3
"""Probabilities of the steps of the random chain."""


def scale_to_shared_side(image: Image.Image) -> Image.Image:
    """Return a picture in mode RGB, scaled down to SHARED_SIDE if it is larger."""
    image = image.convert("RGB")
    longest = max(image.size)
    if longest <= SHARED_SIDE:
        return image
    size = [max(1, round(side * SHARED_SIDE / longest)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def reencode(image: Image.Image, file_format: str, quality: float) -> Image.Image:
    """Encode a picture in mode RGB as JPEG or WebP, and decode it."""
    file = io.BytesIO()
    image.save(file, format=file_format, quality=round(quality))
    return Image.open(file, formats=(file_format,)).convert("RGB")


def _scale(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture to (width, height): area averaging to shrink, bilinear to enlarge."""
    import cv2

    shrinks = size[0] < pixels.shape[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _add_noise(pixels: np.ndarray, sigma: float) -> np.ndarray:
    # Seeded by the picture, so that it always gets the same noise.
    random = np.random.default_rng(zlib.crc32(pixels[::16, ::16].tobytes()))
    noisy = random.standard_normal(pixels.shape, dtype=np.float32)
    noisy *= sigma
    noisy += pixels
    noisy += 0.5
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def degrade(image: Image.Image, how: Degradation) -> Image.Image:
    """Apply one degradation to a picture in mode RGB; deterministic."""
    strength, (width, height) = how.strength, image.size
    if how.kind == "jpeg":
        return reencode(image, "JPEG", strength)
    if how.kind == "webp":
        return reencode(image, "WEBP", strength)
    if how.kind == "crop":
        left, top = round(width * strength / 2), round(height * strength / 2)
        return image.crop((left, top, max(left + 1, width - left), max(top + 1, height - top)))
    # OpenCV is four to ten times as fast as Pillow here.
    import cv2

    pixels = np.asarray(image)
    if how.kind == "noise":
        return Image.fromarray(_add_noise(pixels, strength))
    if how.kind == "blur":
        return Image.fromarray(cv2.GaussianBlur(pixels, (0, 0), strength))
    small = _scale(pixels, (max(1, round(width * strength)), max(1, round(height * strength))))
    return Image.fromarray(_scale(small, image.size) if how.kind == "scale" else small)


# Quoted: naming np.random loads it, and the workers of check do not need it.
def _rescale(image: Image.Image, random: "np.random.Generator") -> Image.Image:
    factor = math.exp(random.uniform(math.log(LEAST_RESCALING), 0))
    small = [max(8, round(side * factor)) for side in image.size]
    down, up = (RESCALING_FILTERS[number] for number in random.integers(len(RESCALING_FILTERS), size=2))
    return image.resize((small[0], small[1]), down).resize(image.size, up)


def degrade_at_random(pixels: np.ndarray, random: "np.random.Generator") -> np.ndarray:
    """Apply a random chain to a picture (H, W, 3) uint8: rescaling (probability 0.7), blur (0.3), noise
    (0.3) and up to two encodings as JPEG or WebP."""
    image = Image.fromarray(pixels)
    if random.random() < LIKELY_PROBABILITY:
        image = _rescale(image, random)
    if random.random() < UNLIKELY_PROBABILITY:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.5)))
    if random.random() < UNLIKELY_PROBABILITY:
        noise = random.normal(0, random.uniform(1, 10), pixels.shape)
        image = Image.fromarray(np.clip(np.asarray(image) + noise + 0.5, 0, 255).astype(np.uint8))
    for _ in range(random.integers(MOST_ENCODINGS + 1)):
        file_format = ("JPEG", "WEBP")[random.integers(2)]
        image = reencode(
            image, file_format, int(random.integers(ENCODING_QUALITIES[0], ENCODING_QUALITIES[1] + 1))
        )
    return np.asarray(image)


def make_random(seed: int, name: str) -> "np.random.Generator":
    """Return a picture's own random generator, independent of process and order."""
    return np.random.default_rng((seed, zlib.crc32(name.encode("utf-8", "surrogateescape"))))
