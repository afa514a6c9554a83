"""The rules of `dvc.yaml` and `params.yaml`, read off both. Every message says the way out."""

from __future__ import annotations

import ast
import importlib.util
from typing import Any

import pytest
import yaml

from tests.projects import LIMITS
from tests.sources import HOUSE, PHASES, tree

DVC = yaml.safe_load((HOUSE / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS_TEXT = (HOUSE / "params.yaml").read_text(encoding="utf-8")
PARAMS = yaml.safe_load(PARAMS_TEXT)


def test_order_of_the_flow_is_a_topological_order_of_the_stages() -> None:
    body = tree(HOUSE / "flows/transfer.py").body
    order = next(n.value for n in body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ORDER")
    names = [ast.unparse(item).removeprefix("phases.") for item in order.elts]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(PHASES), f"ORDER has {names}, the phases are {PHASES}"
    made = {out: name for name, stage in DVC.items() for out in outputs(stage)}
    for name, stage in DVC.items():
        for dep in stage.get("deps", []):
            if dep in made:
                before, after = phase(made[dep]), phase(name)
                assert names.index(before) <= names.index(after), (
                    f"stage {name} needs {dep} of {made[dep]}, but ORDER runs {after} before {before}: reorder it."
                )


def phase(stage: str) -> str:
    return stage.split("_")[0]


def entries(stage: dict[str, Any]) -> list[Any]:
    return [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]


def outputs(stage: dict[str, Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries(stage)]


@pytest.mark.parametrize("name", DVC)
def test_stage_runs_a_module_and_keeps_its_outputs(name: str) -> None:
    stage = DVC[name]
    words = stage["cmd"].split()
    assert words[:3] == ["exec", "python", "-m"] and len(words) == 4, f"{name}: cmd must be `exec python -m MODULE`."
    assert importlib.util.find_spec(words[3]), f"{name}: there is no module {words[3]}; correct cmd."
    assert name == "code" or phase(name) in PHASES, f"{name}: start its name with one of {PHASES}."
    for entry in entries(stage):
        settings = next(iter(entry.values())) if isinstance(entry, dict) else {}
        assert settings.get("persist") is True, (
            f"{name}: {entry} lacks `persist: true`. Without it DVC deletes the last good output before the stage "
            "starts, and a refused run leaves nothing."
        )


def test_no_output_is_made_twice() -> None:
    every = [out for stage in DVC.values() for out in outputs(stage)]
    assert len(every) == len(set(every)), f"made by two stages: {sorted(o for o in every if every.count(o) > 1)}"


def claimed() -> set[str]:
    from tasks.modalities import MODALITIES

    entries = {entry for stage in DVC.values() for entry in stage.get("params", []) if isinstance(entry, str)}
    return {entry.replace("${project.modality}", modality) for entry in entries for modality in MODALITIES}


def test_every_leaf_of_params_is_a_dependency_of_a_stage() -> None:
    from tasks.params import leaves

    names = claimed()
    lost = [
        leaf for leaf in set(leaves(PARAMS)) - LIMITS if not any(leaf == n or leaf.startswith(f"{n}.") for n in names)
    ]
    assert not lost, (
        f"{lost}: no stage would rerun when these change. Name them in params of the stages that read them."
    )


def test_every_params_entry_of_a_stage_exists() -> None:
    for name in claimed():
        value: Any = PARAMS
        for part in name.split("."):
            assert isinstance(value, dict) and part in value, f"dvc.yaml names {name}, params.yaml has no such key."
            value = value[part]


def test_code_hash_of_each_stage_is_its_own() -> None:
    for name, stage in DVC.items():
        keys = [key for e in stage.get("params", []) if isinstance(e, dict) for key in e["code.yaml"]]
        assert name == "code" or name in keys, f"{name}: add `code.yaml: [{name}]`, or new code leaves it fresh."
        assert set(keys) <= {name, "test_data", "feedback_data", "reference_data", "models"}, (
            f"{name} depends on the code of another stage: {keys}"
        )


def test_lists_in_params_are_in_block_style() -> None:
    flow = [
        event.start_mark.line + 1
        for event in yaml.parse(PARAMS_TEXT)
        if isinstance(event, yaml.SequenceStartEvent) and event.flow_style
    ]
    assert not flow, f"params.yaml lines {flow}: one item a line, or a diff of an experiment hides what changed."
