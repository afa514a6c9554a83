"""Blocks below the boundary stand aside: what is stored, what is computed, and in which bodies that goes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tasks import features
from tasks.boundary import Lower, aside
from tasks.features import Store
from tasks.modalities.contract import Arrays
from tasks.modalities.image import backbone as image
from tasks.modalities.text import backbone as text
from tasks.network import Network
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.training.loop import Job, train
from tasks.training.objective.supervised import Supervised
from tests.image_models import FAMILIES as IMAGES
from tests.image_models import Pixels, images
from tests.image_models import made as written
from tests.stack import Stack, lora, scope, stack
from tests.tasks.training.test_loop import SETTINGS, ToyEncoder, job, rows, same
from tests.tasks.training.test_loop import one_thread as one_thread
from tests.text_models import FAMILIES, write_models

TOP = scope("top")


def store(folder: Path, limit_gb: float = 1.0) -> Store:
    return Store(folder, limit_gb, lambda: {"code": "1"})


class Counted(Stack):
    """Counts the rows that pass its first block."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0
        self.blocks[0].linear.register_forward_hook(self._count)

    def _count(self, _: nn.Module, __: Any, output: torch.Tensor) -> None:
        self.passed += len(output)


def counted() -> Network:
    torch.manual_seed(3)
    return Network(Counted(), nn.Linear(4, 2))  # type: ignore[arg-type]


def run(made: Network, work: Job, lines: list[str] | None = None, of: Any = TOP) -> Network:
    train(made, of, Supervised(8, learn), work, None, (lines if lines is not None else []).append)
    return made


def passed(folder: Path, limit_gb: float) -> int:
    made = run(counted(), replace(job(), store=store(folder, limit_gb)))
    return int(made.backbone.passed)  # type: ignore[attr-defined]


def test_each_row_passes_the_lower_blocks_once_and_never_again(tmp_path: Path) -> None:
    check = 2 + 2  # the shortest and the longest, together and alone
    assert passed(tmp_path, 1.0) == check + 60 + 20
    assert passed(tmp_path, 1.0) == check, "another training reads them"
    assert passed(tmp_path, 0.0) > check + 5 * (60 + 20), "each in each epoch, with those beside it"
    assert int(run(counted(), job()).backbone.passed) == 5 * (60 + 20), "without a store"  # type: ignore[arg-type]


def test_rows_that_do_not_fit_are_told(tmp_path: Path) -> None:
    lines: list[str] = []
    run(counted(), replace(job(), store=store(tmp_path, 3e-6)), lines)
    kept = [line for line in lines if line.startswith("resources.cache_gb holds the outputs of ")]
    assert len(kept) == 1 and kept[0].endswith(" of 80 rows: the rest are recomputed.")
    (values,) = tmp_path.glob("*/values.float32")
    assert 2000 < values.stat().st_size <= 3000


def test_a_store_that_takes_long_to_fill_is_not_taken_for_one_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = Lower.compute

    def slow(self: Lower, group: Sequence[Arrays]) -> Any:
        features._trim(tmp_path, 1.0, keep=tmp_path)  # by another writer
        for writing in tmp_path.glob(".*"):
            os.utime(writing, (time.time() - 2 * features.ABANDONED_SECONDS,) * 2)
        return computed(self, group)

    monkeypatch.setattr(Lower, "compute", slow)
    assert passed(tmp_path, 1.0) == 2 + 2 + 60 + 20


def test_other_weights_below_are_other_outputs_and_weights_above_are_not(tmp_path: Path) -> None:
    def entries(change: str) -> int:
        made = stack()
        with torch.no_grad():
            dict(made.named_parameters())[change].add_(0.1)
        run(made, replace(job(), epochs=1, store=store(tmp_path)))
        return len(list(tmp_path.iterdir()))

    found = [entries(f"backbone.{name}.weight") for name in ("blocks.2.linear", "last_norm", "blocks.0.linear", "norm")]
    assert found == [1, 1, 2, 3]


