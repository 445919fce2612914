"""The course project's `scan` and `resize`, in a script that imports Pillow alone.

`python -m benchmarks.plain scan FOLDER LIST` and `python -m benchmarks.plain resize FOLDER TARGET`.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

SIZE = 224


def find_bad_images(paths: Iterable[Path]) -> set[Path]:
    """Open and verify each file, then open it again and decode it."""
    bad = set()
    for path in paths:
        try:
            with Image.open(path) as image:
                image.verify()
            with Image.open(path) as image:
                image.load()
        except (OSError, SyntaxError):
            bad.add(path)
    return bad


def resize(paths: Iterable[Path], target: Path) -> None:
    """Scale each picture to 224 x 224 and save it under its name."""
    target.mkdir(parents=True, exist_ok=True)
    for path in paths:
        try:
            with Image.open(path) as opened:
                image = opened if opened.mode in ("RGB", "L") else opened.convert("RGB")
                image.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(target / path.name)
        except OSError:
            continue


def main(job: str, folder: Path, out: Path) -> None:
    """Run a job on a folder that contains a folder for each class."""
    if job == "scan":
        out.write_text("".join(f"{path}\n" for path in find_bad_images(sorted(folder.glob("*/*")))))
        return
    for of_class in sorted(folder.iterdir()):
        resize(sorted(of_class.iterdir()), out / of_class.name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
