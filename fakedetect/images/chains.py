"""What happens to a picture on its way through the web, at random: re-scaling, blur, noise, encodings.

The set of degradations follows Wang et al. 2020 ('CNN-generated images are surprisingly easy to spot
... for now': random blur and JPEG) with re-scaling, noise and WebP added.
"""

import math
import zlib

import numpy as np
from PIL import Image, ImageFilter

from fakedetect.images.degradations import encode_again

FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
SMALLEST = 0.2
QUALITIES = (30, 95)
MOST_ENCODINGS = 2
LIKELY, UNLIKELY = 0.7, 0.3


def _rescale(image: Image.Image, random: np.random.Generator) -> Image.Image:
    factor = math.exp(random.uniform(math.log(SMALLEST), 0))
    small = [max(8, round(side * factor)) for side in image.size]
    down, up = (FILTERS[number] for number in random.integers(len(FILTERS), size=2))
    return image.resize((small[0], small[1]), down).resize(image.size, up)


def degrade_at_random(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
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


def random_for(seed: int, name: str) -> np.random.Generator:
    """A picture's own random numbers, the same in whichever process and order it comes."""
    return np.random.default_rng((seed, zlib.crc32(name.encode("utf-8", "surrogateescape"))))
