"""Stage `deployment_gate`: reads the verdicts and says no with exit code 1; cheap, so that a no costs no training."""

from __future__ import annotations

from tasks.artifacts import write_json
from tasks.errors import GateError
from tasks.receipt.gate import RECORD, judged, refusals_now
from tasks.stage import Stage, run


def main(stage: Stage) -> None:
    """Pass or raise."""
    settings = stage.params.receipt
    if found := refusals_now(stage.root, settings):
        raise GateError(found)
    write_json(stage.out(RECORD), judged(stage.root, settings))


if __name__ == "__main__":
    run("deployment_gate", main)
