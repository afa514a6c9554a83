"""What a modality brings. Shapes: N rows, T tokens, C x H x W pixels, F features, K classes, D depths (0: no block)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tasks.prepared import Prepared

Arrays = dict[str, np.ndarray]
# What an encoder takes: a text, or the bytes of a file.
Example = str | bytes


@dataclass(frozen=True)
class Inspected:
    """What is known of an example before it is encoded.

    Attributes:
        id: 32 hex digits of a hash of its content; two examples with one id are the same.
        size: in the modality's unit.
        fault: why it cannot be used, as a reason for the quarantine; None if it can.
    """

    id: str
    size: int
    fault: str | None


class Likeness(Protocol):
    """How alike two examples are.

    Attributes:
        threshold: similarity from which two examples are near duplicates, in (0, 1].
    """

    threshold: float

    def signatures(self, cells: Sequence[str]) -> np.ndarray:
        """(N, B, R) uint8: examples that are alike have one of B bands in common; the share of equal bytes is about
        their similarity."""

    def similarities(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Similarity of each pair, (N,) in [0, 1]."""


class Source(Protocol):
    """A modality's module `source`: examples where the user keeps them. No torch.

    Attributes:
        UNIT: what a size counts, such as "characters".
        FILES: True if an example is a file that a row names by its path; False if it is the row's cell itself.
        WORDS: True if its models read natural language, so that a label's name is an example too.
        DEFAULT_MODEL: source of the candidate that `graft init` proposes, None if it proposes none.
        EXAMPLE: a constant that `received` takes and any bundle can encode: what one answers when it is loaded.
    """

    UNIT: str
    FILES: bool
    WORDS: bool
    DEFAULT_MODEL: str | None
    EXAMPLE: str

    def inspect(self, cells: Sequence[str], root: Path, settings: Any) -> Iterator[Inspected]:
        """One record per cell, in their order.

        Args:
            cells: texts, or paths of files from `root`.
            root: the project's folder.
            settings: the modality's section of `preparation`.
        """

    def likeness(self, threshold: float) -> Likeness | None:
        """What tells near duplicates from this similarity on, in (0, 1]; None if nothing does."""

    def read(self, cell: str, root: Path) -> Example:
        """The example of a cell that `inspect` found no fault with."""

    def received(self, value: str) -> Example:
        """The example in a JSON string that a client sent.

        Raises:
            InputError: the string holds no example.
        """


class Classical(Protocol):
    """A modality's module `classical`: what is known of examples without a pre-trained model; rows are `Prepared`."""

    def examples(self, rows: Any) -> Sequence[Any]:
        """What the vectoriser takes."""

    def vectoriser(self) -> Any:
        """Unfitted scikit-learn transformer: what `examples` gives -> (N, F)."""

    def presence(self, rows: Any, phrases: Sequence[str] | None = None) -> tuple[Any, list[str]] | None:
        """Which words, or which of some phrases, stand in which row, as (N, T) of 0 and 1 and T terms.

        None where examples have no words, or no phrase can be looked for.
        """


class Encoder(Protocol):
    """Raw examples -> numpy inputs; the same object prepares training rows and answers requests. No torch.

    A modality's `encode.py` has `from_model(folder, settings)` and `from_bundle(folder)`, which return one.

    Attributes:
        inputs: names of the model's inputs.
        unit: what `positions` counts, such as "tokens".
        ragged: whether examples differ in length, so that a batch is padded.
        schema: JSON schema of the string that a client sends for an example.
    """

    inputs: tuple[str, ...]
    unit: str
    ragged: bool

    @property
    def schema(self) -> dict[str, Any]: ...

    def fault(self, example: object) -> str | None:
        """Why this example cannot be answered, to be read after "Example 3 "; told from what costs little to see."""

    def encode(self, examples: Sequence[Any]) -> list[Arrays]:
        """One dict of unpadded 1-D arrays per example.

        Raises:
            InputError: an example that only encoding finds unusable.
        """

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        """One batch: input name -> (N, ...)."""

    def positions(self, row: Arrays) -> int:
        """Places of one encoded example that the model's weights are applied to: what its cost grows with."""

    def truncated(self, examples: Iterable[Any]) -> int | None:
        """How many examples lose something to a length limit; None where there is no such limit."""

    def save(self, folder: Path) -> None:
        """Write what `from_bundle` needs."""


class Augment(Protocol):
    """A modality's module `augment`: small changes of training rows that leave their label as it is. No torch.

    Attributes:
        FUNCTIONS: leaf of the modality's `adaptation.augmentation` -> what it does to an opened example, by its value
            and a generator.
    """

    FUNCTIONS: dict[str, Callable[[Any, float, np.random.Generator], Any]]

    def opened(self, data: Prepared, place: int, encoder: Any) -> Any | None:
        """A row in the form that the functions change; None leaves it as it is."""

    def closed(self, example: Any, encoder: Any) -> Arrays:
        """What `opened` gave and the functions changed, encoded."""


class Backbone(Protocol):
    """A pre-trained network whose blocks are named in order.

    A modality's `backbone.py` has `load(folder, depth, pool)` and `from_scratch(folder, depth, pool)`, which return one
    that is also a `torch.nn.Module`, or raise InputError; and `TYPICAL_DEPTH`, the share of the blocks that serves few
    rows best as a rule, or None. Its `settings.py` has `PAIRS`, whether few rows are learned from by pairs,
    `DRAWN_HEAD_FROM`, the rows a label from which steps start from a drawn head, and `BEATEN_POOLS`, each with the pool
    that it loses to once blocks learn.

    Attributes:
        depth: blocks that run.
        width: F at this depth and pool.
        pools: ways to make one vector of a block's output that this network has.
    """

    depth: int
    width: int
    pools: tuple[str, ...]

    @property
    def blocks(self) -> list[nn.Module]:
        """The kept blocks, from the input upwards."""

    @property
    def tail(self) -> list[nn.Module]:
        """What follows the last kept block, such as a final norm."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights."""

    def eval(self) -> Backbone:
        """Turn off what only training uses, such as dropout."""

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Feature of each row, (N, F), at this backbone's depth and pool; calling the backbone does the same."""

    def pooled_at_all_depths(
        self, inputs: dict[str, torch.Tensor], pools: Sequence[str]
    ) -> dict[tuple[int, str], torch.Tensor]:
        """(depth, pool) -> (N, F), all from one forward pass; F may differ between depths.

        A pool that this backbone lacks is left out; an InputError, if it lacks all of them.
        """

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder (config.json, model.safetensors)."""
