"""A retraining, with stand-ins for the worktree and the phases: what is decided, committed and promoted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed
from typer.testing import CliRunner

from deploy.releases import CHALLENGER
from flows import retrain as retraining
from flows.commands import app
from flows.promotion import add_and_promote
from tasks import phases, worktree
from tasks.artifacts import write_json
from tasks.errors import BusyError, GateError, InputError
from tasks.params import load
from tasks.project.template import with_values
from tasks.rows import feedback
from tests.bundles import tiny_bundle
from tests.factories import REPO
from tests.retraining import Checkout, House
from tests.retraining import house as house

pytestmark = pytest.mark.usefixtures("server")


def test_with_nothing_new_nothing_runs_and_the_state_says_so(house: House) -> None:
    state = house.run()
    assert (state.name, state.type.value) == ("NothingNew", "COMPLETED")
    assert (house.runs, house.checkout.commits, house.checkout.pushed) == (0, [], 0)


def test_with_nothing_new_the_data_of_the_last_run_are_pushed(house: House) -> None:
    house.checkout.commits.append(([], "by a run that was killed before its push"))
    state = house.run()
    assert (state.name, house.checkout.pushed) == ("NothingNew", 1)
    assert state.message == "No labelled rows came since the last retraining. Pushed."


def test_a_better_model_is_committed_tagged_and_promoted(house: House) -> None:
    house.give("where is it", "not here")
    state = house.run()
    assert state.name == "Promoted" and house.releases.current() == house.made != house.champion
    assert house.record == {
        "new_rows": 2, "new_source": False, "champion": house.champion, "challenger": house.made, "promote": True,
        "metric": "accuracy", "sentence": "Promoted, for it is better.", "groups": {},
    }  # fmt: skip
    ((paths, message),) = house.checkout.commits
    assert set(paths) == {"data/retrain.json", "data/raw/feedback.csv"}
    assert message.startswith("Retrain on 2 new rows") and "Promoted, for it is better." in message
    assert "graft/run-0001" in state.message and "Pushed." in state.message
    assert house.releases.history()[-1]["why"] == "Promoted, for it is better."
    assert house.run().name == "NothingNew" and house.runs == 1
    assert len(house.releases.history()) == 2


def test_selection_is_told_what_is_live(house: House, tmp_path: Path) -> None:
    cut = {"source": "package:m", "revision": "a" * 64, "depth": 2, "pool": "mean"}
    house.champion = house.releases.add(tiny_bundle(tmp_path / "live", made_from=cut))
    house.releases.promote(house.champion, "test", {})
    house.give("where is it")
    house.run()
    assert load(house.checkout.root / "params.yaml").selection.incumbent.model_dump() == cut
    assert set(load(house.home / "params.yaml").selection.incumbent.model_dump().values()) == {None}


def test_a_champion_of_another_format_is_told_before_anything_is_trained(house: House) -> None:
    path = house.releases.path_of() / "manifest.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"format":4', '"format":3').replace('"format": 4', '"format": 3'))
    house.give("where is it")
    assert house.run().name == "Refused" and house.runs == 0


def test_a_model_that_is_not_better_is_committed_and_kept_back(house: House) -> None:
    house.promote = False
    house.give("where is it")
    state = house.run()
    assert (state.name, house.releases.current()) == ("Kept", house.champion)
    assert len(house.checkout.commits) == 1 and "Kept, for it is not." in state.message
    assert house.run().name == "NothingNew"


def test_a_gate_that_says_no_keeps_the_champion_and_its_reason(house: House) -> None:
    house.failure = phases.passed_on(phases.failed(GateError("The transfer did not pay off.")))
    house.give("where is it")
    state = house.run()
    assert (state.name, house.releases.current()) == ("Kept", house.champion)
    assert house.record["sentence"] == "Kept the champion: The transfer did not pay off."


def test_a_gate_that_says_no_where_nothing_is_live_keeps_no_champion(house: House) -> None:
    shutil.rmtree(house.releases.folder)
    house.failure = phases.passed_on(phases.failed(GateError("The transfer did not pay off.")))
    house.give("where is it")
    assert house.run().name == "Kept" and house.releases.current() is None
    assert house.record["sentence"] == "Promoted nothing: The transfer did not pay off."


def test_phases_that_fail_commit_nothing_and_the_rows_are_new_the_next_time(house: House) -> None:
    house.failure = phases.passed_on(phases.failed(InputError("The disk is full.")))
    house.give("where is it")
    state = house.run()
    assert (state.name, state.message, house.checkout.commits) == ("Refused", "The disk is full.", [])
    # The next checkout stands on what was committed.
    (house.checkout.root / feedback.TABLE).unlink()
    house.failure = None
    assert house.run().name == "Promoted"


def test_a_champion_that_moved_meanwhile_is_left_alone(house: House, tmp_path: Path) -> None:
    def moved(root: Path, *_: object) -> dict[str, Any]:
        other = house.releases.add(tiny_bundle(tmp_path / "other", project="other"))
        house.releases.promote(other, "by hand", {})
        return {"promote": True, "sentence": "Better than the old one.", "groups": {}}

    house.compare = moved
    house.give("where is it")
    state = house.run()
    assert state.name == "Refused" and "with which" in state.message and "`graft promote" in state.message
    assert house.releases.history()[-1]["why"] == "by hand"


def killed_before_its_promotion(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise SystemError

    house.give("where is it")
    with monkeypatch.context() as patch:
        patch.setattr(retraining, "add_and_promote", killed)
        assert house.run().is_failed()


def test_a_retraining_that_was_killed_before_its_promotion_is_finished_once(house: House, monkeypatch: Any) -> None:
    killed_before_its_promotion(house, monkeypatch)
    assert house.releases.current() == house.champion and len(house.checkout.commits) == 1
    state = house.run()
    assert state.name == "Promoted" and state.message.startswith("Finished what the last retraining had decided")
    assert house.releases.current() == house.made and house.runs == 1
    house.releases.rollback("by hand", {})
    assert house.run().message == "No labelled rows came since the last retraining. Pushed."
    assert house.releases.current() == house.champion


def test_what_the_gate_would_refuse_now_is_not_finished_and_fails_no_later_run(house: House, monkeypatch: Any) -> None:
    killed_before_its_promotion(house, monkeypatch)
    params = house.checkout.root / "params.yaml"
    params.write_text(with_values(params.read_text(), {"receipt.gate": "better"}))
    shutil.copy(REPO / "dvc.yaml", house.checkout.root)
    assert house.run().name == "NothingNew" and house.releases.current() == house.champion
    house.give("where is it now")
    assert house.run().name == "Promoted" and house.releases.current() == house.made


def test_a_trial_as_challenger_is_no_promotion(house: House, monkeypatch: Any) -> None:
    killed_before_its_promotion(house, monkeypatch)
    house.releases.promote(house.releases.add(house.checkout.root / retraining.BUNDLE), "by hand", {}, CHALLENGER)
    assert house.run().name == "Promoted" and house.releases.current() == house.made


def test_what_was_decided_is_carried_to_a_base_that_moved() -> None:
    assert retraining.RECORD in worktree.CARRIED


def test_a_decision_against_another_champion_is_not_finished(house: House, monkeypatch: Any) -> None:
    test_a_better_model_is_committed_tagged_and_promoted(house)
    write_json(house.checkout.root / retraining.RECORD, house.record | {"champion": "0123456789ab"})
    house.releases.promote(house.champion, "by hand", {})
    (house.releases.folder / "history.jsonl").write_text("")
    assert house.run().name == "NothingNew" and house.releases.current() == house.champion


def test_the_first_model_of_a_project_is_promoted(house: House) -> None:
    shutil.rmtree(house.releases.folder)
    house.give("where is it")
    assert house.run().name == "Promoted" and house.releases.current() == house.made


def test_a_busy_project_is_refused_in_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def busy(*_: object) -> Iterator[Checkout]:
        raise BusyError("Another scheduled run works on this project.")
        yield house.checkout

    monkeypatch.setattr(retraining, "scheduled", busy)
    assert house.run().name == "Refused"


def test_its_page_has_an_artifact(house: House) -> None:
    house.give("where is it")
    state = house.run()
    ran = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    with get_client(sync_client=True) as client:
        (artifact,) = client.request("POST", "/artifacts/filter", json=ran).json()
    assert artifact["key"] == "retrain" and "Promoted, for it is better." in artifact["data"]


def test_the_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.scheduling.server_of", lambda root: None)
    monkeypatch.setattr("flows.embedded.start", lambda url: None)
    told = json.loads(CliRunner().invoke(app, ["retrain", "--project", str(house.home), "--json"]).stdout)
    assert told["outcome"] == "NothingNew" and set(told) == {"outcome", "sentence", "champion"}
    monkeypatch.setattr(
        "flows.retrain.retrain", lambda root, return_state: phases.failed(BusyError("Another run works here."))
    )
    refused = CliRunner().invoke(app, ["retrain", "--project", str(house.home)])
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (2, "Another run works here.")
    monkeypatch.setattr("flows.retrain.retrain", lambda root, return_state: Completed(name="Kept", message="Kept it."))
    assert CliRunner().invoke(app, ["retrain", "--project", str(house.home)]).stdout == "Kept it.\n"


def test_a_bundle_that_the_lock_does_not_name_is_not_promoted(house: House) -> None:
    house.expects_feedback = False
    root = house.checkout.root
    house.run_phases(root)
    lock = (root / "dvc.lock").read_bytes()
    house.run_phases(root)
    (root / "dvc.lock").write_bytes(lock)
    with pytest.raises(GateError, match="not the one that dvc"):
        add_and_promote(house.home, "why", root)
    assert house.releases.current() == house.champion
