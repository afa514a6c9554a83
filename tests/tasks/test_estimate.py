"""A rough guess of time and disk, from the work that a run does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from tasks import estimate
from tasks.params import load
from tasks.rows.clean import load as load_rows
from tests.factories import clean, params, row
from tests.projects import write_project

ROWS = clean(
    [row(f"t{i}", "ab"[i % 2], "train") for i in range(100)]
    + [row(f"v{i}", "a", "validation") for i in range(20)]
    + [row(f"s{i}", "b", "test") for i in range(30)]
)


def test_passes_by_hand() -> None:
    found = estimate.row_passes(params(adaptation__scope__kind="frozen"), ROWS)
    assert (found["selection"], found["preparation_baselines"], found["deployment"]) == (120, 150, (4 + 3) * 30)
    assert found["adaptation"] == 30, "the features of the head are the probe's"
    # Two rates for an epoch each, five epochs, and five again with the validation rows; a step counts as three passes.
    assert found["adaptation_control"] == 30 + 3 * (100 * (2 + 5) + 120 * 5)
    full = estimate.row_passes(params(adaptation__scope__kind="full"), ROWS)
    assert full["adaptation"] == 30 + 3 * 100 * (2 + 4)
    assert full["adaptation_control"] == 30 + 3 * 100 * (2 + 5)


def test_passes_of_pairs_by_hand() -> None:
    pairs = {"steps": 10, "batch_rows": 8}
    changes = {f"adaptation__objective__contrastive__{leaf}": value for leaf, value in pairs.items()}
    changes |= {"adaptation__scope__kind": "lora", "adaptation__objective__kind": "contrastive"}
    found = estimate.row_passes(params(**changes), ROWS)
    assert found["adaptation"] == 30 + 3 * 10 * 8 + 120, "a step counts as three passes, then the head is solved"
    assert found["adaptation_control"] == 30 + 3 * (100 * (2 + 5) + 120 * 5), "the control is refitted too"


@pytest.mark.parametrize(
    ("threshold", "objective", "learned"),
    [(60, "auto", 3 * 100 * (2 + 4)), (61, "auto", 3 * 30 * 32 + 120), (61, "supervised", 0)],
)
def test_auto_guesses_scope_and_objective_as_selection_will(threshold: int, objective: str, learned: int) -> None:
    changes = {"selection__strategy__full_from_rows_per_label": threshold, "adaptation__objective__kind": objective}
    assert estimate.row_passes(params(**changes), ROWS)["adaptation"] == 30 + learned


def test_of_few_images_no_pairs_are_guessed() -> None:
    few = {"selection__strategy__full_from_rows_per_label": 61, "project__modality": "image"}
    assert estimate.row_passes(params(**few), ROWS)["adaptation"] == 30


def test_trials_and_seeds_count() -> None:
    asked = {"adaptation__search__trials": 8, "adaptation__search__seeds": 3}
    full = estimate.row_passes(params(adaptation__scope__kind="full", **asked), ROWS)
    # Eight trials for an epoch each, then four epochs by each of three seeds; the control is trained once.
    assert full["adaptation"] == 30 + 3 * 100 * (8 + 3 * 4)
    assert full["adaptation_control"] == 30 + 3 * 100 * (8 + 5)
    frozen = estimate.row_passes(params(**asked, selection__strategy__full_from_rows_per_label=61), ROWS)
    assert frozen["adaptation_control"] == 30 + 3 * (100 * (2 + 5) + 120 * 5), "what is not searched has no trials"


def test_one_rate_needs_no_search() -> None:
    one = params(adaptation__scope__kind="full", adaptation__training__learning_rates=[0.1])
    assert estimate.row_passes(one, ROWS)["adaptation"] == 30 + 3 * 100 * 4


def test_every_stage_gets_seconds_that_grow_with_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_operations_per_second", lambda threads: 1e6)
    root = write_project(tmp_path / "project")
    settings = load(root / "params.yaml")
    found = estimate.seconds(root, settings)
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    assert set(found) == set(stages) - {"code"}
    assert found["adaptation_receipt"] == estimate.START_SECONDS
    words = [len(row.input.split()) for row in load_rows(root, settings).rows[: estimate.SAMPLE_ROWS]]
    weights = (root / "model/model.safetensors").stat().st_size / 4
    passes = estimate.row_passes(settings, load_rows(root, settings))["selection"]
    expected = 4 + 2 * weights * (sum(words) / len(words)) * passes / 1e6
    assert found["selection"] == pytest.approx(expected, abs=0.1)


def test_disk_is_about_the_copies_of_the_model(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    with (root / "data/raw/rows.csv").open("ab") as file:
        file.truncate(10**9)
    assert estimate.disk_gb(root, load(root / "params.yaml")) == pytest.approx(2.0, abs=0.01)


def test_the_machine_is_measured() -> None:
    assert 1e8 < estimate._operations_per_second(1) < 1e14


def test_without_labels_nothing_is_learned() -> None:
    unlabelled = clean([dataclasses.replace(one, label=None) for one in ROWS.rows])
    found = estimate.row_passes(params(), dataclasses.replace(unlabelled, labels=["a", "b"]))
    assert {name for name, passes in found.items() if passes} == {"adaptation", "deployment", "deployment_server"}
    assert (found["adaptation"], found["deployment"], found["deployment_server"]) == (30, (4 + 3) * 30, 2 * 30)
