"""A Hugging Face image model run up to one of its blocks, with one pooled feature vector per image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from tasks.errors import InputError
from tasks.modalities.image.chain import HEAD_NORM, KNOWN, find_chain

logging.disable_progress_bar()
# What matters of its report on missing tensors, `load` says itself.
logging.set_verbosity_error()

Inputs = dict[str, torch.Tensor]
# Tokens that stand before those of the patches, as families name them.
CLASS_TOKEN = "cls_token"
PREFIX = (CLASS_TOKEN, "distillation_token", "register_tokens")
# Side of the image of the check, in pixels, where the configuration names none.
CHECK_PIXELS = 64
# MobileNets carry over the momentum of TensorFlow, whose complement it is in PyTorch: their statistics would be those
# of the last batch alone.
MOST_MOMENTUM = 0.5
# Largest difference between chain and body, as a share of the body's largest value.
TOLERANCE = 1e-4
# No depth is known to serve few rows best across these families.
TYPICAL_DEPTH: float | None = None


def mean_pool(hidden: torch.Tensor, prefix: int) -> torch.Tensor:
    """Mean over the patches, behind `prefix` other tokens, or over the map: (N, T, F) or (N, F, H, W) -> (N, F)."""
    return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden[:, prefix:].mean(1)


def first_pool(hidden: torch.Tensor, prefix: int) -> torch.Tensor:
    """The class token's vector: (N, T, F) -> (N, F)."""
    return hidden[:, 0]


POOLS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {"mean": mean_pool, "first": first_pool}


class ImageBackbone(nn.Module):
    """Backbone of the contract for images: stem, the lowest blocks, pool, and the tail where it belongs.

    The body stays whole, since the configuration of a convolutional net cannot express a part of it; what lies above
    `depth` neither runs nor learns. The tail of a net of tokens, its final norm, follows at every depth; that of a net
    of maps fits its last block alone.

    Args:
        body: a Hugging Face image model.
        depth: how many of its blocks run, from the input upwards; 0 runs the stem alone.
        pool: a row of `POOLS`; "first" needs a class token.
        pretrained: whether batch normalisation keeps its statistics in training: those of a small batch are not what
            the weights above were trained with.

    Attributes:
        pools: the rows of `POOLS` that this body has.
        width: F at this depth and pool; it differs between the depths of a convolutional net.

    Raises:
        InputError: the pool is not there, or the blocks one after the other do not give what the body gives.
    """

    def __init__(self, body: nn.Module, depth: int, pool: str, pretrained: bool = True) -> None:
        super().__init__()
        self.body, self.depth, self.pool, self.pretrained = body, depth, pool, pretrained
        self.chain = find_chain(body)
        stem = [named for part in self._parts(self.chain.stem) for named in part.named_parameters()]
        prefix = {name: parameter.shape[1] for name, parameter in stem if name in PREFIX}
        self.prefix = sum(prefix.values())
        self.pools = tuple(name for name in POOLS if name != "first" or CLASS_TOKEN in prefix)
        if pool not in self.pools:
            raise InputError(f"{type(body).__name__} has no pool {pool!r}: use {' or '.join(self.pools)}.")
        # BEiT's blocks fit a position bias to the image. torch.onnx cannot export fused attention with a bias.
        self.sized = all("resolution" in inspect.signature(block.forward).parameters for block in self._all_blocks())
        if self.sized:
            body.set_attn_implementation("eager")  # type: ignore[operator]
        self.maps = False
        self.width = self._check()
        self.requires_grad_()

    @property
    def blocks(self) -> list[nn.Module]:
        """The kept blocks, from the input upwards."""
        return self._all_blocks()[: self.depth]

    @property
    def tail(self) -> list[nn.Module]:
        """What follows the last kept block, before the pool or after it."""
        before, after = self._tail(self.depth)
        return [*before, *after]

    def forward(self, inputs: Inputs) -> torch.Tensor:
        return self.pooled(inputs)

    def pooled(self, inputs: Inputs) -> torch.Tensor:
        for states in self._states(inputs, self.depth):
            last = states
        return self._features(last, self.depth, [self.pool])[self.depth, self.pool]

    def pooled_at_all_depths(self, inputs: Inputs, pools: Sequence[str]) -> dict[tuple[int, str], torch.Tensor]:
        """As the contract says; a pool that this body lacks is left out.

        Raises:
            InputError: it lacks all of them.
        """
        there = [pool for pool in pools if pool in self.pools]
        if not there:
            raise InputError(
                f"{type(self.body).__name__} has no pool {' or '.join(pools)}: use {' or '.join(self.pools)}."
            )
        features: dict[tuple[int, str], torch.Tensor] = {}
        for depth, states in enumerate(self._states(inputs, self.depth)):
            features |= self._features(states, depth, there)
        return features

    def train(self, mode: bool = True) -> Self:
        """As of any module, but for the statistics of a pre-trained one."""
        super().train(mode)
        for module in self.modules() if self.pretrained else ():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """For what runs; the rest never takes a gradient."""
        super().requires_grad_(False)
        for part in (*self._parts(self.chain.stem), *self.blocks, *self.tail):
            part.requires_grad_(requires_grad)
        return self

    def save(self, folder: Path) -> None:
        self.body.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]

    def _parts(self, paths: Sequence[str]) -> list[nn.Module]:
        return [self.body.get_submodule(path) for path in paths]

    def _all_blocks(self) -> list[nn.Module]:
        return list(self.body.get_submodule(self.chain.blocks).children())

    def _states(self, inputs: Inputs, depth: int) -> Iterator[torch.Tensor]:
        """Input of the first block, then the output of each of the lowest `depth`: (N, T, F) or (N, F, H, W)."""
        pixels = inputs["pixel_values"]
        sizes: dict[str, Any] = {"resolution": tuple(pixels.shape[2:])} if self.sized else {}
        states = _through(self._parts(self.chain.stem), pixels)
        yield states
        for block in self._all_blocks()[:depth]:
            states = block(states, **sizes)
            yield states

    def _tail(self, depth: int) -> tuple[list[nn.Module], list[nn.Module]]:
        """What follows `depth` blocks: before the pool, after it."""
        if self.maps and depth < len(self._all_blocks()):
            return [], []
        tail = [(path, self.body.get_submodule(path)) for path in self.chain.tail]
        late = {path for path, part in tail if (isinstance(part, nn.LayerNorm) if self.maps else path == HEAD_NORM)}
        return [part for path, part in tail if path not in late], [part for path, part in tail if path in late]

    def _features(self, states: torch.Tensor, depth: int, pools: Sequence[str]) -> dict[tuple[int, str], torch.Tensor]:
        before, after = self._tail(depth)
        hidden = _through(before, states)
        return {(depth, pool): _through(after, POOLS[pool](hidden, self.prefix)) for pool in pools}

    def _check(self) -> int:
        """Compare chain and body on one image; F at this depth and pool."""
        image, training = _check_image(self.body.config), self.body.training
        self.body.eval()
        try:
            # BEiT keeps an index for the whole process: made in inference mode, no training could read it.
            with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
                given = self.body(pixel_values=image)
                states = list(self._states({"pixel_values": image}, len(self._all_blocks())))
                most, self.maps = len(states) - 1, states[-1].ndim == 4
                before, after = self._tail(most)
                same = _same(_through(before, states[-1]), given.last_hidden_state)
                if same and after:
                    same = _same(self._features(states[-1], most, ["mean"])[most, "mean"], given.pooler_output)
                if not same:
                    raise ValueError("one after the other they give another result")
                own = self._features(states[self.depth], self.depth, [self.pool])
                return own[self.depth, self.pool].shape[1]
        except (TypeError, ValueError, RuntimeError, AttributeError, LookupError) as error:
            first = str(error).partition("\n")[0][:200]
            raise InputError(
                f"The blocks of {type(self.body).__name__} cannot be run one by one ({first}): use a model such as "
                f"{KNOWN}."
            ) from None
        finally:
            self.body.train(training)


