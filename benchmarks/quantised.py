"""What the search over forms finds: banking77 as it is, and with outlier weights that int8 has no room for.

`python -m benchmarks.quantised DATA FOLDER [plain|outliers]`, where DATA has text-classification/banking77 and FOLDER
keeps graphs, answers, a float32 bundle for `benchmarks.same_answers`, and what is found; what it has is not made again.
The model is MiniLM with a solved head on ten rows a label, judged on the set's 3,080 test rows. Times are of this
machine, whatever else runs there; forms take turns.
"""

from __future__ import annotations

import csv
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.text_sets import CANDIDATE, SETTINGS
from tasks import calibration, export, features, metrics, modalities
from tasks import network as networks
from tasks.artifacts import write_json
from tasks.deployment import bundle, chain, forms, shipping
from tasks.deployment.chain import Artefact
from tasks.modalities.contract import Encoder
from tasks.params import load
from tasks.prepared import Prepared
from tasks.problems.classification.learn import make_head
from tasks.runtime import Runtime
from tasks.training import solve
from tasks.weights import licence, resolve

PARAMS = load(Path(__file__).parents[1] / "params.yaml")
THREADS = 1  # a second one only waits where other work shares two cores
# A value is made so many times smaller and the weights that read it as many times larger: in float32 nothing changes.
OUTLIER = 1000.0
SPEED_ROWS, TURNS = 128, 3


def rows(path: Path, labels: list[str], encoder: Encoder, split: str) -> Prepared:
    with path.open(encoding="utf-8", newline="") as file:
        read = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    texts = [text for text, _ in read]
    classes = np.array([labels.index(label) for _, label in read])
    return Prepared([""] * len(read), [split] * len(read), texts, classes, encoder.encode(texts), labels)


def plant_outliers(network: networks.Network) -> None:
    """Scale one value of each head of attention down, and what reads it up: the same function of float32 numbers."""
    with torch.no_grad():
        for block in network.backbone.blocks:
            value, out = block.attention.self.value, block.attention.output.dense
            place = torch.arange(0, value.out_features, block.attention.self.attention_head_size)
            value.weight[place] /= OUTLIER
            value.bias[place] /= OUTLIER
            out.weight[:, place] *= OUTLIER


