"""What a bundle says about itself, and whether its files are the ones it says: the one check of both."""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks import modalities, problems
from tasks.artifacts import sha256_file
from tasks.errors import InputError

FORMAT = 4
MANIFEST = "manifest.json"
# Ids of the rows that the model was judged on, and the first halves of those it learned from.
JUDGED, LEARNED = "judged.json", "learned.npy"
MAX_MANIFEST_BYTES = 1_000_000
VERSION_DIGITS = 12
SHA256 = re.compile(r"[0-9a-f]{64}")
TEXTS = ("project", "modality", "problem", "artefact", "model")
SCHEMAS = ("inputs", "outputs")
FIELDS: dict[str, type] = (
    dict.fromkeys(TEXTS, str)
    | dict.fromkeys((*SCHEMAS, "files", "made_from"), dict)
    | {"labels": list, "temperature": float}
)
# Numbers that one row of an input or output may be said to have: 4096 x 4096 pixels of three channels have fewer.
MAX_NUMBERS_A_ROW = 2**26


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        sha256: of manifest.json, which holds the sha256 of every other file: it names the whole bundle.
        project: name of the project that made it.
        modality: a row of `tasks.modalities`.
        problem: a row of `tasks.problems`.
        labels: a label's place is its column in the logits.
        artefact: which form of the model was shipped: "onnx" (float32) or a row of the forms that compete with it.
        model: file name of the ONNX graph.
        inputs: name -> {"type", "shape"} of each input of the graph, null for an axis that varies.
        outputs: the same of each output.
        temperature: what logits are divided by, so that probabilities are calibrated (Guo et al. 2017).
        licence: of the base model, None if nobody names one.
        made_from: hashes of checkpoint, rows and receipt, and the base model with its depth and pool.
        files: relative path -> sha256 of every file but the manifest.
    """

    sha256: str
    project: str
    modality: str
    problem: str
    labels: tuple[str, ...]
    artefact: str
    model: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    temperature: float
    licence: str | None
    made_from: Mapping[str, Any]
    files: Mapping[str, str]

    @property
    def version(self) -> str:
        """Short name of the bundle: 12 hex digits."""
        return self.sha256[:VERSION_DIGITS]


def check_bundle(folder: Path, version: str | None = None) -> Manifest:
    """Compare a bundle with its manifest, before anything in it is interpreted.

    Args:
        folder: the bundle.
        version: what the manifest must be, 12 hex digits; any if None.

    Raises:
        InputError: no bundle, an unknown format, another version, a missing, additional or changed file, a link.
    """
    manifest = read_manifest(folder)
    if version not in (None, manifest.version):
        raise fault(folder, f"its {MANIFEST} was changed, it is that of {manifest.version} and not of {version}")
    try:
        found = _files_below(folder) - {MANIFEST}
        if missing := sorted(set(manifest.files) - found):
            raise fault(folder, f"file {missing[0]!r} of its manifest is missing")
        if extra := sorted(found - set(manifest.files)):
            raise fault(folder, f"file {extra[0]!r} is not in its manifest")
        for name, expected in sorted(manifest.files.items()):
            if sha256_file(folder / name) != expected:
                raise fault(folder, f"the sha256 of {name!r} is not the one in its manifest")
    except OSError as error:
        raise fault(folder, f"a file cannot be read ({error.strerror})") from None
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read and check manifest.json alone; `check_bundle` compares the files with it.

    Raises:
        InputError: no manifest, one that is too large or malformed, an unknown format.
    """
    content = _manifest_bytes(folder)
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        raise fault(folder, f"{MANIFEST} is not JSON") from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise InputError(
            f"Bundle {folder.resolve().name}: {MANIFEST} has another format than {FORMAT}, the one this version reads: "
            "use the version of Graft that made it, or build it again with `graft run`."
        )
    for name, kind in FIELDS.items():
        if not isinstance(tree.get(name), kind):
            raise fault(folder, f"{name} in {MANIFEST} is missing or no {kind.__name__}")
    if reason := _nonsense(tree):
        raise fault(folder, f"{MANIFEST}: {reason}")
    return Manifest(
        sha256=hashlib.sha256(content).hexdigest(),
        labels=tuple(tree["labels"]),
        licence=tree.get("licence"),
        **{name: tree[name] for name in FIELDS if name != "labels"},
    )


def _manifest_bytes(folder: Path) -> bytes:
    path = folder / MANIFEST
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise fault(folder, f"{MANIFEST} is a link or no file")
        with path.open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise fault(folder, f"{MANIFEST} cannot be read ({error.strerror})") from None
    if len(content) > MAX_MANIFEST_BYTES:
        raise fault(folder, f"{MANIFEST} is over {MAX_MANIFEST_BYTES} bytes")
    return content


def _nonsense(tree: dict[str, Any]) -> str | None:
    """The first reason why a manifest of the right types cannot be meant."""
    labels, files = tree["labels"], tree["files"]
    if tree["modality"] not in modalities.MODALITIES or tree["problem"] not in problems.PROBLEMS:
        return f"no rows for modality {tree['modality']!r} and problem {tree['problem']!r}"
    if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        return "labels must be different strings"
    if not 0 < tree["temperature"] < math.inf:
        return "temperature must be above 0 and finite"
    if not isinstance(tree.get("licence"), str | None):
        return "licence must be a text or null"
    if name := next((name for kind in SCHEMAS for name, entry in tree[kind].items() if not _is_schema(entry)), None):
        return f"{name!r} has no type and no shape that can be meant"
    for name, digest in files.items():
        if not _stays_inside(name):
            return f"file name {name!r} leads out of the bundle"
        if not isinstance(digest, str) or not SHA256.fullmatch(digest):
            return f"file {name!r} has no sha256"
    return None if tree["model"] in files else "model is not one of the files"


def _is_schema(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        return False
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(size is None or (type(size) is int and size > 0) for size in shape):
        return False
    return bool(math.prod(size for size in shape if size) <= MAX_NUMBERS_A_ROW)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = path.as_posix() == name and "\\" not in name
    return plain and bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _files_below(folder: Path) -> set[str]:
    names = set()
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISREG(mode):
            names.add(name)
        elif not stat.S_ISDIR(mode):
            raise fault(folder, f"{name!r} is a link or a special file")
    return names


def fault(folder: Path, what: str) -> InputError:
    """One sentence about what is wrong with a bundle."""
    return InputError(
        f"Bundle {folder.resolve().name}: {what}: restore the bundle, or build it again with `graft run`."
    )
