"""The training loop, its search, objective and scopes, on a toy network without transformers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks.errors import InputError
from tasks.modalities.contract import Arrays
from tasks.network import Network, logits
from tasks.params import Training
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training import scope as scopes
from tasks.training.loop import Job, Progress, train
from tasks.training.objective.supervised import Supervised
from tasks.training.resuming import Epoch
from tasks.training.search import Trained, search_and_train
from tests.factories import params

SETTINGS = Training(
    learning_rates=[0.05], search_epochs=1, epochs=5, patience=5, batch_rows=8, pass_positions=1000,
    warmup_share=0.1, decay="linear", weight_decay=0.01, max_gradient_norm=1.0,
)  # fmt: skip


FULL = scopes.get("full", params().adaptation.scope, 1)


@pytest.fixture(autouse=True)
def every_epoch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class ToyBackbone(nn.Module):
    """Mean of embeddings, then one block with dropout; weights over `limit` give no finite number."""

    depth, width = 1, 4
    tail: Sequence[nn.Module] = ()

    def __init__(self, limit: float = math.inf) -> None:
        super().__init__()
        self.words, self.limit = nn.Embedding(6, self.width), limit
        self.block = nn.Sequential(nn.Linear(self.width, self.width), nn.Dropout(0.1))

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.block]

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        mask = inputs["attention_mask"].unsqueeze(-1)
        mean = (self.words(inputs["input_ids"]) * mask).sum(1) / mask.sum(1)
        broken = self.words.weight.detach().abs().max() > self.limit
        return self.block(mean) * (math.nan if broken else 1.0)


class ToyEncoder:
    inputs = ("input_ids", "attention_mask")

    def encode(self, examples: Sequence[str]) -> list[Arrays]:
        return [{"input_ids": np.array([int(word) for word in example.split()])} for example in examples]

    def positions(self, row: Arrays) -> int:
        return len(row["input_ids"])

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        ids = np.zeros((len(encoded), max(len(row["input_ids"]) for row in encoded)), dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(encoded):
            ids[i, : len(row["input_ids"])], mask[i, : len(row["input_ids"])] = row["input_ids"], 1
        return {"input_ids": ids, "attention_mask": mask}


def rows(count: int, seed: int, flipped: bool = False) -> Prepared:
    """Words 1 and 2 mean class 0, words 3 and 4 class 1."""
    random = np.random.default_rng(seed)
    classes = np.arange(count) % 2
    texts = [" ".join(map(str, random.integers(1, 3, random.integers(1, 6)) + 2 * k)) for k in classes]
    names = [str(i) for i in range(count)]
    classes = 1 - classes if flipped else classes
    return Prepared(names, ["train"] * count, texts, classes, ToyEncoder().encode(texts), ["a", "b"])


def job(flipped: bool = False, **changes: Any) -> Job:
    settings = SETTINGS.model_copy(update=changes)
    return Job(rows(60, 1), rows(20, 2, flipped), ToyEncoder(), settings, 0.05, settings.epochs, 3, "float32")  # type: ignore[arg-type]


def network(limit: float = math.inf) -> Network:
    torch.manual_seed(3)
    backbone = ToyBackbone(limit)
    with torch.no_grad():
        backbone.words.weight.clamp_(-1, 1)
    return Network(backbone, nn.Linear(4, 2))  # type: ignore[arg-type]


def trained(work: Job, resume: Path | None = None, say: Any = lambda line: None) -> tuple[Network, Progress]:
    made = network()
    return made, train(made, FULL, Supervised(8, learn), work, resume, say)


def same(a: Network, b: Network) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_separable_rows_are_learned() -> None:
    made, progress = trained(job())
    assert progress.history[-1].validation_loss < progress.history[0].validation_loss
    test = rows(30, 9)
    answered = logits(made, ToyEncoder(), test.encoded).argmax(axis=1)  # type: ignore[arg-type]
    assert (answered == test.classes).all()
    assert not made.training
    assert [epoch.step for epoch in progress.history] == [8, 16, 24, 32, 40]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_again_gives_the_same_weights(precision: str) -> None:
    work = replace(job(), precision=precision)
    assert same(trained(work)[0], trained(work)[0])


def test_bfloat16_is_for_the_products_alone() -> None:
    made, progress = trained(replace(job(), precision="bfloat16"))
    exact, _ = trained(job())
    assert not same(made, exact), "the steps were taken in another precision"
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float32}
    assert progress.history[-1].validation_loss < progress.history[0].validation_loss


@pytest.mark.parametrize(("epoch", "precision"), [(1, "float32"), (2, "bfloat16"), (4, "float32")])
def test_interrupted_and_resumed_ends_like_undisturbed(tmp_path: Path, epoch: int, precision: str) -> None:
    work = replace(job(), precision=precision)
    undisturbed, whole = trained(work)

    def interrupt(line: str) -> None:
        if f"epoch {epoch + 1} of" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(work, tmp_path / "resume", interrupt)
    lines: list[str] = []
    resumed, progress = trained(work, tmp_path / "resume", lines.append)
    assert len(lines) == 5 - epoch, "the epochs before the interruption are not trained again"
    assert same(resumed, undisturbed)
    assert progress == whole


def test_short_epochs_share_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 3600)
    undisturbed, _ = trained(job())

    def interrupt(line: str) -> None:
        if "epoch 3 of" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(job(), tmp_path / "resume", interrupt)
    assert not (tmp_path / "resume").exists()
    assert same(trained(job(), tmp_path / "resume")[0], undisturbed)
    assert (tmp_path / "resume/1/progress.json").is_file(), "the last epoch is stored, whatever the time"


def test_the_curve_has_every_epoch_so_far_and_goes_on_where_a_killed_training_stood(tmp_path: Path) -> None:
    work, seen = replace(job(), curve=tmp_path / "curve.csv"), []

    def watch(line: str) -> None:
        seen.append((tmp_path / "curve.csv").read_text().splitlines())
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(work, tmp_path / "resume", watch)
    _, progress = trained(work, tmp_path / "resume", watch)
    assert [len(lines) - 1 for lines in seen] == [1, 2, 3, 3, 4, 5]
    assert seen[-1][0] == "step,training_loss,validation_loss,validation_accuracy"
    first, last = progress.history[0], progress.history[-1]
    assert seen[-1][1] == f"8,{first.training_loss},{first.validation_loss},{first.validation_accuracy}"
    assert seen[-1][-1].startswith(f"40,{last.training_loss},")


def test_resuming_what_is_complete_trains_nothing(tmp_path: Path) -> None:
    first, progress = trained(job(), tmp_path / "resume")
    lines: list[str] = []
    second, again = trained(job(), tmp_path / "resume", lines.append)
    assert lines == [] and same(first, second) and again == progress


def test_weights_of_the_best_epoch_are_kept() -> None:
    made, progress = trained(job(flipped=True, patience=2))
    short, _ = trained(replace(job(flipped=True), epochs=5))
    assert progress.best_epoch < len(progress.history) - 1
    assert progress.best == min(epoch.validation_loss for epoch in progress.history)
    assert same(made, short)


@pytest.mark.parametrize(("patience", "least", "ran"), [(1, 0, 2), (2, 0, 3), (1, 4, 4), (2, 4, 4), (9, 0, 5)])
def test_early_stopping(patience: int, least: int, ran: int) -> None:
    # With flipped labels the first epoch is the best: every further one learns the opposite of what is judged.
    _, progress = trained(replace(job(flipped=True, patience=patience), least_epochs=least))
    assert progress.best_epoch == 0
    assert len(progress.history) == ran


def test_stopped_run_stays_stopped_when_resumed(tmp_path: Path) -> None:
    work = job(flipped=True, patience=1)
    trained(work, tmp_path / "resume")
    assert len(trained(work, tmp_path / "resume")[1].history) == 2


def test_a_training_ends_where_it_is_told_to_and_stays_so_when_resumed(tmp_path: Path) -> None:
    seen: list[list[float]] = []

    def stops(history: Sequence[Epoch]) -> bool:
        seen.append([epoch.validation_loss for epoch in history])
        return len(history) == 2

    _, progress = trained(replace(job(), stops=stops, least_epochs=5), tmp_path / "resume")
    losses = [epoch.validation_loss for epoch in progress.history]
    assert seen == [losses[:1], losses[:2]]
    assert trained(replace(job(), stops=stops, least_epochs=5), tmp_path / "resume")[1] == progress


def search(tmp_path: Path, rates: list[float], limit: float = 4.0) -> Trained:
    work = job(learning_rates=rates, search_epochs=2)
    make = lambda: network(limit)  # noqa: E731
    return search_and_train(make, FULL, Supervised(8, learn), work, tmp_path, lambda line: None)


def test_search_survives_a_rate_that_diverges(tmp_path: Path) -> None:
    found = search(tmp_path, [1.0, 0.05, 0.001])
    assert found.rate == 0.05
    assert found.losses[1.0] == math.inf and found.losses[0.05] < found.losses[0.001] < math.inf
    assert len(found.progress.history) == 5


@pytest.mark.parametrize(("rates", "limit"), [([1.0], 0.5), ([0.9, 1.0], 2.0)])
def test_every_rate_diverging_is_refused(tmp_path: Path, rates: list[float], limit: float) -> None:
    with pytest.raises(InputError, match=r"lower adaptation\.training\.learning_rates \(of the control receipt\."):
        search(tmp_path, rates, limit)


@pytest.mark.parametrize("batch_rows", [1, 7, 60, 100])
def test_batches_cover_all_rows_once(batch_rows: int) -> None:
    objective, data = Supervised(batch_rows, learn), rows(60, 1)
    batches = list(objective.batches(data, 5))
    assert sorted(row for batch in batches for row in batch) == list(range(60))
    assert len(batches) == objective.steps(data)
    assert max(map(len, batches)) <= batch_rows


def test_no_batch_has_a_single_row() -> None:
    objective, data = Supervised(59, learn), rows(60, 1)
    assert [len(batch) for batch in objective.batches(data, 5)] == [60]
    assert objective.steps(data) == 1
    assert [len(batch) for batch in objective.batches(rows(1, 1), 5)] == [1]


def test_order_of_batches_follows_the_seed() -> None:
    objective, data = Supervised(4, learn), rows(60, 1)
    assert list(objective.batches(data, 5)) == list(objective.batches(data, 5))
    assert list(objective.batches(data, 5)) != list(objective.batches(data, 6))


def test_the_rate_falls_as_the_params_say() -> None:
    assert not same(trained(job(decay="cosine"))[0], trained(job())[0])


def test_loss_is_the_cross_entropy() -> None:
    found = Supervised(1, learn).loss(torch.zeros(1, 2), torch.zeros(1, 1), torch.tensor([1]), 0.0)
    assert float(found) == pytest.approx(math.log(2))
