"""The house rules of the design, read off the source. Every message says the way out."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.sources import HOUSE, MODULES, PHASES, SOURCES, name_of, tree

FROM_FLOWS = {
    "phases", "check", "estimate", "reproduce", "runtime", "manifest", "receipt", "rows", "drift", "params",
    "artifacts", "errors", "project", "stage", "worktree", "rerun", "sources", "huggingface", "bulk", "words",
}  # fmt: skip
FROM_DEPLOY = {"runtime", "manifest", "drift", "artifacts", "errors", "sources", "words"}
# Names that shadow a library or a module of the standard library for whoever runs a file by its path.
LIBRARIES = {
    "datasets", "torch", "transformers", "tokenizers", "tokenize", "prefect", "dvc", "onnx", "onnxruntime", "sklearn",
    "numpy", "pandas", "pyarrow", "pydantic", "yaml", "typer", "rich", "fastapi", "uvicorn", "safetensors",
    "accelerate", "evaluate", "peft", "optuna", "ray", "timm", "httpx", "evidently",
}  # fmt: skip
# Each row of a registry, with the test that covers it; paths count from tests/.
ROWS = {
    "tasks.modalities.MODALITIES": {"text": "tasks/modalities/text", "image": "tasks/modalities/image"},
    "tasks.modalities.text.augment.FUNCTIONS": dict.fromkeys(
        ("word_dropout", "word_swap"), "tasks/modalities/text/test_augment.py"
    ),
    "tasks.modalities.image.augment.FUNCTIONS": dict.fromkeys(
        ("flip", "shift"), "tasks/modalities/image/test_augment.py"
    ),
    "tasks.problems.PROBLEMS": {"classification": "tasks/problems"},
    "tasks.training.scope.SCOPES": dict.fromkeys(
        ("frozen", "bias", "top", "gradual", "lora", "full"), "tasks/training/test_scope.py"
    ),
    "tasks.training.scope.lora.ADAPTERS": dict.fromkeys(
        ("lora", "rslora", "dora", "pissa"), "tasks/training/test_scope_adapters.py"
    ),
    "tasks.training.decay.DECAYS": dict.fromkeys(("linear", "cosine"), "tasks/training/test_decay.py"),
    "tasks.training.objective.OBJECTIVES": dict.fromkeys(
        ("supervised", "contrastive"), "tasks/training/test_objective.py"
    ),
    "tasks.weights.SOURCES": dict.fromkeys(("package", "path", "hub"), "tasks/test_weights.py"),
    "tasks.deployment.forms.FORMS": dict.fromkeys(
        ("optimised", "int8", "int8_per_tensor", "int8_static", "int8_static_per_tensor", "float16"),
        "tasks/deployment/test_forms.py",
    ),
    "tasks.rows.table.READERS": dict.fromkeys((".csv", ".jsonl", ".parquet"), "tasks/rows"),
    "tasks.bulk.source.OPENERS": dict.fromkeys((".csv", ".jsonl", ".parquet"), "tasks/bulk/test_source.py"),
    "tasks.bulk.table.WRITERS": dict.fromkeys((".csv", ".jsonl", ".parquet"), "tasks/bulk/test_table.py"),
}
HEAVY = ["torch", "transformers", "prefect", "dvc"]


def imports(path: Path) -> set[str]:
    """Dotted names this file imports, `from a import b` as a.b where that is a module of ours, else as a."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: write the import absolutely"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def top(name: str) -> str:
    return name.split(".")[0]


def room(name: str) -> str:
    """`tasks.rows.read` -> `rows`."""
    return name.split(".")[1] if "." in name else ""


def test_flows_import_only_the_doors_of_tasks() -> None:
    wrong = [
        f"{name} imports {used}"
        for name, all_used in IMPORTS.items()
        for used in all_used
        if top(name) == "flows" and top(used) == "tasks" and room(used) not in FROM_FLOWS
    ]
    assert not wrong, f"{wrong}: a flow says when, not what. Put the work behind one of {sorted(FROM_FLOWS)}."


def test_phases_never_import_each_other() -> None:
    wrong = [
        f"{name} imports {used}"
        for name, all_used in IMPORTS.items()
        for used in all_used
        if top(name) == "tasks" and top(used) == "tasks" and room(used) in PHASES and room(used) != room(name)
    ]
    assert not wrong, f"{wrong}: phases meet in data/. Move what two need below them, under a noun of its own."


def test_deploy_imports_only_the_runtime_side_of_tasks() -> None:
    wrong = [
        f"{name} imports {used}"
        for name, all_used in IMPORTS.items()
        for used in all_used
        if top(name) == "deploy" and top(used) == "tasks" and room(used) not in FROM_DEPLOY
    ]
    assert not wrong, f"{wrong}: the server knows {sorted(FROM_DEPLOY)} alone, so that its image stays small."


