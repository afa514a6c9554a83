"""What the server says of itself in /openapi.json: every status, and the limits of the release that answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from deploy.batching import Closed
from deploy.question import FORM, MAX_INPUTS, MOST_NAMED, MOST_TOP, Question
from tasks.runtime import Runtime

WHEN = {
    401: "The server asks for a key, and the request brings none of them.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    422: "The body or the query cannot be used.",
    429: "Too much waits, or has begun: come back after Retry-After seconds.",
    500: "The server failed in a way nobody foresaw; its log tells, by the request's id.",
    503: "The release is loading, or the server stops: come back after Retry-After seconds.",
    504: "There was no answer in time: come back after Retry-After seconds.",
}
LATER = frozenset({429, 503, 504})
# Until a release is loaded, whose limits are then told too. Told here, since FastAPI takes a tenth of a request's time
# to read one parameter.
QUESTION: dict[str, Any] = {
    "parameters": [
        {
            "name": "top_k",
            "in": "query",
            "description": f"Most probable labels that are told of each input, of all inputs at most {MOST_NAMED}.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MOST_TOP},
        },
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": Question.model_json_schema()}}},
}


class Problem(BaseModel):
    """Why there is no answer: one sentence that quotes nothing of what was sent."""

    detail: str


class Label(BaseModel):
    """A label and its probability in [0, 1]."""

    prediction: str
    probability: float = Field(ge=0, le=1)


class Prediction(Label):
    """Answer to one input: its most probable label, and `top` where `top_k` asked for more."""

    top: list[Label] | None = None


class Answers(BaseModel):
    """What POST /predict answers: one prediction per input, in their order, and the release that made them."""

    version: str
    predictions: list[Prediction]


class Ready(BaseModel):
    """The release that answers."""

    version: str


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(extra="forbid")
    alive: bool


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI takes to describe errors."""
    retry = {"headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}}
    return {
        status: {"model": Problem, "description": WHEN[status]} | (retry if status in LATER else {})
        for status in statuses
    }


def tell(app: FastAPI, release: Callable[[], Runtime], with_key: bool) -> None:
    """Let the application describe what the release takes that answers now.

    Args:
        app: with all its routes.
        release: gives it, or raises Closed.
        with_key: whether requests need a key.
    """
    plain = app.openapi

    def told() -> dict[str, Any]:
        schema = deepcopy(plain())
        with suppress(Closed):
            schema["paths"]["/predict"]["post"]["requestBody"] = _body(release())
        if with_key:
            schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, method in (("/predict", "post"), ("/metrics", "get")):
                schema["paths"][path][method]["security"] = [{"key": []}]
        return schema

    app.openapi = told  # type: ignore[method-assign]


def _body(runtime: Runtime) -> dict[str, Any]:
    question = Question.model_json_schema()
    question["properties"]["inputs"]["items"] = runtime.example_schema
    content = {"application/json": {"schema": question}}
    if runtime.takes_files:
        file = {"type": "string", "format": "binary"}
        files = {"type": "array", "items": file, "minItems": 1, "maxItems": MAX_INPUTS}
        content[FORM] = {"schema": {"type": "object", "properties": {"file": files}, "required": ["file"]}}
    return {"required": True, "content": content}
