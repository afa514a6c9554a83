"""Labels that came later, joined to the answers of the prediction log by request and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy import predictions
from tasks.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

REQUEST, PLACE = "request_id", "row"
Key = tuple[str, int]


@dataclass(frozen=True)
class Joined:
    """Labels and the answers they belong to.

    Attributes:
        rows: input, where it was kept, and label of each request that the log has, in the order of the labels.
        right: of these answers.
        unknown: labels of requests that the log does not have, or not any more.
    """

    rows: list[tuple[str | None, str | None]]
    right: int
    unknown: int


def keys_of(name: str, table: pa.Table) -> list[Key]:
    """Request id and place in the request, 0 without a column for it, of each row of a file.

    Args:
        name: of the file.
        table: has the column request_id.

    Raises:
        InputError: a place that is no whole number.
    """
    ids = [str(id_) for id_ in table.column(REQUEST).to_pylist()]
    if PLACE not in table.column_names:
        return [(id_, 0) for id_ in ids]
    try:
        places = [int(place or 0) for place in table.column(PLACE).to_pylist()]
    except (TypeError, ValueError):
        raise InputError(
            f"Column {PLACE!r} of {name} holds other things than whole numbers: give the place in the request, from 0."
        ) from None
    return list(zip(ids, places, strict=True))


def join(log: Path, keys: Sequence[Key], labels: Sequence[str | None]) -> Joined:
    """Join labels to the log.

    Args:
        log: folder of the prediction log.
        keys: request id and place in the request of each label.
        labels: as many; None for a gap.

    Raises:
        InputError: a log file cannot be read.
    """
    answers = _answers(log, {*keys})
    found = [(answers[key], label) for key, label in zip(keys, labels, strict=True) if key in answers]
    return Joined(
        rows=[(text, label) for (_, text), label in found],
        right=sum(prediction == label for (prediction, _), label in found),
        unknown=len(keys) - len(found),
    )


def _answers(log: Path, wanted: set[Key]) -> dict[Key, tuple[str, str | None]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array(sorted({id_ for id_, _ in wanted}), pa.string())
    found: dict[Key, tuple[str, str | None]] = {}
    for _, table in predictions.read(log, ("request_id", "row", "prediction", "input")):
        kept = table.filter(pc.is_in(table.column("request_id"), ids)).to_pylist()
        found |= {(row["request_id"], row["row"]): (row["prediction"], row["input"]) for row in kept}
    return {key: found[key] for key in wanted & found.keys()}
