"""Ranking, Pareto front and choice, worked out by hand; every reason carries its figures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.modalities import MODALITIES, part
from tasks.params import Incumbent
from tasks.selection.choice import (
    SCORES,
    Scored,
    choose,
    deepest,
    on_front,
    picks_in_words,
    places,
    ranked,
    ranking,
    stays,
)
from tasks.selection.strategy import Evidence, pick

FROZEN = pick(Evidence(rows=10, labels=2, probe=0.8, steps=4, full_from=200, objective="supervised"))


def scored(log_loss: float, operations: int, **changes: Any) -> Scored:
    base = {
        "source": "path:m",
        "revision": "r",
        "depth": 2,
        "deepest": 2,
        "pool": "mean",
        "accuracy": 0.8,
        "standard_error": 0.01,
        "log_me": 0.1,
        "h_score": 1.0,
        "nleep": -1.0,
        "knn": 0.5,
        "off_typical": 0.0,
        "parameters": 1,
        "bytes": 4,
    }
    return Scored(**(base | changes), log_loss=log_loss, operations=operations)


def test_the_pareto_front_by_hand() -> None:
    points = [scored(0.5, 10), scored(0.4, 20), scored(0.6, 15), scored(0.5, 10), scored(0.4, 30), scored(0.7, 5)]
    # (0.6, 15) loses to (0.5, 10) in both, (0.4, 30) to (0.4, 20) at a tie; equals do not beat each other.
    assert [on_front(one, points) for one in points] == [True, True, False, True, False, True]


def test_log_loss_and_log_me_have_one_vote_each() -> None:
    points = [
        scored(0.5, 10, log_me=0.1),  # 2 have a lower log loss, 3 a higher LogME
        scored(0.4, 10, log_me=0.3, depth=1),  # 1 and 0
        scored(0.3, 10, log_me=0.2, depth=0),  # 0 and 1: as many, and a lower log loss
        scored(0.6, 10, log_me=0.2, pool="first"),  # 3 and 1
    ]
    assert [places(points)[one] for one in points] == [5, 1, 1, 4]
    assert ranked(points) == [points[2], points[1], points[3], points[0]]


def test_a_typical_depth_votes_where_it_has_a_vote() -> None:
    points = [scored(0.4, 10, off_typical=0.3), scored(0.5, 10, off_typical=0.1), scored(0.6, 10, off_typical=0.0)]
    assert [places(points)[one] for one in points] == [2, 2, 2]
    assert ranked(points)[0] == points[0]  # as many, and the lowest log loss
    assert places([points[0], points[2]])[points[2]] == 1
    reason = choose(points, FROZEN)["scopes"]["frozen"]["reason"]
    assert "of 3 depths and pools by cross-validated log loss, LogME and, for so few rows, typical depth" in reason


def test_ranking_breaks_ties_by_operations_then_name_depth_and_pool() -> None:
    order = [
        scored(0.3, 99),
        scored(0.4, 10, source="path:a", depth=1, pool="mean"),
        scored(0.4, 10, source="path:a", depth=2, pool="first"),
        scored(0.4, 10, source="path:a", depth=2, pool="mean"),
        scored(0.4, 10, source="path:b", depth=1),
        scored(0.4, 20, source="path:a"),
    ]
    assert ranked(order[::-1]) == order
    assert [entry["pareto"] for entry in ranking(order)] == [True, True, True, True, True, False]
    assert ranking(order)[0]["operations"] == 99


def test_the_choice_says_what_learns_why_and_on_what_evidence() -> None:
    chosen = choose([scored(0.5, 10)], FROZEN)
    assert (chosen["scope"], chosen["scope_reason"]) == ("frozen", FROZEN.reason)
    assert chosen["objective"] == FROZEN.objective == "supervised"
    assert chosen["strategy"] == {
        "rule": "few rows, by their labels",
        "evidence": FROZEN.evidence.record(),
        "sentence": FROZEN.sentence,
    }


def test_frozen_takes_the_best_depth_and_full_the_whole_model() -> None:
    points = [
        scored(0.4, 60, depth=1, accuracy=0.9),
        scored(0.6, 100, pool="mean"),
        scored(0.5, 100, pool="first", accuracy=0.85),
    ]
    chosen = choose(points, FROZEN)
    frozen, full = chosen["scopes"]["frozen"], chosen["scopes"]["full"]
    assert (frozen["depth"], frozen["pool"]) == (1, "mean")
    assert (full["depth"], full["pool"]) == (2, "first")
    assert frozen["reason"] == (
        "Depth 1 of 2, pool mean, ranks first by cross-validated log loss and LogME together: 0.400 (accuracy 90.0%) "
        "and 0.100 against 0.500 (85.0%) and 0.100 at the last block, with 40% fewer operations."
    )
    assert full["reason"].startswith("All 2 blocks:") and "pool first" in full["reason"]
    assert chosen["model_reason"] == "path:m is the only candidate."
    left = choose(points, FROZEN, candidates=3)["model_reason"]
    assert left == "path:m is the only one of 3 candidates that selection.limits leave."


def test_a_pool_that_loses_once_blocks_learn_stands_back_for_the_one_that_beats_it() -> None:
    points = [scored(0.4, 9, pool="first"), scored(0.5, 9, pool="mean"), scored(0.6, 9, pool="last")]
    beaten = {"first": "mean"}
    found = choose(points, FROZEN, beaten=beaten)["scopes"]
    assert (found["frozen"]["pool"], found["full"]["pool"]) == ("first", "mean")
    told = "; pool mean: first, which ranks first there, loses to mean once they learn."
    assert found["full"]["reason"].endswith(told)
    assert deepest(points[0], [points[0], points[2]], beaten).pool == "first", "what beats it is not there"
    assert deepest(points[0], points[1:], beaten).pool == "mean"
    last = [scored(0.3, 9, pool="last"), *points[:2]]
    assert choose(last, FROZEN, beaten=beaten)["scopes"]["full"]["reason"].endswith("; pool last ranks first there.")


def test_a_pool_that_stands_back_changes_nothing_between_the_others() -> None:
    beaten = {"first": "mean"}
    for points in of_three_models(pools=("mean", "first", "last")):
        most = ranked([one for one in points if (one.source, one.depth) == ("a", 3)])
        found = deepest(points[0], points, beaten)
        assert found == next(one for one in most if one.pool != "first")
        assert found == most[0] or most[0].pool == "first"


@pytest.mark.parametrize("modality", MODALITIES)
def test_pools_that_lose_and_win_are_pools_of_the_modality(modality: str) -> None:
    settings = part(modality, "settings")
    assert {*settings.BEATEN_POOLS, *settings.BEATEN_POOLS.values()} <= {*settings.POOLS}


def test_a_best_last_block_is_said_so() -> None:
    reason = choose([scored(0.4, 9), scored(0.5, 5, depth=1)], FROZEN)["scopes"]["frozen"]["reason"]
    assert (
        "the last block ranks first of 2 depths and pools by cross-validated log loss and LogME together, 0.400"
        in reason
    )


def test_a_deepest_cut_that_limits_leave_is_not_called_the_last_block() -> None:
    deepest = "at the deepest cut that selection.limits leave, with 50% fewer operations."
    cuts = [scored(0.4, 4, depth=0, deepest=3), scored(0.5, 8, depth=1, deepest=3)]
    assert choose(cuts, FROZEN)["scopes"]["frozen"]["reason"].endswith(deepest)
    reason = choose(cuts[1:], FROZEN)["scopes"]["frozen"]["reason"]
    assert "the deepest cut that selection.limits leave ranks first of 1 depths" in reason


def test_the_model_reason_names_the_best_of_the_others() -> None:
    points = [
        scored(0.4, 9, source="path:a"),
        scored(0.45, 9, source="path:a", depth=1),
        scored(0.5, 9, source="path:b"),
        scored(0.7, 9, source="path:c"),
    ]
    chosen = choose(points, FROZEN)
    assert (chosen["source"], chosen["revision"]) == ("path:a", "r")
    assert chosen["model_reason"] == (
        "path:a ranks first of 3 models by cross-validated log loss and LogME together: 0.400 and 0.100, next path:b "
        "with 0.500 and 0.100."
    )


def test_depths_of_another_revision_are_another_model() -> None:
    points = [scored(0.4, 9, depth=1, revision="new"), scored(0.6, 9, revision="new"), scored(0.5, 9, revision="old")]
    assert choose(points, FROZEN)["scopes"]["full"]["depth"] == 2
    assert "next path:m with 0.500" in choose(points, FROZEN)["model_reason"]


def test_every_other_score_says_what_it_would_have_picked() -> None:
    points = [
        scored(0.4, 9, depth=1, log_me=0.3, h_score=2.0),
        scored(0.5, 9, knn=0.9),
        scored(0.6, 9, source="path:b", nleep=-0.2),
    ]
    assert picks_in_words(points) == (
        "Alone, the probe, LogME and H-score would have picked what ranks first; NLEEP would have picked path:b at "
        "depth 2, pool mean (log loss 0.600); k-NN would have picked path:m at depth 2, pool mean (log loss 0.500)."
    )
    assert [entry["picked_by"] for entry in ranking(points)] == [
        ["the probe", "LogME", "H-score"],
        ["k-NN"],
        ["NLEEP"],
    ]


def test_scores_that_tie_pick_what_ranks_higher() -> None:
    points = [scored(0.5, 9), scored(0.4, 20, depth=1), scored(0.4, 10, depth=1)]
    assert [entry["picked_by"] for entry in ranking(points)] == [[*SCORES], [], []]


def cut(one: Scored) -> Incumbent:
    return Incumbent(source=one.source, revision=one.revision, depth=one.depth, pool="mean")


@pytest.mark.parametrize(("log_loss", "kept"), [(0.58, True), (0.62, False)])
def test_what_is_live_stays_unless_the_first_is_better_by_more_than_a_standard_error(
    log_loss: float, kept: bool
) -> None:
    live = scored(log_loss, 9, depth=2, standard_error=0.1)
    points = [scored(0.5, 5, depth=1, standard_error=0.1), live]
    assert ranked(points)[0].depth == 1
    found = stays(points, cut(live))
    assert found == (live if kept else None)
    frozen = choose(points, FROZEN, live=found)["scopes"]["frozen"]
    assert (frozen["depth"], "is live and stays: depth 1, pool mean, ranks first" in frozen["reason"]) == (
        (2, True) if kept else (1, False)
    )


def of_three_models(pools: tuple[str, ...] = ("mean", "first")) -> Iterator[list[Scored]]:
    """Many times all cuts of three models, whose votes contradict each other."""
    draw = random.Random(0)
    cuts = [(source, depth, pool) for source in ("a", "b", "c") for depth in range(4) for pool in pools]
    for _ in range(100):
        yield [
            scored(draw.random(), depth, source=source, depth=depth, deepest=3, pool=pool, log_me=draw.random())
            for source, depth, pool in cuts
        ]


def test_what_ranks_first_is_told_as_nothing_else_however_few_of_the_others_rank_it_again() -> None:
    for points in of_three_models():
        first, chosen = ranked(points)[0], choose(points, FROZEN)
        second = next(one for one in ranked(points) if one.source != first.source)
        assert chosen["model_reason"].startswith(f"{first.source} ranks first of 3 models by ")
        assert f"next {second.source} with {second.log_loss:.3f}" in chosen["model_reason"]
        reason = chosen["scopes"]["frozen"]["reason"]
        assert "first" in reason.split(" by cross-validated ")[0].split("ranks ")[1] and "stays" not in reason


def test_the_winner_of_short_adaptations_is_told_so_wherever_it_ranks() -> None:
    for points in of_three_models():
        first = ranked(points)[0]
        for source in ("a", "b", "c"):
            best = next(one for one in ranked(points) if one.source == source)
            chosen = choose(points, FROZEN, model=best)
            also = "and ranks" if source == first.source else f"{first.source} ranks"
            won = f"{source} won the short adaptations of selection.strategy.halving, {also} first of 3 models."
            assert chosen["model_reason"] == won
            assert "stays" not in chosen["scopes"]["frozen"]["reason"]


def test_what_is_live_stays_before_another_model_and_before_another_cut_of_its_own() -> None:
    live = scored(0.5, 9, source="live", standard_error=0.1)
    cut = scored(0.45, 4, source="live", depth=1, log_me=0.2)
    other = scored(0.42, 9, source="other", log_me=0.4)
    found = choose([live, cut, other], FROZEN, live=live)
    assert found["model_reason"] == "live is live and stays: other ranks first, by no more than a standard error."
    assert found["scopes"]["frozen"]["reason"] == "Depth 2 of 2, pool mean, is live and stays with its model."
    found = choose([live, cut, scored(0.6, 9, source="other")], FROZEN, live=live)
    assert found["model_reason"] == (
        "live ranks first of 2 models by cross-validated log loss and LogME together: 0.450 and 0.200, next other with "
        "0.600 and 0.100."
    )
    assert "live and stays: depth 1, pool mean, ranks first" in found["scopes"]["frozen"]["reason"]
    first = choose([live, scored(0.6, 9, source="other")], FROZEN, live=live)
    assert "live ranks first" in first["model_reason"] and "stays" not in first["scopes"]["frozen"]["reason"]


def test_what_is_live_and_no_candidate_any_more_does_not_count() -> None:
    points = [scored(0.5, 5)]
    assert stays(points, cut(scored(0.5, 5, depth=7))) is None
    assert stays(points, Incumbent(source=None, revision=None, depth=None, pool=None)) is None