def _through(parts: Iterable[nn.Module], states: torch.Tensor) -> torch.Tensor:
    for part in parts:
        states = part(states)
    return states


def _check_image(config: Any) -> torch.Tensor:
    """(1, C, H, W) of the size the body was made for, without a random draw."""
    size = getattr(config, "image_size", None) or CHECK_PIXELS
    height, width = (size, size) if isinstance(size, int) else size
    shape = (1, getattr(config, "num_channels", 3), height, width)
    return torch.arange(shape[1] * height * width).mul(0.7).sin().reshape(shape)


def _same(mine: torch.Tensor, theirs: torch.Tensor) -> bool:
    return mine.shape == theirs.shape and bool((mine - theirs).abs().max() <= TOLERANCE * theirs.abs().max())


def load(folder: Path, depth: int | None = None, pool: str = "mean") -> ImageBackbone:
    """Pre-trained backbone from a checked local folder, in evaluation mode, float32; torch's seed stays as it is.

    Raises:
        InputError: not a loadable image model, weights that do not fill it, blocks that cannot be run one by one,
            fewer blocks than `depth`, or a pool that is not there.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.random.fork_rng(devices=[]):
            # A head that the file lacks is drawn, and saved again: the same bytes each time.
            torch.default_generator.manual_seed(0)
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
        first = str(error).partition("\n")[0][:200]
        raise InputError(
            f"The model in {folder.name} cannot be loaded ({first}): use the folder of an image model."
        ) from None
    drawn = sorted(filter(find_chain(body).reads, found["missing_keys"]))
    if drawn:
        raise InputError(
            f"The weights in {folder.name} lack {len(drawn)} tensors of their architecture ({drawn[0]}, ...), which "
            "would be drawn at random: restore the file or correct config.json."
        )
    return _at(body, folder, depth, pool, pretrained=True).eval()


def from_scratch(folder: Path, depth: int | None = None, pool: str = "mean") -> ImageBackbone:
    """The same architecture with weights drawn anew from torch's current seed."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    body = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
    return _at(body, folder, depth, pool, pretrained=False)


def _at(body: nn.Module, folder: Path, depth: int | None, pool: str, pretrained: bool) -> ImageBackbone:
    most = sum(1 for _ in body.get_submodule(find_chain(body).blocks).children())
    if depth is not None and not 0 <= depth <= most:
        raise InputError(f"{folder.name} has {most} blocks: a depth of {depth} is not there.")
    for norm in body.modules():
        if isinstance(norm, nn.BatchNorm2d) and (norm.momentum or 0) > MOST_MOMENTUM:
            norm.momentum = nn.BatchNorm2d(1).momentum
    return ImageBackbone(body, most if depth is None else depth, pool, pretrained)
