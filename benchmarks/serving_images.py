"""One photo at a time over HTTP, against decoding it and a bare ONNX Runtime pass in this process; and a bomb."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import torch
from PIL import Image
from transformers import MobileNetV1Config, MobileNetV1Model

from deploy.releases import Releases
from tasks import export
from tasks.deployment import bundle
from tasks.modalities.image import backbone, encode
from tasks.modalities.image.settings import Settings
from tasks.network import Network

TURNS, REQUESTS, WARM = 5, 40, 20
LABELS = [f"label {k}" for k in range(10)]


def photo(width: int = 640, height: int = 480) -> bytes:
    coarse = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def bomb(side: int = 10_000) -> bytes:
    """A PNG of 100 megapixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side)) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def released(folder: Path) -> Path:
    """A release of a MobileNet (224 pixels, a quarter of the channels) with random weights."""
    torch.manual_seed(0)
    MobileNetV1Model(MobileNetV1Config(depth_multiplier=0.25)).save_pretrained(folder / "model")
    preprocessor = {"image_processor_type": "MobileNetV1ImageProcessor", "size": {"height": 224, "width": 224}}
    preprocessor |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_center_crop": False}
    (folder / "model/preprocessor_config.json").write_text(json.dumps(preprocessor))
    encoder = encode.from_model(folder / "model", Settings(max_pixels=50_000_000))
    body = backbone.load(folder / "model")
    network = Network(body, torch.nn.Linear(body.width, len(LABELS))).eval()
    export.export(network, encoder, encoder.encode([photo()] * 2), folder / "model.onnx", 20)
    description = {"project": "speed", "modality": "image", "problem": "classification", "labels": LABELS}
    description |= {"artefact": "onnx", "temperature": 1.0, "licence": None, "made_from": {}}
    bundle.write(folder / "bundle", folder / "model.onnx", encoder, description)
    releases = Releases(folder / "releases")
    releases.promote(releases.add(folder / "bundle"), "speed", {})
    return releases.folder


def medians_ms(*asks: Callable[[], object]) -> list[float]:
    """Median of each, asked in turns of some requests: what else the machine does then disturbs all alike."""
    times: list[list[float]] = [[] for _ in asks]
    for _ in range(TURNS):
        for ask, taken in zip(asks, times, strict=True):
            for number in range(WARM + REQUESTS):
                started = time.perf_counter()
                ask()
                if number >= WARM:
                    taken.append(1e3 * (time.perf_counter() - started))
    return [statistics.median(taken) for taken in times]


def asking(request: httpx.Request) -> Callable[[], object]:
    """Sends a request that is made already: what a client takes to make one is not the server's time."""
    connection = http.client.HTTPConnection(request.url.host, request.url.port)
    body, headers = request.read(), dict(request.headers)

    def ask() -> object:
        connection.request("POST", request.url.path, body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()

    return ask


def bare(folder: Path) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    content = photo()

    def ask() -> object:
        image = Image.open(BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
        return session.run(None, {"pixel_values": np.ascontiguousarray(pixels)})

    return ask


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def main() -> None:
    """Print both medians and their ratio, and what the bomb and half a photo are answered and cost."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        releases = released(folder)
        environment = {**os.environ, "GRAFT_RELEASES": str(releases), "GRAFT_LISTEN_PORT": "8765"}
        server = subprocess.Popen([sys.executable, "-m", "deploy.service"], env=environment, stdout=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url="http://127.0.0.1:8765", timeout=30) as client:
                while not _ready(client):
                    time.sleep(0.1)
                form = client.build_request("POST", "/predict", files={"file": ("photo.jpg", photo())})
                text = client.build_request("POST", "/predict", json={"inputs": [base64.b64encode(photo()).decode()]})
                by_form, by_text, plain = medians_ms(asking(form), asking(text), bare(folder))
                before = memory_mb(server.pid)
                print(f"640 x 480 JPEG: form {by_form:.1f} ms, base64 {by_text:.1f}, decode + ONNX Runtime {plain:.1f}")
                print(f"ratio {by_form / plain:.2f} and {by_text / plain:.2f}")
                for name, content in (("bomb", bomb()), ("half a photo", photo()[:9000])):
                    answer = client.post("/predict", files={"file": ("x", content)})
                    print(
                        name, answer.status_code, answer.json()["detail"], f"+{memory_mb(server.pid) - before:.0f} MB"
                    )
        finally:
            server.terminate()
            server.wait()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
