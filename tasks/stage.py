"""The edge every DVC stage shares: one writer, threads and seeds, outputs whole or untouched, an outcome."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tasks import environment
from tasks.artifacts import read_json, replace, write_json
from tasks.errors import BusyError, GraftError, InputError, lacked_memory, refused_write
from tasks.params import Params, load

STATE = Path(".graft")
RESUME = "resume"
PR_SET_PDEATHSIG = 1
WAIT_SECONDS = 10.0
BUSY = "Another run is writing to this project: wait for it to end, or stop it, and run again."


@dataclass(frozen=True)
class Stage:
    """What a stage's main function is given.

    Attributes:
        name: as in dvc.yaml.
        root: the project's folder.
        params: all of params.yaml.
        staging: where outputs are made before they replace the last good ones.
        readings: what no hash covers, for the phase's run.json.
    """

    name: str
    root: Path
    params: Params
    staging: Path
    readings: dict[str, Any] = field(default_factory=dict)

    def out(self, path: str) -> Path:
        """Where to write the output that dvc.yaml names `path`."""
        target = self.staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def state(self, name: str) -> Path:
        """A folder of this project's own state, which no hash covers."""
        return self.root / STATE / name

    def say(self, sentence: str) -> None:
        """One line for whoever watches the run."""
        print(sentence, flush=True)


def run(name: str, main: Callable[[Stage], None]) -> None:
    """Run a stage in the current folder and leave the process with its exit code."""
    die_with_parent()
    root, started = Path.cwd(), time.monotonic()
    state, sentences, code = "done", [], 0
    try:
        with one_writer(root / STATE / "stage.lock"):
            _run_locked(name, root, main)
    except GraftError as error:
        state, sentences, code = error.outcome, error.sentences, error.exit_code
    except KeyboardInterrupt:
        state, sentences, code = "interrupted", [f"Stage {name} was interrupted: run it again to complete."], 130
    except Exception as error:
        refusal = refused_write(error, f"an output of stage {name}")
        if refusal:
            state, sentences, code = "refused", [refusal], 2
        else:
            traceback.print_exc()
            first = (str(error).splitlines() or [""])[0][:300]
            state, sentences, code = "crash", [f"Stage {name} broke with {type(error).__name__}: {first}"], 1
    tell(name, root, state, sentences, time.monotonic() - started)
    sys.exit(code)


def tell(name: str, root: Path, state: str, sentences: list[str], seconds: float) -> None:
    """Leave the outcome of a stage for `reproduce`, and its sentences for whoever watches."""
    outcome = {"state": state, "sentences": sentences, "seconds": round(seconds, 2)}
    try:
        write_json(root / STATE / "outcome" / f"{name}.json", outcome)
    except OSError as error:
        print(refused_write(error) or error, file=sys.stderr)
    for sentence in sentences:
        print(sentence, file=sys.stderr, flush=True)


def _run_locked(name: str, root: Path, main: Callable[[Stage], None]) -> None:
    started = time.monotonic()
    params = load(root / "params.yaml")
    faults = environment.faults(root, params)
    if faults:
        raise InputError(faults)
    fix_randomness(params)
    staging = root / STATE / "staging" / name
    shutil.rmtree(staging, ignore_errors=True)
    stage = Stage(name, root, params, staging)
    try:
        main(stage)
        _swap_in(stage)
        shutil.rmtree(stage.state(RESUME) / name, ignore_errors=True)
    except Exception as error:
        if refused := lacked_memory(error):
            raise InputError(_more_memory(name, params, refused)) from None
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # what a full disk refused must not go on filling it
    _record_run(stage, time.monotonic() - started)


def _more_memory(name: str, params: Params, refused: str) -> str:
    length = f"preparation.{params.project.modality}.max_tokens" if hasattr(params.examples, "max_tokens") else None
    leaves = [leaf for leaf in (_grows_with(name, params), length) if leaf]
    lower = f"lower {' or '.join(leaves)}, or " if leaves else ""
    return (
        f"Stage {name} ran out of memory ({refused}): {lower}take a smaller model or more memory, and run again; the "
        "last outputs are kept, and what was trained so far."
    )


def _grows_with(name: str, params: Params) -> str | None:
    """The leaf that a stage's memory grows with, beside the length of its examples."""
    step = "batch_rows" if params.adaptation.objective.supervised.whole_batches else "pass_positions"
    training = f"adaptation.training.{step} (of pairs adaptation.objective.contrastive.batch_rows)"
    of = {
        "selection": "selection.max_rows",
        "adaptation": None if params.adaptation.scope.kind == "frozen" else training,
        "adaptation_control": f"receipt.scratch.{step}",
        "deployment": "deployment.calibration_rows",
    }
    return of.get(name)


def _swap_in(stage: Stage) -> None:
    """Replace the last good outputs by the new ones, once all of them are made."""
    for out in outs(read_dvc_yaml(stage.root)["stages"][stage.name]):
        target = stage.root / out
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{target.name}.*"):  # by a run that was killed while it swapped
            shutil.rmtree(left, ignore_errors=True)
        replace(stage.staging / out, target)


def read_dvc_yaml(root: Path) -> dict[str, Any]:
    """The project's `dvc.yaml` as a tree.

    Raises:
        InputError: there is none, or it cannot be read, as after a merge with conflicts.
    """
    try:
        tree = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("There is no dvc.yaml in this folder: run graft from a project's folder.") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        tree = None
    if not isinstance(tree, dict) or not isinstance(tree.get("stages"), dict):
        raise InputError(
            "dvc.yaml cannot be read: resolve the conflicts of a merge in it, or let `git checkout HEAD dvc.yaml` "
            "bring back the last one."
        )
    return tree


def outs(stage: dict[str, Any]) -> list[str]:
    """Paths of all outputs of one stage of dvc.yaml, metrics and plots included."""
    entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def fix_randomness(params: Params) -> None:
    """Seed Python, NumPy and torch; fix the thread count, which the bytes of a result depend on.

    A stage that has not imported torch by now does without it, and need not wait for it.
    """
    import random

    import numpy as np
    from threadpoolctl import threadpool_limits

    threads, seed = params.resources.threads, params.project.seed
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[variable] = str(threads)
    threadpool_limits(threads)
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products of matrices on a GPU
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        # A float32 of ten bits would be told from ONNX Runtime's by the chain.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.manual_seed(seed)


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it dies, so that no orphan keeps writing."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def one_writer(
    path: Path, busy: str = BUSY, seconds: float | None = None, waits: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel drops it with the process, however that ends.

    Args:
        path: of the lock.
        busy: what is wrong, and what to do, where another process holds it.
        seconds: how long to wait for that process; if not given, as long as a dying one takes.
        waits: called once, before the wait for that process.

    Raises:
        BusyError: another process holds it for longer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline, waiting = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds), False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(busy) from None
                if not waiting:
                    waits()
                waiting = True
                time.sleep(0.1)
        yield


def _record_run(stage: Stage, seconds: float) -> None:
    """What may not stand in a hashed output: when, where, and at what cost."""
    path = stage.root / "data" / stage.name.split("_")[0] / "run.json"
    record = read_json(path) if path.is_file() else {}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    record[stage.name] = stage.readings | {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(usage.ru_maxrss / 1024),
        "machine": os.uname().machine,
        "host": os.uname().nodename,
    }
    write_json(path, record)
