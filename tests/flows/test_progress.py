"""The bar of a run: moved by the stages' announcements, shown on a terminal alone."""

from __future__ import annotations

import logging

import pytest
from rich.progress import Progress

from flows.progress import RowLines, StageBar, row_progress, stage_bar
from tasks.training.pace import Pace

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


def test_a_training_tells_the_bar_what_it_has_left() -> None:
    handler = StageBar(Progress(disable=True), SECONDS)
    now, lines = [0.0], []
    pace = Pace("Rate 0.1", lines.append, lambda: now[0])
    now[0] = 60.0
    pace(10, 40, 16)
    assert said(handler, lines[0])[1] == "starting", "of a stage that is not in the bar"
    before = said(handler, "Running stage 'selection':")[0]
    assert said(handler, lines[0]) == (before, "selection, this training about 30 min left")


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


def test_rows_without_a_terminal_are_told_in_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = RowLines(4000, lambda: now)
    for now, done in ((9.0, 900), (20.0, 2000), (29.0, 2500), (40.0, 3000)):  # noqa: B007
        lines.show(done, 1000)
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "2,000 of 4,000 rows (50%), 50 a second, under a minute left",
        "3,000 of 4,000 rows (75%), 50 a second, under a minute left",
    ], "of the rows that this call answered"


def test_large_numbers_of_rows_have_separators_and_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = RowLines(1_000_000, lambda: now)
    now = 100.0
    lines.show(250_000, 0)
    assert capsys.readouterr().err == "250,000 of 1,000,000 rows (25%), 2,500 a second, about 5 min left\n"


def test_nothing_is_shown_where_it_would_disturb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.progress.LINE_SECONDS", -1.0)
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal, raising=False)
        with row_progress(2, quiet=True) as show:
            show(1, 0)
        assert capsys.readouterr() == ("", "")


def test_rows_without_a_terminal_are_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.progress.LINE_SECONDS", -1.0)
    with row_progress(2, quiet=False) as show:
        show(1, 0)
    out, err = capsys.readouterr()
    assert out == "" and "1 of 2 rows" in err


def test_rows_on_a_terminal_are_a_bar_that_is_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with row_progress(20, quiet=False) as show:
        show(10, 0)
    out, err = capsys.readouterr()
    assert out == "" and "10/20" in err
