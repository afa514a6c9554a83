"""The bar of a run: moved by the stages' announcements, shown on a terminal alone."""

from __future__ import annotations

import logging

import pytest
from rich.progress import Progress

from flows.progress import StageBar, stage_bar

SECONDS = {"selection": 60.0, "preparation": 30.0, "adaptation": 210.0}


def said(handler: StageBar, line: str) -> tuple[float, str]:
    handler.emit(logging.LogRecord("x", logging.INFO, "x", 1, "%s", (line,), None))
    task = handler.bar.tasks[0]
    return task.completed, task.description


def test_a_started_stage_moves_the_bar_by_what_came_before_it() -> None:
    handler = StageBar(Progress(disable=True), SECONDS)
    assert handler.bar.tasks[0].total == 300
    assert said(handler, "Running stage 'code':") == (0, "starting")
    assert said(handler, "Running stage 'selection':") == (0, "selection, about 5 min left")
    assert said(handler, "Scoring one on 12 rows.") == (0, "selection, about 5 min left")
    assert said(handler, "Running stage 'preparation':") == (60, "preparation, about 4 min left")
    assert said(handler, "Running stage 'adaptation':") == (90, "adaptation, about 4 min left")


def test_without_a_terminal_nothing_is_asked_or_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def asked() -> dict[str, float]:
        raise AssertionError("the estimate was asked for")

    with stage_bar(asked) as follow_log:
        follow_log()
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_bar_is_shown_and_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    logger = logging.getLogger("prefect.task_runs")
    before = list(logger.handlers)
    with stage_bar(lambda: SECONDS) as follow_log:
        follow_log()
        assert len(logger.handlers) == len(before) + 1
    assert logger.handlers == before
    assert "starting" in capsys.readouterr().err
