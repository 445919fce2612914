"""A picture as a probe sees it: clean and degraded, every view through one encoder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fakedetect.images.chains import degrade_at_random, random_for
from fakedetect.images.copies import Kind, make_copy, open_for_copy
from fakedetect.images.degradations import to_shared_size
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import open_checked


@dataclass(frozen=True)
class ProbeLook:
    """A picture and the views of it that are wanted: 0 is the clean one, others are seeds.

    `kind` is that of the copies that the probe sees.
    """

    path: Path
    views: tuple[int, ...]
    seed: int
    kind: Kind


def look_for_probe(job: ProbeLook) -> np.ndarray | str:
    """The views (V, S, S, 3) uint8 of a picture, all through one encoder; why there are none.

    Degraded ones are made of the picture at its own size, at most 1,024 pixels.
    """
    try:
        with open_checked(job.path) as opened:
            image = open_for_copy(opened, job.kind, srgb=True)
    except Exception as error:
        return explain_fault(error, job.path)
    found = []
    for view in job.views:
        version = image
        if view:
            pixels = np.asarray(to_shared_size(image))
            version = Image.fromarray(degrade_at_random(pixels, random_for(job.seed + view, job.path.name)))
        found.append(make_copy(version, "JPEG", job.kind))
    return np.stack(found)
