"""What earlier scheduled runs made is carried to a base that the user moved, where the user named no other since."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tasks import versions
from tasks.worktree import scheduled
from tests.identity import nobody as nobody
from tests.toy import git
from tests.worktrees import change
from tests.worktrees import fresh as fresh
from tests.worktrees import template as template


def test_what_a_retraining_decided_is_known_on_a_base_that_moved(fresh: Path) -> None:
    decided = '{"promote": true}'
    with scheduled(fresh) as checkout:
        (checkout.root / "data/retrain.json").write_text(decided)
        assert checkout.commit(["data/retrain.json"], "decided, and killed before the promotion")
    base = change(fresh, "setting.txt", "2")
    with scheduled(fresh) as checkout:
        assert checkout.parents[1:] == [base]
        assert (checkout.root / "data/retrain.json").read_text() == decided
        assert checkout.commit([], "a run that decides nothing")
    assert git(fresh, "show", "graft/scheduled:data/retrain.json") == decided


def test_the_feedback_that_runs_joined_stays_in_the_params(fresh: Path) -> None:
    params = (fresh / "params.yaml").read_text()
    params = re.sub(r"  feedback:.*\n", "", params).replace("data:\n", "data:\n  feedback: null  # joined\n", 1)
    change(fresh, "params.yaml", params)
    with scheduled(fresh) as checkout:
        (checkout.root / "params.yaml").write_text(params.replace("null  #", "data/raw/feedback.csv  #"))
        assert checkout.commit([], "feedback")
    change(fresh, "params.yaml", params.replace("seed: 13", "seed: 14"))
    with scheduled(fresh) as checkout:
        joined = (checkout.root / "params.yaml").read_text()
    assert yaml.safe_load(joined)["data"]["feedback"] == "data/raw/feedback.csv"
    assert yaml.safe_load(joined)["project"]["seed"] == 14 and "  # joined\n" in joined
    change(fresh, "params.yaml", params.replace("null  #", "data/raw/mine.csv  #"))
    with scheduled(fresh) as checkout:
        text = (checkout.root / "params.yaml").read_text()
    assert yaml.safe_load(text)["data"]["feedback"] == "data/raw/mine.csv", "what the user names counts"
    change(fresh, "params.yaml", re.sub(r"  feedback:.*\n", "", params))
    with scheduled(fresh) as checkout:
        assert "feedback:" not in (checkout.root / "params.yaml").read_text(), "the user's Graft knows no such leaf"


SNAPSHOT = ["data/raw/rows.csv.dvc", "data/raw/rows.csv.source.json"]


def take_snapshot(root: Path, text: str) -> None:
    rows = "".join(f"{text} {i},{'ab'[i % 2]},email\n" for i in range(80))
    (root / "data/raw/rows.csv").unlink(missing_ok=True)
    (root / "data/raw/rows.csv").write_text("text,label,channel\n" + rows)
    (root / SNAPSHOT[1]).write_text(text)
    versions.track(root, "data/raw/rows.csv")


def test_a_snapshot_of_a_retraining_is_carried_to_a_base_that_moved(fresh: Path) -> None:
    before = (fresh / "data/raw/rows.csv").read_bytes()
    with scheduled(fresh) as checkout:
        take_snapshot(checkout.root, "newer")
        checkout.commit(SNAPSHOT, "Retrain")
    assert (fresh / "data/raw/rows.csv").read_bytes() == before, "the checkout never notices"
    change(fresh, "setting.txt", "2")
    with scheduled(fresh) as checkout:
        assert (checkout.root / SNAPSHOT[1]).read_text() == "newer"
        assert "newer 1" in (checkout.root / "data/raw/rows.csv").read_text()


def test_a_snapshot_that_the_user_took_since_counts_for_more(fresh: Path) -> None:
    with scheduled(fresh) as checkout:
        take_snapshot(checkout.root, "theirs")
        checkout.commit(SNAPSHOT, "Retrain")
    take_snapshot(fresh, "ours")
    versions.commit(fresh, SNAPSHOT, "Refresh")
    with scheduled(fresh) as checkout:
        assert (checkout.root / SNAPSHOT[1]).read_text() == "ours"
        assert "ours 1" in (checkout.root / "data/raw/rows.csv").read_text()
