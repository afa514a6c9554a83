"""The table of strategies: each row fires on its evidence, in order, and says why with the figures it rests on."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.params import Strategy
from tasks.selection.strategy import RULES, Evidence, over_budget, pick, steps
from tasks.training.scope import SCOPES
from tests.factories import params


def evidence(**changes: Any) -> Evidence:
    known: dict[str, Any] = {"rows": 400, "labels": 4, "probe": 0.8, "steps": 60, "full_from": 50}
    return Evidence(**(known | changes))


# What each row of the table decides, as (rule, scope, objective): evidence on which it is the first that holds.
DECIDES: dict[tuple[str, str, str], dict[str, Any]] = {
    ("pairs", "full", "contrastive"): {"objective": "contrastive", "over_budget": "the 60 steps exceed 10", "rows": 9},
    ("budget", "frozen", "supervised"): {"over_budget": "the 60 steps exceed 10"},
    **{("short adaptations", scope, "supervised"): {"survivor": scope} for scope in SCOPES},
    ("few rows, by their labels", "frozen", "supervised"): {"rows": 199, "objective": "supervised"},
    ("few rows", "full", "contrastive"): {"rows": 199},
    ("enough rows", "full", "supervised"): {"rows": 200},
}


def test_every_row_of_the_table_has_evidence_here() -> None:
    assert [(rule.name, rule.scope, rule.objective) for rule in RULES] == [*DECIDES]


def test_pairs_are_for_modalities_that_they_were_measured_on() -> None:
    assert pick(evidence(rows=199, pairs=False)).scope == "frozen"
    assert pick(evidence(rows=199, pairs=False, objective="contrastive")).objective == "contrastive"


@pytest.mark.parametrize("decided", DECIDES)
def test_each_rule_decides_on_its_evidence(decided: tuple[str, str, str]) -> None:
    picked = pick(evidence(**DECIDES[decided]))
    assert (picked.rule, picked.scope, picked.objective) == decided
    named = picked.scope if picked.objective == "supervised" else f"{picked.scope}, {picked.objective}"
    assert picked.reason.startswith(f"{named}: ") and picked.reason.endswith(".") and "{" not in picked.reason


def test_the_budget_decides_before_the_rows_do() -> None:
    picked = pick(evidence(rows=10**6, over_budget="the 60 steps exceed 10"))
    assert picked.reason == "frozen: the 60 steps exceed 10."


@pytest.mark.parametrize(
    ("changes", "rule", "told"),
    [
        ({}, "enough rows", "400 rows and 4 labels"),
        ({"rows": 199}, "few rows", "199 rows and 4 labels"),
        ({"over_budget": "the 60 steps exceed 10"}, "budget", "60 gradient steps of a training"),
        ({"survivor": "lora"}, "short adaptations", "their log loss"),
        ({"objective": "contrastive"}, "pairs", "the params"),
    ],
)
def test_the_sentence_names_what_the_rule_looked_at(changes: dict[str, Any], rule: str, told: str) -> None:
    sentence = f'The rule "{rule}" of the table of strategies decided, on {told}.'
    assert pick(evidence(**changes)).sentence == sentence
    # What no rule looks at changes nothing.
    assert pick(evidence(**changes, probe=0.1)).sentence == sentence


def test_the_reason_carries_the_evidence() -> None:
    picked = pick(evidence())
    assert picked.reason.startswith("full: 100 training rows per label reach ")
    assert picked.evidence.record()["rows_per_label"] == 100


def test_steps_by_hand() -> None:
    training = params().adaptation.training.model_copy(
        update={"batch_rows": 16, "epochs": 4, "search_epochs": 2, "learning_rates": [0.1, 0.2, 0.3]}
    )
    plain = params().adaptation.search
    # 33 rows are 3 batches; three rates for two epochs each, then four epochs.
    assert steps(33, training, plain) == 3 * (3 * 2 + 4)
    assert steps(33, training.model_copy(update={"learning_rates": [0.1]}), plain) == 3 * 4
    # Eight trials of two epochs, four epochs by each of three seeds; and of batches of 4 rows there are 9.
    search = plain.model_copy(update={"trials": 8, "seeds": 3})
    assert steps(33, training, search) == 3 * (8 * 2 + 3 * 4)
    small = search.model_copy(update={"space": search.space.model_copy(update={"batch_rows": [32, 4]})})
    assert steps(33, training, small) == 9 * (8 * 2 + 3 * 4)
    assert steps(33, training, small.model_copy(update={"trials": 0})) == 3 * (3 * 2 + 3 * 4)


def never() -> float:
    raise AssertionError("a clock was read without a limit in minutes")


def settings(**changes: Any) -> Strategy:
    return params().selection.strategy.model_copy(update=changes)


@pytest.mark.parametrize(("most", "over"), [(None, False), (60, False), (59, True)])
def test_a_budget_in_steps(most: int | None, over: bool) -> None:
    reason = over_budget(60, settings(max_steps=most), never)
    assert reason == ("the 60 gradient steps of a training exceed selection.strategy.max_steps 59" if over else None)


@pytest.mark.parametrize(("seconds", "over"), [(1.0, False), (1.01, True)])
def test_a_budget_in_minutes_tells_no_figure_of_a_clock(seconds: float, over: bool) -> None:
    reason = over_budget(60, settings(max_minutes=1.0), lambda: seconds)
    told = "the 60 gradient steps of a training would take longer than selection.strategy.max_minutes 1"
    assert reason == (told if over else None)


def test_the_budget_decides_before_short_adaptations_do() -> None:
    assert pick(evidence(over_budget="too many", survivor="full")).scope == "frozen"
    assert pick(evidence(rows=8, survivor="full")).scope == "full"
