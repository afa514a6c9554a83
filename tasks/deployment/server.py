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
from typing import Any, NamedTuple

import numpy as np

from tasks import metrics, modalities, predictions, prepared
from tasks.artifacts import write_json
from tasks.deployment import chain
from tasks.deployment.chain import Artefact
from tasks.errors import CrashError
from tasks.problems.classification.answer import Answer, probabilities
from tasks.runtime import Example, Runtime
from tasks.stage import Stage, die_with_parent, run

BUNDLE = Path("data/deployment/bundle")
HOUSE = Path(__file__).resolve().parents[2]
MODULE = "deploy.service"
WAIT_SECONDS = 120.0  # for the start, and for an answer
# Where the server's first line says that it listens.
ADDRESS = re.compile(r'"address": "127\.0\.0\.1:(\d+)"')


class Told(NamedTuple):
    """What the server answers to an example.

    Attributes:
        answer: the most probable label.
        shares: (K,) probability of every label, NaN for one that it does not name.
    """

    answer: Answer
    shares: np.ndarray


def main(stage: Stage) -> None:
    """Every row goes alone, so that what an int8 graph answers does not depend on what shares its batch."""
    params = stage.params
    test = prepared.load(stage.root).of("test")
    source = modalities.part(params.project.modality, "source")
    raw = [source.read(cell, stage.root) for cell in test.inputs]
    runtime = Runtime.load(stage.root / BUNDLE, params.resources.threads)
    stage.say(f"Asking the server for {len(raw)} test rows over HTTP.")
    with serving(stage.root / BUNDLE, stage.staging / "served", runtime.version, params.resources.threads) as port:
        answered = ask(port, raw, test.labels)
    logits = np.vstack([runtime.predict([example]).logits for example in raw])
    columns = [runtime.manifest.labels.index(label) for label in test.labels]
    alone = probabilities(logits / runtime.manifest.temperature)[:, columns]
    checkpoint = predictions.load(stage.root / "data/adaptation/predictions.arrow", test.ids).logits
    drawn = metrics.Resamples(len(test), params.receipt.resamples, params.project.seed)
    classes = test.classes if test.labelled else None
    served = Artefact(_log_shares(answered, len(test.labels)), None)
    record = chain.score(served, Artefact(checkpoint, None), classes, params.receipt.metric, drawn)
    # Probabilities leave a constant of each row's logits open: no difference that the other links' could stand beside.
    record["max_logit_difference"] = None
    record["max_probability_difference"] = _difference(answered, alone)
    found = breaks(answered, alone, test.labels, params.deployment.max_logit_difference)
    write_json(stage.out("data/deployment/server.json"), {"http": record, "breaks": found})


def breaks(answered: Sequence[Told | None], alone: np.ndarray, labels: Sequence[str], limit: float) -> list[str]:
    """A sentence for every way in which the server answers otherwise than its bundle does in this process.

    Args:
        answered: over HTTP; None where there was no answer.
        alone: (N, K) probabilities of the bundle, to each row alone.
        labels: of the columns.
        limit: tolerance of the difference of two probabilities.
    """
    silent = sum(told is None or bool(np.isnan(told.shares).any()) for told in answered)
    best = [labels[column] for column in alone.argmax(axis=1)]
    other = sum(told is not None and told.answer.prediction != one for told, one in zip(answered, best, strict=True))
    difference = _difference(answered, alone)
    found = []
    if silent:
        found.append(f"http does not answer {silent} of {len(alone)} test rows with the probability of every label.")
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


def _difference(answered: Sequence[Told | None], alone: np.ndarray) -> float:
    """Largest between two probabilities of a label, and between those of the most probable one."""
    pairs = [(told, row) for told, row in zip(answered, alone, strict=True) if told is not None]
    of_rows = [np.nan_to_num(np.abs(told.shares - row)).max() for told, row in pairs]
    of_best = [abs(told.answer.probability - row.max()) for told, row in pairs]
    return float(f"{max(of_rows + of_best, default=0.0):.3g}")


def _log_shares(answered: Sequence[Told | None], labels: int) -> np.ndarray:
    """(N, K) finite logarithms of the probabilities; where none was told, all labels are alike."""
    shares = np.full((len(answered), labels), np.nan)
    for row, told in zip(shares, answered, strict=True):
        if told is not None:
            row[:] = told.shares
    return np.asarray(np.log(np.maximum(np.nan_to_num(shares, nan=1 / labels), np.finfo(np.float64).tiny)))


def ask(port: int, examples: Sequence[Example], labels: Sequence[str]) -> list[Told | None]:
    """One answer per example, each asked for alone, with the probability of each of K labels; None where the server
    refuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    path, found = f"/predict?top_k={len(labels)}", list[Told | None]()
    for example in examples:
        value = base64.b64encode(example).decode("ascii") if isinstance(example, bytes) else example
        connection.request("POST", path, json.dumps({"inputs": [value]}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        found.append(_told(json.loads(body)["predictions"][0], labels) if response.status == 200 else None)
    connection.close()
    return found


def _told(prediction: dict[str, Any], labels: Sequence[str]) -> Told:
    named = {one["prediction"]: one["probability"] for one in prediction["top"]}
    shares = np.array([named.get(label, np.nan) for label in labels], dtype=np.float64)
    return Told(Answer(prediction["prediction"], prediction["probability"]), shares)


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
