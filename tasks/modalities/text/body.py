"""The inside of a Hugging Face text body: its blocks, the norm behind the last one, and who sees whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tasks.errors import InputError

# Where families keep a norm that runs once, after the last block.
FINAL_NORMS = ("final_norm", "final_layer_norm", "final_layernorm", "emb_layer_norm_after", "norm", "ln_f")
# Largest difference between the last block's normed output and what the body gives, as a share of its largest value.
TOLERANCE = 1e-4


def find_blocks(body: nn.Module) -> tuple[str, nn.ModuleList]:
    """Path and list of the repeated blocks: the first ModuleList as long as the config says.

    Raises:
        InputError: the body has no such list.
    """
    count = getattr(body.config, "num_hidden_layers", None)
    for name, module in body.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise InputError(
        f"{type(body).__name__} names no list of {count} blocks: it cannot be cut by depth; use another model."
    )


def final_norm(body: nn.Module, blocks_path: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the body does to the last block's output."""
    parent = body.get_submodule(blocks_path.rpartition(".")[0])
    for name in FINAL_NORMS:
        norm = getattr(parent, name, None)
        if isinstance(norm, nn.Module):
            return norm
    return lambda states: states


@contextmanager
def recorded(blocks: list[nn.Module]) -> Iterator[list[torch.Tensor]]:
    """Within it, a pass fills the list: input of the first block, then the output of each, (N, T, F)."""
    states: list[torch.Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    def after(_: nn.Module, __: Any, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    hooks = [block.register_forward_hook(after) for block in blocks]
    hooks += [block.register_forward_pre_hook(before, with_kwargs=True) for block in blocks[:1]]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def sees_only_backwards(body: nn.Module) -> bool:
    """Whether the body is causal, read off what it does: another second token leaves the first one's vector as it was.

    Without blocks no token sees another, and it counts as not causal.

    Raises:
        InputError: the body does not run on token ids alone, or does something after its blocks that is not known.
    """
    path, blocks = find_blocks(body)
    if not len(blocks):
        return False
    training = body.training
    body.eval()
    try:
        # What a body keeps for later, made in inference mode, no training could read.
        with torch.inference_mode(False), torch.no_grad(), recorded(list(blocks)) as states:
            one, other = (_first_of_two(body, second) for second in (-1, -2))
        last = final_norm(body, path)(states[len(blocks)])
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
        first = str(error).partition("\n")[0][:200]
        raise InputError(
            f"{type(body).__name__} cannot be run on token ids alone ({first}): use an encoder or a causal decoder."
        ) from None
    finally:
        body.train(training)
    if last.shape != one.shape or (last - one).abs().max() > TOLERANCE * one.abs().max():
        raise InputError(
            f"{type(body).__name__} changes the output of its last block in a way that is not known here, so that it "
            "cannot be cut by depth: use another model."
        )
    # Same shapes, same order of sums: what does not see the second token is the same to the bit.
    return torch.equal(one[:, 0], other[:, 0])


def _first_of_two(body: nn.Module, second: int) -> torch.Tensor:
    """(1, 2, F) of two tokens from the end of the vocabulary, where no family keeps its padding."""
    count = int(body.config.vocab_size)  # type: ignore[union-attr, arg-type]
    ids = torch.tensor([[count - 3, count + second]])
    hidden: torch.Tensor = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return hidden
