"""LoRA and its kin: beside each linear map of the blocks a product of two small matrices learns, through PEFT."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D  # the linear map of GPT-2, transposed

from tasks.errors import InputError
from tasks.training.scope import Scope
from tasks.training.settings import Scope as Settings

# LoRA begins at nothing and wants about ten times the rate of full fine-tuning (Schulman et al. 2025, LoRA Without
# Regret); its kin are given the same.
FASTER = 10.0
ADAPTER = ".lora_"
# What PEFT's configuration says of each. LoRA: Hu et al. 2022. Rank-stabilised: Kalajdzievski 2023. DoRA learns the
# length of each column apart from its direction: Liu et al. 2024. PiSSA starts from the principal part of the map
# itself, and what is left of it stays: Meng et al. 2024.
ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa"},
}


def scope(settings: Settings, depth: int) -> Scope:
    """Adapters of rank `lora.rank`, scaled by `lora.alpha`, learn; afterwards they are part of the weights.

    In all linear maps, since those of attention alone lag behind (Dettmers et al. 2023, QLoRA).
    """

    def prepare(backbone: Any) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        targets = _linear_maps(backbone)
        transposed = isinstance(backbone.get_submodule(targets[0]), Conv1D)
        config = LoraConfig(
            r=settings.lora.rank,
            lora_alpha=settings.lora.alpha,
            target_modules=targets,
            fan_in_fan_out=transposed,
            **ADAPTERS[settings.lora.adapter],
        )
        inject_adapter_in_model(config, backbone)

    return Scope(lambda name, block, progress: FASTER if ADAPTER in name else 0.0, prepare, _merge)


def _linear_maps(backbone: Any) -> list[str]:
    """Paths of the linear maps of the kept blocks.

    Raises:
        InputError: there is none.
    """
    inside = {id(module) for block in backbone.blocks for module in block.modules()}
    found = [
        path
        for path, module in backbone.named_modules()
        if id(module) in inside and isinstance(module, nn.Linear | Conv1D)
    ]
    if not found:
        raise InputError(
            f"{type(backbone.body).__name__} has no linear map in its {backbone.depth} blocks that adapters could be "
            "added to: set adaptation.scope.kind to top, gradual, bias or full."
        )
    return found


def _merge(backbone: Any) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    for path, module in list(backbone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            backbone.set_submodule(path, module.get_base_layer())
