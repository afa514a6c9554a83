"""Hash of the code a stage can reach: what makes it change, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import fingerprint

HOUSE = Path(__file__).resolve().parents[2]
STAGES = {
    "selection": "python -m tasks.selection",
    "adaptation": "python -m tasks.adaptation",
    "deployment": "python -m tasks.deployment",
    "deployment_server": "python -m tasks.deployment.server",
}


def forget() -> None:
    for function in (fingerprint._imports, fingerprint._tree, fingerprint._hash, fingerprint._version):
        function.cache_clear()


def hashes(house: Path) -> dict[str, str]:
    """Of the stages, as the source in this folder makes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "HOUSE", house)
        forget()
        try:
            return {name: fingerprint.of_stage(command) for name, command in STAGES.items()}
        finally:
            forget()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the source, and its hashes."""
    folder = tmp_path_factory.mktemp("house")
    for package in fingerprint.PACKAGES:
        shutil.copytree(HOUSE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder, hashes(folder)


@pytest.fixture
def edit(copy: tuple[Path, dict[str, str]]) -> Iterator[Callable[[str, str, str], None]]:
    """Edits the copy, which is as it was after the test."""
    before: dict[Path, str] = {}

    def edited(file: str, old: str, new: str) -> None:
        path = copy[0] / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        before.setdefault(path, text)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield edited
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def changed(copy: tuple[Path, dict[str, str]]) -> set[str]:
    """Stages with another hash than before the edit."""
    folder, before = copy
    after = hashes(folder)
    return {name for name in before if before[name] != after[name]}


def test_comment_blank_line_and_docstring_leave_the_hash(copy: Any, edit: Callable[[str, str, str], None]) -> None:
    edit("tasks/training/loop.py", "STEP_SEEDS, ", "\n\n# another comment\nSTEP_SEEDS, ")
    edit("tasks/training/loop.py", '"""The one training loop.', '"""Another sentence.')
    edit("tasks/training/scope/full.py", '"""Every parameter of the backbone learns."""', '"""All learns."""')
    edit("tasks/training/resuming.py", '"""What one epoch did; losses', '"""One epoch; losses')
    assert changed(copy) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        ("tasks/training/loop.py", "1_000_003", "1_000_033", {"selection", "adaptation"}),
        ("tasks/training/scope/full.py", ": 1.0", ": 0.5", {"selection", "adaptation"}),
        ("tasks/rows/split.py", "SPLITS", "SPLITS = ()\nSPLITS", set(STAGES)),
        ("tasks/deployment/forms.py", "from __future__", "VALUE = 1\nfrom __future__", {"deployment"}),
        ("deploy/batching.py", "from __future__", "VALUE = 1\nfrom __future__", {"deployment_server"}),
        ("tasks/adaptation/edge.py", "from __future__", "VALUE = 1\nfrom __future__", {"adaptation"}),
        ("tasks/selection/choice.py", "from __future__", "VALUE = 1\nfrom __future__", {"selection"}),
    ],
)
def test_a_changed_line_changes_the_stages_that_reach_it(
    copy: Any, edit: Callable[[str, str, str], None], file: str, old: str, new: str, stages: set[str]
) -> None:
    edit(file, old, new)
    assert changed(copy) == stages


def test_closure_of_selection() -> None:
    own, libraries = fingerprint.closure("tasks.selection")
    assert {"tasks.selection.__main__", "tasks.selection", "tasks.rows.read", "tasks.rows.split"} <= own
    assert not [name for name in own if name.startswith(("tasks.adaptation", "tasks.deployment", "tasks.preparation"))]
    assert {"torch", "numpy", "pyarrow"} <= libraries
    assert not {"json", "prefect", "dvc", "tasks"} & libraries


def test_closure_of_deployment_has_no_other_phase() -> None:
    own, _ = fingerprint.closure("tasks.deployment")
    assert "tasks.export" in own
    assert not [name for name in own if name.startswith(("tasks.selection", "tasks.adaptation", "tasks.preparation."))]


def test_rows_of_registries_are_reached() -> None:
    own, _ = fingerprint.closure("tasks.adaptation")
    assert {
        "tasks.modalities.text.encode",
        "tasks.modalities.text.backbone",
        "tasks.problems.classification.learn",
        "tasks.problems.classification.answer",
        "tasks.training.scope.frozen",
        "tasks.training.scope.full",
    } <= own


def test_stage_named_by_a_file_and_not_a_package() -> None:
    own, _ = fingerprint.closure("tasks.adaptation.control")
    assert "tasks.adaptation.control" in own and "tasks.training.loop" in own
    assert "tasks.adaptation.__main__" not in own


def test_library_version_changes_only_stages_that_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    light, heavy = "python -m tasks.deployment.gate", "python -m tasks.deployment"
    assert "onnx" in fingerprint.closure("tasks.deployment")[1]
    assert "onnx" not in fingerprint.closure("tasks.deployment.gate")[1]
    before = {command: fingerprint.of_stage(command) for command in (light, heavy)}
    real = fingerprint._version
    monkeypatch.setattr(fingerprint, "_version", lambda name: "99.0" if name == "onnx" else real(name))
    assert fingerprint.of_stage(light) == before[light]
    assert fingerprint.of_stage(heavy) != before[heavy]


@pytest.mark.parametrize(
    ("behind", "stages"),
    [("scipy", {*STAGES, "gate"}), ("onnxscript", {"selection", "deployment"})],
)
def test_a_library_behind_another_counts_with_it(
    monkeypatch: pytest.MonkeyPatch, behind: str, stages: set[str]
) -> None:
    commands = STAGES | {"gate": "python -m tasks.deployment.gate"}
    before = {name: fingerprint.of_stage(command) for name, command in commands.items()}
    real = fingerprint._version
    real.cache_clear()
    monkeypatch.setattr(fingerprint, "_version", lambda name: "99.0" if name == behind else real(name))
    assert {name for name, command in commands.items() if fingerprint.of_stage(command) != before[name]} == stages


def test_import_name_and_distribution_name_may_differ() -> None:
    assert fingerprint._version("sklearn") == fingerprint._version("scikit-learn")
    assert fingerprint._version("yaml")
    assert fingerprint._version("no_such_library_here") is None


@pytest.mark.parametrize("leaf", ["test", "feedback"])
def test_hash_of_an_optional_source_appears_when_one_is_named(tmp_path: Path, leaf: str) -> None:
    dvc = {"stages": {"code": {"cmd": "x"}, "selection": {"cmd": STAGES["selection"]}}}

    def found(name: str | None) -> dict[str, Any]:
        return fingerprint.code_yaml(dvc, {"data": {leaf: name}}, tmp_path)

    (tmp_path / "rows.csv").write_text("text,label\nx,a\n")
    assert set(found(None)) == {"selection", "test_data", "feedback_data", "reference_data", "models"}
    assert found(None)[f"{leaf}_data"] is None
    named = found("rows.csv")[f"{leaf}_data"]
    assert isinstance(named, str) and len(named) == 64
    (tmp_path / "rows.csv").write_text("text,label\ny,a\n")
    assert found("rows.csv")[f"{leaf}_data"] != named
    assert found("gone.csv")[f"{leaf}_data"] is None


def test_hash_of_reference_sets_follows_names_and_contents(tmp_path: Path) -> None:
    def found(**paths: str) -> str | None:
        made: str | None = fingerprint.code_yaml(
            {"stages": {}}, {"selection": {"references": paths}}, tmp_path
        )["reference_data"]  # fmt: skip
        return made

    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"text\n{name}\n")
    assert found() is None
    both = found(a="a.csv", b="b.csv")
    assert both == found(b="b.csv", a="a.csv") and both not in (found(a="a.csv"), found(a="b.csv", b="a.csv"))
    (tmp_path / "b.csv").write_text("text\nother\n")
    assert found(a="a.csv", b="b.csv") != both
    broken = fingerprint.code_yaml({"stages": {}}, {"selection": {"references": ["a.csv"]}}, tmp_path)
    assert broken["reference_data"] is None


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a candidate's."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("first")
    return folder


def of_models(root: Path, *candidates: Any) -> str:
    tree = {"data": {"test": None}, "selection": {"candidates": list(candidates)}}
    found = fingerprint.code_yaml({"stages": {}}, tree, root)["models"]
    assert isinstance(found, str) and len(found) == 64
    return found


def test_files_beside_the_weights_of_a_candidate_count(model: Path) -> None:
    candidate = {"source": "path:model", "revision": "0" * 64}
    first = of_models(model.parent, candidate)
    for name in ("config.json", "tokenizer.json"):
        (model / name).write_text("second")
        assert of_models(model.parent, candidate) != first, name
        (model / name).write_text("first")
    (model / "model.safetensors").write_text("second")  # pinned in params.yaml, and checked by whoever loads it
    assert of_models(model.parent, candidate) == first
    (model / "special_tokens_map.json").write_text("{}")
    assert of_models(model.parent, candidate) != first


def test_candidate_that_is_missing_or_malformed_is_told_elsewhere(model: Path) -> None:
    sound = {"source": "path:model", "revision": "0" * 64}
    for broken in (
        {"source": "path:gone", "revision": "0" * 64},
        {"source": "path:model/config.json", "revision": "0" * 64},
        {"source": "package:no-such-model-package", "revision": "0" * 64},
        {"source": "hub:owner/name", "revision": "0" * 40},
        {"source": "model"},
        "path:model",
        None,
    ):
        first = of_models(model.parent, broken, sound)
        (model / "config.json").write_text(f"after {broken}")
        assert of_models(model.parent, broken, sound) != first, "the other candidates still count"


def test_write_is_the_same_twice(tmp_path: Path) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(HOUSE / name, tmp_path / name)
    fingerprint.write(tmp_path)
    first = (tmp_path / "code.yaml").read_bytes()
    fingerprint.write(tmp_path)
    assert (tmp_path / "code.yaml").read_bytes() == first
    stages = yaml.safe_load((HOUSE / "dvc.yaml").read_text())["stages"]
    assert set(yaml.safe_load(first)) == {*stages, "test_data", "feedback_data", "reference_data", "models"} - {"code"}
