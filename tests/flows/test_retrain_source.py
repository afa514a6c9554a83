"""A retraining of a project with a source: a new snapshot is reason enough, and one that cannot be had refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import retrain as retraining
from tasks.project.template import with_values
from tasks.sources.snapshot import Refreshed
from tests.retraining import House
from tests.retraining import house as house

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def sourced(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A project with a source, which has something new the first time it is asked."""
    params = house.checkout.root / "params.yaml"
    params.write_text(with_values(params.read_text(), {"source.url": "sqlite:///rows.db", "source.query": "SELECT 1"}))
    found = [Refreshed(True, ["data/raw/support_tickets.csv"], "Took 9 rows.")]

    def refresh(home: Path, root: Path, params: object) -> Refreshed:
        assert (home, root) == (house.home, house.checkout.root), "never into the engineer's checkout"
        return found.pop() if found else Refreshed(False, [], "The source has nothing new.")

    monkeypatch.setattr(retraining, "refresh", refresh)
    return house


def test_a_new_snapshot_of_the_source_is_enough_to_retrain(sourced: House) -> None:
    sourced.expects_feedback = False
    state = sourced.run()
    assert state.name == "Promoted" and sourced.record["new_source"] and sourced.record["new_rows"] == 0
    ((paths, message),) = sourced.checkout.commits
    assert set(paths) == {"data/retrain.json", "data/raw/support_tickets.csv"}
    assert message.startswith("Retrain on 0 new rows and a new snapshot")
    again = sourced.run()
    assert again.name == "NothingNew" and "The source has nothing new." in again.message and sourced.runs == 1


def test_feedback_and_a_new_snapshot_are_learned_at_once(sourced: House) -> None:
    sourced.give("where is it")
    assert sourced.run().name == "Promoted"
    ((paths, _),) = sourced.checkout.commits
    assert set(paths) == {"data/retrain.json", "data/raw/feedback.csv", "data/raw/support_tickets.csv"}


def test_a_source_that_cannot_be_had_refuses_the_retraining(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    params = house.checkout.root / "params.yaml"
    params.write_text(with_values(params.read_text(), {"source.url": "file:///nowhere/rows.csv"}))
    state = house.run()
    assert (state.name, house.runs) == ("Refused", 0)
    assert state.message == "There is nothing at file:///nowhere/rows.csv: correct source.url."
