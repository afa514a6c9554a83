"""How fast a training goes and how long it may still take, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.training import pace
from tasks.training.pace import Pace, in_words
from tests.tasks.training.test_loop import job, trained
from tests.tasks.training.test_loop import one_thread as one_thread


def test_a_line_now_and_then_with_the_rate_and_what_is_left() -> None:
    now, lines = [100.0], []
    told = Pace("Rate 0.1", lines.append, lambda: now[0])
    for step in range(11, 20):  # ten steps were done before a kill
        now[0] += 10
        told(step, 40, 16 if step < 14 else 8)
    assert lines == [
        "Rate 0.1, step 12 of 40: 2 rows a second, about 5 min left.",
        "Rate 0.1, step 14 of 40: 1 rows a second, about 4 min left.",
        "Rate 0.1, step 16 of 40: 1 rows a second, about 4 min left.",
        "Rate 0.1, step 18 of 40: 1 rows a second, about 4 min left.",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (95, "2 min"), (3600, "60 min"), (7290, "2 h 2 min")]
)
def test_time_as_one_would_say_it(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_training_says_its_pace_and_counts_what_was_done_before_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LINE_SECONDS", 0)
    monkeypatch.setattr("tasks.training.loop.STORE_SECONDS", 0)

    def interrupt(line: str) -> None:
        if "epoch 3 of" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(job(), tmp_path / "resume", interrupt)
    lines: list[str] = []
    trained(job(), tmp_path / "resume", lines.append)
    steps = [line.split(":")[0] for line in lines if "rows a second" in line]
    assert steps == [f"Rate 0.05, step {step} of 40" for step in range(17, 41)]
