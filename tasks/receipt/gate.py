"""What the gate judges, and what it says to it: the stage that passes a bundle and the promotion of one share it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.artifacts import read_json, sha256_file
from tasks.params import Receipt
from tasks.receipt.compare import passes

JUDGED = {
    "bundle": "data/deployment/bundle/manifest.json",
    "chain": "data/deployment/chain.json",
    "server": "data/deployment/server.json",
    "receipt": "data/adaptation/receipt.json",
}
RECORD = "data/deployment/gate.json"


def refusals(chain: dict[str, Any], receipt: dict[str, Any], settings: Receipt) -> list[str]:
    """A sentence for every reason not to ship."""
    found = [f"The artefact chain is broken: {sentence}" for sentence in chain["breaks"]]
    if not passes(receipt["verdict"], settings.gate):
        found.append(f"{receipt['sentence']} receipt.gate is {settings.gate}: the bundle stands, but is not promoted.")
    return found


def refusals_now(root: Path, settings: Receipt) -> list[str]:
    """A sentence for every reason not to ship what stands now; all that is judged is there."""
    chain, server, receipt = (read_json(root / JUDGED[name]) for name in ("chain", "server", "receipt"))
    return refusals(chain | {"breaks": chain["breaks"] + server["breaks"]}, receipt, settings)


def judged(root: Path, settings: Receipt) -> dict[str, str]:
    """The gate's setting and the sha256 of everything that it is asked about, as it stands now."""
    return {name: sha256_file(root / path) for name, path in JUDGED.items()} | {"gate": settings.gate}


def passed(root: Path, settings: Receipt) -> bool:
    """Whether the gate's last yes was about exactly what stands now.

    A no leaves the record of the last yes in place, so the record alone says nothing.
    """
    paths = [RECORD, *JUDGED.values()]
    return all((root / path).is_file() for path in paths) and read_json(root / RECORD) == judged(root, settings)
