"""A training that is killed in its search and again in its last part ends with the bytes of an undisturbed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.projects import REPO

# In a fresh process, which starts no thread of its own: it forks those that are killed.
KILLED = """
import sys
from pathlib import Path
from benchmarks.kills import LOG, SECOND_TRIAL, attempt, outputs, project, states
from tests.forked import ended, forked

work = Path(sys.argv[1])
root = work / "project"
assert ended(forked(lambda: project(root, epochs=3, batch_rows=16), work / LOG)) == 0, (work / LOG).read_text()
said = attempt(root, 0)
undisturbed = outputs(root)
assert {"adaptation.json", "predictions.arrow", "model/model.safetensors"} <= set(undisturbed), said
rate = said.split(", epoch 1 of 3")[0].split()[-1]
for last, found in ((SECOND_TRIAL, "search-0.001/2"), (f"Rate {rate}, epoch 2 of 3", f"final-{rate}/1")):
    assert attempt(root, 0, last).splitlines()[-1].startswith(last), "it was not killed"
    assert found in states(root)
said = attempt(root, 0)
assert "epoch 2 of 3" in said and "epoch 1 of" not in said, "what was stored was trained again"
assert outputs(root) == undisturbed, "other bytes"
assert not states(root)
"""


def test_killed_in_the_search_and_again_later_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
