"""The parts of an image model in the order in which they run: stem, blocks, tail."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from tasks.errors import InputError

# On top of the blocks; no pool reads it but for the norm that BEiT applies to the mean of its patches.
HEAD, HEAD_NORM = "pooler", "pooler.layernorm"
# Stands for a hidden patch in pre-training alone.
MASK_TOKEN = "mask_token"
KNOWN = "ViT, DINOv2, ResNet, ConvNeXt or MobileNet"


@dataclass(frozen=True)
class Chain:
    """Paths of a body's parts in the order in which they run.

    Attributes:
        stem: from the pixels to the input of the first block.
        blocks: the list of blocks.
        tail: what follows the last block, before or after the pool.
    """

    stem: tuple[str, ...]
    blocks: str
    tail: tuple[str, ...]

    def reads(self, name: str) -> bool:
        """Whether a tensor of this name has a part in any feature."""
        parts = (*self.stem, self.blocks, *self.tail)
        return name.startswith(tuple(f"{part}." for part in parts)) and not name.endswith(MASK_TOKEN)


def find_chain(body: nn.Module) -> Chain:
    """The parts of a body; its blocks are the first list of two or more modules behind its first child.

    Raises:
        InputError: the body has no such list.
    """
    first = next((name for name, _ in body.named_children()), "")
    for path, module in body.named_modules():
        behind = path.partition(".")[0] not in ("", first)
        if behind and isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 1:
            return _around(body, path)
    raise InputError(f"{type(body).__name__} names no list of blocks behind a stem: use a model such as {KNOWN}.")


def _around(body: nn.Module, blocks: str) -> Chain:
    """What is registered before and after the blocks and each module around them: families register as they run."""
    stem: list[str] = []
    tail = [HEAD_NORM] if HEAD_NORM in dict(body.named_modules()) else []
    around, start = body, ""
    for name in blocks.split("."):
        siblings = [child for child, _ in around.named_children()]
        here = siblings.index(name)
        stem += [start + sibling for sibling in siblings[:here]]
        tail = [start + sibling for sibling in siblings[here + 1 :] if sibling != HEAD] + tail
        around, start = around.get_submodule(name), f"{start}{name}."
    return Chain(tuple(stem), blocks, tuple(tail))
