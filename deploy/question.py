"""What a client sent -> examples, within limits; nothing of it is ever echoed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.runtime import Example, Runtime

MAX_INPUTS, MOST_TOP = 64, 10_000
# Labels of one answer: to write more of them would hold up other requests.
MOST_NAMED = 64_000
NUMBER = re.compile(r"[0-9]{1,5}")
FORM = "multipart/form-data"
REASONS = {
    "json_invalid": "it is not JSON",
    "missing": "inputs is missing",
    "extra_forbidden": "it has another key than inputs",
    "string_type": "one of inputs is not a string",
    "too_short": "inputs is empty",
    "too_long": f"inputs holds more than {MAX_INPUTS} examples",
}


class Question(BaseModel):
    """Body of POST /predict: texts, or files in base64."""

    model_config = ConfigDict(extra="forbid")
    inputs: list[str] = Field(min_length=1, max_length=MAX_INPUTS)


def top_k_of(request: Request) -> int | None:
    """How many labels of each example a request asks for, None if it does not say.

    Raises:
        InputError: no whole number from 1 to `MOST_TOP`, or the query asks for anything else.
    """
    if not request.scope["query_string"]:  # of nothing too, parsing takes a while
        return None
    if {*request.query_params} - {"top_k"}:
        raise InputError("The query has another parameter than top_k: correct its name or leave it out.")
    text = request.query_params.get("top_k")
    if text is None or (NUMBER.fullmatch(text) and 1 <= int(text) <= MOST_TOP):
        return None if text is None else int(text)
    raise InputError(f"The value of top_k is no whole number from 1 to {MOST_TOP}: leave it out for one label alone.")


def check_named(examples: int, top_k: int | None, runtime: Runtime) -> None:
    """Whether an answer may name so many labels.

    Raises:
        InputError: over `MOST_NAMED`.
    """
    if examples * min(top_k or 1, len(runtime.manifest.labels)) > MOST_NAMED:
        raise InputError(
            f"An answer names at most {MOST_NAMED} labels, and top_k asks for {top_k} of each of {examples} inputs: "
            "lower it, or send fewer inputs."
        )


async def examples_of(request: Request, body: bytes, runtime: Runtime) -> list[Example]:
    """The examples in a request to a release.

    Args:
        request: says what its body is: JSON, or a form with files where the release answers files.
        body: all of it.
        runtime: of the release.

    Raises:
        InputError: it holds no examples, or more than `MAX_INPUTS`.
    """
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        return runtime.received(_question(body, runtime.takes_files).inputs)
    if not runtime.takes_files:
        raise InputError(f"This release answers texts, and a form holds files: send {_form_of_json(False)}.")
    return await _files(request, body)


def _question(body: bytes, files: bool) -> Question:
    try:
        return Question.model_validate_json(body)
    except ValidationError as error:
        # Only the kind of the fault: everything else in it quotes what was sent.
        kind = error.errors(include_input=False, include_context=False)[0]["type"]
    raise InputError(
        f"The body cannot be used, {REASONS.get(kind, 'it has another form')}: send {_form_of_json(files)} with 1 to "
        f"{MAX_INPUTS} {'files in base64, or a form with the files' if files else 'texts'}."
    )


def _form_of_json(files: bool) -> str:
    return '{"inputs": ["' + ("aGk=" if files else "a text") + '", ...]}'


async def _files(request: Request, body: bytes) -> list[Example]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, whole(), max_files=MAX_INPUTS, max_fields=0)
        parser.spool_max_size = len(body) + 1  # the body is in memory already: no copy of it goes to disk
        form = await parser.parse()
    except (MultiPartException, KeyError):
        raise InputError(f"The form cannot be used: send 1 to {MAX_INPUTS} files and no other fields.") from None
    try:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        if not files:
            raise InputError(f"The form holds no file: send 1 to {MAX_INPUTS}.")
        return [await file.read() for file in files]
    finally:
        await form.close()
