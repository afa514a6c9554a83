"""The store of features: what is kept, by what, and that an entry is what was computed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tasks import features
from tests.passing import POOLS, Backbone, Encoder, kept_in, names, of_cut, pooled, rows, same


def test_features_stand_in_the_order_of_the_rows() -> None:
    encoded = rows()
    found = features.compute(Backbone(), Encoder(), encoded, POOLS)  # type: ignore[arg-type]
    assert set(found) == {(depth, pool) for depth in (0, 1) for pool in POOLS}
    sums = np.array([[row["input_ids"].sum(), row["input_ids"][0]] for row in encoded], dtype=np.float32)
    assert np.array_equal(found[0, "mean"], sums) and np.array_equal(found[1, "mean"], 2 * sums)
    assert found[1, "mean"].dtype == np.float32
    assert np.array_equal(features.at_own_depth(Backbone(), Encoder(), encoded), found[1, "mean"])  # type: ignore[arg-type]


def test_store_gives_what_was_computed_without_a_second_pass(tmp_path: Path) -> None:
    backbone, encoded = Backbone(), rows()
    first = pooled(tmp_path, backbone, encoded)
    passes = backbone.passes
    assert passes == 3
    assert same(first, features.compute(Backbone(), Encoder(), encoded, POOLS))  # type: ignore[arg-type]
    (kept,) = tmp_path.iterdir()
    os.utime(kept, (0, 0))
    assert same(pooled(tmp_path, backbone, encoded), first)
    assert backbone.passes == passes
    assert kept.stat().st_mtime > 0, "an entry that was read counts as used"


def test_other_rows_and_another_identity_are_other_entries(tmp_path: Path) -> None:
    encoded = rows()
    pooled(tmp_path, Backbone(), encoded)
    changed = [*encoded[:-1], {"input_ids": encoded[-1]["input_ids"] + 1}]
    pooled(tmp_path, Backbone(), changed)
    features.pooled(kept_in(tmp_path, threads=3), Backbone(), Encoder(), encoded, POOLS)  # type: ignore[arg-type]
    assert len(names(tmp_path)) == 3


def test_a_cut_is_computed_once_for_its_depth_and_pool(tmp_path: Path) -> None:
    backbone, deeper = Backbone(), Backbone()
    first = of_cut(tmp_path, backbone)
    assert np.array_equal(first, features.at_own_depth(Backbone(), Encoder(), rows()))  # type: ignore[arg-type]
    assert np.array_equal(of_cut(tmp_path, backbone), first) and backbone.passes == 3
    deeper.depth = 2
    of_cut(tmp_path, deeper)
    of_cut(tmp_path, backbone, "first")
    assert deeper.passes == 3 and backbone.passes == 6 and len(names(tmp_path)) == 3


def test_a_cut_that_is_larger_than_the_store_is_computed_each_time(tmp_path: Path) -> None:
    backbone, bytes_ = Backbone(), 70 * 2 * 4
    first = of_cut(tmp_path, backbone, limit_gb=(bytes_ - 1) / 1e9)
    assert names(tmp_path) == set()
    assert np.array_equal(of_cut(tmp_path, backbone, limit_gb=bytes_ / 1e9), first) and backbone.passes == 6
    assert len(names(tmp_path)) == 1


def test_identity_follows_the_files_of_the_model_and_the_threads(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("first")
    first = features.identity(model, 2, "cpu")
    assert features.identity(model, 2, "cpu") == first
    (model / "README.md").write_text("Nothing that a feature depends on.")
    assert features.identity(model, 2, "cpu") == first
    assert features.identity(model, 3, "cpu") != first
    assert features.identity(model, 2, "cuda") != first
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("second")
        assert features.identity(model, 2, "cpu") != first, name
        (model / name).write_text("first")
    assert features.identity(model, 2, "cpu") == first


def test_identity_follows_the_code_and_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = features.identity(tmp_path, 2, "cpu")
    monkeypatch.setattr("tasks.fingerprint.of_stage", lambda command, left_out: f"another hash of {command}")
    assert features.identity(tmp_path, 2, "cpu") != first
