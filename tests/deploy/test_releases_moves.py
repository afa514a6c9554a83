"""An alias moves to a release and back: promotions, trials of a challenger, rollbacks, and their history."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deploy.folder import Folder
from deploy.history import Record
from deploy.releases import Releases
from tasks.runtime import check_bundle
from tests.releasing import CONTEXT, added, moves, refused
from tests.releasing import releases as releases


def test_promotion_moves_the_alias_and_tells_why(releases: Releases, tmp_path: Path) -> None:
    first, second = added(releases, tmp_path, 2)
    releases.promote(first, "the first", CONTEXT)
    move = releases.promote(second, "two points better", CONTEXT)
    assert releases.current() == second and releases.path_of() == releases.path_of(second)
    assert (releases.folder / "aliases/champion").read_text().strip() == second
    assert (move.version, move.before, move.changed) == (second, first, True)
    record = releases.history()[-1]
    when = datetime.fromisoformat(record.pop("when"))
    assert when.utcoffset() == timedelta(0) and when.microsecond == 0
    assert record == {
        "action": "promote",
        "alias": "champion",
        "from": first,
        "to": second,
        "why": "two points better",
        "bundle_sha256": check_bundle(releases.path_of(second)).sha256,
        "context": CONTEXT,
    }


def test_promoting_the_champion_says_so_and_leaves_no_line(releases: Releases, tmp_path: Path) -> None:
    [version] = added(releases, tmp_path, 1)
    releases.promote(version, "the first", CONTEXT)
    again = releases.promote(version, "again", CONTEXT)
    assert not again.changed and again.sentence == f"champion is {version} already: nothing was changed."
    assert moves(releases) == [(None, version)]


def test_aliases_are_apart(releases: Releases, tmp_path: Path) -> None:
    first, second = added(releases, tmp_path, 2)
    releases.promote(first, "r", CONTEXT)
    assert releases.promote(second, "r", CONTEXT, alias="challenger").trial is None
    assert (releases.current(), releases.current("challenger")) == (first, second)
    with refused("history of challenger .* nothing to roll back to"):
        releases.rollback("r", CONTEXT, alias="challenger")


@pytest.mark.parametrize("promoted", ["the challenger", "another"])
def test_a_promotion_ends_the_trial_of_the_challenger(releases: Releases, tmp_path: Path, promoted: str) -> None:
    first, tried, third = added(releases, tmp_path, 3)
    releases.promote(first, "r", CONTEXT)
    releases.promote(tried, "r", CONTEXT, alias="challenger")
    champion = tried if promoted == "the challenger" else third
    move = releases.promote(champion, "r", CONTEXT)
    assert releases.current("challenger") is None and not (releases.folder / "aliases/challenger").exists()
    assert move.trial == f"The trial of {tried} as challenger has ended." and move.sentence.endswith(move.trial)
    moved, ended = releases.history()[-2:]
    assert (moved["action"], moved["alias"], moved["to"]) == ("promote", "champion", champion)
    assert (ended["action"], ended["alias"], ended["from"], ended["to"]) == ("end", "challenger", tried, None)
    assert (ended["why"], ended["context"]) == (f"The trial ends: champion is {champion}.", CONTEXT)
    assert releases.rollback("r", CONTEXT).trial is None and releases.current("challenger") is None
    again = releases.promote(tried, "r", CONTEXT, alias="challenger")
    assert (again.before, again.changed, releases.current("challenger")) == (None, True, tried)


def test_a_promotion_that_changes_nothing_ends_no_trial_of_another(releases: Releases, tmp_path: Path) -> None:
    first, tried = added(releases, tmp_path, 2)
    releases.promote(first, "r", CONTEXT)
    releases.promote(tried, "r", CONTEXT, alias="challenger")
    assert not releases.promote(first, "r", CONTEXT).changed and releases.current("challenger") == tried


def test_a_challenger_that_is_named_behind_a_promotion_stays(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, tried, new = added(releases, tmp_path, 4)
    releases.promote(first, "r", CONTEXT)
    releases.promote(tried, "r", CONTEXT, alias="challenger")
    move = Folder.move

    def moved(self: Folder, record: Record) -> bool:
        done = move(self, record)
        if record["alias"] == "champion":
            releases.promote(new, "by another", CONTEXT, alias="challenger")
        return done

    monkeypatch.setattr(Folder, "move", moved)
    assert releases.promote(second, "r", CONTEXT).trial is None
    assert (releases.current(), releases.current("challenger")) == (second, new)


@pytest.mark.parametrize(("tried", "ends"), [("left", True), ("back", True), ("other", False)])
def test_a_rollback_ends_the_trial_of_what_it_moved(releases: Releases, tmp_path: Path, tried: str, ends: bool) -> None:
    back, left, other = added(releases, tmp_path, 3)
    for version in (back, left):
        releases.promote(version, "r", CONTEXT)
    challenger = {"back": back, "left": left, "other": other}[tried]
    (releases.folder / "aliases/challenger").write_text(f"{challenger}\n")  # as a kill behind the promotion leaves it
    move = releases.rollback("r", CONTEXT)
    assert (move.version, move.trial is not None) == (back, ends)
    assert releases.current("challenger") == (None if ends else challenger)
    assert releases.history()[-1]["action"] == ("end" if ends else "rollback")


def test_a_damaged_challenger_keeps_no_champion_from_going_back(releases: Releases, tmp_path: Path) -> None:
    first, second = added(releases, tmp_path, 2)
    for version in (first, second):
        releases.promote(version, "r", CONTEXT)
    (releases.folder / "aliases/challenger").write_text("x y z\n", encoding="utf-8")
    assert releases.rollback("r", CONTEXT).version == first


def test_a_rollback_of_the_challenger_goes_back_over_a_trial_that_has_ended(releases: Releases, tmp_path: Path) -> None:
    first, tried, again, champion = added(releases, tmp_path, 4)
    releases.promote(first, "r", CONTEXT)
    releases.promote(tried, "r", CONTEXT, alias="challenger")
    releases.promote(champion, "r", CONTEXT)
    releases.promote(again, "r", CONTEXT, alias="challenger")
    assert releases.rollback("r", CONTEXT, alias="challenger").version == tried == releases.current("challenger")


def test_the_champion_is_not_tried_beside_itself(releases: Releases, tmp_path: Path) -> None:
    [version] = added(releases, tmp_path, 1)
    releases.promote(version, "r", CONTEXT)
    with refused(f"{version} is the champion and cannot be tried beside itself: name another"):
        releases.promote("champion", "r", CONTEXT, alias="challenger")
    assert releases.current("challenger") is None and len(releases.history()) == 1


def test_rollbacks_go_further_back_and_not_to_and_fro(releases: Releases, tmp_path: Path) -> None:
    a, b, c, d = added(releases, tmp_path, 4)
    for version in (a, b, c):
        releases.promote(version, "better", CONTEXT)
    assert releases.rollback("worse in production", CONTEXT).version == b == releases.current()
    assert releases.rollback("worse as well", CONTEXT).version == a
    with refused(f"no version before {a}.*nothing to roll back to"):
        releases.rollback("once more", CONTEXT)
    releases.promote(d, "mended", CONTEXT)
    assert releases.rollback("no", CONTEXT).version == a
    assert moves(releases) == [(None, a), (a, b), (b, c), (c, b), (b, a), (a, d), (d, a)]
    assert [record["action"] for record in releases.history()][3:5] == ["rollback", "rollback"]


def test_rollback_of_a_version_that_was_promoted_twice(releases: Releases, tmp_path: Path) -> None:
    a, b = added(releases, tmp_path, 2)
    for version in (a, b, a):
        releases.promote(version, "r", CONTEXT)
    assert [releases.rollback("r", CONTEXT).version for _ in range(2)] == [b, a]


def test_rollback_of_an_alias_that_was_written_by_hand(releases: Releases, tmp_path: Path) -> None:
    a, b, c = added(releases, tmp_path, 3)
    releases.promote(a, "r", CONTEXT)
    (releases.folder / "aliases/champion").write_text(f"{b}\n")
    assert releases.current() == b
    releases.promote(c, "r", CONTEXT)
    assert moves(releases)[-1] == (b, c)
    assert [releases.rollback("r", CONTEXT).version for _ in range(2)] == [b, a]


def test_rollback_without_a_history(releases: Releases) -> None:
    with refused("nothing to roll back to: promote another release"):
        releases.rollback("r", CONTEXT)


def test_rollback_to_a_release_that_is_gone(releases: Releases, tmp_path: Path) -> None:
    a, b = added(releases, tmp_path, 2)
    for version in (a, b):
        releases.promote(version, "r", CONTEXT)
    releases.path_of(a).rename(tmp_path / "gone")
    with refused(f"There is no release {a} .*choose one of {b}"):
        releases.rollback("r", CONTEXT)
    assert releases.current() == b and len(moves(releases)) == 2


def test_a_promotion_for_a_comparison_is_refused_where_the_champion_has_moved(
    releases: Releases, tmp_path: Path
) -> None:
    first, second, third = added(releases, tmp_path, 3)
    releases.promote(first, "why", CONTEXT, instead_of=None)
    releases.promote(second, "why", CONTEXT)
    with refused(f"champion is {second} now and not {first}, with which {third} was compared"):
        releases.promote(third, "why", CONTEXT, instead_of=first)
    with refused("was not made the first"):
        releases.promote(third, "why", CONTEXT, instead_of=None)
    assert releases.current() == second
    assert releases.promote(third, "why", CONTEXT, instead_of=second).changed
