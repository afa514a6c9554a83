"""Stores, shares and the web as fsspec reaches them: how long we wait, and one sentence for what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from tasks.errors import InputError, refused_write
from tasks.sources.patience import CONNECT_SECONDS, READ_SECONDS, patiently
from tasks.sources.url import expanded, scheme

T = TypeVar("T")
S3 = ("s3", "s3a")
REFUSED = re.compile(r"credential|accessdenied|access denied|forbidden|signature|invalidaccesskey|permission", re.I)
GONE = re.compile(r"no ?such|not ?found|does not exist|nosuchbucket", re.I)
BROKEN = ("ClientConnector", "ServerDisconnected", "EndpointConnection", "ConnectionClosed", "ClientPayload")


def opened_by(url: str, setting: str) -> tuple[Any, str]:
    """The file system of fsspec that opens a URL, and the path there.

    Args:
        url: may name environment variables as `${NAME}`.
        setting: that holds the URL, for errors.

    Raises:
        InputError: as of `expanded`; and what the driver raises.
    """
    import fsspec

    opened: tuple[Any, str] = fsspec.core.url_to_fs(expanded(url, setting), **_options(scheme(url)))
    return opened


def _options(kind: str) -> dict[str, Any]:
    if kind in S3:
        limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": {"max_attempts": 1}}
        return {"config_kwargs": limits, "skip_instance_cache": True, "use_listings_cache": False}
    if kind in ("http", "https"):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        return {"client_kwargs": {"timeout": timeout}, "skip_instance_cache": True}
    return {}


def told(url: str, attempt: Callable[[], T], setting: str, what: str) -> T:
    """The outcome of `attempt`, tried again where the other side was busy.

    Args:
        url: as its setting has it, for errors.
        attempt: starts from nothing each time.
        setting: that holds the URL.
        what: is written here meanwhile.

    Raises:
        InputError: in the place of every error of a driver, of which nothing is quoted.
    """
    try:
        return patiently(attempt, is_transient)
    except InputError:
        raise
    except Exception as error:  # fsspec's file systems raise errors of their drivers
        refusal = None if isinstance(error, PermissionError) else refused_write(error, what)
        raise InputError(refusal) if refusal else failure(error, url, setting) from None


def is_transient(error: Exception) -> bool:
    """Whether the other side was busy, or a connection broke; what it refuses for good and time-outs are not."""
    if isinstance(error, TimeoutError):
        return False
    return status(error) in (429, 500, 502, 503, 504) or is_broken(error)


def is_broken(error: Exception) -> bool:
    """Whether a connection broke or was never made; fsspec calls that a missing file, and names what it came from."""
    broken = (isinstance(one, ConnectionError) or type(one).__name__.startswith(BROKEN) for one in _chain(error))
    return any(broken)


def _chain(error: Exception) -> list[BaseException]:
    return [one for one in (error, error.__cause__, error.__context__) if one is not None]


def status(error: Exception) -> int | None:
    """Status of the answer that an error, or what it came from, is about."""
    for one in _chain(error):
        found = getattr(one, "status", None)
        response = getattr(one, "response", None)
        if found is None and isinstance(response, dict):
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(found, int):
            return found
    return None


def failure(error: Exception, url: str, setting: str) -> InputError:
    """The sentence for what a file system said, of which nothing is quoted."""
    said = " ".join(f"{type(one).__name__} {one}" for one in _chain(error))
    if isinstance(error, ImportError) or (isinstance(error, ValueError) and "rotocol not known" in said):
        package = _package(said, scheme(url))
        return InputError(f"{setting} needs a Python package for {scheme(url)}://: pip install '{package}'.")
    if "imeout" in said or "timed out" in said:
        return InputError(f"{url} does not answer within {CONNECT_SECONDS} seconds: check the address and the network.")
    if is_broken(error):
        return InputError(f"{url} cannot be reached: check the address and the network.")
    if status(error) not in (401, 403) and (isinstance(error, FileNotFoundError) or GONE.search(said)):
        return InputError(f"There is nothing at {url}: correct {setting}.")
    if isinstance(error, PermissionError) or REFUSED.search(said) or status(error) in (401, 403):
        return InputError(
            f"{url} is not open to us: set the environment variables of its driver, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, for a user who may do that."
        )
    return InputError(f"{url} could not be used ({type(error).__name__}): check it with its own client.")


def _package(said: str, kind: str) -> str:
    match = re.search(r"[Ii]nstall (?!the\b)['\"]?([\w.-]+)", said)
    return match[1] if match else f"fsspec[{kind}]"
