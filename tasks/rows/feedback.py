"""Labelled rows that came after a release: an inbox that only grows, and the version of the data made of it.

.graft/feedback/
├── 00001/rows.csv          one batch, in the project's own columns; renamed into place, never changed
├── 00001/files/            the files that its rows name, where examples are files
└── .lock                   held while a batch is added
"""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType

from tasks import modalities
from tasks.artifacts import new_folder, write_text
from tasks.errors import InputError
from tasks.params import Params
from tasks.rows.clean import load
from tasks.rows.read import read_own
from tasks.stage import one_writer

INBOX = Path(".graft/feedback")
# Where a data version keeps them: a table, or a folder with the table and its files.
TABLE, FOLDER = "data/raw/feedback.csv", "data/raw/feedback"
ROWS, FILES = "rows.csv", "files"


@dataclass(frozen=True)
class Labelled:
    """One labelled example.

    Attributes:
        cell: the example, or the path of its file.
        label: as its source spells it.
        folder: from where the path counts.
    """

    cell: str
    label: str
    folder: Path


@dataclass(frozen=True)
class Taken:
    """What became of the rows that were handed in.

    Attributes:
        rows: that are new, or have another label than before.
        known: that were there already with this label.
        refused: reason -> count of those that are of no use.
    """

    rows: int
    known: int
    refused: dict[str, int]


def place(params: Params) -> str:
    """What `data.feedback` is to name, from the project's folder.

    Raises:
        InputError: the project keeps other rows there, or names another place.
    """
    data, own = params.data, FOLDER if _source(params).FILES else TABLE
    if own in (data.path, data.test):
        raise InputError(f"{own} is where rows are kept that come later, and the source of this project: rename that.")
    if data.feedback not in (None, own):
        raise InputError(
            f"data.feedback names {data.feedback}, but rows that come later are kept in {own}: set it to null and hand "
            "its rows in with `graft feedback`."
        )
    return own


def take(home: Path, params: Params, rows: Sequence[tuple[str | None, str | None]], folder: Path) -> Taken:
    """Check rows and put those that are new into the inbox, as one batch.

    Args:
        home: the project's folder.
        params: of the project.
        rows: example, or the path of its file from `folder`, and label of each.
        folder: from where a path counts.

    Raises:
        InputError: none of the rows is of any use.
        BusyError: another process is adding a batch for longer than that takes.
    """
    place(params)
    usable, refused = _usable(rows, params, folder)
    if not rows:
        raise InputError("There is no row of feedback: hand in labelled rows.")
    if not usable:
        reasons = ", ".join(f"{count} of them: {reason}" for reason, count in sorted(refused.items()))
        raise InputError(f"None of the {len(rows)} rows of feedback can be used ({reasons}): correct them.")
    with one_writer(home / INBOX / ".lock"):
        known = {id_: one.label for id_, one in _inbox(home, params).items()}
        new = {id_: one for id_, one in usable.items() if known.get(id_) != one.label}
        if new:
            number = 1 + max((int(path.name) for path in _batches(home)), default=0)
            with new_folder(home / INBOX / f"{number:05d}") as made:
                _write(made, made / ROWS, new, params)
    return Taken(len(new), len(usable) - len(new), dict(sorted(refused.items())))


def merge(home: Path, root: Path, params: Params) -> int:
    """Make the feedback of `root` that of the inbox too; a second time there is nothing to do.

    Rows that the project's own source has already stay as they are there.

    Args:
        home: the project's folder, which has the inbox.
        root: the checkout in which the new version of the data is made.
        params: of the project.

    Returns:
        Rows that were added or got another label.
    """
    target = root / place(params)
    old = _labelled(target, params) if target.exists() else {}
    inbox = _inbox(home, params)
    changed = {id_ for id_, one in inbox.items() if id_ not in old or old[id_].label != one.label}
    if changed:
        changed -= _ids_of_source(root, params)
    if changed:
        rows = old | {id_: inbox[id_] for id_ in changed}
        _write(target, target / ROWS if _source(params).FILES else target, rows, params)
    return len(changed)


def _ids_of_source(root: Path, params: Params) -> set[str]:
    data = params.data.model_copy(update={"feedback": None})
    return {row.id for row in load(root, params.model_copy(update={"data": data})).rows if row.label is not None}


def _source(params: Params) -> ModuleType:
    return modalities.part(params.project.modality, "source")


def _batches(home: Path) -> list[Path]:
    return sorted(path for path in (home / INBOX).glob("[0-9]*") if path.is_dir())


def _inbox(home: Path, params: Params) -> dict[str, Labelled]:
    """Id -> example with the label that came last, of all batches."""
    found: dict[str, Labelled] = {}
    for batch in _batches(home):
        found |= _labelled(batch / ROWS, params)
    return found


def _labelled(path: Path, params: Params) -> dict[str, Labelled]:
    raw = read_own(path, params.data)
    folder = path if path.is_dir() else path.parent
    found, _ = _usable(list(zip(raw.inputs, raw.labels, strict=True)), params, folder)
    return found


def _usable(
    rows: Sequence[tuple[str | None, str | None]], params: Params, folder: Path
) -> tuple[dict[str, Labelled], Counter[str]]:
    """Id -> example, of two with one id the later, and how many rows are of no use, by reason."""
    usable: dict[str, Labelled] = {}
    refused: Counter[str] = Counter()
    seen = _source(params).inspect([cell for cell, label in rows if cell and label], folder, params.examples)
    for cell, label in rows:
        if not cell or not label:
            refused["empty label" if cell else "empty example"] += 1
            continue
        one = next(seen)
        if one.fault:
            refused[one.fault] += 1
        else:
            usable[one.id] = Labelled(cell, label, folder)
    return usable, refused


def _write(folder: Path, table: Path, rows: dict[str, Labelled], params: Params) -> None:
    """The table, sorted by id so that the order of the batches leaves no trace, after the files that it names."""
    ordered = sorted(rows.items())
    if _source(params).FILES:
        (folder / FILES).mkdir(parents=True, exist_ok=True)
        cells = [_copied(folder, id_, one) for id_, one in ordered]
    else:
        cells = [one.cell for _, one in ordered]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([params.data.input_column, params.data.label_column])
    writer.writerows(zip(cells, (one.label for _, one in ordered), strict=True))
    write_text(table, buffer.getvalue())


def _copied(folder: Path, id_: str, one: Labelled) -> str:
    cell = f"{FILES}/{id_}{PurePosixPath(one.cell).suffix.lower()}"
    if not (folder / cell).exists():
        part = folder / f"{cell}.part"
        shutil.copyfile(one.folder / one.cell, part)
        part.replace(folder / cell)
    return cell
