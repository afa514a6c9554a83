"""Text: cutting five families of encoders by depth, and one encoder for training and serving."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from tasks.errors import InputError
from tasks.modalities.text import backbone as backbones
from tasks.modalities.text import body, classical, encode
from tasks.modalities.text.settings import Settings
from tasks.prepared import Prepared

BLOCKS, WIDTH, POSITIONS = 3, 16, 24
# As in RoBERTa, where a padding id that is taken for 0 would show.
SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]"]
WORDS = {word: i for i, word in enumerate([*SPECIAL, *"abcdefghij"])}
TEXTS = ["a b c", "d", "e f g h i j a b", "zzz"]
SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": 2, "intermediate_size": 32}
SIZES = {"vocab_size": len(WORDS), "max_position_embeddings": POSITIONS, "pad_token_id": 1}
FAMILIES = {
    "BertModel": SHAPE,
    "DistilBertModel": {"dim": WIDTH, "n_layers": BLOCKS, "n_heads": 2, "hidden_dim": 32},
    "RobertaModel": SHAPE,
    "ModernBertModel": SHAPE
    | dict.fromkeys(["cls_token_id", "bos_token_id"], 2)
    | {"sep_token_id": 3, "eos_token_id": 3},
    "MPNetModel": SHAPE,
    "LlamaModel": SHAPE,
    "GPT2Model": {"n_embd": WIDTH, "n_layer": BLOCKS, "n_head": 2, "n_inner": 32, "n_positions": POSITIONS},
    "GPTNeoXModel": SHAPE,
}
DECODERS = ("LlamaModel", "GPT2Model", "GPTNeoXModel")
POOLS = [(family, pool) for family in FAMILIES for pool in backbones.POOLS if (family, pool) not in
         {(decoder, "first") for decoder in DECODERS}]  # fmt: skip


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model of each family."""
    import transformers

    root = tmp_path_factory.mktemp("models")
    for name, shape in FAMILIES.items():
        torch.manual_seed(0)
        config = getattr(transformers, name.replace("Model", "Config"))(**SIZES, **shape)
        getattr(transformers, name)(config).save_pretrained(root / name)
        tokenizer().save(str(root / name / "tokenizer.json"))
    return root


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A BERT that a test may break."""
    return Path(shutil.copytree(models / "BertModel", tmp_path / "model"))


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
    mark = folder.parent / "ran"
    (folder / "modeling_evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: ...\nclass Config: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    assert type(backbones.load(folder).body).__name__ == "BertModel"
    assert not mark.exists()


def test_encoding_pads_and_masks(folder: Path) -> None:
    encoder = encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    encoded = encoder.encode(["a b", "zzz", ""])
    assert [row["input_ids"].tolist() for row in encoded] == [[2, 4, 5, 3], [2, 0, 3], [2, 3]]
    batch = encoder.collate(encoded)
    assert set(batch) == set(encoder.inputs)
    assert batch["input_ids"].tolist() == [[2, 4, 5, 3], [2, 0, 3, 1], [2, 3, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == np.int64


def test_truncation_is_counted(folder: Path) -> None:
    encoder = encode.from_model(folder, Settings(max_tokens=5, max_characters=1000))
    texts = ["a b c", "a b c d", "a b c d e f g"]
    assert [len(row["input_ids"]) for row in encoder.encode(texts)] == [5, 5, 5]
    assert encoder.truncated(texts) == 2
    assert encoder.encode(["a b c d"])[0]["input_ids"].tolist() == [2, 4, 5, 6, 3]


@pytest.mark.parametrize(
    ("family", "limit"),
    [
        ("BertModel", POSITIONS),
        ("RobertaModel", POSITIONS - 2),
        ("MPNetModel", POSITIONS - 2),
        ("GPT2Model", POSITIONS),
        ("LlamaModel", POSITIONS),
    ],
)
def test_positions_of_the_model_bound_the_length(models: Path, family: str, limit: int) -> None:
    encoder = encode.from_model(models / family, Settings(max_tokens=8192, max_characters=1000))
    assert encoder.max_tokens == limit
    batch = encoder.collate(encoder.encode(["a " * 100]))
    assert batch["input_ids"].shape == (1, limit)
    with torch.inference_mode():
        backbones.load(models / family).pooled({name: torch.from_numpy(values) for name, values in batch.items()})


def test_bundle_encodes_like_the_model(folder: Path, tmp_path: Path) -> None:
    first = encode.from_model(folder, Settings(max_tokens=6, max_characters=1000))
    first.save(tmp_path / "encoder")
    second = encode.from_bundle(tmp_path / "encoder")
    for a, b in zip(first.encode(TEXTS), second.encode(TEXTS), strict=True):
        np.testing.assert_array_equal(a["input_ids"], b["input_ids"])
    assert (second.max_tokens, second.pad_id) == (6, 1)


def test_padding_and_truncation_of_the_tokenizer_file_are_replaced(folder: Path) -> None:
    own = tokenizer()
    own.enable_padding(length=64)
    own.enable_truncation(3)
    own.save(str(folder / "tokenizer.json"))
    encoder = encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    assert len(encoder.encode(["a b c d"])[0]["input_ids"]) == 6


def test_missing_and_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer\.json"):
        encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))


def test_classical_features_are_words_and_pairs() -> None:
    vectoriser = classical.vectoriser()
    matrix = vectoriser.fit_transform(["café late", "cafe early"])
    assert matrix.shape == (2, 5)
    assert set(vectoriser.get_feature_names_out()) == {"cafe", "late", "early", "cafe late", "cafe early"}


def texts(*values: str) -> Prepared:
    rows = len(values)
    return Prepared(["0"] * rows, ["train"] * rows, [*values], np.zeros(rows, int), [{}] * rows, ["a"])


def test_words_and_pairs_that_stand_in_a_text_are_told_once() -> None:
    found = classical.presence(texts("Red é red_1", "no 7"))
    assert found is not None
    present, terms = found
    assert terms == ["1", "7", "e", "e red", "no", "no 7", "red", "red 1", "red e"]
    assert present.toarray()[:, terms.index("red")].tolist() == [1, 0]


def test_phrases_are_found_as_whole_words_whatever_their_spelling() -> None:
    rows = texts("my REFUND, not yet shown", "refunded, not shown", "a refund")
    found = classical.presence(rows, ["refund_not_yet", "Refund", "no", "?"])
    assert found is not None
    present, phrases = found
    assert phrases == ["refund_not_yet", "Refund"], "what is shorter than three characters stands anywhere"
    assert present.toarray().tolist() == [[1, 1], [0, 0], [0, 1]]
    assert classical.presence(rows, ["a", "7"]) is None
