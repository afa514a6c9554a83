"""Training with the tokens that come alone is training with the whole table."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks.modalities.image import backbone as image
from tasks.modalities.text import backbone as text
from tasks.network import Network
from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training.loop import train
from tasks.training.objective.supervised import Supervised
from tasks.training.vocabulary import narrowed
from tests.image_models import FAMILIES as IMAGES
from tests.image_models import made as written
from tests.stack import scope
from tests.tasks.training.test_loop import ToyEncoder, job, same
from tests.tasks.training.test_loop import one_thread as one_thread
from tests.text_models import FAMILIES, write_models

ROWS = ToyEncoder().encode(["2 3", "3 4 4"])
FULL = scope("full")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


def table(body: Any) -> Any:
    return body.body.get_input_embeddings()


def fresh(folder: Path) -> Network:
    torch.manual_seed(3)
    body = text.load(folder)
    return Network(body, nn.Linear(body.width, 2))


def run(made: Network, resume: Path | None = None, say: Any = lambda line: None) -> None:
    work = replace(job(weight_decay=0.0), rate=1e-3, epochs=2)
    train(made, FULL, Supervised(8, learn), work, resume, say)


def trained(folder: Path) -> Network:
    run(made := fresh(folder))
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_weights_come_out(models: Path, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = table(text.load(models / family)).weight.detach()
    made = trained(models / family)
    monkeypatch.setattr(loop, "narrowed", lambda *_: nullcontext(0))
    whole = trained(models / family)
    for (name, one), (_, other) in zip(made.named_parameters(), whole.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)
    after = table(made.backbone).weight
    assert not torch.equal(after[2:5], before[2:5])
    assert torch.equal(after[5:], before[5:]), "what no row has stays"


def test_learned_weights_are_counted_of_the_whole_model(models: Path) -> None:
    made = fresh(models / "BertModel")
    progress = train(made, FULL, Supervised(8, learn), replace(job(), rate=1e-3, epochs=1), None, lambda line: None)
    assert progress.learned == sum(parameter.numel() for parameter in made.parameters() if parameter.requires_grad)
    assert len(table(made.backbone).weight) == 14, "the table is among them"


@pytest.mark.parametrize("family", ["BertModel", "LlamaModel"])
def test_within_it_answers_are_the_same_and_the_table_is_small(models: Path, family: str) -> None:
    body = text.load(models / family)
    names, inputs = [*body.state_dict()], {k: torch.from_numpy(v) for k, v in ToyEncoder().collate(ROWS).items()}
    before, padding = body.pooled(inputs), table(body).padding_idx
    with narrowed(body, FULL, ToyEncoder(), ROWS):  # type: ignore[arg-type]
        assert len(table(body).weight) == 4, "words 2, 3 and 4, and the padding 0"
        assert table(body).padding_idx is None, "the padding that the table knows is none of them"
        assert torch.equal(body.pooled(inputs), before)
        with pytest.raises(IndexError):
            body.pooled({name: value + 7 for name, value in inputs.items()})
    assert [*body.state_dict()] == names and table(body).padding_idx == padding
    assert len(table(body).weight) == 14 and torch.equal(body.pooled(inputs), before)


def test_the_padding_of_the_table_gets_no_gradient(models: Path) -> None:
    body, rows = text.load(models / "BertModel"), ToyEncoder().encode(["1 2 3", "2 3 1"])
    inputs = {k: torch.from_numpy(v) for k, v in ToyEncoder().collate(rows).items()}
    with narrowed(body, FULL, ToyEncoder(), rows):  # type: ignore[arg-type]
        body.pooled(inputs).sum().backward()
        zero = (table(body).weight.grad == 0).all(dim=1)
        assert np.flatnonzero(zero).tolist() == [0], "of 1, 2, 3"


@pytest.mark.parametrize("why", ["frozen", "top", "lora", "bias", "shared"])
def test_a_table_that_does_not_learn_or_is_not_its_own_is_left_alone(models: Path, why: str) -> None:
    body = text.load(models / "BertModel")
    if why == "shared":
        body.body.other = nn.Embedding(14, 16)
        body.body.other.weight = table(body).weight
    of = FULL if why == "shared" else scope(why)
    of.prepare(body)
    with narrowed(body, of, ToyEncoder(), ROWS):  # type: ignore[arg-type]
        assert len(table(body).weight) == 14


@pytest.mark.parametrize("family", IMAGES)
def test_a_body_that_looks_nothing_up_is_left_alone(tmp_path: Path, family: str) -> None:
    body = image.load(written(tmp_path, family, IMAGES[family]))
    before = body.state_dict()
    with narrowed(body, FULL, ToyEncoder(), ROWS):  # type: ignore[arg-type]
        assert body.state_dict().keys() == before.keys()


def test_the_table_is_whole_again_after_a_kill_and_the_rest_ends_like_undisturbed(models: Path, tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    undisturbed, torn = trained(models / "BertModel"), fresh(models / "BertModel")
    before = table(torn.backbone).weight.detach().clone()
    with pytest.raises(KeyboardInterrupt):
        run(torn, say=interrupt)
    assert len(before) == len(table(torn.backbone).weight) and not torch.equal(table(torn.backbone).weight, before)
    stored, lines = fresh(models / "BertModel"), []
    run(stored, tmp_path)
    run(resumed := fresh(models / "BertModel"), tmp_path, lines.append)
    assert same(stored, undisturbed) and same(resumed, undisturbed) and lines == []
