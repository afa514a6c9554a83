"""Settings of a server come from the environment, and a wrong one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.settings import KINDS, LIMITS, Settings, ignored_names
from tasks.errors import InputError
from tests.serving import is_sentence


def test_settings_come_from_the_environment() -> None:
    environment = {"GRAFT_THREADS": "3", "GRAFT_QUEUE_ROWS": "100", "GRAFT_WAIT_MS": "0.5", "GRAFT_LISTEN_HOST": "::1"}
    settings = Settings.from_environment(environment)
    assert (settings.threads, settings.queue_rows, settings.wait_ms, settings.listen_host) == (3, 100, 0.5, "::1")
    assert (settings.batch_rows, settings.listen_port) == (16, 8000)
    assert Settings.from_environment({}).threads >= 1
    assert (settings.log_folder, settings.log_inputs) == ("predictions", 0), "no text is kept unless told to"
    assert Settings.from_environment({"GRAFT_LOG_FOLDER": ""}).log_folder == ""


@pytest.mark.parametrize(("threads", "of_one", "passes"), [(4, 1, 4), (5, 2, 2), (4, 4, 1), (2, 4, 1)])
def test_passes_share_the_threads(threads: int, of_one: int, passes: int) -> None:
    settings = Settings(threads=threads, pass_threads=of_one)
    assert settings.passes == passes and settings.passes * settings.threads_of_pass <= threads


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAFT_THREADS", "0"),
        ("GRAFT_THREADS", "two"),
        ("GRAFT_PASS_THREADS", "0"),
        ("GRAFT_QUEUE_ROWS", "63"),
        ("GRAFT_BATCH_ROWS", "0"),
        ("GRAFT_WAIT_MS", "nan"),
        ("GRAFT_BATCH_TOKENS", "0"),
        ("GRAFT_DEADLINE_MS", "0"),
        ("GRAFT_CONNECTIONS", "0"),
        ("GRAFT_HEADER_SECONDS", "0"),
        ("GRAFT_REQUESTS", "0"),
        ("GRAFT_BODIES_MB", "0"),
        ("GRAFT_BODY_SECONDS", "0"),
        ("GRAFT_DRAIN_SECONDS", "-1"),
        ("GRAFT_CHALLENGER_PERCENT", "101"),
        ("GRAFT_SHADOW_PERCENT", "-1"),
        ("GRAFT_STOP_SECONDS", "0"),
        ("GRAFT_LISTEN_PORT", "65536"),
        ("GRAFT_LOG_SECONDS", "0"),
        ("GRAFT_LOG_ROWS", "0"),
        ("GRAFT_LOG_HOURS", "0"),
        ("GRAFT_LOG_INPUTS", "yes"),
        ("GRAFT_LOG_INPUTS", "2"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{name} is .*{value}.*set it to") as caught:
        Settings.from_environment({name: value})
    assert is_sentence(str(caught.value).replace(name, "A"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GRAFT_BODY_MB", "1.5", "'1.5': set it to a whole number from 1 to 1024, or unset it."),
        ("GRAFT_BODY_MB", "inf", "'inf': set it to a whole number from 1 to 1024, or unset it."),
        ("GRAFT_BODY_MB", "2000", "2000: set it to a whole number from 1 to 1024."),
        ("GRAFT_WAIT_MS", "soon", "'soon': set it to a number from 0 to 1000, or unset it."),
        ("GRAFT_WAIT_MS", "nan", "nan: set it to a number from 0 to 1000."),
        ("GRAFT_WAIT_MS", "inf", "inf: set it to a number from 0 to 1000."),
        ("GRAFT_LOG_INPUTS", "yes", "'yes': set it to 0 or 1, or unset it."),
        ("GRAFT_LOG_INPUTS", "2", "2: set it to 0 or 1."),
    ],
)
def test_a_refusal_says_what_a_setting_takes(name: str, value: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings.from_environment({name: value})
    assert str(caught.value) == f"{name} is {told}"


def test_every_number_has_limits() -> None:
    assert {*LIMITS} == {name for name, kind in KINDS.items() if kind is not str}


def test_a_misspelt_setting_does_not_go_unnoticed() -> None:
    environment = {"GRAFT_QUEUE_ROW": "9", "GRAFT_THREADS": "1", "GRAFT_RELEASE": "champion", "PATH": "/bin"}
    assert ignored_names(environment) == ["GRAFT_QUEUE_ROW"]


def test_variables_of_other_rooms_are_not_taken_for_misspelt_ones() -> None:
    house = Path(__file__).parents[2]
    files = (path for room in ("flows", "tasks", "deploy") for path in (house / room).rglob("*.py"))
    named = {name for path in files for name in re.findall(r'"(GRAFT_[A-Z_]+)"', path.read_text())}
    assert {"GRAFT_LEADER", "GRAFT_PARENT", "GRAFT_RELEASES", "GRAFT_API_KEYS"} <= named
    assert ignored_names(dict.fromkeys(named, "1")) == []
