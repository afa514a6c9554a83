"""1,000 rows through transformers' pipeline, Optimum's ORTModel, `graft predict` and the server: one answer to each.

`python -m benchmarks.same_answers DATA FOLDER PEER`: FOLDER as `benchmarks.quantised` left it, PEER the Python of an
environment made with `pip install -r benchmarks/peers/optimum.txt`.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from deploy.releases import Releases
from tasks import huggingface
from tasks.deployment import server
from tasks.runtime import Runtime

ROWS = 1000
REPO = Path(__file__).parents[1]
# Labels and probabilities as the peer's environment answers: by the pipeline, and by the model called by hand.
PEER = """
import json, sys
import numpy as np
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline
folder, texts = sys.argv[1], json.load(sys.stdin)
model, tokenizer = ORTModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
piped = [[one["label"], one["score"]] for one in classify(texts, truncation=True, batch_size=16)]
called = []
for start in range(0, len(texts), 16):
    batch = tokenizer(texts[start : start + 16], truncation=True, padding=True, return_tensors="np")
    logits = np.asarray(model(**batch).logits, dtype=np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    called += [[model.config.id2label[int(row.argmax())], float(row.max())] for row in shares]
print(json.dumps({"pipeline": piped, "ORTModel": called}))
"""

Answers = list[tuple[str, float]]


def predicted(project: Path, texts: list[str], bundle: Path) -> Answers:
    """By the command, of a release of the bundle."""
    project.mkdir(parents=True, exist_ok=True)
    (project / "params.yaml").write_text((REPO / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with (project / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    releases = Releases(project / "releases")
    releases.promote(releases.add(bundle), "benchmark", {})
    command = [Path(sys.executable).with_name("graft"), "predict", "rows.csv", "-o", "answers.csv"]
    subprocess.run(command, cwd=project, check=True)
    with (project / "answers.csv").open(encoding="utf-8", newline="") as file:
        return [(row["prediction"], float(row["probability"])) for row in csv.DictReader(file)]


def main(data: Path, out: Path, peer: str) -> None:
    with (data / "text-classification/banking77/test.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:ROWS]
    bundle, exported = out / "shared/bundles/onnx", out / "exported"
    if not exported.is_dir():
        huggingface.write(bundle, out / "shared/config.json", exported)
    done = subprocess.run(
        [peer, "-c", PEER, str(exported)], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    found: dict[str, Answers] = {name: [(a, b) for a, b in rows] for name, rows in json.loads(done.stdout).items()}
    found["graft predict"] = predicted(out / "project", texts, bundle)
    runtime = Runtime.load(bundle, 2)
    with server.serving(bundle, out / "served", runtime.version, 2) as port:
        found["/predict"] = [(a.prediction, a.probability) for a in server.ask(port, texts) if a]
    base = found["graft predict"]
    print(f"temperature {runtime.manifest.temperature}\n\n| way | rows | other label | largest difference in p |")
    print("|---|---|---|---|")
    for name, answers in found.items():
        other = sum(a[0] != b[0] for a, b in zip(answers, base, strict=True))
        largest = np.abs(np.array([a[1] for a in answers]) - np.array([b[1] for b in base])).max()
        print(f"| {name} | {len(answers)} | {other} | {largest:.2g} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
