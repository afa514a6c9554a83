"""The real server, as a process, answers what its bundle answers; where it does not, the link is named."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.settings import Settings
from tasks import predictions, prepared
from tasks.artifacts import read_json
from tasks.deployment import server
from tasks.deployment.server import Told
from tasks.errors import CrashError
from tasks.predictions import Predictions
from tasks.prepared import Prepared
from tasks.problems.classification.answer import Answer, probabilities
from tasks.runtime import Runtime
from tasks.stage import Stage
from tests.bundles import flip_byte, tiny_bundle
from tests.factories import params
from tests.toy import within

LABELS = ["good", "bad", "ugly"]
ALONE = np.array([[0.9, 0.08, 0.02], [0.1, 0.8, 0.1], [0.7, 0.1, 0.2]])


def told(rows: Any) -> list[Told | None]:
    """Answers of a server that names all labels."""
    return [Told(Answer(LABELS[int(np.argmax(row))], max(row)), row) for row in np.array(rows)]


def test_the_server_answers_as_its_bundle_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_QUEUE_ROWS", "none")  # meant for another server
    runtime = Runtime.load(tiny_bundle(tmp_path / "bundle", temperature=2.0), threads=1)
    texts = ["good", "bad bad", "good other", "x" * 300, "good bad good"]
    with server.serving(tmp_path / "bundle", tmp_path / "served", runtime.version, 1) as port:
        found = server.ask(port, texts, ["bad", "good"])
        (other,) = server.ask(port, ["good"], ["good", "ugly"])
    assert found[3] is None, "it is over the bundle's limit of characters"
    expected = [runtime.predict([text]) for text in texts if len(text) < 300]
    assert [one.answer for one in found if one] == [answer for one in expected for answer in one.answers]
    # By name: the bundle's own order is good, bad.
    by_hand = [probabilities(one.logits[0] / 2.0)[::-1] for one in expected]
    np.testing.assert_allclose([one.shares for one in found if one], by_hand, rtol=1e-12)
    assert other is not None and np.isnan(other.shares).tolist() == [False, True]


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    version = Runtime.load(bundle, threads=1).version
    flip_byte(bundle / "card.md", 0)
    with (
        pytest.raises(CrashError, match=r"server of the bundle does not start: .*card\.md"),
        server.serving(bundle, tmp_path / "served", version, 1),
    ):
        pass


def test_the_server_ends_with_the_stage_that_is_killed(tmp_path: Path) -> None:
    version = Runtime.load(tiny_bundle(tmp_path / "bundle"), threads=1).version
    code = f"""
import time
from pathlib import Path
from tasks.deployment import server
with server.serving(Path("bundle"), Path("served"), "{version}", 1) as port:
    print(port, flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(server.HOUSE)}
    command = [sys.executable, "-c", code]
    stage = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert stage.stdout
    port = int(stage.stdout.readline())
    assert server._ready(port)
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    assert within(10, lambda: not server._ready(port))


def test_no_answer_is_a_break_because_the_machine_is_busy(tmp_path: Path) -> None:
    settings = Settings.from_environment(server._environment(tmp_path, "0123456789ab", 1))
    assert 10 * Settings().deadline_ms < settings.deadline_ms < 1000 * server.WAIT_SECONDS


def test_a_pass_of_the_server_has_the_threads_of_one_in_the_stage(tmp_path: Path) -> None:
    settings = Settings.from_environment(server._environment(tmp_path, "0123456789ab", 3))
    assert (settings.threads, settings.pass_threads, settings.passes) == (3, 3, 1)


@pytest.mark.parametrize("swapped", [False, True])
def test_the_stage_compares_the_whole_row_by_the_names_of_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: bool
) -> None:
    """The bundle's order is good, ugly, bad, of which a text of "good" has the logits 4, 1, 0."""
    head = np.array([[4, 1, 0], [0, 1, 4]], dtype=np.float32)
    bundle = tiny_bundle(tmp_path / server.BUNDLE, head, labels=["good", "ugly", "bad"])
    sorted_labels, texts = ["bad", "good", "ugly"], ["good", "good good"]
    logits = np.array([[0, 4, 1]] * 2, dtype=np.float32)
    encoded = Runtime.load(bundle, threads=1).encode(texts)
    rows = Prepared(texts, ["test"] * 2, texts, np.array([1, 2]), encoded, sorted_labels)
    monkeypatch.setattr(prepared, "load", lambda _: rows)
    monkeypatch.setattr(predictions, "load", lambda _, ids: Predictions(ids, logits))
    ask = server.ask

    def asked(port: int, examples: Any, labels: list[str]) -> Any:
        return ask(port, examples, ["ugly", "good", "bad"] if swapped else labels)

    monkeypatch.setattr(server, "ask", asked)
    stage = Stage("deployment_server", tmp_path, params(resources__threads=1), tmp_path / "staging")
    server.main(stage)
    found = read_json(stage.out("data/deployment/server.json"))
    by_hand = (math.exp(1) - 1) / (1 + math.exp(1) + math.exp(4)) if swapped else 0.0
    assert found["http"]["max_probability_difference"] == pytest.approx(by_hand, rel=2e-3, abs=1e-12)
    assert (len(found["breaks"]), found["http"]["max_logit_difference"]) == (int(swapped), None)
    assert (found["http"]["accuracy"], found["http"]["changed_answers"]) == (0.5, 0)


def test_an_intact_link_has_no_breaks() -> None:
    assert server.breaks(told(ALONE), ALONE, LABELS, 1e-4) == []
    assert server.breaks(told(ALONE + np.array([0.99e-4, 0, -0.99e-4])), ALONE, LABELS, 1e-4) == []


def test_each_break_of_the_link_is_named() -> None:
    answered = [*told([[0.08, 0.9, 0.02]]), None, *told([[0.72, 0.1, 0.18]])]
    assert server.breaks(answered, ALONE, LABELS, 1e-4) == [
        "http does not answer 1 of 3 test rows with the probability of every label.",
        "http answers 1 of 3 test rows with another label than the bundle that it serves.",
        "http differs from the bundle that it serves by 0.82 in a probability, over 0.0001, which is "
        "deployment.max_logit_difference.",
    ]


def test_labels_after_the_first_are_judged_too() -> None:
    swapped = [*told([[0.9, 0.02, 0.08]]), *told(ALONE[1:])]
    (sentence,) = server.breaks(swapped, ALONE, LABELS, 1e-4)
    assert "by 0.06 in a probability" in sentence and server._difference(swapped, ALONE) == 0.06


def test_a_probability_that_is_not_that_of_its_row_is_a_break() -> None:
    answered = told(ALONE)
    answered[2] = Told(Answer("good", 0.75), ALONE[2])
    (sentence,) = server.breaks(answered, ALONE, LABELS, 1e-4)
    assert "by 0.05 in a probability" in sentence


def test_a_label_that_the_server_does_not_name_is_a_break() -> None:
    answered = told(ALONE)
    answered[0] = Told(Answer("good", 0.9), np.array([0.9, np.nan, 0.02]))
    (sentence,) = server.breaks(answered, ALONE, LABELS, 1e-4)
    assert sentence == "http does not answer 1 of 3 test rows with the probability of every label."


def test_the_whole_row_is_scored_and_nothing_where_there_is_no_answer() -> None:
    found = server._log_shares([*told([[0.0, 0.8, 0.2]]), None], 3)
    np.testing.assert_allclose(np.exp(found), [[0, 0.8, 0.2], [1 / 3] * 3], atol=1e-300)
    assert np.isfinite(found).all()
