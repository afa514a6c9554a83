"""The choice without labels: by operations alone, and it says so."""

from __future__ import annotations

from typing import Any

from tasks.selection.by_words import Whole, choose, ranking
from tests.tasks.selection.test_choice import scored

WORDS = {"a": "about apples", "b": "about birds"}


def whole(operations: int, **changes: Any) -> Whole:
    base = {"source": "path:m", "revision": "r", "depth": 6, "pool": "mean", "parameters": 1, "bytes": 4}
    return Whole(**(base | changes), operations=operations)


def test_the_fewest_operations_are_taken_and_nothing_better_is_claimed() -> None:
    models = [whole(3_000, source="path:large", depth=12), whole(1_000), whole(1_000, source="path:b")]
    found = choose(models, WORDS)
    assert (found["source"], found["scope"]) == ("path:b", "zero_shot")
    assert found["model_reason"] == (
        "path:b takes the fewest operations of 3 models, 1e+03 for an example of median length, next path:m with "
        "1e+03: without labels nothing says which of them answers better."
    )
    assert [one["source"] for one in ranking(models)] == ["path:b", "path:m", "path:large"]


def test_all_blocks_and_the_words_are_handed_on() -> None:
    found = choose([whole(1)], WORDS)
    assert found["model_reason"] == "path:m is the only candidate."
    (one,) = found["scopes"].values()
    assert (one["depth"], one["pool"], one["words"]) == (6, "mean", WORDS)
    assert one["reason"].startswith("All 6 blocks, pool mean") and "no row has a label" in found["scope_reason"]


def test_it_has_the_form_of_the_choice_with_labels_but_for_the_strategy() -> None:
    from tasks.selection import choice, strategy

    picked = strategy.pick(strategy.Evidence(rows=10, labels=2, probe=0.5, steps=1, full_from=200))
    assert set(choose([whole(1)], WORDS)) | {"strategy"} == set(choice.choose([scored(0.5, 10)], picked))
