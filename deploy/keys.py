"""API keys: who may ask, where the environment names keys."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException

from deploy.settings import ignored_names
from tasks.errors import InputError

KEYS, KEYS_FILE = "GRAFT_API_KEYS", "GRAFT_API_KEYS_FILE"
SHORTEST_KEY = 16
CHALLENGE = {"WWW-Authenticate": "Bearer"}
NO_KEY = "This server asks for a key: send it in the header Authorization, after Bearer and a space."
WRONG_KEY = "This server does not know the key in the header Authorization: send one that it was given."
LIKE_KEYS = re.compile(r"GRAFT_(API|KEY)")
# Kubernetes sets these for a Service called graft-api.
OF_A_SERVICE = re.compile(r"GRAFT_\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


class Keys:
    """API keys, of which digests alone are kept.

    Args:
        keys: at least 16 characters each; without any, everybody is let in.

    Raises:
        InputError: a key that is too short to be one.
    """

    def __init__(self, keys: list[str]) -> None:
        if any(len(key) < SHORTEST_KEY for key in keys):
            where = f"A key in {KEYS} or {KEYS_FILE}"
            raise InputError(f"{where} has under {SHORTEST_KEY} characters: make one with `openssl rand -hex 32`.")
        self._digests = [_digest(key.encode()) for key in keys]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Keys:
        """Keys in GRAFT_API_KEYS, with commas between them, and in the lines of the file GRAFT_API_KEYS_FILE.

        Raises:
            InputError: a variable is empty or misspelt, the file cannot be read or has no key, or a key is too short.
        """
        for unknown in ignored_names(environment):
            if LIKE_KEYS.match(unknown) and not OF_A_SERVICE.fullmatch(unknown):
                raise InputError(
                    f"{unknown} is no setting, and without keys the server would let all in: call it {KEYS} or "
                    f"{KEYS_FILE}, or unset it."
                )
        keys = _some(environment.get(KEYS, "").split(","))
        for variable in (KEYS, KEYS_FILE):
            if variable in environment and not _some(environment[variable].split(",")):
                raise InputError(f"{variable} is set but empty, which would let all in: give it a value, or unset it.")
        if name := environment.get(KEYS_FILE):
            try:
                lines = _some(Path(name).read_text(encoding="utf-8").splitlines())
            except (OSError, UnicodeDecodeError) as error:
                told = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                raise InputError(
                    f"{KEYS_FILE} names {name}, which cannot be read ({told}): name a file with a key in each line "
                    "that the server's user may read."
                ) from None
            if not lines:
                raise InputError(f"{KEYS_FILE} names {name}, which has no key: write one into each line, or unset it.")
            keys += lines
        return cls(keys)

    @property
    def wanted(self) -> bool:
        """Whether a request needs one."""
        return bool(self._digests)

    def check(self, request: Request) -> None:
        """Let a request in that brings a key, in a time that tells nothing of which characters were right.

        Raises:
            HTTPException: 401, it brings none, or another.
        """
        if not self._digests:
            return
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        given = _digest(key.strip(" ").encode("latin-1"))  # as the header came
        # All are compared: stopping at the first would tell which one it was.
        same = [hmac.compare_digest(given, digest) for digest in self._digests]
        if kind.lower() != "bearer" or not key.strip(" "):
            raise HTTPException(401, NO_KEY, CHALLENGE)
        if not any(same):
            raise HTTPException(401, WRONG_KEY, CHALLENGE)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _some(parts: list[str]) -> list[str]:
    return [part.strip() for part in parts if part.strip()]
