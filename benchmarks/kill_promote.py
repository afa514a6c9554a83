"""`kill -9` at seeded random moments of promotions and rollbacks: the alias names a whole release, no record is torn.

Each promotion ends the trial of a challenger.

python -m benchmarks.kill_promote [KILLS] [SEED]

GRAFT_RELEASES may name another place than a folder of its own.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median

from deploy.releases import CHALLENGER, CHAMPION, Releases, releases_of
from tasks.runtime import check_bundle
from tests.bundles import tiny_bundle

ACTIONS = ("promote", "rollback")
WHOLE, MISSED = 7, "ended before the kill"


def moves(action: str, bundle: Path, home: Path) -> None:
    """What is killed: a bundle becomes a release and the champion, or the champion before it comes back."""
    releases = releases_of(home)
    if action == "promote":
        releases.promote(releases.add(bundle), "killed?", {})
    else:
        releases.rollback("killed?", {})


def child(action: str, bundle: Path, home: Path) -> int:
    """Its process, which is in its first line by the time that it is waited for."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writing, b".")
        moves(action, bundle, home)
        os._exit(0)
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    return pid


def whole(action: str, bundles: Iterator[Path], home: Path) -> float:
    """Seconds of one that nobody kills."""
    if action == "rollback":
        whole("promote", bundles, home)
    try_one(bundles, home)
    began, pid = time.perf_counter(), child(action, next(bundles), home)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return time.perf_counter() - began


def try_one(bundles: Iterator[Path], home: Path) -> None:
    """A challenger, whose trial the next promotion ends."""
    releases = releases_of(home)
    releases.promote(releases.add(next(bundles)), "tried", {}, CHALLENGER)


def check(releases: Releases) -> tuple[str | None, int]:
    """The champion and the count of moves; fails where anything is torn."""
    current = releases.current()
    if current:
        assert check_bundle(releases.path_of(current), current)
    history = releases.history()
    for alias in (CHAMPION, CHALLENGER):
        line = [record for record in history if record["alias"] == alias]
        assert [record["from"] for record in line] == [None, *(record["to"] for record in line[:-1])], "a gap"
        assert (line[-1]["to"] if line else None) == releases.current(alias), f"the history ends with another {alias}"
    return current, len(history)


def main(kills: int = 100, seed: int = 0) -> None:
    """Print how many of the killed had moved the alias, and whether anything was torn."""
    draw, found = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        home, started = Path(place), time.perf_counter()
        bundles = (tiny_bundle(home / f"bundle-{i}", project=f"p{i}") for i in count())
        lasts = {action: median(whole(action, bundles, home) for _ in range(WHOLE)) for action in ACTIONS}
        while found.total() - found[MISSED] < kills:
            whole("promote", bundles, home)  # leaves something to roll back to
            try_one(bundles, home)
            before, action = check(releases_of(home)), ACTIONS[found.total() % 2]
            pid = child(action, next(bundles), home)
            time.sleep(draw.uniform(0, lasts[action]))
            os.kill(pid, signal.SIGKILL)
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            after = check(releases_of(home))
            found[MISSED if ended else f"{action} killed, {'moved' if after != before else 'not moved'}"] += 1
        seconds = time.perf_counter() - started
    took = ", ".join(f"a {action} takes {1e3 * last:.0f} ms" for action, last in lasts.items())
    print(f"{kills} kills in {seconds:.0f} s, seed {seed}, {took}; nothing torn")
    for state, times in sorted(found.items()):
        print(f"{state}: {times}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
