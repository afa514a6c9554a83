"""The real server, as a process, answers what its bundle answers; where it does not, the link is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploy.settings import Settings
from tasks.deployment import server
from tasks.errors import CrashError
from tasks.problems.classification.answer import Answer
from tasks.runtime import Runtime
from tests.bundles import flip_byte, tiny_bundle
from tests.toy import within

ALONE = [Answer("good", 0.9), Answer("bad", 0.8), Answer("good", 0.7)]


def test_the_server_answers_as_its_bundle_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_QUEUE_ROWS", "none")  # meant for another server
    runtime = Runtime.load(tiny_bundle(tmp_path / "bundle", temperature=2.0), threads=1)
    texts = ["good", "bad bad", "good other", "x" * 300, "good bad good"]
    with server.serving(tmp_path / "bundle", tmp_path / "served", runtime.version, 1) as port:
        found = server.ask(port, texts)
    assert found[3] is None, "it is over the bundle's limit of characters"
    expected = [answer for text in texts if len(text) < 300 for answer in runtime.predict([text]).answers]
    assert [answer for answer in found if answer] == expected


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


def test_an_intact_link_has_no_breaks() -> None:
    assert server.breaks(ALONE, ALONE, 0.0, 1e-4) == []
    assert server.breaks(ALONE, ALONE, 0.99e-4, 1e-4) == []


def test_each_break_of_the_link_is_named() -> None:
    answered = [Answer("bad", 0.9), None, Answer("good", 0.72)]
    assert server.breaks(answered, ALONE, server._difference(answered, ALONE), 1e-4) == [
        "http does not answer 1 of 3 test rows.",
        "http answers 1 of 3 test rows with another label than the bundle that it serves.",
        "http differs from the bundle that it serves by 0.02 in a probability, over 0.0001, which is "
        "deployment.max_logit_difference.",
    ]


def test_shares_are_the_answers_and_nothing_where_there_is_none() -> None:
    found = server._shares([Answer("b", 0.8), None], ["a", "b", "c"])
    np.testing.assert_allclose(found, [[0.1, 0.8, 0.1], [1 / 3] * 3])
    assert server._shares([Answer("a", 1.0)], ["a", "b"]).min() > 0, "its logarithm is finite"
