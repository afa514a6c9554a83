"""The gate reads verdicts and says no in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.deployment.gate import refusals
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
