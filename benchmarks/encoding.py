"""Preparing many small images, against Pillow's bare decode and resize in as many threads; and the memory it takes.

python -m benchmarks.encoding [IMAGES]
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tasks import encoded
from tasks.artifacts import read_table
from tasks.modalities.image import encode, source
from tasks.modalities.image.decode import available_cpus
from tasks.modalities.image.settings import Settings

SIDE, WANTED, CHUNK = 96, 64, 256
SETTINGS = Settings(max_pixels=1_000_000)


def write_images(folder: Path, count: int) -> list[str]:
    """JPEGs of smooth noise, each its own."""
    draw = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(count)]
    for name in names:
        coarse = draw.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / name, quality=90)
    return names


def bare(folder: Path, names: list[str]) -> None:
    def one(name: str) -> np.ndarray:
        image = Image.open(BytesIO((folder / name).read_bytes())).convert("RGB")
        return np.asarray(image.resize((WANTED, WANTED), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(available_cpus()) as pool:
        for start in range(0, len(names), CHUNK):
            list(pool.map(one, names[start : start + CHUNK]))


def ours(folder: Path, names: list[str]) -> None:
    preprocessor = {"size": {"height": WANTED, "width": WANTED}, "resample": 2}
    preprocessor |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    encoder = encode.from_model(folder, SETTINGS)
    examples = (source.read(name, folder) for name in names)
    encoded.write(folder / "rows.arrow", encoded.encode(encoder, examples))
    assert len(encoded.read(read_table(folder / "rows.arrow"))) == len(names)


def measured(work: Callable[[Path, list[str]], None], folder: Path, names: list[str]) -> tuple[float, float]:
    """Images a second, and the peak of resident memory in MB, of a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, folder, names))


def _measured(work: Callable[[Path, list[str]], None], folder: Path, names: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    work(folder, names)
    rate = len(names) / (time.perf_counter() - started)
    return rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(count: int) -> None:
    """Print both rates and their ratio, and the memory for a tenth of the images and for all."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = write_images(folder, count)
        measured(bare, folder, names)  # the files come from the page cache for everybody
        plain, mine = measured(bare, folder, names), measured(ours, folder, names)
        tenth = measured(ours, folder, names[: count // 10])
    sizes = f"{count} images of {SIDE} x {SIDE} to {WANTED} x {WANTED}"
    print(f"{sizes}: Pillow {plain[0]:.0f}/s, with storing {mine[0]:.0f}/s, ratio {mine[0] / plain[0]:.2f}")
    print(f"peak memory {tenth[1]:.0f} MB for {count // 10}, {mine[1]:.0f} MB for {count}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
