"""LitServe over the bare model: python litserve_app.py BUNDLE PORT"""

from __future__ import annotations

import sys
from pathlib import Path

import litserve
from bare_model import Model


class Answers(litserve.LitAPI):
    """Batches of 16, as Graft's default."""

    def setup(self, device: str) -> None:
        self.bare = Model(Path(sys.argv[1]))

    def decode_request(self, request) -> str:  # annotated, LitServe would take it for a query parameter
        return str(request["inputs"][0])

    def predict(self, texts: list[str]) -> list[dict[str, object]]:
        return self.bare.answers(list(texts))

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        return output


if __name__ == "__main__":
    api = Answers(max_batch_size=16, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), host="127.0.0.1", generate_client_file=False, log_level="warning")
