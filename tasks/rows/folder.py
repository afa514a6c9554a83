"""A folder of files -> a table that names each: a folder per label, or a table that lies beside the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tasks.errors import InputError
from tasks.rows.split import Split
from tasks.rows.table import READERS, read_table

PATH, LABEL = "path", "label"
# What people call the splits; such a folder or table is never a label.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        table: columns of the folder's tables, or `path` and `label` of its files.
        splits: where the folder itself places each row; None where it does not say.
    """

    table: pa.Table
    splits: list[Split | None]


def read_folder(folder: Path, max_rows: int, text_columns: Sequence[str] | None = (), labelled: bool = True) -> Listing:
    """List a folder.

    Args:
        folder: one folder per label, or one table, or either below folders or in tables that are named like splits.
        max_rows: more are refused.
        text_columns: of the tables, as `read_table` has it.
        labelled: whether files without a label are refused when there are no others.

    Raises:
        InputError: nothing that could be read, tables or folders beside splits, or too many rows.
    """
    tables = [path for path in _visible(folder) if path.suffix.lower() in READERS]
    found = _tables(folder, tables, max_rows, text_columns) if tables else _files(folder, max_rows, labelled)
    if len(found.splits) > max_rows:
        raise InputError(
            f"{folder.name} has {len(found.splits)} rows, over data.max_rows {max_rows}: raise it or sample."
        )
    return found


def _tables(folder: Path, tables: list[Path], max_rows: int, text_columns: Sequence[str] | None) -> Listing:
    names = ", ".join(path.name for path in tables)
    splits = [SPLIT_NAMES.get(path.stem.lower()) for path in tables]
    if len(tables) > 1 and None in splits:
        raise InputError(
            f"The folder {folder.name} holds {len(tables)} tables ({names}): leave the one that lists the files, or "
            "name them train, validation and test."
        )
    parts = [read_table(path, max_rows, text_columns) for path in tables]
    said = [split for part, split in zip(parts, splits, strict=True) for _ in range(part.num_rows)]
    try:
        aligned = [part.select(parts[0].column_names) for part in parts]
        return Listing(pa.concat_tables(aligned, promote_options="permissive"), said)
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError):
        raise InputError(f"{names} in {folder.name} differ in their columns: give them the same ones.") from None


def _files(folder: Path, max_rows: int, labelled: bool) -> Listing:
    columns: dict[str, list[str | None]] = {PATH: [], LABEL: []}
    splits: list[Split | None] = []
    for split, below in _split_folders(folder):
        for top in _visible(below):
            for path in [top] if top.is_file() else _files_below(top):
                columns[PATH].append(path.relative_to(folder).as_posix())
                columns[LABEL].append(None if top.is_file() else top.name)
                splits.append(split)
                if len(splits) > max_rows:
                    raise InputError(
                        f"{folder.name} has more than {max_rows} files, data.max_rows: raise it or sample."
                    )
    if labelled and not any(columns[LABEL]):
        raise InputError(
            f"The folder {folder.name} holds neither folders named by label nor a table: put the files into one "
            "folder per label."
        )
    _refuse_odd_names(folder, columns[PATH])
    return Listing(pa.table({name: pa.array(values, type=pa.string()) for name, values in columns.items()}), splits)


def _refuse_odd_names(folder: Path, paths: list[str | None]) -> None:
    try:
        "".join(filter(None, paths)).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"The folder {folder.name} holds a file whose name is not UTF-8: rename it, for instance with convmv."
        ) from None


def _split_folders(folder: Path) -> list[tuple[Split | None, Path]]:
    folders = [path for path in _visible(folder) if path.is_dir()]
    splits = {path: SPLIT_NAMES[path.name.lower()] for path in folders if path.name.lower() in SPLIT_NAMES}
    if "train" not in splits.values():
        _refuse_hidden_split(folder, folders, list(splits))
        return [(None, folder)]
    if others := [path.name for path in folders if path not in splits]:
        raise InputError(
            f"The folder {folder.name} holds {others[0]!r} beside train: move it into a split, or out of the folder."
        )
    return [(split, path) for path, split in splits.items()]


def _refuse_hidden_split(folder: Path, folders: list[Path], splits: list[Path]) -> None:
    labels = {path.name for path in folders}
    for split in splits:
        if any(path.is_dir() and path.name in labels for path in _visible(split)):
            raise InputError(
                f"The folder {folder.name} holds {split.name!r} beside the labels that stand in it too: move the other "
                "labels into a folder train."
            )


def _files_below(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path


def _visible(folder: Path) -> list[Path]:
    """Sorted; what starts with a dot belongs to the system or to DVC."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
