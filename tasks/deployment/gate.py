"""Stage `deployment_gate`: reads the verdicts and says no with exit code 1; cheap, so that a no costs no training."""

from __future__ import annotations

from tasks.artifacts import read_json, write_json
from tasks.errors import GateError
from tasks.receipt.gate import JUDGED, RECORD, judged, refusals
from tasks.stage import Stage, run


def main(stage: Stage) -> None:
    """Pass or raise."""
    settings = stage.params.receipt
    chain, server, receipt = (read_json(stage.root / JUDGED[name]) for name in ("chain", "server", "receipt"))
    found = refusals(chain | {"breaks": chain["breaks"] + server["breaks"]}, receipt, settings)
    if found:
        raise GateError(found)
    write_json(stage.out(RECORD), judged(stage.root, settings))


if __name__ == "__main__":
    run("deployment_gate", main)
