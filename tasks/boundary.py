"""The blocks below which nothing learns: their output is computed once a row and kept; then they stand aside.

A row's output depends, in its last bits, on the rows beside it in a batch. So it is always computed with the same few
rows of its length, and whether it is read from the store or, where that is full, computed again changes no bit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from tasks import device, features
from tasks.features import Store
from tasks.modalities.contract import Arrays, Backbone, Encoder
from tasks.network import tensors

VALUES, ROWS, SHAPES = "values.float32", "rows.npy", "shapes.npy"
# Rows computed together: more fill the store little faster, and where it is full all of them are computed for one.
GROUP_ROWS = 8
# Largest difference that the rows beside a row may make, as a share of the largest feature.
TOLERANCE = 1e-4
Place = Callable[[Sequence[int]], None]


class _Reached(Exception):
    """Ends a pass at the boundary."""


class Lower:
    """The lowest blocks of a backbone; given their output, the backbone runs from there.

    Args:
        backbone: whose blocks, for as long as this is in use, answer with what was given.
        block: number of the first block above.
        encoder: makes batches.
    """

    def __init__(self, backbone: Backbone, block: int, encoder: Encoder) -> None:
        self.backbone, self.block, self.encoder = backbone, block, encoder
        self.given: torch.Tensor | None = None
        for module in backbone.blocks[:block]:
            module.forward = self._aside(module.forward)

    def close(self) -> None:
        """The blocks compute again."""
        for module in self.backbone.blocks[: self.block]:
            del module.forward

    def give(self, states: Sequence[np.ndarray]) -> None:
        """Output of the last block below for each row of the next batch: (T, F) of tokens or (F, H, W) of maps."""
        padded = pad_sequence([torch.from_numpy(one) for one in states], batch_first=True)
        self.given = padded.to(device.of(self.backbone))

    def compute(self, rows: Sequence[Arrays]) -> np.ndarray:
        """That output for rows of one length, float32, rows first."""
        self.given = None
        target = device.of(self.backbone)
        hook = self.backbone.blocks[self.block - 1].register_forward_hook(_stop)
        try:
            with torch.no_grad():
                self.backbone.pooled(tensors(self.encoder, rows, target))
        except _Reached as reached:
            states: np.ndarray = reached.args[0].float().cpu().numpy()
            return states
        finally:
            hook.remove()
        raise ValueError("the block is not run")

    def exact(self, rows: Sequence[Arrays]) -> bool:
        """Whether the backbone answers a batch of these rows as it does when all its blocks run."""
        self.backbone.eval()
        with torch.no_grad():
            self.given = None
            batch = tensors(self.encoder, rows, device.of(self.backbone))
            try:
                whole = self.backbone.pooled(batch)
                self.give([self.compute([row])[0] for row in rows])
                upper = self.backbone.pooled(batch)
            except (TypeError, ValueError, RuntimeError, AttributeError, LookupError):
                return False
        return whole.shape == upper.shape and bool((whole - upper).abs().max() <= TOLERANCE * whole.abs().max())

    def _aside(self, run: Callable[..., Any]) -> Callable[..., Any]:
        kind: list[type] = []

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.given is not None:
                return (self.given,) if kind[0] is tuple else self.given
            output = run(*args, **kwargs)
            kind[:] = [tuple if isinstance(output, tuple) else torch.Tensor]
            return output

        return forward


def _stop(_: nn.Module, __: Any, output: Any) -> None:
    raise _Reached(output[0] if isinstance(output, tuple) else output)


@contextmanager
def aside(
    backbone: Backbone,
    block: int,
    encoder: Encoder,
    encoded: Sequence[Arrays],
    store: Store,
    say: Callable[[str], None],
) -> Iterator[Place | None]:
    """Within it, the blocks below stand aside; what it gives is told the rows of each batch before it is run.

    Args:
        backbone: nothing below `block` learns, and all of it is in evaluation mode.
        block: number of the lowest block that runs, at least 1.
        encoder: makes batches.
        encoded: all rows that come.
        store: where the outputs are kept.
        say: told why, where the blocks cannot stand aside; then it gives None and all of them run.
    """
    lower = Lower(backbone, block, encoder)
    try:
        if lower.exact([min(encoded, key=_size), max(encoded, key=_size)]):
            kept = _kept(store, lower, encoded, say)
            yield lambda rows: lower.give([kept(i) for i in rows])
            return
    finally:
        lower.close()
    say(f"The lowest {block} blocks cannot stand aside in this model: they run at every step.")
    yield None


def _kept(
    store: Store, lower: Lower, encoded: Sequence[Arrays], say: Callable[[str], None]
) -> Callable[[int], np.ndarray]:
    """Row -> output of the block below the boundary, from the store as far as it reaches."""
    groups = _groups(encoded)

    def computed(group: list[int]) -> np.ndarray:
        return lower.compute([encoded[i] for i in group])

    def fill(made: Path) -> None:
        rows: list[int] = []
        shapes: list[tuple[int, ...]] = []
        with (made / VALUES).open("wb") as file:
            for group in groups:
                states = computed(group)
                if file.tell() + states.nbytes > store.limit_gb * 1e9:
                    break
                file.write(states.tobytes())
                os.utime(made)  # which a write to a file in it does not touch
                rows += group
                shapes += [states.shape[1:]] * len(group)
        np.save(made / ROWS, np.array(rows, dtype=np.int64), allow_pickle=False)
        np.save(made / SHAPES, np.array(shapes, dtype=np.int64), allow_pickle=False)

    content = {
        "block": lower.block,
        "weights": _hash(lower.backbone, lower.block),
        "rows": features.hash_rows(encoded),
        "limit_gb": store.limit_gb,
    }
    stored = _read(features.entry(store, content, fill))
    if len(stored) < len(encoded):
        say(f"resources.cache_gb holds the outputs of {len(stored)} of {len(encoded)} rows: the rest are recomputed.")
    group_of = {i: group for group in groups for i in group}

    def states(i: int) -> np.ndarray:
        if i in stored:
            return np.array(stored[i])
        found: np.ndarray = computed(group_of[i])[group_of[i].index(i)]
        return found

    return states


def _groups(encoded: Sequence[Arrays]) -> list[list[int]]:
    """Rows that are computed together: neighbours of one length, which depends on the rows alone."""
    of_size: dict[int, list[int]] = {}
    for i, row in enumerate(encoded):
        of_size.setdefault(_size(row), []).append(i)
    return [own[i : i + GROUP_ROWS] for _, own in sorted(of_size.items()) for i in range(0, len(own), GROUP_ROWS)]


def _size(row: Arrays) -> int:
    return max(array.size for array in row.values())


def _read(folder: Path) -> dict[int, np.ndarray]:
    """Row -> its output, memory-mapped."""
    rows, shapes = (np.load(folder / name, allow_pickle=False) for name in (ROWS, SHAPES))
    if not len(rows):
        return {}
    values = np.asarray(np.memmap(folder / VALUES, dtype=np.float32, mode="r"))
    parts = np.split(values, np.cumsum(shapes.prod(axis=1))[:-1])
    return {int(i): part.reshape(shape) for i, part, shape in zip(rows, parts, shapes, strict=True)}


def _hash(backbone: Backbone, block: int) -> str:
    """Of all weights but those of the blocks above, which do not matter here."""
    above = {id(p) for module in [*backbone.blocks[block:], *backbone.tail] for p in module.parameters()}
    digest = hashlib.sha256()
    for parameter in backbone.parameters():
        if id(parameter) not in above:
            digest.update(np.ascontiguousarray(parameter.detach().float().cpu().numpy()).data)
    return digest.hexdigest()
