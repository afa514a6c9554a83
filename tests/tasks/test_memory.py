"""A process that gets no more memory says so in a sentence, with the leaf to lower, and loses nothing."""

from __future__ import annotations

import errno
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks import features, stage
from tasks.adaptation import __main__ as adaptation
from tasks.artifacts import read_json, sha256_folder
from tasks.errors import lacked_memory
from tasks.selection import __main__ as selection
from tasks.training import search
from tests.factories import params
from tests.projects import pin, run_stage, write_project

MB = 1_000_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model is wide inside: 32 rows take 61 MB there at once, a step several times as much."""
    from transformers import BertConfig, BertModel

    changes = {"learning_rates": [0.001], "batch_rows": 150, "epochs": 1}
    root = write_project(
        tmp_path_factory.mktemp("project"),
        adaptation__scope__kind="full",
        selection__pools=["mean"],
        selection__folds=2,
        **{f"adaptation__training__{leaf}": value for leaf, value in changes.items()},
    )
    torch.manual_seed(0)
    shape = BertConfig.from_pretrained(root / "model").to_dict() | {"intermediate_size": 60_000}
    BertModel(BertConfig(**shape)).save_pretrained(root / "model")
    pin(root)
    for name in ("selection", "preparation"):
        run_stage(root, name)
    return root


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, str, int], None]]:
    """From the first call of a function on, this process gets so many bytes more than it has by then."""
    before = resource.getrlimit(resource.RLIMIT_AS)

    def from_call_of(place: Any, function: str, room: int) -> None:
        inner = getattr(place, function)

        def bounded(*args: Any) -> Any:
            taken = 1024 * int(re.findall(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[0])
            resource.setrlimit(resource.RLIMIT_AS, (taken + room, before[1]))
            return inner(*args)

        monkeypatch.setattr(place, function, bounded)

    yield from_call_of
    resource.setrlimit(resource.RLIMIT_AS, before)


PASSES = "adaptation.training.pass_positions (of pairs adaptation.objective.contrastive.batch_rows)"
CASES: list[tuple[str, Any, int, Any, str, str]] = [
    ("adaptation", adaptation, 100 * MB, search, "train", PASSES),
    ("selection", selection, 40 * MB, features, "compute", "selection.max_rows"),
]


@pytest.mark.parametrize(("name", "phase", "room", "place", "function", "leaf"), CASES, ids=["training", "features"])
def test_a_stage_without_memory_refuses_in_a_sentence_and_loses_nothing(
    project: Path,
    bound: Callable[[Any, str, int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    phase: Any,
    room: int,
    place: Any,
    function: str,
    leaf: str,
) -> None:
    shutil.rmtree(project / ".graft/features", ignore_errors=True)
    before = sha256_folder(project / "data")
    monkeypatch.chdir(project)
    monkeypatch.setattr(stage, "die_with_parent", lambda: None)
    bound(place, function, room)
    with pytest.raises(SystemExit) as end:
        stage.run(name, phase.main)
    said, outcome = capsys.readouterr().err, read_json(project / f".graft/outcome/{name}.json")
    assert (end.value.code, outcome["state"]) == (2, "refused"), said
    (sentence,) = outcome["sentences"]
    assert sentence in said and "Traceback" not in said
    assert sentence.startswith(f"Stage {name} ran out of memory (") and "allocate" in sentence
    assert f"lower {leaf} or preparation.text.max_tokens, or take a smaller model" in sentence
    assert sha256_folder(project / "data") == before


@pytest.mark.parametrize(
    ("changes", "leaf", "of_control"),
    [
        ({}, PASSES, "receipt.scratch.pass_positions"),
        ({"scope__kind": "frozen"}, None, "receipt.scratch.pass_positions"),
        (
            {"objective__supervised__mixup": 0.2},
            PASSES.replace("pass_positions", "batch_rows"),
            "receipt.scratch.batch_rows",
        ),
    ],
)
def test_the_leaf_to_lower_is_one_that_the_training_has(
    changes: dict[str, Any], leaf: str | None, of_control: str
) -> None:
    settings = params(**{f"adaptation__{name}": value for name, value in changes.items()})
    told = {name: stage._more_memory(name, settings, "no") for name in ("adaptation", "adaptation_control")}
    first = f"{leaf} or " if leaf else ""
    assert f"(no): lower {first}preparation.text.max_tokens, or take" in told["adaptation"]
    assert f"(no): lower {of_control} or preparation.text.max_tokens, or take" in told["adaptation_control"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((3,), np.dtype(float)),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
    ids=str,
)
def test_allocators_are_understood(error: BaseException) -> None:
    assert lacked_memory(error)


def test_other_errors_are_no_lack_of_memory() -> None:
    assert lacked_memory(ValueError("out of memory")) is None
    assert lacked_memory(RuntimeError("shapes differ")) is None
    assert lacked_memory(OSError(errno.ENOENT, "No such file")) is None
