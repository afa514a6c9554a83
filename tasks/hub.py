"""A model hub, asked with patience for three seconds: one sentence when it is silent, refuses, or does not know."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tasks.errors import InputError

SECONDS = 3.0
Kind = Literal["model", "dataset"]


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids every request."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def commit(name: str, revision: str | None = None, kind: Kind = "model") -> str:
    """The commit, 40 hex digits, that the hub has for a revision of a repository; for its main branch if None.

    Raises:
        InputError: no such repository or revision, no access, no answer within `SECONDS`, or HF_HUB_OFFLINE is set.
    """
    from huggingface_hub import HfApi

    if offline():
        raise InputError(f"{_place(name, revision, kind)} may not be asked for, for HF_HUB_OFFLINE is set: unset it.")
    hub = HfApi(endpoint=endpoint())
    info = _within(SECONDS, lambda: hub.repo_info(name, revision=revision, timeout=SECONDS, repo_type=kind))
    if isinstance(info, Exception):
        raise failure(name, revision, info, kind)
    return str(info.sha)


def facts(name: str, revision: str) -> dict[str, Any] | None:
    """What the hub says of a revision: commit, licence, downloads of the last month, day of the last change.

    Returns:
        None where it may not be asked, or does not answer as `commit` wants it.
    """
    from huggingface_hub import HfApi

    if offline():
        return None
    hub = HfApi(endpoint=endpoint())
    info = _within(SECONDS, lambda: hub.model_info(name, revision=revision, timeout=SECONDS))
    if isinstance(info, Exception):
        return None
    licence = (info.card_data or {}).get("license")
    return {
        "commit": info.sha,
        "licence": licence if isinstance(licence, str) else None,
        "downloads": info.downloads,
        "last_change": info.last_modified.date().isoformat() if info.last_modified else None,
    }


def download(name: str, revision: str, patterns: list[str], kind: Kind = "model") -> Path:
    """Folder of a snapshot in the local cache, with the files that fit the patterns.

    Raises:
        InputError: as of `commit`; or the download broke off, and what is whole of it is kept.
    """
    from huggingface_hub import snapshot_download

    commit(name, revision, kind)  # a hub that says nothing is told apart from one that sends slowly
    try:
        return Path(
            snapshot_download(
                name,
                repo_type=kind,
                revision=revision,
                allow_patterns=patterns,
                etag_timeout=SECONDS,
                endpoint=endpoint(),
            )
        )
    except Exception as error:  # the client's errors and those of the library below it share no base
        raise failure(name, revision, error, kind) from None


def endpoint() -> str | None:
    """HF_ENDPOINT as it is now; the library reads it once, when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _place(name: str, revision: str | None, kind: Kind) -> str:
    return ("hub:" if kind == "model" else "hf://datasets/") + name + (f" at {revision[:12]}…" if revision else "")


def failure(name: str, revision: str | None, error: Exception, kind: Kind) -> InputError:
    """The sentence for a hub that gave no repository."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    what, remedy = f"could not be had ({type(error).__name__})", "check the network and HF_ENDPOINT"
    remedy += ", or use a path" if kind == "model" else ""
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        what = f"could not be had: the hub did not answer within {SECONDS:g} seconds"
    elif type(error).__name__ == "HFValidationError":
        what, remedy = "is not the name of a repository", "write hub:OWNER/NAME"
    elif status in (401, 403):
        what, remedy = f"is not open to us ({status})", "set HF_TOKEN to a token that may read it, or check the name"
    elif status == 404:
        what, remedy = "is not on the hub (404)", "check the name and the revision"
    return InputError(f"{_place(name, revision, kind)} {what}: {remedy}.")


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """The answer, or the exception; the client's own limit holds for each step of a request and for no look-up."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(ask())
        except Exception as error:
            answers.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return TimeoutError()
