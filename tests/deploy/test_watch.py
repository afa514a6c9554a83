"""Windows of the prediction log: each answer is judged once, by the reference of the release that gave it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from deploy.releases import Releases
from deploy.watch import MOST_WINDOWS, Watch, markdown, sentence
from tests.bundles import tiny_bundle
from tests.house import NOON, House
from tests.releasing import refused


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_every_answer_is_judged_once_in_windows_of_the_references_size(house: House) -> None:
    house.answer(25)
    first = house.look()
    assert ([window.rows for window in first.windows], first.waiting, first.window_rows) == ([10, 10], 5, 10)
    assert first.windows[0].since == "2026-11-24T12:00:01+00:00"
    assert first.windows[1].until == "2026-11-24T12:00:20+00:00"
    assert house.look().windows == []
    house.answer(5)
    (third,) = house.look().windows
    assert third.since == "2026-11-24T12:00:21+00:00"


def test_a_look_that_was_not_remembered_is_made_again(house: House) -> None:
    house.answer(10)
    assert len(house.look(remember=False).windows) == len(house.look().windows) == 1
    assert house.look().windows == []


def test_a_window_like_the_reference_is_quiet_and_another_is_an_alarm(house: House) -> None:
    house.answer(10)
    house.answer(10, good=1.0)
    found = house.look()
    assert [window.alarms for window in found.windows] == [[], ["features", "predictions"]]
    assert [window.until for window in found.alarms] == ["2026-11-24T12:00:20+00:00"]
    # All ten good against half: half of the predictions are elsewhere.
    assert found.windows[1].distances["predictions"] == 0.5
    assert sentence(found).startswith("Drift: 1 of 2 windows of 10 answers") and "features, predictions" in sentence(
        found
    )
    assert "| 2026-11-24T12:00:20+00:00 |" in markdown(found)


def test_files_of_several_servers_make_one_stream(house: House) -> None:
    for _ in range(3):
        house.answer(3, file="a")
        house.answer(4, file="b")
    found = house.look()
    assert [(window.since[11:19], window.until[11:19]) for window in found.windows] == [
        ("12:00:01", "12:00:10"), ("12:00:11", "12:00:20"),
    ]  # fmt: skip
    house.answer(9, file="a")
    assert house.look().windows[0].since[11:19] == "12:00:21"


def test_answers_of_another_release_are_left_to_it(house: House) -> None:
    house.answer(10, good=1.0, version="0123456789ab", file="other")
    house.answer(9)
    assert (house.look().windows, house.look().waiting) == ([], 9)


def test_after_a_promotion_the_new_release_is_watched(house: House) -> None:
    house.answer(15)
    assert house.look().waiting == 5
    other = house.releases.add(tiny_bundle(house.folder / "other", project="other"))
    house.releases.promote(other, "test", {})
    house.answer(12, version=other, file="b")
    found = house.look()
    assert (found.version, len(found.windows), found.waiting) == (other, 1, 2)


def test_of_a_great_many_windows_the_newest_are_judged(house: House) -> None:
    house.answer(10 * (MOST_WINDOWS + 3) + 4)
    found = house.look()
    assert (len(found.windows), found.passed_over, found.waiting) == (MOST_WINDOWS, 30, 4)
    assert house.look().windows == [] and "30 older answers" in sentence(found)


def test_without_a_champion_there_is_nothing_to_watch(tmp_path: Path) -> None:
    with refused("There is no champion to watch"):
        Watch(Releases(tmp_path / "releases"), tmp_path / "log", tmp_path / "state.json").look()


def test_a_clock_that_was_set_back_makes_no_answer_count_twice(house: House) -> None:
    house.answer(8)
    house.clock -= timedelta(seconds=6)
    house.answer(7)
    found = house.look()
    assert ([window.rows for window in found.windows], found.waiting) == ([10], 5)
    house.answer(5)
    found = house.look()
    assert ([window.rows for window in found.windows], found.waiting) == ([10], 0)


def test_of_many_hours_only_the_last_are_read_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.watch.MOST_WINDOWS", 2)
    for hour in range(5):
        house.clock = NOON + timedelta(hours=hour)
        house.answer(15, file=str(hour))
    found = house.look()
    # Of the last two hours' 30 answers two windows and a rest are kept; three hours before are passed over.
    assert (len(found.windows), found.passed_over) == (2, 55)
    assert found.windows[0].since == "2026-11-24T15:00:11+00:00"
    assert (house.look().windows, house.look().waiting) == ([], 0)


def test_a_bundle_without_a_usable_reference_is_told(house: House) -> None:
    (house.releases.path_of(house.version) / "drift.npz").chmod(0o644)
    (house.releases.path_of(house.version) / "drift.npz").write_bytes(b"no arrays")
    with refused("drift.npz cannot be loaded"):
        house.look()


def test_without_answers_it_says_what_it_waits_for(house: House) -> None:
    assert sentence(house.look()) == "Nothing to judge yet: 0 of the 10 answers of a window are there."


def test_files_that_grew_too_old_are_forgotten(house: House) -> None:
    house.answer(10)
    house.look()
    house.paths["a"][0].unlink()
    house.look()
    assert house.state.read_text() == "{}\n"
