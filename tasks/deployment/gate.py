"""Stage `deployment_gate`: reads the verdicts and says no with exit code 1; cheap, so that a no costs no training."""

from __future__ import annotations

from typing import Any

from tasks.artifacts import read_json, sha256_file, write_json
from tasks.errors import GateError
from tasks.params import Receipt
from tasks.receipt.compare import passes
from tasks.stage import Stage, run


def refusals(chain: dict[str, Any], receipt: dict[str, Any], settings: Receipt) -> list[str]:
    """A sentence for every reason not to ship."""
    found = [f"The artefact chain is broken: {sentence}" for sentence in chain["breaks"]]
    if not passes(receipt["verdict"], settings.gate):
        found.append(f"{receipt['sentence']} receipt.gate is {settings.gate}: the bundle stands, but is not promoted.")
    return found


def main(stage: Stage) -> None:
    """Pass or raise."""
    chain = read_json(stage.root / "data/deployment/chain.json")
    receipt = read_json(stage.root / "data/adaptation/receipt.json")
    found = refusals(chain, receipt, stage.params.receipt)
    if found:
        raise GateError(found)
    manifest = stage.root / "data/deployment/bundle/manifest.json"
    write_json(stage.out("data/deployment/gate.json"), {"bundle": sha256_file(manifest), "verdict": receipt["verdict"]})


if __name__ == "__main__":
    run("deployment_gate", main)
