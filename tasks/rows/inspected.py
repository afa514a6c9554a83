"""What was found of every file, kept while the file stays as it is: a look costs less than decoding it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from types import ModuleType
from typing import Any

from tasks import fingerprint
from tasks.artifacts import canonical_json, read_json, sha256_text, write_json
from tasks.modalities.contract import Inspected

STORE = Path(".graft/inspected")


def inspect(source: ModuleType, cells: Sequence[str], root: Path, settings: Any) -> Iterator[Inspected]:
    """As the modality's own `inspect`, which is asked about files alone that are new or were changed.

    Args:
        source: the modality's module `source`.
        cells: texts, or paths of files from `root`.
        root: the project's folder, in which the store is.
        settings: the modality's section of `preparation`.
    """
    if not source.FILES:
        yield from source.inspect(cells, root, settings)
        return
    path = root / STORE / f"{_key(source, settings)}.json"
    known = read_json(path) if path.is_file() else {}
    states = {cell: _state(root / cell) for cell in cells}
    new = [cell for cell, state in states.items() if cell not in known or state is None or known[cell][0] != state]
    found = dict(zip(new, source.inspect(new, root, settings), strict=True))
    for cell in cells:
        yield found[cell] if cell in found else Inspected(*known[cell][1])
    if found:
        known |= {cell: [states[cell], astuple(one)] for cell, one in found.items() if states[cell]}
        write_json(path, known)


def _state(path: Path) -> list[int] | None:
    """Size, time of the last change and number of a file; None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _key(source: ModuleType, settings: Any) -> str:
    """Names what the findings depend on beside the files."""
    code = fingerprint.of_stage(f"python -m {source.__name__}")
    return sha256_text(canonical_json({"code": code, "settings": settings.model_dump(mode="json")}))[:32]
