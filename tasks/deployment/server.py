"""Stage `deployment_server`: the bundle behind the real server, asked over HTTP for the rows the training never saw."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tasks import metrics, modalities, predictions, prepared
from tasks.artifacts import write_json
from tasks.deployment import chain
from tasks.deployment.chain import Artefact
from tasks.errors import CrashError
from tasks.problems.classification.answer import Answer
from tasks.runtime import Example, Runtime
from tasks.stage import Stage, die_with_parent, run

BUNDLE = Path("data/deployment/bundle")
HOUSE = Path(__file__).resolve().parents[2]
MODULE = "deploy.service"
WAIT_SECONDS = 120.0  # for the start, and for an answer
# Where the server's first line says that it listens.
ADDRESS = re.compile(r'"address": "127\.0\.0\.1:(\d+)"')


def main(stage: Stage) -> None:
    """Every row goes alone, so that what an int8 graph answers does not depend on what shares its batch."""
    params = stage.params
    test = prepared.load(stage.root).of("test")
    source = modalities.part(params.project.modality, "source")
    raw = [source.read(cell, stage.root) for cell in test.inputs]
    runtime = Runtime.load(stage.root / BUNDLE, params.resources.threads)
    stage.say(f"Asking the server for {len(raw)} test rows over HTTP.")
    with serving(stage.root / BUNDLE, stage.staging / "served", runtime.version, params.resources.threads) as port:
        answered = ask(port, raw)
    alone: list[Answer] = [runtime.predict([example]).answers[0] for example in raw]
    checkpoint = predictions.load(stage.root / "data/adaptation/predictions.arrow", test.ids).logits
    drawn = metrics.Resamples(len(test), params.receipt.resamples, params.project.seed)
    shares = _shares(answered, test.labels)
    classes = test.classes if test.labelled else None
    record = chain.score(
        Artefact(np.log(shares), None), Artefact(checkpoint, None), classes, params.receipt.metric, drawn
    )
    record["max_logit_difference"] = None  # the server answers with probabilities
    record["max_probability_difference"] = difference = _difference(answered, alone)
    found = breaks(answered, alone, difference, params.deployment.max_logit_difference)
    write_json(stage.out("data/deployment/server.json"), {"http": record, "breaks": found})


def breaks(answered: Sequence[Answer | None], alone: Sequence[Answer], difference: float, limit: float) -> list[str]:
    """A sentence for every way in which the server answers otherwise than its bundle does in this process.

    Args:
        answered: over HTTP; None where there was no answer.
        alone: of the bundle, to each row alone.
        difference: largest between two probabilities.
        limit: tolerance of that.
    """
    silent = sum(answer is None for answer in answered)
    other = sum(a is not None and a.prediction != b.prediction for a, b in zip(answered, alone, strict=True))
    found = [f"http does not answer {silent} of {len(alone)} test rows."] if silent else []
    if other:
        found.append(
            f"http answers {other} of {len(alone)} test rows with another label than the bundle that it serves."
        )
    if difference > limit:
        found.append(
            f"http differs from the bundle that it serves by {difference:.3g} in a probability, over {limit:g}, which "
            "is deployment.max_logit_difference."
        )
    return found


def _difference(answered: Sequence[Answer | None], alone: Sequence[Answer]) -> float:
    pairs = zip(answered, alone, strict=True)
    largest = max((abs(a.probability - b.probability) for a, b in pairs if a is not None), default=0.0)
    return float(f"{largest:.3g}")


def _shares(answered: Sequence[Answer | None], labels: Sequence[str]) -> np.ndarray:
    """(N, K) above 0: of the labels that were not predicted nothing is known but their sum; no answer knows nothing."""
    shares = np.full((len(answered), len(labels)), 1 / len(labels))
    for row, answer in zip(shares, answered, strict=True):
        if answer is not None:
            row[:] = max(1 - answer.probability, metrics.SMALLEST) / max(len(labels) - 1, 1)
            row[labels.index(answer.prediction)] = answer.probability
    return shares


def ask(port: int, examples: Sequence[Example]) -> list[Answer | None]:
    """One answer per example, each asked for alone; None where the server refuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    found: list[Answer | None] = []
    for example in examples:
        value = base64.b64encode(example).decode("ascii") if isinstance(example, bytes) else example
        connection.request("POST", "/predict", json.dumps({"inputs": [value]}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        one = json.loads(body)["predictions"][0] if response.status == 200 else None
        found.append(one and Answer(one["prediction"], one["probability"]))
    connection.close()
    return found


@contextmanager
def serving(bundle: Path, folder: Path, version: str, threads: int) -> Iterator[int]:
    """The port of a server of this bundle, in a process that ends with the block, or with this process.

    Args:
        bundle: its folder.
        folder: for its release, and its log.
        version: of the bundle.
        threads: of a forward pass.

    Raises:
        CrashError: it ends, or is not ready within two minutes.
    """
    releases = folder / "releases"
    releases.mkdir(parents=True)
    (releases / version).symlink_to(bundle.resolve(), target_is_directory=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE], env=_environment(releases, version, threads), stdout=log, stderr=log,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        yield _port(process, folder / "log")
    finally:
        process.terminate()
        process.wait()


def _environment(releases: Path, version: str, threads: int) -> dict[str, str]:
    """Of the server: nothing that whoever runs this stage has set for another one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    own |= {"PYTHONPATH": str(HOUSE), "GRAFT_RELEASES": str(releases), "GRAFT_RELEASE": version}
    own |= {"GRAFT_LISTEN_HOST": "127.0.0.1", "GRAFT_LISTEN_PORT": "0"}
    own |= dict.fromkeys(("GRAFT_THREADS", "GRAFT_PASS_THREADS"), str(threads))  # as in this process
    # A time is no result: on a busy machine an answer comes late, and no break of the chain is written for it.
    return own | {"GRAFT_LOG_FOLDER": "", "GRAFT_BODY_MB": "256", "GRAFT_DEADLINE_MS": f"{500 * WAIT_SECONDS:.0f}"}


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        address = ADDRESS.search(log.read_text(encoding="utf-8", errors="replace"))
        if address and _ready(int(address[1])):
            return int(address[1])
        time.sleep(0.05)
    last = (log.read_text(encoding="utf-8", errors="replace").splitlines() or ["it says nothing"])[-1]
    raise CrashError(f"The server of the bundle does not start: {last[:300]}")


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    run("deployment_server", main)