def test_nobody_below_imports_flows_or_deploy() -> None:
    wrong = [f"{n} imports {u}" for n, all_used in IMPORTS.items() for u in all_used if top(n) != "flows" == top(u)]
    wrong += [
        f"{n} imports {u}"
        for n, all_used in IMPORTS.items()
        for u in all_used
        if (top(n), top(u)) == ("tasks", "deploy")
    ]
    assert not wrong, f"{wrong}: imports flow down, flows -> deploy -> tasks. Move the shared part into tasks."


@pytest.mark.parametrize(
    ("library", "allowed"), [("prefect", ("tasks.phases", "flows")), ("dvc", ("tasks.reproduce",))]
)
def test_one_module_knows_the_framework(library: str, allowed: tuple[str, ...]) -> None:
    wrong = [
        name
        for name, used in IMPORTS.items()
        if library in map(top, used) and not any(name == a or (a == "flows" and top(name) == a) for a in allowed)
    ]
    assert not wrong, f"{wrong} import {library}: only {allowed} may, so that the framework can be replaced."


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("deploy.service, tasks.runtime, tasks.bulk.answer", HEAVY),
        ("flows.commands", [*HEAVY, "pyarrow", "onnxruntime", "sklearn"]),
    ],
)
def test_imports_stay_light(modules: str, forbidden: list[str]) -> None:
    code = f"import sys, {modules}; print(*[m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], f"importing {modules} loads {done.stdout.strip()}: import it inside the function."


def _top_level(module: str) -> set[str]:
    """Names that `from module import name` finds: what the module binds, and the modules in its folder."""
    path = HOUSE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    bound = {one.stem for one in path.glob("*")} if path.is_dir() else set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            bound.add(node.name)
        else:
            bound |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return bound


@pytest.mark.parametrize("path", sorted((HOUSE / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import_what_there_is(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] in ("tasks", "deploy", "flows")
        ):
            assert {name.name for name in node.names} <= _top_level(node.module), node.module


def test_names_of_modules() -> None:
    wrong = [f"{p.relative_to(HOUSE)}" for p in SOURCES if p.stem in LIBRARIES or p.stem in sys.stdlib_module_names]
    wrong = [path for path in wrong if not path.endswith(("__init__.py", "__main__.py"))]
    assert not wrong, f"{wrong} are named like a library or a stdlib module: pick a noun of the field."
    vague = [p.name for p in SOURCES if p.stem.lower() in {"utils", "util", "helpers", "helper", "common", "misc"}]
    assert not vague, f"{vague} say nothing: name a file by what it holds."


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_sizes(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{name_of(path)} has {lines} lines, the limit is 300: split it by what it knows."
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= 60, f"{name_of(path)}.{node.name} has {size} lines, the limit is 60: name its parts."


def test_packages_are_listed_by_name() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    on_disk = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    assert listed == on_disk, f"pyproject.toml and the folders differ in {sorted(listed ^ on_disk)}: list or remove."
    bare = [p.relative_to(HOUSE) for p in SOURCES if name_of(p.parent / "__init__.py") not in on_disk]
    assert not bare, f"{bare} lie in a folder without __init__.py: an install would leave them out."


@pytest.mark.parametrize("registry", ROWS)
def test_every_row_of_a_registry_has_a_test(registry: str) -> None:
    module, _, name = registry.rpartition(".")
    rows = getattr(importlib.import_module(module), name)
    gone = [path for path in ROWS[registry].values() if not (HOUSE / "tests" / path).exists()]
    assert not gone, f"{registry}: its tests {gone} are not there; correct ROWS here."
    assert set(rows) == set(ROWS[registry]), (
        f"{registry}: rows without a test or tests without a row. Add to ROWS here."
    )


def test_nothing_loads_code_with_data() -> None:
    wrong = []
    for name, path in MODULES.items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and ast.unparse(node.value) != "False":
                wrong.append(f"{name}:{node.value.lineno} trust_remote_code={ast.unparse(node.value)}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "pickle.load", "pickle.loads", "torch.load", "joblib.load", "eval", "exec",
            }:  # fmt: skip
                wrong.append(f"{name}:{node.lineno} {ast.unparse(node.func)}")
        wrong += [f"{name} imports {used}" for used in IMPORTS[name] if used in {"pickle", "joblib", "dill"}]
    assert not wrong, f"{wrong}: a file could run code here. Use safetensors, JSON or Arrow."


def test_no_file_above_the_modalities_names_one() -> None:
    from tasks.modalities import MODALITIES

    wrong = []
    for name, path in MODULES.items():
        if name.startswith("tasks.modalities"):
            continue
        wrong += [
            f"{name}:{node.lineno} {node.value!r}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Constant) and node.value in MODALITIES
        ]
        wrong += [f"{name} imports {used}" for used in IMPORTS[name] if used.startswith("tasks.modalities.")]
    wrong = [one for one in wrong if not one.endswith(".contract")]
    assert not wrong, f"{wrong}: ask modalities.part(project.modality, ...), so that a new modality touches its folder."
