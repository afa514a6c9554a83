"""A GPU that does not hold a step: passes of half the size, the same when killed, told, and recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training.loop import Progress, train
from tasks.training.objective.supervised import Supervised
from tasks.training.search import Trained
from tests.tasks.training.test_loop import FULL, Network, job, network, same
from tests.tasks.training.test_loop import one_thread as one_thread

HELD = 10  # tokens of a pass: every step of eight rows has more, but no two rows do
LACKS: list[Callable[[], RuntimeError]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
]


@pytest.fixture(autouse=True)
def every_epoch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)


def trained(
    lack: Callable[[], RuntimeError] | None, resume: Path | None = None, held: int = HELD, **changes: Any
) -> tuple[Network, Progress, list[str]]:
    """With `lack`, passes of more tokens than are held fail and leave half of their gradients."""
    made, lines = network(), []
    pooled = made.backbone.pooled

    def bounded(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        found = pooled(inputs)
        if lack and made.training and inputs["input_ids"].numel() > held:
            made.head.weight.grad = torch.ones(2, 4)
            raise lack()
        return found

    def say(line: str) -> None:
        lines.append(line)
        if changes.get("until") and changes["until"] in line:
            raise KeyboardInterrupt

    made.backbone.pooled = bounded  # type: ignore[method-assign]
    settings = job().settings.model_copy(update={"pass_positions": changes.get("pass_positions", 4096)})
    try:
        objective = Supervised(8, learn, mixup=changes.get("mixup", 0.0))
        progress = train(made, FULL, objective, replace(job(), settings=settings), resume, say)
    except KeyboardInterrupt:
        progress = Progress([], 0.0, 0)
    return made, progress, lines


@pytest.mark.parametrize("lack", LACKS, ids=["allocator", "library"])
def test_the_step_is_repeated_in_smaller_passes(lack: Callable[[], RuntimeError]) -> None:
    made, progress, lines = trained(lack)
    lowered = progress.pass_positions
    assert lowered is not None and lowered <= HELD
    told = [line for line in lines if "does not hold" in line]
    assert str(lack()).rstrip(".") in told[0]
    assert told[-1].endswith(f"from here on passes have {lowered} positions at most.")
    expected, plain, _ = trained(None, pass_positions=lowered)
    assert same(made, expected), "nothing of the failed attempt is left in the gradients or the draws"
    assert progress == replace(plain, pass_positions=lowered)
    assert Trained(made, progress, 0.05, {}).record()["pass_positions_lowered_to"] == lowered


def test_killed_it_goes_on_with_the_smaller_passes(tmp_path: Path) -> None:
    undisturbed, whole, _ = trained(LACKS[0])
    trained(LACKS[0], tmp_path / "resume", until="epoch 3 of")
    resumed, progress, lines = trained(LACKS[0], tmp_path / "resume")
    assert same(resumed, undisturbed) and progress == whole
    assert not [line for line in lines if "does not hold" in line]


def test_passes_of_two_rows_that_are_too_much_end_the_training() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        trained(LACKS[0], held=0)


def test_a_step_that_cannot_be_divided_is_not_tried_again() -> None:
    tries = []

    def lacking() -> RuntimeError:
        tries.append(1)
        return LACKS[0]()

    with pytest.raises(torch.OutOfMemoryError):
        trained(lacking, mixup=0.5)
    assert len(tries) == 1


def test_other_errors_are_not_tried_again() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        trained(lambda: RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        trained(lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"))
