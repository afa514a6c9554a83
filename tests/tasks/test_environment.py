"""Whether this machine may run this project: one sentence per fault."""

from __future__ import annotations

import shutil
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from tasks import environment
from tasks.params import Params, load

HOUSE = Path(__file__).resolve().parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def params() -> Params:
    return load(HOUSE / "params.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a fault, and a lock without a pin."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("")
    (tmp_path / "requirements.lock").write_text("")
    monkeypatch.setattr(environment, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100e9, 50e9, 50e9))
    return tmp_path


def pin(project: Path, monkeypatch: pytest.MonkeyPatch, lock: str, installed: dict[str, str]) -> None:
    (project / "requirements.lock").write_text(lock)
    monkeypatch.setattr(environment, "_installed", installed.get)


def test_sound_project_has_no_fault(project: Path, params: Params) -> None:
    assert environment.faults(project, params) == []


def test_version_off_the_lock_is_named_with_both(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(project, monkeypatch, "numpy==2.1.0\nonnx==1.20.0\n", {"numpy": "2.0.0", "onnx": "1.20.0"})
    (fault,) = environment.faults(project, params)
    assert "numpy 2.0.0 (lock: 2.1.0)" in fault and "onnx" not in fault
    assert "pip install -c requirements.lock" in fault


def test_all_versions_off_the_lock_are_one_sentence(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(project, monkeypatch, "a==1\nb==1\n", {"a": "2", "b": "3"})
    (fault,) = environment.faults(project, params)
    assert "a 2 (lock: 1), b 3 (lock: 1)" in fault
    # By name: `-e .` would leave a package alone that only an extra asks for.
    assert "`pip install -c requirements.lock a b`" in fault


@pytest.mark.parametrize(("installed", "pinned"), [("2.13.0+cpu", "2.13.0"), ("2.13.0", "2.13.0+cpu")])
def test_build_of_torch_is_tolerated(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch, installed: str, pinned: str
) -> None:
    pin(project, monkeypatch, f"torch=={pinned}\n", {"torch": installed})
    assert environment.faults(project, params) == []
    pin(project, monkeypatch, "torch==2.14.0\n", {"torch": installed})
    assert f"torch {installed} (lock: 2.14.0)" in environment.faults(project, params)[0]


def test_package_that_is_not_installed_is_no_fault(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(project, monkeypatch, "onnx==1.20.0\n", {})
    assert environment.faults(project, params) == []


def test_lock_is_read_without_comments_and_markers(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("# a comment\n--extra-index-url https://x\nb==2.0 ; python_version > '3'\na-b.c==1.0+cpu\n")
    assert environment.locked(lock) == {"a-b.c": "1.0+cpu", "b": "2.0"}


def test_this_environment_fits_the_lock_of_the_repository() -> None:
    pins = environment.locked(environment.LOCK)
    assert {"torch", "numpy", "dvc", "prefect"} <= set(pins)
    assert environment._version_faults(pins) == []


def test_no_git(project: Path, params: Params) -> None:
    (project / ".git").rmdir()
    (fault,) = environment.faults(project, params)
    assert "git init" in fault


def test_git_above_the_project_counts(project: Path, params: Params) -> None:
    inner = project / "inner"
    shutil.copytree(project / ".dvc", inner / ".dvc")
    assert environment.faults(inner, params) == []


def test_no_dvc(project: Path, params: Params) -> None:
    (project / ".dvc/config").unlink()
    (fault,) = environment.faults(project, params)
    assert "dvc init" in fault


def test_too_little_disk(project: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100e9, 99e9, 1.04e9))
    (fault,) = environment.faults(project, params)
    assert "1.0 GB" in fault and f"asks for {params.resources.min_free_disk_gb:g}" in fault


def test_faults_come_together(project: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".git").rmdir()
    (project / ".dvc/config").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 0))
    pin(project, monkeypatch, "a==1\n", {"a": "2"})
    assert len(environment.faults(project, params)) == 4


def test_readings_are_of_this_machine(tmp_path: Path) -> None:
    readings = environment.readings(tmp_path)
    assert set(readings) == {"free_disk_gb", "memory_gb", "free_memory_gb", "versions"}
    assert readings["versions"]["torch"] == metadata.version("torch")
    assert 0 < readings["free_memory_gb"] <= readings["memory_gb"]
