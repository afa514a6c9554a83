"""Random text models of three blocks, one of each family, and the tokenizer of all."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

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


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


def write_models(root: Path) -> Path:
    """A folder with a random model of each family."""
    import transformers

    for name, shape in FAMILIES.items():
        torch.manual_seed(0)
        config = getattr(transformers, name.replace("Model", "Config"))(**SIZES, **shape)
        getattr(transformers, name)(config).save_pretrained(root / name)
        tokenizer().save(str(root / name / "tokenizer.json"))
    return root
