"""The store of features: what is kept, what leaves, and that an entry is what was computed."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks import artifacts, features
from tasks.modalities.contract import Arrays

POOLS = ["mean", "first"]
IDENTITY = {"model": {"config.json": "1"}, "code": "2", "threads": 2}
HOUR = 3600


class Backbone(nn.Module):
    """One block that doubles; counts its passes."""

    depth, width = 1, 2

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    @property
    def blocks(self) -> list[nn.Module]:
        return []

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.pooled_at_all_depths(inputs, ["mean"])[1, "mean"]

    def pooled_at_all_depths(
        self, inputs: dict[str, torch.Tensor], pools: Sequence[str]
    ) -> dict[tuple[int, str], torch.Tensor]:
        self.passes += 1
        ids = inputs["input_ids"].float()
        values = {"mean": torch.stack([ids.sum(1), ids[:, 0]], 1), "first": ids[:, :1].repeat(1, 2)}
        return {(depth, pool): values[pool] * (depth + 1) for depth in (0, 1) for pool in pools}


class Encoder:
    inputs = ("input_ids",)

    def encode(self, examples: Sequence[str]) -> list[Arrays]:
        return [{"input_ids": np.array([int(word) for word in example.split()])} for example in examples]

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        longest = max(len(row["input_ids"]) for row in encoded)
        return {
            "input_ids": np.stack([np.pad(row["input_ids"], (0, longest - len(row["input_ids"]))) for row in encoded])
        }

    def truncated(self, examples: Sequence[str]) -> int:
        return 0

    def save(self, folder: Path) -> None: ...


def rows(count: int = 70) -> list[Arrays]:
    """More than two batches, in no order of length."""
    return Encoder().encode([" ".join(["1"] * (i * 7 % 5) + [str(i)]) for i in range(count)])


def pooled(
    store: Path, backbone: Backbone, encoded: list[Arrays], limit_gb: float = 1.0
) -> dict[features.Key, np.ndarray]:
    return features.pooled(kept_in(store, limit_gb), backbone, Encoder(), encoded, POOLS)  # type: ignore[arg-type]


def kept_in(folder: Path, limit_gb: float = 1.0, **changes: Any) -> features.Store:
    return features.Store(folder, limit_gb, lambda: IDENTITY | changes)


def entry(store: Path, name: str, kilobytes: int, age: float) -> Path:
    """A folder of the store that was last used `age` seconds ago."""
    folder = store / name
    folder.mkdir(parents=True)
    (folder / "1-mean.npy").write_bytes(bytes(kilobytes * 1000))
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def names(store: Path) -> set[str]:
    return {path.name for path in store.iterdir()}


def same(a: dict[features.Key, np.ndarray], b: dict[features.Key, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


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


def of_cut(folder: Path, backbone: Backbone, pool: str = "mean", limit_gb: float = 1.0) -> np.ndarray:
    return features.of_cut(kept_in(folder, limit_gb), backbone, pool, Encoder(), rows())  # type: ignore[arg-type]


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


def test_another_writer_may_be_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(new: Path, target: Path) -> None:
        shutil.copytree(new, target)  # what the other one put there, since the name says the content
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    monkeypatch.setattr(artifacts, "replace", too_late)
    first = pooled(tmp_path, Backbone(), rows())
    assert len(names(tmp_path)) == 1, "nothing half made is left"
    reading = Backbone()
    assert same(pooled(tmp_path, reading, rows()), first) and reading.passes == 0


def test_a_store_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(new: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        pooled(tmp_path, Backbone(), rows())
    assert names(tmp_path) == set()


def test_the_least_recently_used_leave_first(tmp_path: Path) -> None:
    for name, age in (("newest", 10), ("oldest", 400), ("older", 300), ("newer", 20)):
        entry(tmp_path, name, 100, age)
    features._trim(tmp_path, 250e-6, keep=tmp_path / "newest")
    assert names(tmp_path) == {"newest", "newer"}
    features._trim(tmp_path, 250e-6, keep=tmp_path / "newest")
    assert names(tmp_path) == {"newest", "newer"}, "what fits stays"


def test_the_entry_in_use_stays_whatever_its_age_and_size(tmp_path: Path) -> None:
    used = entry(tmp_path, "used", 500, 9000)
    entry(tmp_path, "other", 100, 10)
    features._trim(tmp_path, 250e-6, keep=used)
    assert names(tmp_path) == {"used"}


def test_a_new_entry_trims_the_store(tmp_path: Path) -> None:
    entry(tmp_path, "old", 100, 60)
    first = pooled(tmp_path, Backbone(), rows(), limit_gb=50e-6)
    assert "old" not in names(tmp_path) and len(names(tmp_path)) == 1
    assert same(pooled(tmp_path, Backbone(), rows()), first)


def test_a_kill_while_an_entry_leaves_takes_it_away_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, remove = Backbone(), shutil.rmtree
    first = of_cut(tmp_path, backbone)

    def killed(path: Path, **_: Any) -> None:
        if path.exists():
            next(path.iterdir()).unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(features.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        features._trim(tmp_path, 0.0, keep=tmp_path / "another")
    monkeypatch.setattr(features.shutil, "rmtree", remove)
    assert np.array_equal(of_cut(tmp_path, backbone), first) and backbone.passes == 6
    features._trim(tmp_path, 0.0, keep=tmp_path / "another")
    features._trim(tmp_path, 0.0, keep=tmp_path / "another")
    assert names(tmp_path) == set()


def test_abandoned_folders_leave_and_those_of_a_living_writer_do_not_count(tmp_path: Path) -> None:
    entry(tmp_path, ".key.abandoned", 900, 2 * HOUR)
    entry(tmp_path, ".key.young", 900, HOUR / 2)
    kept = entry(tmp_path, "kept", 100, 500)
    entry(tmp_path, "other", 100, 50)
    features._trim(tmp_path, 250e-6, keep=kept)
    assert names(tmp_path) == {".key.young", "kept", "other"}


def test_what_another_writer_takes_away_meanwhile_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", ".key.gone"):
        (tmp_path / name).symlink_to("nowhere")
    kept = entry(tmp_path, "kept", 100, 50)
    entry(tmp_path, "leaving", 100, 500)
    rglob = Path.rglob

    def leaves(folder: Path, pattern: str) -> Any:
        if folder.name == "leaving":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(folder))
        return rglob(folder, pattern)

    monkeypatch.setattr(Path, "rglob", leaves)
    features._trim(tmp_path, 150e-6, keep=kept)
    assert "kept" in names(tmp_path)


def test_an_entry_that_another_writer_takes_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pooled(tmp_path, Backbone(), rows())
    utime = os.utime

    def too_late(path: Path, *times: Any) -> None:
        if not path.name.startswith("."):
            shutil.rmtree(path)
        utime(path, *times)

    monkeypatch.setattr(os, "utime", too_late)
    again = Backbone()
    assert same(pooled(tmp_path, again, rows()), first) and again.passes > 0


class Slow(Backbone):
    """Takes two hours a pass, in which another writer trims the store."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self.store = store

    def pooled_at_all_depths(self, *arguments: Any) -> Any:
        features._trim(self.store, 1.0, keep=self.store)
        for writing in self.store.glob(".*"):
            os.utime(writing, (time.time() - 2 * HOUR,) * 2)
        return super().pooled_at_all_depths(*arguments)


def test_a_writer_that_takes_long_is_not_taken_for_a_killed_one(tmp_path: Path) -> None:
    many, slow = rows(), Slow(tmp_path)
    assert same(pooled(tmp_path, slow, many), features.compute(Backbone(), Encoder(), many, POOLS))  # type: ignore[arg-type]
    assert slow.passes > 1


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