def search(name: str, network: networks.Network, encoder: Encoder, train: Prepared, test: Prepared, out: Path) -> Any:
    """Every form's score and speed, and what ships."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    float32 = folder / f"{forms.FLOAT32}.onnx"
    if not float32.is_file():
        export.export(network, encoder, export.sample(test.encoded), float32, PARAMS.deployment.opset)
    learned = train.encoded[: PARAMS.deployment.calibration_rows]
    batches = [encoder.collate(learned[i : i + 16]) for i in range(0, len(learned), 16)]
    graphs = {form: forms.make(form, folder, batches) for form in (forms.FLOAT32, *PARAMS.deployment.forms)}
    runtimes = {form: open_bundle(folder, form, graph, encoder, train.labels) for form, graph in graphs.items()}
    artefacts = {}
    for form, runtime in runtimes.items():
        kept = folder / f"{form}.npy"
        if not kept.is_file():
            print(f"{name}: {form} answers {len(test)} rows", flush=True)
            np.save(kept, runtime.run(test.encoded)[0])
        artefacts[form] = Artefact(np.load(kept), graphs[form].stat().st_size)
    drawn = metrics.Resamples(len(test), PARAMS.receipt.resamples, PARAMS.project.seed)
    records = {
        form: chain.score(one, artefacts[forms.FLOAT32], test.classes, "accuracy", drawn)
        for form, one in artefacts.items()
    }
    inside = shipping.inside_budget(records, PARAMS.deployment.forms, PARAMS.deployment)
    seconds = turns({form: runtimes[form] for form in (forms.FLOAT32, *inside)}, test)
    milliseconds = {form: 1000 * least / SPEED_ROWS for form, least in seconds.items()}
    shipped, reason = shipping.choose(records, milliseconds, {}, PARAMS.deployment, "accuracy")
    for form, least in seconds.items():
        records[form]["rows_per_second"] = round(SPEED_ROWS / least, 1)
        records[form]["times_float32"] = round(seconds[forms.FLOAT32] / least, 2)
    return {"forms": records, "shipped": shipped, "reason": reason}


def open_bundle(
    folder: Path, form: str, graph: Path, encoder: Encoder, labels: list[str], temperature: float = 1.0
) -> Runtime:
    description = {
        "project": "banking77", "modality": "text", "problem": "classification", "labels": labels, "artefact": form,
        "temperature": temperature, "licence": licence(CANDIDATE, resolve(CANDIDATE, Path())), "made_from": {},
    }  # fmt: skip
    shutil.rmtree(folder / "bundles" / form, ignore_errors=True)
    bundle.write(folder / "bundles" / form, graph, encoder, description)
    return Runtime.load(folder / "bundles" / form, THREADS)


def turns(runtimes: dict[str, Runtime], test: Prepared) -> dict[str, float]:
    """Least seconds for the first rows of the test set, each form in turn, so that other work meets them all."""
    best = dict.fromkeys(runtimes, float("inf"))
    for turn in range(TURNS):
        for form, runtime in runtimes.items():
            started = time.perf_counter()
            runtime.run(test.encoded[:SPEED_ROWS])
            best[form] = min(best[form], time.perf_counter() - started)
        print(f"turn {turn + 1} of {TURNS}", flush=True)
    return best


def main(data: Path, out: Path, kinds: list[str]) -> None:
    torch.set_num_threads(THREADS)
    source = data / "text-classification/banking77"
    model = resolve(CANDIDATE, Path())
    encoder = modalities.part("text", "encode").from_model(model, SETTINGS)
    with (source / "test.csv").open(encoding="utf-8", newline="") as file:
        labels = sorted({row["label"] for row in csv.DictReader(file)})
    train, test = (
        rows(source / "train_10shot.csv", labels, encoder, "train"),
        rows(source / "test.csv", labels, encoder, "test"),
    )
    for place in range(0, len(train), 5):
        train.splits[place] = "validation"
    backbone = modalities.part("text", "backbone").load(model, None, "mean")
    network = networks.Network(backbone, make_head(backbone.width, len(labels))).eval()
    kept = out / "features.npy"
    if not kept.is_file():
        out.mkdir(parents=True, exist_ok=True)
        np.save(kept, features.at_own_depth(backbone, encoder, train.encoded))
    values = np.load(kept)
    solved = solve.solve(values, train, PARAMS.adaptation.scope.frozen, PARAMS.project.seed)
    solve.put(network, solved.head)
    if "plain" in kinds:
        tell("plain", search("plain", network, encoder, train, test, out), out)
        temperature = calibration.temperature(solved.validation, train.of("validation").classes)
        open_bundle(out / "shared", "onnx", out / "plain/onnx.onnx", encoder, labels, temperature)
        network.backbone.body.config.save_pretrained(out / "shared")
    if "outliers" in kinds:
        plant_outliers(network)
        tell("outliers", search("outliers", network, encoder, train, test, out), out)


def tell(kind: str, one: dict[str, Any], out: Path) -> None:
    write_json(out / f"{kind}.json", one)
    print(f"\n{kind}: {one['reason']}\n\n| form | accuracy | loss, points | changed | MB | rows/s | x float32 |")
    print("|---|---|---|---|---|---|---|")
    for form, r in one["forms"].items():
        low, high = 100 * r["loss"]["low"], 100 * r["loss"]["high"]
        print(
            f"| {form} | {100 * r['accuracy']:.2f} | {100 * r['loss']['value']:.2f} [{low:.2f}, {high:.2f}] | "
            f"{r['changed_answers']} | {r['bytes'] / 1e6:.1f} | {r.get('rows_per_second', 'not read')} | "
            f"{r.get('times_float32', '')} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or ["plain", "outliers"])
