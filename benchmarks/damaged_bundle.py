"""Bundles damaged where a server is told to load them: each is refused in one sentence, and the old model answers on.

python -m benchmarks.damaged_bundle [FLIPS] [SEED]
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from deploy import live
from deploy.releases import Releases
from tasks.artifacts import canonical_json, read_json
from tasks.errors import InputError
from tests.bundles import HEAD, tiny_bundle
from tests.serving import is_sentence, started

Damage = Callable[[Path], object]
REFUSED = 'graft_release_refused{alias="champion"} '


def flip(draw: random.Random) -> tuple[str, Damage]:
    """A bit of a file, each file as likely as another."""

    def damage(folder: Path) -> None:
        path = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)

    return "a bit flipped", damage


def truncate(draw: random.Random) -> tuple[str, Damage]:
    """A file that ends early."""

    def damage(folder: Path) -> None:
        path = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size)])

    return "a file truncated", damage


def declare(name: str, change: dict[str, Any]) -> tuple[str, Damage]:
    """A manifest that says something else."""

    def damage(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(canonical_json(read_json(path) | change))

    return name, damage


def damages(flips: int, draw: random.Random, other: Path) -> Iterator[tuple[str, Damage]]:
    """What is done to a bundle, one thing at a time."""
    manifest = (other / "manifest.json").read_bytes()
    for _ in range(flips):
        yield flip(draw)
    for _ in range(flips // 10):
        yield truncate(draw)
    yield "the manifest of another bundle", lambda folder: (folder / "manifest.json").write_bytes(manifest)
    yield declare("a path that climbs out", {"files": {"../../outside": "0" * 64, "model.onnx": "0" * 64}})
    yield declare("a huge declared shape", {"inputs": {"input_ids": {"type": "tensor(int64)", "shape": [None, 2**40]}}})


async def told(client: httpx.AsyncClient, value: int) -> None:
    """Wait until the server has refused what the alias names, or serves it."""
    while f"{REFUSED}{value}.0" not in (await client.get("/metrics")).text:
        await asyncio.sleep(0.002)


def main(flips: int = 200, seed: int = 0) -> None:
    """Print what was refused, by whom, and whether the old model answered."""
    live.LOOK_SECONDS = 0.002
    logging.disable(logging.CRITICAL)
    found, began, draw = Counter[str](), time.perf_counter(), random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        releases = Releases(home / "releases")
        old, new, other = (
            tiny_bundle(home / name, head=factor * HEAD) for name, factor in (("old", 1), ("new", -1), ("other", 2))
        )
        first, second = releases.add(old), releases.add(new)
        releases.promote(first, "why", {})
        alias, folder = releases.folder / "aliases/champion", releases.folder / second

        async def serve() -> None:
            async with started(releases, "champion", log_folder="") as (client, app):
                await app.state.loading
                await damaged(client)

        async def damaged(client: httpx.AsyncClient) -> None:
            for name, damage in damages(flips, draw, other):
                shutil.rmtree(folder)
                shutil.copytree(new, folder)
                damage(folder)
                try:
                    releases.promote(second, "why", {})
                except InputError as error:
                    found[f"{name}: not promoted"] += is_sentence(str(error))
                alias.write_text(second)  # as by hand, past the check of a promotion
                await told(client, 1)
                answer = await client.post("/predict", json={"inputs": ["good"]})
                same = answer.status_code == 200 and json.loads(answer.content)["version"] == first
                found[f"{name}: not served, the old model answers"] += same
                alias.write_text(first)
                await told(client, 0)

        asyncio.run(serve())
    print(f"{time.perf_counter() - began:.0f} s, seed {seed}")
    for name, times in found.items():
        print(f"{name}: {times}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
