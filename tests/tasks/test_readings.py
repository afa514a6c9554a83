"""A reading is taken once for what it is of, and again where the store has lost it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import readings


def test_a_reading_is_taken_once(tmp_path: Path) -> None:
    taken: list[int] = []

    def take() -> dict[str, int]:
        taken.append(1)
        return {"milliseconds": len(taken)}

    of = {"weights": "a", "threads": 2}
    assert readings.once(tmp_path, of, take) == {"milliseconds": 1}
    assert readings.once(tmp_path, dict(reversed(of.items())), take) == {"milliseconds": 1}
    assert readings.once(tmp_path, of | {"threads": 1}, take) == {"milliseconds": 2}
    for path in tmp_path.iterdir():
        path.unlink()
    assert readings.once(tmp_path, of, take) == {"milliseconds": 3}


def test_what_could_not_be_read_is_asked_again(tmp_path: Path) -> None:
    assert readings.once(tmp_path, {"a": 1}, lambda: None) is None
    assert readings.once(tmp_path, {"a": 1}, lambda: {"b": 2}) == {"b": 2}


def test_the_machine_is_its_processor_and_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Abacus 9\nprocessor\t: 1\nmodel name\t: Abacus 9\n"
    )
    monkeypatch.setattr(readings, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert readings.machine() == "Abacus 9, 2 cores"
