"""Every scope: what learns under it and what does not, how fast, and that it resumes, on toys."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn

from tasks.errors import InputError
from tasks.features import Store
from tasks.problems.classification import learn
from tasks.training import scope as scopes
from tasks.training import settings as sections
from tasks.training.learning import Learning, levels
from tasks.training.loop import Progress, train
from tasks.training.objective.supervised import Supervised
from tasks.training.scope import SCOPES, Scope
from tests.stack import DEPTH, SETTINGS, Killed, scope, stack
from tests.stack import every_epoch_is_stored as every_epoch_is_stored
from tests.tasks.training.test_loop import job, same
from tests.tasks.training.test_loop import one_thread as one_thread

# Parameters of the backbone below that learn, of those that its state has when all is done.
LEARNS = {
    "frozen": [],
    "bias": ["norm.*", "blocks.*.bias", "blocks.*.norm.weight", "last_norm.*"],
    "top": ["blocks.[12].*", "last_norm.*"],
    "gradual": ["*"],
    "lora": ["blocks.*.linear.weight"],
    "full": ["*"],
}


def trained(kind: str, resume: Path | None = None, say: Any = lambda line: None, **changes: Any) -> Any:
    made, work = stack(), replace(job(), **changes)
    progress: Progress = train(made, scope(kind), Supervised(8, learn), work, resume, say)
    return made, progress


def store(folder: Path, limit_gb: float = 1.0) -> Store:
    return Store(folder, limit_gb, dict)


def test_the_params_know_every_scope() -> None:
    assert set(get_args(sections.Scope.model_fields["kind"].annotation)) == {"auto", *SCOPES}
    assert set(LEARNS) == set(SCOPES), "a scope without its line in LEARNS is not tested"


@pytest.mark.parametrize("kind", SCOPES)
def test_what_learns_and_nothing_else_changes(kind: str) -> None:
    before = stack().state_dict()
    made, progress = trained(kind, epochs=2)
    assert set(made.state_dict()) == set(before), "what was added is taken out again"
    changed = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    own = [name.removeprefix("backbone.") for name in before if name.startswith("backbone.")]
    learning = {name for name in own for pattern in LEARNS[kind] if fnmatch.fnmatch(name, pattern)}
    assert changed == {"head.weight", "head.bias", *(f"backbone.{name}" for name in learning)}
    if kind != "lora":  # where other weights learn than those that change
        assert progress.learned == sum(before[name].numel() for name in changed)


@pytest.mark.parametrize("kind", SCOPES)
def test_a_scope_keeps_what_the_loop_relies_on(kind: str) -> None:
    made, of = stack(), scope(kind)
    of.prepare(made.backbone)
    level, seen = levels(made.backbone), {}
    for name, parameter in made.backbone.named_parameters():  # type: ignore[attr-defined]
        number = level[id(parameter)]
        course = [of.lr_factor(name, number, i / 200) for i in range(201)]
        begun = next((i for i, factor in enumerate(course) if factor > 0), len(course))
        assert all(factor > 0 for factor in course[begun:]), f"{name} stops learning"
        assert seen.setdefault((number, course[0], course[-1]), course) == course, f"{name} has a course of its own"


@pytest.mark.parametrize("kind", SCOPES)
@pytest.mark.parametrize("steps", [5, 8, 21, 38])
def test_killed_in_any_step_and_resumed_ends_like_undisturbed(tmp_path: Path, kind: str, steps: int) -> None:
    undisturbed, whole = trained(kind, store=store(tmp_path / "none", 0.0))
    kept, dying = store(tmp_path / "kept"), Killed(8, learn)
    object.__setattr__(dying, "left", [0] * steps)
    with pytest.raises(KeyboardInterrupt):
        train(stack(), scope(kind), dying, replace(job(), store=kept), tmp_path / "resume", lambda line: None)
    assert (tmp_path / "resume").exists() is (steps >= 8), "an epoch has eight steps"
    resumed, progress = trained(kind, tmp_path / "resume", store=kept)
    assert same(resumed, undisturbed) and progress == whole


@pytest.mark.parametrize("kind", SCOPES)
def test_with_store_is_without_store_to_the_last_byte(tmp_path: Path, kind: str) -> None:
    apart, _ = trained(kind)
    without, progress = trained(kind, store=store(tmp_path / "none", 0.0))
    for _ in range(2):  # filled, then read
        stored, again = trained(kind, store=store(tmp_path / "all"))
        assert same(stored, without) and again == progress
    partly, again = trained(kind, store=store(tmp_path / "some", 3e-6))
    assert same(partly, without) and again == progress
    for one, other in zip(stored.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", SCOPES)
def test_what_does_not_learn_is_in_evaluation_mode(kind: str) -> None:
    made, of = stack(), scope(kind)
    of.prepare(made.backbone)
    learning = Learning(made, of, 0.0)
    for progress in (0.0, 0.999):
        learning.follow(progress, 1.0)
        level = levels(made.backbone)
        awake = {level[id(p)] for p in made.backbone.parameters() if p.requires_grad}
        modes = {level[id(m)]: m.training for m in made.backbone.modules()}  # type: ignore[attr-defined]
        assert modes == {number: number in awake for number in (-1, *range(DEPTH + 1))}
    assert learning.boundary == min(awake, default=DEPTH)


@pytest.mark.parametrize(("blocks", "lowest"), [(1, 2), (2, 1), (3, 0)])
def test_the_highest_blocks_learn_and_never_what_lies_before_the_first(blocks: int, lowest: int) -> None:
    settings = SETTINGS.model_copy(update={"top": sections.TopScope(blocks=blocks)})
    factor = scopes.get("top", settings, DEPTH).lr_factor
    assert [number for number in range(-1, DEPTH + 1) if factor("", number, 0.5)] == list(range(lowest, DEPTH + 1))


@pytest.mark.parametrize(
    ("depth", "told"),
    [
        (1, "but 1 of the model's blocks are kept: set it to 1 at most, or adaptation.scope.kind to full."),
        (0, "but none of the model's blocks are kept: set adaptation.scope.kind to full."),
    ],
)
def test_more_blocks_than_there_are_cannot_learn(depth: int, told: str) -> None:
    settings = SETTINGS.model_copy(update={"top": sections.TopScope(blocks=2)})
    with pytest.raises(InputError) as caught:
        scopes.get("top", settings, depth)
    assert caught.value.sentences == [f"adaptation.scope.top.blocks is 2, {told}"]


def test_a_body_without_biases_and_norms_has_nothing_that_learns_by_them() -> None:
    with pytest.raises(InputError, match=r"^Linear has neither biases nor norms .* set adaptation\.scope\.kind to top"):
        scope("bias").prepare(nn.Linear(2, 2, bias=False))


@pytest.mark.parametrize(
    ("progress", "factors"),
    [
        (0.0, [0, 0, 0, 1, 1]),
        (0.19, [0, 0, 0, 1, 1]),
        (0.2, [0, 0, 0.5, 1, 1]),
        (0.4, [0, 0.25, 0.5, 1, 1]),
        (0.6, [0.125, 0.25, 0.5, 1, 1]),
        (1.0, [0.125, 0.25, 0.5, 1, 1]),
    ],
)
def test_blocks_begin_from_the_top_and_lower_ones_learn_more_slowly(progress: float, factors: list[float]) -> None:
    gradual = sections.GradualScope(decay=0.5, all_from=0.6)
    factor = scopes.get("gradual", SETTINGS.model_copy(update={"gradual": gradual}), DEPTH).lr_factor
    assert [factor("", number, progress) for number in range(-1, DEPTH + 1)] == factors


def test_a_block_that_begins_late_is_untouched_until_then_and_learns_by_its_factor() -> None:
    made, of = stack(), Scope(lambda name, block, progress: 0.5 if block != 0 or progress >= 0.6 else 0.0)
    before, seen = made.state_dict()["backbone.blocks.0.linear.weight"].clone(), []

    class Watched(Supervised):
        def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
            block = made.backbone.blocks[0]
            seen.append((progress, torch.equal(block.linear.weight, before), block.training))
            return super().loss(logits, features, classes, progress)

    train(made, of, Watched(8, learn), replace(job(), epochs=2), None, lambda line: None)
    early = [step for step in seen if step[0] < 0.6]
    assert early and all(untouched and not training for _, untouched, training in early)
    late = seen[len(early) + 1 :]
    assert late and not any(untouched for _, untouched, _ in late) and all(training for *_, training in late)
