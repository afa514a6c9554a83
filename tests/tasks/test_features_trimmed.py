"""The store of features beside other writers and kills, and what leaves it."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import artifacts, features
from tests.passing import HOUR, POOLS, Backbone, Encoder, entry, names, of_cut, pooled, rows, same


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
