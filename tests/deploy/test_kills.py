"""A move that is cut off at any of its writes has happened whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest

from deploy.releases import Releases
from tasks.runtime import check_bundle
from tests.bundles import tiny_bundle
from tests.releasing import CONTEXT, moves

MEMORY = type(fsspec.filesystem("memory"))
# Everything by which a target changes what others see.
WRITES = {"folder": [(os, "replace"), (os, "fsync"), (Path, "unlink")], "store": [(MEMORY, "pipe_file")]}


class Killed(BaseException):
    """Stands for a signal that no code can catch."""


@contextmanager
def killed_before(step: int, kind: str) -> Iterator[list[int]]:
    """Ends what runs before its write number `step`, which is after the one before; gives a list that grows by each."""
    seen: list[int] = []

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*given: Any, **named: Any) -> Any:
            seen.append(len(seen))
            if len(seen) == step:
                raise Killed
            return call(*given, **named)

        return write

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES[kind]:
            patch.setattr(owner, name, dying(getattr(owner, name)))
        yield seen


def place(folder: Path, kind: str) -> Releases:
    return Releases(folder, f"memory://{folder}" if kind == "store" else None)


def two(folder: Path, kind: str, bundles: list[Path]) -> tuple[Releases, str, str]:
    """Releases of which the champion is the first."""
    releases = place(folder, kind)
    first, second = map(releases.add, bundles)
    releases.promote(first, "r", CONTEXT)
    return releases, first, second


@pytest.mark.parametrize("kind", WRITES)
def test_the_trial_of_a_challenger_ends_behind_the_move(tmp_path: Path, kind: str) -> None:
    bundles = [tiny_bundle(tmp_path / name, project=name) for name in "ab"]
    states = set()
    for step in count(1):
        folder = tmp_path / f"{step}"
        releases, first, second = two(folder, kind, bundles)
        releases.promote(second, "r", CONTEXT, "challenger")
        with killed_before(step, kind) as seen, suppress(Killed):
            releases.promote(second, "cut off", CONTEXT)
        told = place(folder, kind)
        state = (told.current() == second, told.current("challenger"))
        states.add(state)
        line = [(record["alias"], record["from"], record["to"]) for record in told.history()]
        begun = [("champion", None, first), ("challenger", None, second)]
        moved = [("champion", first, second)] if state[0] else []
        ended = [] if state[1] else [("challenger", second, None)]
        told_by_alias = sorted(line, key=lambda move: move[0], reverse=True)  # a store tells those of one second so
        assert told_by_alias == [*begun[:1], *moved, *begun[1:], *ended], f"step {step}"
        told.promote(second, "again", CONTEXT)
        assert (told.current(), told.current("challenger"), len(told.history())) == (second, None, 4)
        if len(seen) < step:
            break
    assert states == {(False, second), (True, second), (True, None)}


@pytest.mark.parametrize("action", ["promote", "rollback"])
@pytest.mark.parametrize("kind", WRITES)
def test_whole_or_not_at_all(tmp_path: Path, kind: str, action: str) -> None:
    bundles = [tiny_bundle(tmp_path / name, project=name) for name in "ab"]
    for step in count(1):
        folder = tmp_path / f"{step}"
        releases, first, second = two(folder, kind, bundles)
        story: list[tuple[str | None, str]] = [(None, first)]
        if action == "rollback":
            releases.promote(second, "r", CONTEXT)
            story.append((first, second))
        before, to = (first, second) if action == "promote" else (second, first)
        with killed_before(step, kind) as seen, suppress(Killed):
            releases.promote(to, "cut off", CONTEXT) if action == "promote" else releases.rollback("x", CONTEXT)
        told = place(folder, kind)
        assert told.current() in (before, to) and check_bundle(told.path_of()).version == told.current()
        moved = told.current() == to
        assert moves(told) == [*story, *([(before, to)] if moved else [])], f"step {step}"
        told.promote(before if moved else to, "goes on", CONTEXT)
        line = moves(told)
        assert line[-1][1] == told.current() and [one for one, _ in line] == [None, *(to for _, to in line[:-1])]
        if len(seen) < step:
            assert moved and step > 3, "each write before was one at which it ended"
            return
