"""Text models cut by depth: encoders and causal decoders, and what is refused at load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import InputError
from tasks.modalities.text import backbone as backbones
from tasks.modalities.text import body, encode
from tasks.modalities.text.settings import Settings
from tests.factories import with_code
from tests.text_models import BLOCKS, FAMILIES, TEXTS, WIDTH

DECODERS = ("LlamaModel", "GPT2Model", "GPTNeoXModel")
POOLS = [(family, pool) for family in FAMILIES for pool in backbones.POOLS if (family, pool) not in
         {(decoder, "first") for decoder in DECODERS}]  # fmt: skip


def inputs(folder: Path) -> dict[str, torch.Tensor]:
    encoder = encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    return {name: torch.from_numpy(values) for name, values in encoder.collate(encoder.encode(TEXTS)).items()}


@pytest.mark.parametrize(("family", "pool"), POOLS)
def test_feature_at_a_depth_is_that_of_a_model_cut_there(models: Path, family: str, pool: str) -> None:
    batch = inputs(models / family)
    with torch.inference_mode():
        whole = backbones.load(models / family)
        every = whole.pooled_at_all_depths(batch, list(backbones.POOLS))
        assert set(every) == {(depth, p) for depth in range(BLOCKS + 1) for p in whole.pools}
        for depth in range(BLOCKS + 1):
            cut = backbones.load(models / family, depth, pool)
            assert (cut.depth, cut.width, len(cut.blocks), cut.training) == (depth, WIDTH, depth, False)
            torch.testing.assert_close(every[depth, pool], cut.pooled(batch), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(every[0, pool], every[BLOCKS, pool], atol=1e-3)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_saved_cut_is_read_again(models: Path, family: str, tmp_path: Path) -> None:
    batch = inputs(models / family)
    with torch.inference_mode():
        cut = backbones.load(models / family, 2, "last")
        cut.save(tmp_path / "cut")
        again = backbones.load(tmp_path / "cut", 2, "last")
        torch.testing.assert_close(again.pooled(batch), cut.pooled(batch), rtol=0, atol=0)
    assert {"config.json", "model.safetensors"} <= {path.name for path in (tmp_path / "cut").iterdir()}


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_no_feature(models: Path, family: str) -> None:
    encoder = encode.from_model(models / family, Settings(max_tokens=16, max_characters=1000))
    model = backbones.load(models / family, pool="last")
    batch = inputs(models / family)
    with torch.inference_mode():
        together = model.pooled(batch)
        for i, row in enumerate(encoder.encode(TEXTS)):
            alone = {name: torch.from_numpy(values) for name, values in encoder.collate([row]).items()}
            torch.testing.assert_close(model.pooled(alone)[0], together[i], rtol=1e-4, atol=1e-5)


def test_from_scratch_has_the_shape_and_other_weights(models: Path) -> None:
    folder, batch = models / "BertModel", inputs(models / "BertModel")
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(backbones.from_scratch(folder, 2).eval())
    with torch.inference_mode():
        one, same, other, trained = (b.pooled(batch) for b in (*made, backbones.load(folder, 2)))
    assert torch.equal(one, same) and not torch.allclose(one, other) and not torch.allclose(one, trained)
    assert one.shape == trained.shape


@pytest.mark.parametrize("depth", [4, 99, -1])
def test_depth_that_is_not_there(folder: Path, depth: int) -> None:
    with pytest.raises(InputError, match="has 3 blocks"):
        backbones.load(folder, depth)


def test_pools_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [90.0, 90.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert backbones.mean_pool(hidden, mask).tolist() == [[2.0, 4.0]]
    assert backbones.first_pool(hidden, mask).tolist() == [[1.0, 2.0]]
    assert backbones.last_pool(hidden, mask).tolist() == [[3.0, 6.0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_causal_decoder_has_no_first_pool(models: Path, family: str) -> None:
    assert ("first" not in backbones.load(models / family).pools) == (family in DECODERS)


def test_the_first_pool_of_a_causal_decoder_is_refused(models: Path) -> None:
    folder = models / "LlamaModel"
    whole = backbones.load(folder)
    sentence = "LlamaModel has no pool first: its first token never sees the text behind it; use mean or last."
    for ask in (
        lambda: backbones.load(folder, pool="first"),
        lambda: whole.pooled_at_all_depths(inputs(folder), ["first"]),
    ):
        with pytest.raises(InputError) as found:
            ask()
        assert found.value.sentences == [sentence]


def test_without_blocks_every_pool_is_there(models: Path, tmp_path: Path) -> None:
    """What a checkpoint of depth 0 is read with."""
    backbones.load(models / "BertModel", 0, "first").save(tmp_path / "cut")
    assert backbones.load(tmp_path / "cut", 0, "first").pools == tuple(backbones.POOLS)


def test_a_body_that_needs_more_than_token_ids_is_refused(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    T5Model(T5Config(vocab_size=24, d_model=WIDTH, num_layers=1, num_heads=2, d_kv=8, d_ff=32)).save_pretrained(
        tmp_path
    )
    with pytest.raises(InputError, match="T5Model cannot be run on token ids alone"):
        backbones.load(tmp_path)


def test_a_body_whose_configuration_counts_its_blocks_is_refused_while_it_is_whole(tmp_path: Path) -> None:
    from transformers import GPTNeoConfig, GPTNeoModel

    sizes = {"vocab_size": 24, "hidden_size": WIDTH, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 24}
    config = GPTNeoConfig(**sizes, attention_types=[[["global", "local"], 1]], bos_token_id=2, eos_token_id=3)
    GPTNeoModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="GPTNeoConfig does not allow for another number of blocks"):
        backbones.load(tmp_path)


def test_a_norm_that_is_not_known_is_refused(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its features of every depth but the last would lack the norm."""
    monkeypatch.setattr(body, "FINAL_NORMS", ())
    with pytest.raises(InputError, match="LlamaModel changes the output of its last block"):
        backbones.load(models / "LlamaModel")


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors"])
def test_broken_model_is_refused(folder: Path, broken: str) -> None:
    (folder / broken).unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        backbones.load(folder)


def refill(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "model.safetensors"
    before = load_file(path)
    after = change(before)
    assert after.keys() != before.keys()
    save_file(after, path, metadata={"format": "pt"})


def lose_a_block(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values for name, values in weights.items() if not name.startswith("encoder.layer.1.")}


def foreign_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"student.{name}": values for name, values in weights.items()}


@pytest.mark.parametrize("change", [lose_a_block, foreign_names])
def test_weights_that_do_not_fill_their_architecture_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    refill(folder, change)
    with pytest.raises(InputError, match="drawn at random") as found:
        backbones.load(folder)
    (sentence,) = found.value.sentences
    assert sentence.startswith(f"The weights in {folder.name} lack")


def test_weights_without_a_pooler_are_fine(folder: Path) -> None:
    batch = inputs(folder)
    with torch.inference_mode():
        whole = backbones.load(folder).pooled(batch)
        refill(folder, lambda weights: {name: v for name, v in weights.items() if not name.startswith("pooler.")})
        torch.testing.assert_close(backbones.load(folder).pooled(batch), whole, rtol=0, atol=0)


def test_loading_runs_no_code_of_the_folder(folder: Path) -> None:
    mark = with_code(folder)
    assert type(backbones.load(folder).body).__name__ == "BertModel"
    assert not mark.exists()
