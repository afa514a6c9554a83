"""Few tries, and only for what may go away."""

from __future__ import annotations

import pytest

from tasks.sources import patience


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors, self.tries = [*errors], 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "rows"


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(patience.time, "sleep", pauses.append)
    return pauses


def is_reset(error: Exception) -> bool:
    return isinstance(error, ConnectionResetError)


def test_what_is_transient_is_tried_again_after_longer_and_longer_pauses(slept: list[float]) -> None:
    flaky = Flaky(ConnectionResetError(), ConnectionResetError())
    assert patience.patiently(flaky, is_reset) == "rows"
    assert flaky.tries == 3 and slept == sorted(slept) and len(slept) == 2


def test_what_is_not_is_raised_at_once(slept: list[float]) -> None:
    flaky = Flaky(ValueError())
    with pytest.raises(ValueError):
        patience.patiently(flaky, is_reset)
    assert flaky.tries == 1 and slept == []


def test_the_third_failure_is_the_last() -> None:
    flaky = Flaky(*[ConnectionResetError() for _ in range(9)])
    with pytest.raises(ConnectionResetError):
        patience.patiently(flaky, is_reset)
    assert flaky.tries == 3
