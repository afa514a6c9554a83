"""SetFit on the rows that it is handed: python setfit_learns.py IN OUT, both JSON; see benchmarks/contrastive.py."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def main() -> None:
    """Load, learn, answer the test rows, with SetFit's own defaults but for the steps."""
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    wall, cpu = time.perf_counter(), time.process_time()
    model = SetFitModel.from_pretrained(given["model"], local_files_only=True)
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=given["pairs"],
            max_steps=given["steps"],
            seed=given["seed"],
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        rows = Dataset.from_dict({"text": given["texts"], "label": given["classes"]})
        Trainer(model=model, args=arguments, train_dataset=rows).train()
    answers = [int(one) for one in model.predict(given["test"], show_progress_bar=False)]
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    Path(sys.argv[2]).write_text(json.dumps({"answers": answers, **seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
