"""Requests that nobody would send, drawn by a seed: what the test and the benchmark of fuzzing share."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# In every body, so that an answer which quotes it shows.
MARK = "zxqj"
ODD = ["", " ", "\x00", "\ud800", "\U0001f600", "e\u0301", "\u202e", "\ufeff", "' OR 1=1 --", "${jndi:x}", "<script>"]
VALUES = [None, True, 0, -1, 1e308, 10**400, [], {}, [[]], {"inputs": ["x"]}, "good", ["good", None], ["good"] * 65]
TYPES = [
    "application/json",
    "text/plain",
    "",
    "multipart/form-data",
    "multipart/form-data; boundary=b",
    "a/b; charset=\xff",
]
QUERIES = [
    "",
    "",
    "",
    "top_k=2",
    "top_k=",
    "top_k=-1",
    "top_k=zxqj",
    "top_k=1&top_k=2",
    "a=%ff&&=",
    "top_k=" + "9" * 500,
]


@dataclass(frozen=True)
class Request:
    """A POST /predict.

    Attributes:
        body: as it is sent.
        kind: content type.
        query: without its question mark.
    """

    body: bytes
    kind: str
    query: str


def requests(seed: int, count: int) -> Iterator[Request]:
    """So many requests, some of which can be answered."""
    draw = random.Random(seed)
    for _ in range(count):
        yield Request(draw.choice(MAKERS)(draw), draw.choice(TYPES), draw.choice(QUERIES))


def _text(draw: random.Random) -> str:
    words = [
        draw.choice(["good", "bad", MARK, draw.choice(ODD), chr(draw.randrange(0xD800))])
        for _ in range(draw.randrange(9))
    ]
    return " ".join(words) * draw.choice([1, 1, 1, 30])


def _plain(draw: random.Random) -> bytes:
    texts = [_text(draw) for _ in range(draw.choice([0, 1, 1, 2, 5, 64, 65]))]
    return json.dumps({"inputs": texts}, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def _mutated(draw: random.Random) -> bytes:
    body = bytearray(_plain(draw))
    for _ in range(draw.randrange(1, 6)):
        place = draw.randrange(len(body) + 1)
        cut = body[place : place + draw.randrange(20)]
        body[place : place + draw.choice([0, 1, len(cut)])] = draw.choice(
            [b"", draw.randbytes(3), bytes(cut) * 3, b'"', b"]"]
        )
    return bytes(body)


def _other(draw: random.Random) -> bytes:
    tree = {draw.choice(["inputs", "inputs", MARK, ""]): draw.choice(VALUES) for _ in range(draw.randrange(3))}
    return json.dumps(draw.choice([tree, draw.choice(VALUES)])).encode()


def _deep(draw: random.Random) -> bytes:
    opened = draw.choice([b"[", b'{"inputs":', b'{"inputs":["' + MARK.encode()])
    return opened * draw.choice([1, 50, 5000])


def _noise(draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice([0, 1, 50, 3000]))


def _form(draw: random.Random) -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="zxqj"\r\n\r\nzxqj\r\n'
    whole = part * draw.choice([1, 3, 70]) + draw.choice([b"--b--\r\n", b"--b", b""])
    return whole[: draw.randrange(len(whole) + 1)] if draw.random() < 0.5 else whole


MAKERS: list[Callable[[random.Random], bytes]] = [
    _plain,
    _plain,
    _mutated,
    _mutated,
    _mutated,
    _other,
    _deep,
    _noise,
    _form,
]
