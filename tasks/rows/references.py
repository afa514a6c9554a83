"""Sets of examples that the user names to be compared with the project's own; no label of theirs is looked at."""

from __future__ import annotations

from pathlib import Path

from tasks import modalities
from tasks.errors import InputError
from tasks.params import Params
from tasks.rows.clean import refuse_other_kind
from tasks.rows.gathered import from_root
from tasks.rows.inspected import inspect
from tasks.rows.read import examples, refuse_numbers

# Of each set.
ROWS = 400


def load(root: Path, params: Params) -> dict[str, list[str]]:
    """Name -> at most `ROWS` different usable examples of each set of `selection.references`, or paths of them.

    Which ones depends on their content alone: those of the least hashes.

    Raises:
        InputError: sets that cannot be read, lie in another form than the project's data, or hold no usable example.
    """
    found: dict[str, list[str]] = {}
    faults: list[str] = []
    for name, path in params.selection.references.items():
        try:
            found[name] = _sample(path, root, params)
        except InputError as error:
            faults += [f"selection.references.{name}: {sentence}" for sentence in error.sentences]
    if faults:
        raise InputError(faults)
    return found


def _sample(path: str, root: Path, params: Params) -> list[str]:
    source, data = modalities.part(params.project.modality, "source"), params.data
    refuse_other_kind(root / path, params)
    kept: dict[str, str] = {}
    for batch in examples(root / path, data):
        cells = [from_root(path, cell) if source.FILES else cell for cell in batch if cell]
        seen = zip(inspect(source, cells, root, params.examples), cells, strict=True)
        kept |= {one.id: cell for one, cell in seen if one.fault is None}
        kept = dict(sorted(kept.items())[:ROWS])
    if not kept:
        raise InputError(f"{Path(path).name} holds no usable example in column {data.input_column!r}: name another.")
    sample = [*kept.values()]
    refuse_numbers(sample, root / path, data.input_column)
    return sample
