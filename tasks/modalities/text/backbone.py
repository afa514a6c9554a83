"""A Hugging Face encoder cut to its lowest blocks, with one pooled feature vector per text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from tasks.errors import InputError

logging.disable_progress_bar()

Inputs = dict[str, torch.Tensor]
# Where encoder families keep a norm that runs once, after the last block.
# Heads on top of the blocks that no pool reads; checkpoints often leave them out.
UNUSED = ("pooler.",)
FINAL_NORMS = ("final_norm", "emb_layer_norm_after", "norm", "ln_f")


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens that are not padding: (N, T, F), (N, T) -> (N, F)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def first_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The first token's vector: (N, T, F) -> (N, F)."""
    return hidden[:, 0]


POOLS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {"mean": mean_pool, "first": first_pool}


class TextBackbone(nn.Module):
    """Backbone of the contract for text.

    Args:
        body: a Hugging Face encoder.
        depth: how many of its blocks are kept, from the input upwards; 0 keeps the embeddings alone.
        pool: a row of `POOLS`.
    """

    def __init__(self, body: nn.Module, depth: int, pool: str) -> None:
        super().__init__()
        self.body, self.depth, self.pool = body, depth, pool
        self.width = int(body.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.blocks_path, blocks = find_blocks(body)
        body.set_submodule(self.blocks_path, nn.ModuleList(list(blocks)[:depth]))
        config: Any = body.config
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:depth]
        config.num_hidden_layers = depth

    @property
    def blocks(self) -> list[nn.Module]:
        """The kept blocks, from the input upwards."""
        return list(self.body.get_submodule(self.blocks_path).children())

    def forward(self, inputs: Inputs) -> torch.Tensor:
        """As `pooled`."""
        return self.pooled(inputs)

    def pooled(self, inputs: Inputs) -> torch.Tensor:
        hidden = self.body(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        return POOLS[self.pool](hidden, inputs["attention_mask"])

    def pooled_at_all_depths(self, inputs: Inputs, pools: Sequence[str]) -> dict[tuple[int, str], torch.Tensor]:
        hidden = self._hidden_states(inputs)
        norm = _final_norm(self.body, self.blocks_path)
        return {
            (depth, pool): POOLS[pool](norm(states), inputs["attention_mask"])
            for depth, states in enumerate(hidden)
            for pool in pools
        }

    def _hidden_states(self, inputs: Inputs) -> list[torch.Tensor]:
        """Input of the first block, then the output of each."""
        states: list[torch.Tensor] = []

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states.append(args[0] if args else kwargs["hidden_states"])

        def after(_: nn.Module, __: Any, output: Any) -> None:
            states.append(output[0] if isinstance(output, tuple) else output)

        hooks = [self.blocks[0].register_forward_pre_hook(before, with_kwargs=True)]
        hooks += [block.register_forward_hook(after) for block in self.blocks]
        try:
            self.pooled(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return states

    def save(self, folder: Path) -> None:
        self.body.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]


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


def _final_norm(body: nn.Module, blocks_path: str) -> Callable[[torch.Tensor], torch.Tensor]:
    parent = body.get_submodule(blocks_path.rpartition(".")[0])
    for name in FINAL_NORMS:
        norm = getattr(parent, name, None)
        if isinstance(norm, nn.Module):
            return norm
    return lambda states: states


def load(folder: Path, depth: int | None = None, pool: str = "mean") -> TextBackbone:
    """Pre-trained backbone from a checked local folder, in evaluation mode, float32.

    Raises:
        InputError: not a loadable encoder, weights that do not fill it, or fewer blocks than `depth`.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        body, found = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).splitlines()[0][:200]
        raise InputError(
            f"The model in {folder.name} cannot be loaded ({first}): use a plain encoder folder."
        ) from None
    drawn = sorted(name for name in found["missing_keys"] if not name.startswith(UNUSED))
    if drawn:
        raise InputError(
            f"The weights in {folder.name} lack {len(drawn)} tensors of their architecture ({drawn[0]}, ...), which "
            "would be drawn at random: restore the file or correct config.json."
        )
    return _cut(body, folder, depth, pool).eval()


def from_scratch(folder: Path, depth: int | None = None, pool: str = "mean") -> TextBackbone:
    """The same architecture with weights drawn anew from torch's current seed."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return _cut(AutoModel.from_config(config, dtype=torch.float32), folder, depth, pool)


def _cut(body: nn.Module, folder: Path, depth: int | None, pool: str) -> TextBackbone:
    most = len(find_blocks(body)[1])
    if depth is not None and not 0 <= depth <= most:
        raise InputError(f"{folder.name} has {most} blocks: a depth of {depth} is not there.")
    return TextBackbone(body, most if depth is None else depth, pool)
