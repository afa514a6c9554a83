"""The history tells every move once, wherever a process was killed and however many moved at once.

A move is four steps: the intent is written, the alias moves, the history gets its line, the intent goes away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.folder import Folder
from deploy.history import History, Record
from deploy.releases import Releases
from tasks.errors import InputError
from tests.factories import REPO
from tests.releasing import CONTEXT, added, moves, refused


class Killed(BaseException):
    """Stands for a signal that no code can catch."""


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "releases")


def test_killed_between_alias_and_history(releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(History, "append", killed)
        releases.promote(b, "cut off", CONTEXT)
    assert releases.current() == b and moves(releases) == [(None, a), (a, b)], "read, it is told as it is"
    assert len(releases.folder.joinpath("history.jsonl").read_text().splitlines()) == 1
    releases.rollback("next call", CONTEXT)
    lines = [json.loads(line) for line in releases.folder.joinpath("history.jsonl").read_text().splitlines()]
    assert [(line["from"], line["to"], line["why"]) for line in lines] == [
        (None, a, "r"),
        (a, b, "cut off"),
        (b, a, "next call"),
    ]
    assert lines[1]["context"] == CONTEXT and lines == releases.history()


def test_killed_before_the_alias_moved(releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT)
    replace = os.replace

    def killed_at_alias(source: Path, target: Path) -> None:
        if Path(target).name == "champion":
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("deploy.folder.os.replace", killed_at_alias)
        releases.promote(b, "cut off", CONTEXT)
    assert releases.current() == a and moves(releases) == [(None, a)]
    assert releases.promote(b, "again", CONTEXT).changed
    assert [record["why"] for record in releases.history()] == ["r", "again"]


def test_killed_before_the_intent_is_gone(releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = added(releases, tmp_path, 2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "unlink", killed)
        releases.promote(a, "r", CONTEXT)
    assert moves(releases) == [(None, a)]
    releases.promote(b, "r", CONTEXT)
    assert moves(releases) == [(None, a), (a, b)]


def test_killed_for_good_in_the_middle_of_a_line(releases: Releases, tmp_path: Path) -> None:
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT)
    code = """
import os, signal, sys
from pathlib import Path
from deploy.folder import Folder
from deploy.history import History, Record
from deploy.releases import Releases
def torn(self, record):
    with self.path.open("a") as file:
        file.write('{"when": "20')
    os.kill(os.getpid(), signal.SIGKILL)
History.append = torn
Releases(Path(sys.argv[1])).promote(sys.argv[2], "cut off", {"commit": "c0ffee"})
"""
    done = subprocess.run([sys.executable, "-c", code, str(releases.folder), b], check=False)
    assert done.returncode == -signal.SIGKILL
    assert releases.current() == b and moves(releases) == [(None, a), (a, b)]
    assert not releases.promote(b, "again", CONTEXT).changed
    lines = releases.folder.joinpath("history.jsonl").read_text().splitlines()
    assert [json.loads(line)["why"] for line in lines] == ["r", "cut off"]


def test_a_torn_last_line_is_mended(releases: Releases, tmp_path: Path) -> None:
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT)
    with (releases.folder / "history.jsonl").open("ab") as file:
        file.write('{"why": "Ä'.encode()[:-1])
    assert moves(releases) == [(None, a)]
    releases.promote(b, "r", CONTEXT)
    assert moves(releases) == [(None, a), (a, b)]


@pytest.mark.parametrize("line", ["no json", "[]", '{"to": "0123456789ab"}', ""])
def test_a_whole_line_that_is_no_record_is_told_and_not_skipped(releases: Releases, tmp_path: Path, line: str) -> None:
    releases.promote(added(releases, tmp_path, 1)[0], "r", CONTEXT)
    with (releases.folder / "history.jsonl").open("a") as file:
        file.write(line + "\n")
    with refused(r"Line 2 of .*history\.jsonl is no record: restore"):
        releases.history()


def test_moves_at_once_leave_a_whole_history(releases: Releases, tmp_path: Path) -> None:
    versions = added(releases, tmp_path, 3)
    code = """
import sys
from pathlib import Path
from tests.deploy.test_history import made
print(made(Path(sys.argv[1]), sys.argv[2:]))
"""

    def process(order: list[str]) -> int:
        command = [sys.executable, "-c", code, str(releases.folder), *order]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPO).stdout)

    def thread(order: list[str]) -> int:
        return made(releases.folder, order)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(work, versions[i:] + versions[:i]) for i, work in enumerate((process, process, thread))]
        changed = sum(job.result() for job in jobs)
    told = moves(releases)
    assert len(told) == changed and told[-1][1] == releases.current()
    assert [before for before, _ in told] == [None] + [after for _, after in told[:-1]], "a chain without a gap"


def made(folder: Path, versions: list[str]) -> int:
    """How many of many promotions were made; the others were told that another had come first."""
    changed = 0
    for version in versions * 8:
        try:
            changed += Releases(folder).promote(version, "r", {}).changed
        except InputError as error:
            assert "meanwhile, so that this promote" in str(error)
    return changed


def test_a_move_is_refused_where_another_came_first(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = added(releases, tmp_path, 3)
    for version in (a, b):
        releases.promote(version, "r", CONTEXT)
    move = Folder.move

    def second(self: Folder, record: Record) -> bool:
        monkeypatch.undo()
        releases.promote(c, "first", CONTEXT)
        return move(self, record)

    monkeypatch.setattr(Folder, "move", second)
    with refused(f"Another moved champion from {b} to {c} meanwhile, so that this rollback to {a} was not made"):
        releases.rollback("r", CONTEXT)
    assert releases.current() == c and moves(releases) == [(None, a), (a, b), (b, c)]


def killed(*_: object, **__: object) -> None:
    raise Killed
