"""SIGKILL at random moments of a training: does it complete, and with the bytes of an undisturbed one?

`python -m benchmarks.kills WORK [MOMENTS]`: a small project, everything learns, two rates are searched. Moments are
drawn from the whole length of the stage; what was killed is run again. One more kill is in the middle of the search.
What was measured stays in WORK, and a benchmark that was killed itself goes on from there.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

# What each child would else load for itself.
import sklearn.linear_model
import sklearn.model_selection  # noqa: F401
import transformers.models.bert.modeling_bert  # noqa: F401

from benchmarks import cells
from tasks.adaptation import __main__ as adaptation
from tasks.artifacts import sha256_folder
from tasks.stage import Stage, run
from tasks.training import loop
from tests.forked import ended, forked
from tests.projects import run_stage, write_project

STAGE, LOG, CELLS = "adaptation", "killed.log", "kills.jsonl"
SEED, MOMENTS = 6, 20
# Far below the shipped 20 s, so that most kills come after a stored state, and some before the first one.
STORE_SECONDS = 0.5
POLL_SECONDS = 0.005
SECOND_TRIAL = "Rate 0.003, epoch 1 of 2"


def project(root: Path, epochs: int, batch_rows: int) -> Path:
    """A text project up to the preparation, whose adaptation searches two rates for two epochs, then trains."""
    training = {"epochs": epochs, "search_epochs": 2, "batch_rows": batch_rows, "patience": epochs}
    changes = {f"adaptation__training__{leaf}": value for leaf, value in training.items()}
    scratch = {"receipt__scratch__epochs": epochs, "receipt__scratch__batch_rows": batch_rows}
    write_project(root, **changes, **scratch, adaptation__scope__kind="full")
    for name in ("selection", "preparation"):
        run_stage(root, name)
    return root


def attempt(root: Path, store_seconds: float, kill: float | str = math.inf) -> str:
    """Run the adaptation in a process of its own, which SIGKILL ends.

    Args:
        root: the project.
        store_seconds: least time between two stored states.
        kill: seconds after the start, or the beginning of a line that it says.

    Returns:
        What it said; it completed if that ends with the validation accuracy.
    """
    log, last = root / LOG, kill if isinstance(kill, str) else None
    child = forked(lambda: _run(root, store_seconds, last), log)
    started = time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        if not isinstance(kill, str) and time.monotonic() - started >= kill:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(POLL_SECONDS)
    return log.read_text()


def _run(root: Path, store_seconds: float, last: str | None) -> None:
    said = Stage.say

    def say(self: Stage, sentence: str) -> None:
        said(self, sentence)
        if last and sentence.startswith(last):
            os.kill(os.getpid(), signal.SIGKILL)

    os.chdir(root)
    loop.STORE_SECONDS, Stage.say = store_seconds, say  # type: ignore[method-assign]
    run(STAGE, adaptation.main)


def outputs(root: Path) -> dict[str, str]:
    """Hash of every output of the stage."""
    return {path: digest for path, digest in sha256_folder(root / "data" / STAGE).items() if path != "run.json"}


def states(root: Path) -> list[str]:
    """Trainings that a next run would go on with, `final-RATE/2` for the second state of one."""
    found = (root / ".graft/resume").rglob("progress.json")
    return sorted("/".join(path.parent.parts[-2:]) for path in found if not path.parent.name.startswith("."))


def kill_and_complete(root: Path, kill: float | str) -> tuple[list[str], dict[str, str]]:
    """Nothing there, a killed run, and a run to the end: what the second found to go on from, and its outputs."""
    for left in (root / "data" / STAGE, root / ".graft/resume", root / ".graft/features"):
        shutil.rmtree(left, ignore_errors=True)
    attempt(root, STORE_SECONDS, kill)
    found = states(root)
    attempt(root, STORE_SECONDS)
    return found, outputs(root)


def main(work: Path, moments: int) -> None:
    """Print one line a kill, then the sum."""
    root = work.resolve() / "project"
    shutil.rmtree(root, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    # Only children compute: a process that has started threads cannot be forked safely.
    assert ended(forked(lambda: project(root, epochs=6, batch_rows=4), work / LOG)) == 0, (work / LOG).read_text()
    started = time.monotonic()
    attempt(root, STORE_SECONDS)
    length, expected = time.monotonic() - started, outputs(root)
    assert "model/model.safetensors" in expected, (root / LOG).read_text()
    print(f"undisturbed: {length:.1f} s, {len(expected)} files", flush=True)
    draw = random.Random(SEED)
    shares = [draw.random() for _ in range(moments)]
    for share in [*shares, None]:
        if not cells.read(work / CELLS, share=share):
            found, made = kill_and_complete(root, SECOND_TRIAL if share is None else share * length)
            cells.add(work / CELLS, {"share": share, "same": made == expected, "from": found})
    measured = cells.read(work / CELLS)
    for cell in measured:
        where = "in the second trial" if cell["share"] is None else f"at {cell['share']:.0%} of the length"
        bytes_ = "same bytes" if cell["same"] else "OTHER BYTES"
        print(f"killed {where}: {bytes_}; went on from {', '.join(cell['from']) or 'the start'}")
    print(
        f"{sum(cell['same'] for cell in measured)} of {len(measured)} completed with the bytes of the undisturbed run"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else MOMENTS)
