"""bundle -> encode -> ONNX Runtime -> answer, without torch: the chain, `predict` and the server share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tasks import drift, known_answer, modalities, problems
from tasks.errors import CrashError, InputError
from tasks.graph import OUTPUTS, check_graph, session
from tasks.manifest import MANIFEST, Manifest, check_bundle, fault
from tasks.modalities.contract import Arrays, Encoder, Example

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["MANIFEST", "Example", "Manifest", "Predictions", "Runtime", "check_bundle", "length_batches"]

DRIFT = "drift.npz"
BATCH_ROWS = 32
PORTION_ROWS = 256
# Attention needs memory for rows x length² numbers; 2**19 keeps a MiniLM at 512 tokens under 400 MB resident.
MAX_ROWS_TIMES_LENGTH_SQUARED = 2**19


@dataclass(frozen=True)
class Predictions:
    """Answers to N examples, in their order.

    Attributes:
        answers: one answer of the problem's `answer.py` per example.
        logits: (N, K) float32.
        pooled: (N, F) float32, the features that the head saw.
    """

    answers: list[Any]
    logits: np.ndarray
    pooled: np.ndarray


class Runtime:
    """A loaded bundle; `load` makes one. Its methods may be called from several threads.

    Args:
        manifest: of the bundle.
        encoder: of the bundle's modality.
        session: ONNX Runtime session of the bundle's model.
        reference: for drift, if the bundle has one.
    """

    def __init__(
        self,
        manifest: Manifest,
        encoder: Encoder,
        session: ort.InferenceSession,
        reference: drift.Reference | None = None,
    ) -> None:
        self.manifest, self._encoder, self._session, self._reference = manifest, encoder, session, reference
        self._answer = problems.part(manifest.problem, "answer")
        self._source = modalities.part(manifest.modality, "source")

    @classmethod
    def load(cls, folder: Path, threads: int, version: str | None = None) -> Runtime:
        """Check a bundle and make it ready to answer.

        Args:
            folder: the bundle.
            threads: CPU threads of one forward pass, at least 1.
            version: what it must be, 12 hex digits; any if None.

        Raises:
            InputError: what `opened` refuses, or an answer that `known_answer.check` does.
        """
        runtime = cls.opened(folder, threads, version)
        known_answer.check(folder, runtime.manifest, runtime.asked)
        return runtime

    @classmethod
    def opened(cls, folder: Path, threads: int, version: str | None = None) -> Runtime:
        """As `load`, of a bundle that is not asked yet.

        Raises:
            InputError: what `check_bundle` refuses, a drift reference that cannot be loaded, an encoder or a graph that
                cannot be loaded or does not fit.
        """
        manifest = check_bundle(folder, version)
        try:
            encoder = modalities.part(manifest.modality, "encode").from_bundle(folder / "encoder")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise fault(folder, f"its encoder cannot be loaded ({type(error).__name__})") from None
        graph = session(folder, manifest, threads)
        check_graph(folder, manifest, encoder, graph)
        return cls(manifest, encoder, graph, reference_of(folder, manifest))

    @property
    def version(self) -> str:
        """12 hex digits that name the bundle."""
        return self.manifest.version

    @property
    def takes_files(self) -> bool:
        """Whether an example is the bytes of a file, and not a text."""
        return bool(self._source.FILES)

    @property
    def example_schema(self) -> dict[str, Any]:
        """JSON schema of one string that `received` and `encode` take."""
        return self._encoder.schema

    def received(self, values: Sequence[str]) -> list[Example]:
        """Examples in the JSON strings that a client sent.

        Raises:
            InputError: a string that holds none.
        """
        return [self._source.received(value) for value in values]

    def encode(self, examples: Sequence[Example]) -> list[Arrays]:
        """One dict of unpadded arrays per example.

        Raises:
            InputError: an example that is of another kind, over a limit of the bundle, or broken; never echoes it.
        """
        for number, example in enumerate(examples, start=1):
            if reason := self._encoder.fault(example):
                raise InputError(f"Example {number} {reason}.")
        return self._encoder.encode(examples)

    def _encode_usable(self, examples: Sequence[Any]) -> dict[int, Arrays]:
        """Place -> arrays of every example that can be answered."""
        return self._encode_places([i for i, one in enumerate(examples) if self._encoder.fault(one) is None], examples)

    def _encode_places(self, places: list[int], examples: Sequence[Any]) -> dict[int, Arrays]:
        """Halved until what only encoding finds unusable stands alone."""
        try:
            return dict(zip(places, self._encoder.encode([examples[i] for i in places]), strict=True))
        except InputError:
            if len(places) == 1:
                return {}
        middle = len(places) // 2
        return self._encode_places(places[:middle], examples) | self._encode_places(places[middle:], examples)

    def read(self, cell: object, folder: Path) -> Example | None:
        """The example of a table's cell, which may name a file from `folder`; None if there is none."""
        try:
            return cast("Example", self._source.read(cell, folder)) if isinstance(cell, str) else None
        except OSError:
            return None

    def size_of(self, row: Arrays) -> int:
        """What an encoded example counts in a batch: its positions, or 1 where all examples are of one shape."""
        return self._encoder.positions(row) if self._encoder.ragged else 1

    def run(self, encoded: Sequence[Arrays], batch_rows: int = BATCH_ROWS) -> tuple[np.ndarray, np.ndarray]:
        """Forward pass of N >= 1 encoded examples: logits (N, K), pooled (N, F).

        Neighbours in length are answered together, inside portions that `predict` makes too: what an int8 graph answers
        depends on what shares its batch.
        """
        portions = [encoded[i : i + PORTION_ROWS] for i in range(0, len(encoded), PORTION_ROWS)]
        parts = [self._run_portion(portion, batch_rows) for portion in portions]
        logits, pooled = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return logits, pooled

    def asked(self, value: str) -> tuple[np.ndarray, np.ndarray]:
        """Logits (1, K) and pooled features (1, F) of one JSON string that `received` takes, of any length.

        Raises:
            ValueError: the drift reference is of features of another width.
        """
        logits, pooled = self._run_portion(self._encoder.encode(self.received([value])), batch_rows=1)
        self.projected(pooled)
        return logits, pooled

    def _run_portion(self, encoded: Sequence[Arrays], batch_rows: int) -> tuple[np.ndarray, np.ndarray]:
        batches = length_batches([self._encoder.positions(row) for row in encoded], batch_rows)
        parts = [self._forward([encoded[i] for i in rows]) for rows in batches]
        place = np.argsort(np.concatenate(batches))
        logits, pooled = (np.concatenate(arrays)[place] for arrays in zip(*parts, strict=True))
        return logits, pooled

    def _forward(self, encoded: Sequence[Arrays]) -> list[np.ndarray]:
        outputs = self._session.run(list(OUTPUTS), self._encoder.collate(encoded))
        return [np.asarray(output, dtype=np.float32) for output in outputs]

    def projected(self, pooled: np.ndarray) -> np.ndarray:
        """Pooled features (N, F) -> what drift compares of them (N, P) float32; P is 0 without a reference."""
        return self._reference.project(pooled) if self._reference else np.empty((len(pooled), 0), np.float32)

    def answers(self, logits: np.ndarray) -> list[Any]:
        """Logits (N, K) -> one answer per row, its probability calibrated by the bundle's temperature.

        Raises:
            CrashError: a logit is not finite.
        """
        answers: list[Any] = self._answer.answers(self._calibrated(logits), self.manifest.labels)
        return answers

    def _calibrated(self, logits: np.ndarray) -> np.ndarray:
        if not np.isfinite(logits).all():
            raise CrashError(f"The model of bundle {self.version} gave a logit that is not finite: roll it back.")
        return logits / self.manifest.temperature

    def ranked(self, logits: np.ndarray, count: int) -> list[list[Any]]:
        """Logits (N, K) that `answers` took -> per row its `count` most probable answers, or K if that is less."""
        ranked: list[list[Any]] = self._answer.ranked(self._calibrated(logits), self.manifest.labels, count)
        return ranked

    def predict(self, examples: Iterable[Example], batch_rows: int = BATCH_ROWS) -> Predictions:
        """Answer N >= 1 examples.

        Args:
            examples: raw examples; taken in portions, so that a stream of any length needs no more memory.
            batch_rows: rows of one forward pass, at most; fewer where the examples are long.

        Raises:
            InputError: no example, or one that `encode` refuses.
            CrashError: a logit is not finite.
        """
        stream, parts = iter(examples), []
        while portion := list(islice(stream, PORTION_ROWS)):
            parts.append(self.run(self.encode(portion), batch_rows))
        if not parts:
            raise InputError("There is nothing to answer: give at least one example.")
        logits, pooled = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return Predictions(self.answers(logits), logits, pooled)

    def predict_usable(self, examples: Iterable[Any]) -> list[Any | None]:
        """One answer per example, None for one that cannot be answered; portions as of `predict`."""
        return self._usable(examples, self.answers)

    def probabilities_usable(self, examples: Iterable[Any]) -> list[np.ndarray | None]:
        """(K,) probabilities per example, None for one that cannot be answered; portions as of `predict`."""
        return self._usable(examples, lambda logits: [*self._answer.probabilities(self._calibrated(logits))])

    def _usable(self, examples: Iterable[Any], answered: Callable[[np.ndarray], list[Any]]) -> list[Any | None]:
        stream, answers = iter(examples), []
        while portion := list(islice(stream, PORTION_ROWS)):
            encoded = self._encode_usable(portion)
            found = answered(self.run(list(encoded.values()))[0]) if encoded else []
            placed = dict(zip(encoded, found, strict=True))
            answers += [placed.get(place) for place in range(len(portion))]
        return answers


def length_batches(lengths: Sequence[int], batch_rows: int) -> list[list[int]]:
    """Positions of all rows, shortest first, cut so that each batch is within `batch_rows` and the memory limit."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        rows = len(batches[-1]) + 1 if batches else batch_rows + 1
        if rows > batch_rows or rows * lengths[row] ** 2 > MAX_ROWS_TIMES_LENGTH_SQUARED:
            batches.append([])
        batches[-1].append(row)
    return batches


def reference_of(folder: Path, manifest: Manifest) -> drift.Reference | None:
    """Drift reference of a bundle; None for one that is only scored.

    Raises:
        InputError: it cannot be loaded.
    """
    if DRIFT not in manifest.files:
        return None
    try:
        return drift.load(folder / DRIFT)
    except Exception as error:  # zip, numpy and missing arrays each raise their own
        raise fault(folder, f"its {DRIFT} cannot be loaded ({type(error).__name__})") from None
