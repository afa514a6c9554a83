"""Several processes, one training: each computes a part of a step's rows, and their gradients add up to the step's.

The leader is the stage itself: it alone reads, solves, says and writes. It starts the followers with the variables that
`accelerate launch` and `torchrun` set, so that a stage that one of these starts does the same. Followers run the stage
up to the end of its training, with the leader's weights, and end there. A follower that ends earlier ends the leader
too, which would wait for it. Alone, nothing of this computes anything.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tasks import stage
from tasks.errors import CrashError, GraftError, InputError, lacked_memory
from tasks.params import load
from tasks.stage import Stage

# Followers wait while the leader solves a head or fills the store.
PATIENCE = timedelta(days=2)
# Names the leader's process to a follower, who may have lost it before it could ask to die with it.
LEADER = "GRAFT_LEADER"
STARTED: list[subprocess.Popen[bytes]] = []
# Between two looks at the followers. Whoever waits for a lost one on CPUs is told by the network before the second.
LOOK_SECONDS = 10.0


def rank() -> int:
    """Number of this process; 0 is the leader."""
    return int(os.environ.get("RANK", 0)) if world() > 1 else 0


def world() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "MASTER_ADDR" in os.environ else 1


def run(name: str, main: Callable[[Stage], None]) -> None:
    """Run a training stage in the current folder: as any other, or as a follower does."""
    if rank() == 0:
        stage.run(name, partial(_led, main))
    stage.die_with_parent()
    if os.environ.get(LEADER, str(os.getppid())) != str(os.getppid()):
        sys.exit(2)
    root = Path.cwd()
    params = load(root / "params.yaml")
    stage.fix_randomness(params)
    staging = root / stage.STATE / "staging" / f"{name}-{rank()}"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        main(_Silent(name, root, params, staging))
    except GraftError:
        sys.exit(2)  # the leader says why
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _led(main: Callable[[Stage], None], of: Stage) -> None:
    """A leader's stage, which ends with one sentence where a follower is lost."""
    if of.params.resources.processes > 1:
        threading.Thread(target=_watch, args=(of, time.monotonic()), daemon=True).start()
    try:
        main(of)
    except RuntimeError as error:
        if not lacked_memory(error) and (told := _lost(seconds=1.0)):  # memory may lack in all of them at once
            raise CrashError(told) from error
        raise


def _watch(of: Stage, started: float) -> None:
    """End this process where a follower has ended and the leader waits for it, be it to meet or on a GPU."""
    while not _lost():
        time.sleep(LOOK_SECONDS)
    time.sleep(LOOK_SECONDS)
    if told := _lost():  # else it had come to its end, and so did the leader
        stage.tell(of.name, of.root, CrashError.outcome, [told], time.monotonic() - started)
        os._exit(CrashError.exit_code)


def _lost(seconds: float = 0.0) -> str | None:
    """What to tell of a follower that has ended, or does so within these seconds, while the leader counts on it."""
    for child in [*STARTED]:
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(seconds)
            return (
                f"One of the processes that share the training ended before it, with exit code {code}: see what it "
                "said above, and run again, which goes on where the training was, or set resources.processes to 1."
            )
    return None


class _Silent(Stage):
    """A follower's stage."""

    def say(self, sentence: str) -> None:
        pass


def copied(folder: Path, below: Path) -> Path:
    """A follower's own copy of what a killed run left, made before the leader, whom it is awaited by, writes there."""
    own = below / folder.name
    if not own.exists():
        own.mkdir(parents=True)
        if folder.exists():
            shutil.copytree(folder, own, dirs_exist_ok=True)
    return own


def begin(count: int, target: torch.device) -> None:
    """Start the followers, unless a launcher has, and meet them.

    Args:
        count: of processes, the leader included.
        target: the kind of device that each computes on; of GPUs each has its own.

    Raises:
        InputError: there are fewer GPUs, or a launcher started another number.
    """
    if world() == count == 1:
        return
    _as_launched(count)
    if target.type == "cuda" and (there := torch.cuda.device_count()) < count:
        raise InputError(
            f"resources.processes is {count}, but torch sees {there} GPU: set it to {there}, or resources.device to "
            "cpu."
        )
    if world() == 1:
        _start(count)
    from accelerate import PartialState

    PartialState(cpu=target.type == "cpu", timeout=PATIENCE)


def alone(count: int) -> None:
    """Where nothing is shared, a follower that a launcher started ends here, and the leader goes on alone.

    Raises:
        InputError: a launcher started another number.
    """
    _as_launched(count)
    if rank() > 0:
        sys.exit(0)
    os.environ.pop("MASTER_ADDR", None)


def _as_launched(count: int) -> None:
    if world() not in (1, count):
        raise InputError(
            f"The launcher started {world()} processes, but resources.processes is {count}: set it to {world()}, or "
            f"launch {count}."
        )


def _start(count: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, LEADER: os.getpid()}
    shared |= {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    for number in reversed(range(count)):
        os.environ |= {name: str(value) for name, value in (shared | {"RANK": number, "LOCAL_RANK": number}).items()}
        if number:
            STARTED.append(subprocess.Popen([sys.executable, *sys.orig_argv[1:]]))


def end() -> None:
    """A follower ends here; the leader goes on alone."""
    if world() == 1:
        return
    from accelerate import PartialState

    follows = rank() > 0
    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()
    if follows:
        sys.exit(0)
    del os.environ["MASTER_ADDR"]
    through, STARTED[:] = [*STARTED], []
    for child in through:
        child.wait()


def share(tensors: Iterable[torch.Tensor]) -> None:
    """Give every process the leader's values."""
    if world() > 1:
        from accelerate.utils import broadcast

        for tensor in tensors:
            tensor.data.copy_(broadcast(tensor.data.clone()))


def leader_first() -> AbstractContextManager[None]:
    """Within it, followers begin once the leader is through: what it keeps on disk, they find there."""
    if world() == 1:
        return nullcontext()
    from accelerate import PartialState

    return PartialState().main_process_first()  # type: ignore[no-any-return]


def own(rows: int, divisible: bool = True) -> tuple[list[int], float]:
    """Places of rows that this process computes, and what they count, since others may compute them too.

    Args:
        rows: how many there are, neighbours of like length. No part has a single one of several: of it batch
            normalisation has no variance.
        divisible: whether they may be divided.
    """
    parts = max(1, min(world(), rows // 2)) if divisible else 1
    part = rank() % parts
    return list(range(part, rows, parts)), 1 / len(range(part, world(), parts))


def add_up(network: nn.Module, loss: float) -> float:
    """Sum gradients and a loss over all processes."""
    if world() == 1:
        return loss
    from accelerate.utils import reduce

    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    *sums, total = reduce([*gradients, gradients[0].new_tensor(loss)], "sum")
    for gradient, summed in zip(gradients, sums, strict=True):
        gradient.copy_(summed)
    return float(total)


def put_together(values: np.ndarray, places: list[int], rows: int, target: torch.device) -> np.ndarray:
    """(rows, K) of which each process has the values (P, K) of its P places."""
    if world() == 1:
        return values
    from accelerate.utils import reduce

    whole = np.zeros((rows, values.shape[1]), dtype=values.dtype)
    whole[places] = values
    summed: np.ndarray = reduce(torch.from_numpy(whole).to(target), "sum").cpu().numpy()
    return summed
