"""The table of the chain: in the order in which one form is made of another."""

from __future__ import annotations

from tasks.receipt.artefacts import table

ONE = {"accuracy": 0.5, "loss": None, "max_logit_difference": 0.1, "changed_answers": 1, "bytes": None}


def test_links_stand_in_the_order_of_the_chain_and_what_was_not_measured_is_a_dash() -> None:
    names = ["http", "served", "optimised", "checkpoint", "int8", "reloaded", "onnx"]
    artefacts = {name: ONE | ({"accuracy": None} if name == "http" else {}) for name in names}
    lineage = {"runs": {"deployment": None}}
    record = {"metric": "accuracy", "test_rows": 4, "artefacts": artefacts, "lineage": lineage}
    lines = table(record)[1 : 1 + len(names)]
    assert [line.split()[0] for line in lines] == [
        *("checkpoint", "reloaded", "onnx", "int8", "optimised", "served", "http")
    ]
    assert "0.5000" in lines[0] and lines[-1].split()[1:3] == ["-", "-"]
