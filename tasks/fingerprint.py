"""Stage `code`: per stage one hash of the code it can reach and of the libraries that code imports.

DVC sees neither imports nor installed libraries. `code.yaml` says both, so that a changed line below
`tasks/adaptation` makes adaptation stale and nothing before it, a comment makes nothing stale, and an
upgraded library makes stale what imports it.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tasks.artifacts import canonical_json, sha256_source, sha256_text, write_text
from tasks.modalities import MODALITIES
from tasks.params import Candidate
from tasks.problems import PROBLEMS
from tasks.weights import companions

HOUSE = Path(__file__).resolve().parents[1]
PACKAGES = ("tasks", "deploy")
DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "PyYAML", "PIL": "pillow"}
# Libraries that do the work of another and are imported by it alone: the solver, the exporter.
BEHIND = {"sklearn": ("scipy",), "onnx": ("onnxscript",)}
# In the folder of a modality, but used before there is a project.
UNREACHED = ("guess.py",)
MODULE_NAME = re.compile(rf"^({'|'.join(PACKAGES)})(\.[a-z0-9_]+)+$")


def code_yaml(dvc: dict[str, Any], params: dict[str, Any], root: Path) -> dict[str, Any]:
    """Content of `code.yaml`: stage -> hash, and hashes of what else a stage depends on and DVC cannot name.

    DVC's templates know no optional dependency: `data.test` and `data.feedback` may be null, `selection.references`
    names any number of sets, and a candidate may lie in a package.
    """
    project = params.get("project") or {}
    others = unused(project.get("modality"), project.get("problem"))
    hashes = {name: of_stage(stage["cmd"], others) for name, stage in sorted(dvc["stages"].items()) if name != "code"}
    data = params.get("data") or {}
    selection = params.get("selection") or {}
    found = [_companions(entry, root) for entry in selection.get("candidates") or []]
    return hashes | {
        "test_data": _hash_of(root, data.get("test")),
        "feedback_data": _hash_of(root, data.get("feedback")),
        "reference_data": _hash_of_all(root, selection.get("references")),
        "models": sha256_text(canonical_json(found)),
    }


def _hash_of(root: Path, source: Any) -> str | None:
    path = root / source if isinstance(source, str) else None
    return sha256_source(path) if path and path.exists() else None


def _hash_of_all(root: Path, sources: Any) -> str | None:
    """Of sets by name; None where there are none."""
    if not isinstance(sources, dict) or not sources:
        return None
    return sha256_text(canonical_json({str(name): _hash_of(root, path) for name, path in sources.items()}))


def unused(modality: str | None, problem: str | None) -> frozenset[str]:
    """Packages of the modalities and problems that a project does not have."""
    rows = ((MODALITIES, modality), (PROBLEMS, problem))
    return frozenset(module for registry, own in rows for name, module in registry.items() if name != own)


def _companions(entry: Any, root: Path) -> dict[str, str] | None:
    try:
        return companions(Candidate.model_validate(entry), root)
    except ValidationError:  # told in full by whoever loads the params
        return None


def of_stage(command: str, left_out: frozenset[str] = frozenset()) -> str:
    """Hash of everything that `python -m MODULE` can reach, but for packages that this project does not use."""
    module = command.split("-m ", 1)[1].split()[0]
    own, libraries = closure(module, left_out)
    versions = {name: version for name in sorted(libraries) if (version := _version(name))}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return sha256_text(
        canonical_json({"code": {m: _hash(m) for m in sorted(own)}, "libraries": versions, "python": python})
    )


def closure(module: str, left_out: frozenset[str] = frozenset()) -> tuple[set[str], set[str]]:
    """Modules of ours and top-level names of libraries that importing and calling `module` can reach.

    Args:
        module: where to begin.
        left_out: packages that are not entered, such as the modalities that a project does not have.
    """
    own: set[str] = set()
    libraries: set[str] = set()
    waiting = [f"{module}.__main__" if _file(f"{module}.__main__") else module]
    while waiting:
        name = waiting.pop()
        if name in own or _file(name) is None or any(f"{name}.".startswith(f"{other}.") for other in left_out):
            continue
        own.add(name)
        waiting += [name.rpartition(".")[0]] if "." in name else []
        for imported in _imports(name):
            if imported.split(".")[0] in PACKAGES:
                waiting.append(imported)
            elif imported.split(".")[0] not in sys.stdlib_module_names:
                library = imported.split(".")[0]
                libraries |= {library, *BEHIND.get(library, ())}
    return own, libraries


@cache
def _imports(name: str) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE_NAME.match(node.value):
            # A registry names its rows as strings and imports them on use: all that lies below is reachable.
            found |= set(_below(node.value))
    return frozenset(found)


def _below(name: str) -> list[str]:
    file = _file(name)
    if file is None or file.name != "__init__.py":
        return [name]
    inside = [path for path in sorted(file.parent.rglob("*.py")) if path.name not in ("__init__.py", *UNREACHED)]
    return [name] + [".".join(path.relative_to(HOUSE).with_suffix("").parts) for path in inside]


def _file(name: str) -> Path | None:
    path = HOUSE.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _tree(name: str) -> ast.Module:
    file = _file(name)
    assert file is not None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = _without_docstring(node.body)
    return tree


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:] or [ast.Pass()]
    return body


@cache
def _hash(name: str) -> str:
    return hashlib.sha256(ast.dump(_tree(name)).encode("utf-8")).hexdigest()


@cache
def _version(library: str) -> str | None:
    try:
        return metadata.version(DISTRIBUTIONS.get(library, library))
    except metadata.PackageNotFoundError:
        return None


def write(root: Path) -> None:
    """Write `code.yaml` of the project in `root`."""
    dvc = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    write_text(root / "code.yaml", yaml.safe_dump(code_yaml(dvc, params, root), sort_keys=True))


if __name__ == "__main__":
    write(Path.cwd())
