"""Outputs of frozen blocks, computed once per content and kept under `.graft/features`."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks import device, fingerprint
from tasks.artifacts import canonical_json, new_folder, sha256_file, sha256_text
from tasks.modalities.contract import Arrays, Backbone, Encoder
from tasks.network import BATCH_ROWS, batches, tensors
from tasks.params import Params
from tasks.weights import snapshot_files

Key = tuple[int, str]
CUT = "values.npy"
# Without a word from its writer, who touches the folder at each batch.
ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class Store:
    """Where outputs of blocks are kept.

    Attributes:
        folder: safe for two writers, since entries are written by rename.
        limit_gb: the least recently used entries leave above this size.
        identity: gives what the outputs depend on beside weights and rows, as the function of that name does.
    """

    folder: Path
    limit_gb: float
    identity: Callable[[], dict[str, Any]]


def store(folder: Path, params: Params, model: Path, module: str = "tasks.features") -> Store:
    """A folder as the params have it, for outputs of a model's folder that this module computes."""
    project, resources = params.project, params.resources
    unused, computes = fingerprint.unused(project.modality, project.problem), device.pick(resources.device).type
    of_model = partial(identity, model, resources.threads, computes, unused, module)
    return Store(folder, resources.cache_gb, of_model)


def pooled(
    store: Store, backbone: Backbone, encoder: Encoder, encoded: Sequence[Arrays], pools: Sequence[str]
) -> dict[Key, np.ndarray]:
    """(depth, pool) -> (N, F) float32 for every depth of the backbone, from the store or from one pass.

    Args:
        store: of its model.
        backbone: in evaluation mode, uncut.
        encoder: makes batches of `encoded`.
        encoded: one dict of unpadded arrays per row.
        pools: names of pools.
    """

    def fill(made: Path) -> None:
        for (depth, pool), values in compute(backbone, encoder, encoded, pools, partial(os.utime, made)).items():
            np.save(made / f"{depth}-{pool}.npy", values, allow_pickle=False)

    folder = entry(store, {"rows": hash_rows(encoded), "pools": sorted(pools)}, fill)
    return {_key(path): np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))}


def of_cut(store: Store, backbone: Backbone, pool: str, encoder: Encoder, encoded: Sequence[Arrays]) -> np.ndarray:
    """(N, F) float32 of a pre-trained backbone at the depth and pool that it was cut to, from the store or one pass.

    They stay on disk, memory-mapped; what is larger than the store is computed at every call.
    """

    def computed(goes_on: Callable[[], None] = lambda: None) -> np.ndarray:
        return at_own_depth(backbone.eval(), encoder, encoded, goes_on)

    def fill(made: Path) -> None:
        np.save(made / CUT, computed(partial(os.utime, made)), allow_pickle=False)

    if len(encoded) * backbone.width * np.dtype(np.float32).itemsize > store.limit_gb * 1e9:
        return computed()
    cut = {"rows": hash_rows(encoded), "depth": backbone.depth, "pool": pool}
    return np.asarray(np.load(entry(store, cut, fill) / CUT, mmap_mode="r", allow_pickle=False))


def entry(store: Store, content: dict[str, Any], fill: Callable[[Path], None]) -> Path:
    """Folder of an entry of the store, filled if it is not there.

    Args:
        store: whose least recently used other entries leave above its limit.
        content: all that the entry depends on beside the store's identity.
        fill: writes it into an empty folder, and touches that now and then: else it is taken for one that was left.
    """
    folder = store.folder / sha256_text(canonical_json(store.identity() | content))
    with suppress(FileNotFoundError):
        os.utime(folder)
        return folder
    try:
        with new_folder(folder) as made:
            fill(made)
    except OSError:
        if not folder.is_dir():  # else another writer was first, with the same content
            raise
    _trim(store.folder, store.limit_gb, keep=folder)
    return folder


def identity(
    model: Path,
    threads: int,
    computes: str,
    left_out: frozenset[str] = frozenset(),
    module: str = "tasks.features",
) -> dict[str, Any]:
    """What outputs of a model folder depend on beside the rows: its files, the module's code, threads, device."""
    return {
        "model": {path.name: sha256_file(path) for path in snapshot_files(model)},
        "code": fingerprint.of_stage(f"python -m {module}", left_out),
        "threads": threads,
        "device": computes,
    }


def compute(
    backbone: Backbone,
    encoder: Encoder,
    encoded: Sequence[Arrays],
    pools: Sequence[str],
    goes_on: Callable[[], None] = lambda: None,
) -> dict[Key, np.ndarray]:
    """The features themselves, in batches of neighbours in length whose make-up depends on the rows alone.

    Args:
        backbone: in evaluation mode, uncut.
        encoder: makes batches of `encoded`.
        encoded: one dict of unpadded arrays per row.
        pools: names of pools.
        goes_on: called after each batch.
    """
    parts: dict[Key, np.ndarray] = {}
    with torch.inference_mode():
        for rows in batches(encoded, BATCH_ROWS):
            batch = tensors(encoder, [encoded[i] for i in rows], device.of(backbone))
            for key, values in backbone.pooled_at_all_depths(batch, pools).items():
                whole = parts.setdefault(key, np.empty((len(encoded), values.shape[1]), dtype=np.float32))
                whole[rows] = values.float().cpu().numpy()
            goes_on()
    return parts


def _key(path: Path) -> Key:
    depth, pool = path.stem.split("-", 1)
    return int(depth), pool


def hash_rows(encoded: Sequence[Arrays]) -> str:
    """Of the content of encoded rows, in their order."""
    digest = hashlib.sha256()
    for row in encoded:
        for name in sorted(row):
            digest.update(f"{name}{row[name].shape}{row[name].dtype}".encode())
            digest.update(np.ascontiguousarray(row[name]).tobytes())
    return digest.hexdigest()


def _trim(store: Path, limit_gb: float, keep: Path) -> None:
    for path in store.glob(".*"):  # left by a writer that was killed
        if time.time() - _touched(path) > ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    entries = sorted(store.glob("[!.]*"), key=_touched)
    sizes = {path: _bytes(path) for path in entries}
    total = sum(sizes.values())
    for path in entries:
        if total <= limit_gb * 1e9:
            return
        if path != keep:
            _remove(path)
            total -= sizes[path]


def _remove(entry: Path) -> None:
    """Under another name, so that a kill on the way leaves no half of it where it is looked for."""
    gone = entry.with_name(f".{entry.name}.gone")
    with suppress(OSError):  # another writer was first, or a killed one left as much
        entry.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _touched(folder: Path) -> float:
    """When, in seconds; infinite where another writer has renamed it or taken it away meanwhile."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _bytes(folder: Path) -> int:
    """Of its files; 0 where another writer takes them away meanwhile."""
    try:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except FileNotFoundError:
        return 0


def at_own_depth(
    backbone: Backbone, encoder: Encoder, encoded: Sequence[Arrays], goes_on: Callable[[], None] = lambda: None
) -> np.ndarray:
    """(N, F) float32 of a cut backbone, at its depth and pool; `goes_on` is called after each batch."""
    whole = np.empty((len(encoded), backbone.width), dtype=np.float32)
    with torch.inference_mode():
        for rows in batches(encoded, BATCH_ROWS):
            batch = tensors(encoder, [encoded[i] for i in rows], device.of(backbone))
            whole[rows] = backbone.pooled(batch).float().cpu().numpy()
            goes_on()
    return whole