@pytest.mark.parametrize("why", ["augmentation", "everything learns", "adapters in every block"])
def test_nothing_is_stored_where_rows_or_blocks_change(tmp_path: Path, why: str) -> None:
    class Same:
        def rows(self, data: Prepared, places: Sequence[int], step: int) -> list[Arrays]:
            return [data.encoded[place] for place in places]

    changes: dict[str, Any] = {"augmentation": Same()} if why == "augmentation" else {}
    of = {"everything learns": scope("full"), "adapters in every block": lora(2, 4.0)}.get(why, TOP)
    run(stack(), replace(job(), epochs=1, store=store(tmp_path), **changes), of=of)
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_cannot_stand_aside_run_and_it_is_told(tmp_path: Path) -> None:
    class Skipping(Stack):
        """The output of its first block is used again at the end."""

        def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            return super().pooled(inputs) + self.blocks[0](self.norm(self.words(inputs["input_ids"]))).mean(1)

    def made() -> Network:
        torch.manual_seed(3)
        return Network(Skipping(), nn.Linear(4, 2))  # type: ignore[arg-type]

    lines: list[str] = []
    found = run(made(), replace(job(), store=store(tmp_path)), lines)
    assert lines[0] == "The lowest 1 blocks cannot stand aside in this model: they run at every step."
    assert list(tmp_path.iterdir()) == [] and same(found, run(made(), job()))


def test_the_blocks_compute_again_when_the_training_is_broken(tmp_path: Path) -> None:
    made, batch = stack().eval(), {"input_ids": torch.tensor([[1, 2]]), "attention_mask": torch.ones(1, 2)}
    before = made(batch)[0]
    with (
        pytest.raises(KeyboardInterrupt),
        aside(
            made.backbone,
            1,
            ToyEncoder(),
            rows(4, 1).encoded,
            store(tmp_path, 0.0),
            print,  # type: ignore[arg-type]
        ),
    ):
        raise KeyboardInterrupt
    assert torch.equal(made(batch)[0], before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_text_train_to_the_same_bytes_with_and_without(models: Path, tmp_path: Path, family: str) -> None:
    def made() -> Network:
        torch.manual_seed(3)
        body = text.load(models / family, pool="mean")
        return Network(body, nn.Linear(body.width, 2))

    few, judged = rows(12, 1), rows(6, 2)
    lifted = [{"input_ids": row["input_ids"] + 4} for row in few.encoded]  # past the special tokens
    work = Job(replace(few, encoded=lifted), judged, ToyEncoder(), SETTINGS, 0.01, 2, 3, "float32")  # type: ignore[arg-type]
    lines: list[str] = []
    kept = run(made(), replace(work, store=store(tmp_path / "a")), lines)
    assert not any("cannot stand aside" in line for line in lines)
    assert same(kept, run(made(), replace(work, store=store(tmp_path / "b", 0.0))))
    assert list((tmp_path / "a").iterdir())


@pytest.mark.parametrize("family", ["ViT", "ConvNext"])
def test_families_of_images_train_to_the_same_bytes_with_and_without(tmp_path: Path, family: str) -> None:
    folder = written(tmp_path / family, family, IMAGES[family])

    def made() -> Network:
        torch.manual_seed(3)
        body = image.load(folder)
        return Network(body, nn.Linear(body.width, 2))

    drawn = [{"pixel_values": one.numpy()} for one in images(18)["pixel_values"]]
    few, judged = (replace(rows(n, 1), encoded=part) for n, part in ((12, drawn[:12]), (6, drawn[12:])))
    work = Job(few, judged, Pixels(), SETTINGS, 0.01, 2, 3, "float32")  # type: ignore[arg-type]
    kept = run(made(), replace(work, store=store(tmp_path / "a")))
    assert list((tmp_path / "a").iterdir()) and not same(kept, made())
    assert same(kept, run(made(), replace(work, store=store(tmp_path / "b", 0.0))))
