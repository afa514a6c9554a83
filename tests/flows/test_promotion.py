"""A promotion by hand asks the gate against what is live, unless it names the release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.releases import Releases
from flows import scheduling
from flows.commands import app
from tasks.artifacts import write_json
from tasks.errors import InputError
from tasks.receipt import challenge, gate
from tests.bundles import tiny_bundle
from tests.factories import REPO, pass_gate, write_whole_lock

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose bundle has passed the gate of the receipt, and whose champion is another."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(REPO / "params.yaml", home)
    tiny_bundle(home / Path(gate.JUDGED["bundle"]).parent, project="new")
    pass_gate(home)
    releases = Releases(home / "releases")
    releases.promote(releases.add(tiny_bundle(tmp_path / "old", project="old")), "the first", {})
    return home


@pytest.fixture
def graft(home: Path) -> Run:
    return lambda *words: CliRunner().invoke(app, [*words, "--project", str(home)])


def decides(monkeypatch: pytest.MonkeyPatch, promote: bool) -> list[tuple[Path, Path]]:
    asked = []

    def between(root: Path, params: object, champion: Path, challenger: Path) -> dict[str, Any]:
        asked.append((champion, challenger))
        return {"promote": promote, "sentence": "Promoted, for it is better." if promote else "Kept the champion."}

    monkeypatch.setattr(challenge, "between", between)
    return asked


def test_what_passes_against_the_champion_is_promoted_and_says_why(
    home: Path, graft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, releases = decides(monkeypatch, True), Releases(home / "releases")
    champion = releases.path_of()
    done = graft("promote", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["comparison"] == "Promoted, for it is better." and told["champion"] == releases.current()
    assert asked == [(champion, releases.path_of())]
    assert releases.history()[-1]["why"] == "promoted by hand. Promoted, for it is better."
    again = graft("promote", "--json")
    assert json.loads(again.stdout)["changed"] is False and len(asked) == 1, "it is the champion already"


def test_what_does_not_pass_is_kept_back_unless_it_is_named(
    home: Path, graft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, releases = decides(monkeypatch, False), Releases(home / "releases")
    champion = releases.current()
    refused = graft("promote")
    (version,) = {*releases.versions()} - {champion}
    assert (refused.exit_code, releases.current()) == (1, champion)
    assert refused.stderr.splitlines() == [
        "Kept the champion.", f"`graft promote {version}` makes it the champion all the same.",
    ]  # fmt: skip
    assert graft("promote", version).exit_code == 0 and releases.current() == version and len(asked) == 1


def test_the_first_release_has_nothing_to_be_compared_with(
    home: Path, graft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "releases/aliases/champion").unlink()
    asked = decides(monkeypatch, False)
    told = json.loads(graft("promote", "--json").stdout)
    assert told["changed"] and "comparison" not in told and asked == []


def test_what_cannot_be_compared_is_refused_with_the_way_out(
    home: Path, graft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def between(*_: object) -> dict[str, Any]:
        raise InputError("No row has a label.")

    monkeypatch.setattr(challenge, "between", between)
    refused, releases = graft("promote"), Releases(home / "releases")
    (version,) = {*releases.versions()} - {releases.current()}
    assert (refused.exit_code, refused.stderr.splitlines()) == (
        2,
        ["No row has a label.", f"`graft promote {version}` makes it the champion without a comparison."],
    )


def test_what_a_run_that_was_cut_off_left_is_not_what_a_gate_refused(home: Path, graft: Run) -> None:
    write_json(home / gate.JUDGED["receipt"], {"verdict": "paid_off"})
    write_whole_lock(home, remade=["adaptation_receipt"])
    refused = graft("promote")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "The last run did not finish, or is under way, and has not come to deployment, deployment_server, "
        "deployment_gate: `graft run` completes it.\n",
    )


@pytest.mark.parametrize(
    ("breaks", "missing", "told"),
    [
        (["A link."], None, "The gate did not pass this bundle: see `graft report`"),
        ([], None, "The gate was not asked about what stands here yet: `graft run` asks it."),
        ([], "server", "What the gate judges is not all here: `dvc checkout` brings it, or `graft run`."),
    ],
)
def test_why_the_last_yes_of_the_gate_does_not_count_is_told(
    home: Path, graft: Run, breaks: list[str], missing: str | None, told: str
) -> None:
    write_json(home / gate.JUDGED["receipt"], {"verdict": "paid_off", "sentence": "It pays."})
    write_json(home / gate.JUDGED["server"], {"breaks": breaks})
    write_json(home / gate.JUDGED["chain"], {"breaks": []})
    if missing:
        (home / gate.JUDGED[missing]).unlink()
    write_whole_lock(home, remade=["deployment_server"])
    refused = graft("promote")
    assert refused.exit_code == 1 and refused.stderr.startswith(told)


def test_a_champion_that_moves_during_the_comparison_is_left_alone(
    home: Path, graft: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    releases = Releases(home / "releases")

    def between(*_: object) -> dict[str, Any]:
        releases.promote(releases.add(tiny_bundle(tmp_path / "third", project="third")), "by another", {})
        return {"promote": True, "sentence": "Promoted."}

    monkeypatch.setattr(challenge, "between", between)
    refused = graft("promote")
    assert refused.exit_code == 2 and "with which" in refused.stderr
    assert releases.history()[-1]["why"] == "by another"


def test_a_first_champion_of_another_meanwhile_is_left_alone(
    home: Path, graft: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    releases = Releases(home / "releases")
    (home / "releases/aliases/champion").unlink()

    def scheduled(_: Path) -> str:
        releases.promote(releases.add(tiny_bundle(tmp_path / "third", project="third")), "by another", {})
        return "Not scheduled."

    monkeypatch.setattr(scheduling, "schedule_sentence", scheduled)
    refused = graft("promote")
    assert refused.exit_code == 2 and "run again, and it is compared with" in refused.stderr
    assert releases.history()[-1]["why"] == "by another"


def test_a_champion_that_is_gone_is_told_with_the_way_out(home: Path, graft: Run) -> None:
    releases = Releases(home / "releases")
    shutil.rmtree(releases.path_of())
    refused = graft("promote")
    assert refused.exit_code == 2 and "There is no release" in refused.stderr
    assert "makes it the champion without a comparison" in refused.stderr
