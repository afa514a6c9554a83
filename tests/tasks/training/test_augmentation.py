"""Changed training rows: drawn by seed, step and row alone, never stored, never what steers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.modalities import MODALITIES, part
from tasks.modalities.contract import Arrays
from tasks.network import Network
from tasks.params import Params
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training.augmentation import Augmentation
from tasks.training.loop import Progress, train
from tasks.training.objective.supervised import Supervised
from tests.factories import params
from tests.tasks.training.test_loop import FULL, ToyEncoder, job, network, same
from tests.tasks.training.test_loop import one_thread as one_thread


class Toy:
    """Draws words anew; a text of one word stays."""

    def __init__(self) -> None:
        self.seen: list[Prepared] = []
        self.FUNCTIONS: dict[str, Callable[..., Any]] = {"share": self.drawn_anew}

    def drawn_anew(self, words: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
        return np.where(random.random(len(words)) < share, random.integers(1, 5, len(words)), words)

    def opened(self, data: Prepared, place: int, encoder: Any) -> np.ndarray | None:
        self.seen.append(data)
        return data.encoded[place]["input_ids"] if len(data.encoded[place]["input_ids"]) > 1 else None

    def closed(self, words: np.ndarray, encoder: Any) -> Arrays:
        return {"input_ids": words}


def toy(share: float = 0.3, seed: int = 3) -> Augmentation:
    return Augmentation(Toy(), SimpleNamespace(share=share), ToyEncoder(), seed)  # type: ignore[arg-type]


def ids(rows: list[Arrays]) -> list[list[int]]:
    return [row["input_ids"].tolist() for row in rows]


def test_a_row_changes_by_seed_and_step_and_not_by_the_rows_beside_it() -> None:
    data = job().train
    places = list(range(20))
    before = ids(data.encoded)
    found = ids(toy().rows(data, places, 7))
    assert found == ids(toy().rows(data, places, 7))
    assert found[3:5] == ids(toy().rows(data, [3, 4], 7))
    assert found != ids(toy().rows(data, places, 8)) and found != ids(toy(seed=4).rows(data, places, 7))
    assert found != before[:20] and ids(data.encoded) == before, "what is stored stays as it is"


def test_a_row_that_is_too_short_stays() -> None:
    data = job().train
    short = [i for i, row in enumerate(data.encoded) if len(row["input_ids"]) == 1]
    assert short and ids(toy(1.0).rows(data, short, 0)) == ids([data.encoded[i] for i in short])


def trained(work: Any, resume: Path | None = None, say: Any = lambda line: None) -> tuple[Network, Progress]:
    made = network()
    return made, train(made, FULL, Supervised(8, learn), work, resume, say)


def test_training_rows_alone_are_changed() -> None:
    augmentation = toy()
    work = replace(job(), augmentation=augmentation)
    changed, _ = trained(work)
    assert not same(changed, trained(job())[0])
    assert augmentation.module.seen and all(data is work.train for data in augmentation.module.seen)  # type: ignore[attr-defined]
    assert same(trained(replace(job(), augmentation=toy(0.0)))[0], trained(job())[0])


def test_interrupted_and_resumed_ends_like_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)
    work = replace(job(), augmentation=toy())
    undisturbed, whole = trained(work)

    def interrupt(line: str) -> None:
        if "epoch 3 of" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(work, tmp_path / "resume", interrupt)
    resumed, progress = trained(work, tmp_path / "resume")
    assert same(resumed, undisturbed) and progress == whole


@pytest.mark.parametrize("modality", MODALITIES)
def test_each_leaf_has_its_function(modality: str) -> None:
    assert list(part(modality, "settings").Augmentation.model_fields) == list(part(modality, "augment").FUNCTIONS)


def test_a_frozen_scope_refuses_it_and_another_modality_s_shares_do_not_count() -> None:
    share = {"adaptation__augmentation__text__word_dropout": 0.1}
    with pytest.raises(ValueError, match=r"set adaptation\.scope\.kind to full, or all of augmentation to 0"):
        params(adaptation__scope__kind="frozen", **share)
    assert params(adaptation__scope__kind="full", **share).augments
    assert not params(project__modality="image", adaptation__scope__kind="frozen", **share).augments


def test_the_frozen_scope_that_selection_chose_refuses_it_too(tmp_path: Path) -> None:
    from tests.projects import run_stage, write_project

    labels = {"adaptation__objective__kind": "supervised"}  # by which so few rows leave the body as it is
    root = write_project(tmp_path / "project", adaptation__augmentation__text__word_swap=0.1, **labels)
    for name in ("selection", "preparation"):
        run_stage(root, name)
    for name in ("adaptation", "adaptation_control"):
        with pytest.raises(InputError, match="Selection chose the scope frozen"):
            run_stage(root, name)


def test_params_know_whether_rows_change() -> None:
    found: Params = params()
    assert not found.augments and params(adaptation__augmentation__text__word_swap=0.1).augments
