"""What happens to pictures on their way to a viewer: re-encoding, scaling, blur, noise, cropping.

The random chain follows Wang et al. 2020 ('CNN-generated images are surprisingly easy to spot ... for now':
random blur and JPEG) with re-scaling, noise and WebP added.
"""

import io
import math
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

SHARED_SIDE = 1024
"""Pixels of the longer side that larger pictures are scaled to first, as sites do on upload."""

PHRASES = {
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
    """How a kind of degradation is drawn: its name, what its strength is called, and what the strength
    is multiplied by to stand in that unit."""

    name: str
    unit: str
    factor: float = 1


AXES = {
    "jpeg": StrengthAxis("JPEG compression", "JPEG quality (1 to 100)"),
    "webp": StrengthAxis("WebP compression", "WebP quality (1 to 100)"),
    "scale": StrengthAxis("Scaled down and back", "Size between (% of the side)", 100),
    "blur": StrengthAxis("Gaussian blur", "Sigma (pixels)"),
    "noise": StrengthAxis("Gaussian noise", "Sigma (grey levels of 255)"),
    "crop": StrengthAxis("Cropped", "Cut off (% of the side)", 100),
    "screenshot": StrengthAxis("Screenshot at another size", "Size (% of the side)", 100),
}
"""By the keys of PHRASES."""


@dataclass(frozen=True)
class Degradation:
    """A kind (a key of PHRASES) and its strength.

    Strengths: the quality of 'jpeg' and 'webp'; the factor of 'scale' (and back) and 'screenshot'
    (no way back); the sigma of 'blur' in pixels and of 'noise' in grey levels of 255; the share of
    each side that 'crop' takes away.
    """

    kind: str
    strength: float

    def __str__(self) -> str:
        return PHRASES[self.kind].format(self.strength)


STABILITY = (
    Degradation("jpeg", 70),
    Degradation("scale", 0.5),
    Degradation("blur", 1.0),
    Degradation("crop", 0.05),
)
"""Changes that an answer has to survive to be called stable."""

CURVES = (
    *(Degradation("jpeg", quality) for quality in (95, 85, 70, 50, 30)),
    *(Degradation("webp", quality) for quality in (90, 70, 50, 30)),
    *(Degradation("scale", factor) for factor in (0.5, 0.25)),
    *(Degradation("blur", sigma) for sigma in (1.0, 2.0, 3.0)),
    *(Degradation("noise", sigma) for sigma in (4.0, 8.0, 16.0)),
    *(Degradation("crop", share) for share in (0.05, 0.15, 0.3)),
    *(Degradation("screenshot", factor) for factor in (1.5, 0.8, 0.6)),
)
"""The points of the robustness curves, in each kind from light to heavy."""

FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
SMALLEST = 0.2
QUALITIES = (30, 95)
MOST_ENCODINGS = 2
LIKELY, UNLIKELY = 0.7, 0.3
"""Of the random chain."""


def to_shared_size(image: Image.Image) -> Image.Image:
    """A picture in RGB, scaled to SHARED_SIDE where it is larger."""
    image = image.convert("RGB")
    longest = max(image.size)
    if longest <= SHARED_SIDE:
        return image
    size = [max(1, round(side * SHARED_SIDE / longest)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def encode_again(image: Image.Image, file_format: str, quality: float) -> Image.Image:
    """A picture in mode RGB as it comes out of a JPEG or WebP file."""
    file = io.BytesIO()
    image.save(file, format=file_format, quality=round(quality))
    return Image.open(file, formats=(file_format,)).convert("RGB")


def _scale(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture at another size (width, height): areas averaged where it shrinks, linear where it grows."""
    import cv2

    shrinks = size[0] < pixels.shape[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _add_noise(pixels: np.ndarray, sigma: float) -> np.ndarray:
    # The same picture gets the same noise every time.
    random = np.random.default_rng(zlib.crc32(pixels[::16, ::16].tobytes()))
    noisy = random.standard_normal(pixels.shape, dtype=np.float32)
    noisy *= sigma
    noisy += pixels
    noisy += 0.5
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def degrade(image: Image.Image, how: Degradation) -> Image.Image:
    """A picture in mode RGB after one degradation, the same for the same picture."""
    strength, (width, height) = how.strength, image.size
    if how.kind == "jpeg":
        return encode_again(image, "JPEG", strength)
    if how.kind == "webp":
        return encode_again(image, "WEBP", strength)
    if how.kind == "crop":
        left, top = round(width * strength / 2), round(height * strength / 2)
        return image.crop((left, top, max(left + 1, width - left), max(top + 1, height - top)))
    # On pixels OpenCV is four to ten times as fast as Pillow.
    import cv2

    pixels = np.asarray(image)
    if how.kind == "noise":
        return Image.fromarray(_add_noise(pixels, strength))
    if how.kind == "blur":
        return Image.fromarray(cv2.GaussianBlur(pixels, (0, 0), strength))
    small = _scale(pixels, (max(1, round(width * strength)), max(1, round(height * strength))))
    return Image.fromarray(_scale(small, image.size) if how.kind == "scale" else small)


# Quoted, since numpy loads its random numbers once they are named: the workers of check do without.
def _rescale(image: Image.Image, random: "np.random.Generator") -> Image.Image:
    factor = math.exp(random.uniform(math.log(SMALLEST), 0))
    small = [max(8, round(side * factor)) for side in image.size]
    down, up = (FILTERS[number] for number in random.integers(len(FILTERS), size=2))
    return image.resize((small[0], small[1]), down).resize(image.size, up)


def degrade_at_random(pixels: np.ndarray, random: "np.random.Generator") -> np.ndarray:
    """A picture (H, W, 3) uint8 after a random chain: re-scaling (7 of 10 times), blur (3), noise (3)
    and up to two encodings as JPEG or WebP."""
    image = Image.fromarray(pixels)
    if random.random() < LIKELY:
        image = _rescale(image, random)
    if random.random() < UNLIKELY:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.5)))
    if random.random() < UNLIKELY:
        noise = random.normal(0, random.uniform(1, 10), pixels.shape)
        image = Image.fromarray(np.clip(np.asarray(image) + noise + 0.5, 0, 255).astype(np.uint8))
    for _ in range(random.integers(MOST_ENCODINGS + 1)):
        file_format = ("JPEG", "WEBP")[random.integers(2)]
        image = encode_again(image, file_format, int(random.integers(QUALITIES[0], QUALITIES[1] + 1)))
    return np.asarray(image)


def random_for(seed: int, name: str) -> "np.random.Generator":
    """A picture's own random numbers, the same in whichever process and order it comes."""
    return np.random.default_rng((seed, zlib.crc32(name.encode("utf-8", "surrogateescape"))))
