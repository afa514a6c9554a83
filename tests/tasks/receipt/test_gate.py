"""The gate reads verdicts and says no in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import write_json
from tasks.receipt.gate import JUDGED, RECORD, judged, passed, refusals
from tests.factories import params

INTACT: dict[str, Any] = {"breaks": []}


def receipt(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "sentence": "Figures."}


@pytest.mark.parametrize(
    ("gate", "passing"),
    [
        ("better", {"paid_off"}),
        ("not_worse", {"paid_off", "undecided"}),
        ("off", {"paid_off", "undecided", "did_not_pay_off"}),
    ],
)
def test_what_passes_each_gate(gate: str, passing: set[str]) -> None:
    settings = params(receipt__gate=gate).receipt
    verdicts = ("paid_off", "undecided", "did_not_pay_off")
    assert {verdict for verdict in verdicts if not refusals(INTACT, receipt(verdict), settings)} == passing


def test_a_refusal_carries_the_receipts_sentence_and_the_gate() -> None:
    (sentence,) = refusals(INTACT, receipt("undecided"), params(receipt__gate="better").receipt)
    assert sentence == "Figures. receipt.gate is better: the bundle stands, but is not promoted."


def test_a_broken_chain_is_refused_whatever_the_gate_with_each_break() -> None:
    found = refusals({"breaks": ["One.", "Two."]}, receipt("paid_off"), params(receipt__gate="off").receipt)
    assert found == ["The artefact chain is broken: One.", "The artefact chain is broken: Two."]


def test_all_reasons_are_given_at_once() -> None:
    assert len(refusals({"breaks": ["One."]}, receipt("did_not_pay_off"), params().receipt)) == 2


def test_a_yes_is_about_exactly_what_it_was_given(tmp_path: Path) -> None:
    settings = params(receipt__gate="not_worse").receipt
    assert not passed(tmp_path, settings), "nothing is there"
    for path in JUDGED.values():
        write_json(tmp_path / path, {"one": 1})
    assert not passed(tmp_path, settings), "the gate was never asked"
    write_json(tmp_path / RECORD, judged(tmp_path, settings))
    assert passed(tmp_path, settings)
    assert not passed(tmp_path, params(receipt__gate="better").receipt), "a stricter gate was not asked"


@pytest.mark.parametrize("changed", sorted(JUDGED))
def test_a_yes_to_something_else_counts_for_nothing(tmp_path: Path, changed: str) -> None:
    settings = params().receipt
    for path in JUDGED.values():
        write_json(tmp_path / path, {"one": 1})
    write_json(tmp_path / RECORD, judged(tmp_path, settings))
    write_json(tmp_path / JUDGED[changed], {"one": 2})
    assert not passed(tmp_path, settings)
