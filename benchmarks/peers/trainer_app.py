"""Hugging Face's Trainer as it ships, on the rows and settings of a JSON file: `python trainer_app.py SPEC`.

Prints seconds of training, of processor and clock, and accuracy on the test rows as JSON. Nothing of Graft is imported.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    logging,
)


def freeze(model: Any, kind: str) -> None:
    """Leave the head to learn, at `top` also the two highest of six blocks, at `full` all."""
    if kind == "full":
        return
    learning = ("classifier.", *(("bert.pooler.", "bert.encoder.layer.4.", "bert.encoder.layer.5.") * (kind == "top")))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(learning))


def main() -> None:
    """Train once."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    logging.set_verbosity_error()
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(spec["seed"])
    tokenizer = AutoTokenizer.from_pretrained(spec["model"])
    model = AutoModelForSequenceClassification.from_pretrained(spec["model"], num_labels=spec["labels"])
    freeze(model, spec["kind"])
    sets = {
        side: [
            {**tokenizer(text, truncation=True, max_length=spec["max_tokens"]), "labels": label}
            for text, label in zip(rows["texts"], rows["classes"], strict=True)
        ]
        for side, rows in spec["rows"].items()
    }
    arguments = TrainingArguments(
        output_dir=spec["folder"], use_cpu=True, bf16=spec["precision"] == "bfloat16", seed=spec["seed"],
        num_train_epochs=spec["epochs"], per_device_train_batch_size=spec["batch_rows"],
        per_device_eval_batch_size=32, learning_rate=spec["rate"], weight_decay=spec["weight_decay"],
        warmup_steps=spec["warmup_share"], max_grad_norm=spec["max_gradient_norm"], lr_scheduler_type="linear",
        eval_strategy="epoch" if sets["validation"] else "no", save_strategy="no", logging_strategy="no",
        train_sampling_strategy=spec["sampling"], report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(
        model, arguments, DataCollatorWithPadding(tokenizer), sets["train"], sets["validation"] or None,
        processing_class=tokenizer,
    )  # fmt: skip
    clock, processor = time.perf_counter(), time.process_time()
    trainer.train()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    answered = trainer.predict(sets["test"])  # by length, where it trained so
    accuracy = 100 * float(np.mean(np.argmax(answered.predictions, axis=1) == answered.label_ids))
    print(json.dumps({"seconds": processor, "clock": clock, "accuracy": accuracy}))


if __name__ == "__main__":
    main()
