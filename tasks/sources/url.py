"""`source.url` of params.yaml: what kind of source it names, and no secret in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote_plus

from tasks.errors import InputError

HUB = "hf"
WEB = ("http", "https")
# What fsspec knows only once its driver is installed; it lists all others.
UNLISTED = ("abfss",)
VARIABLE = re.compile(r"\$\{(\w+)\}")
SECRET_NAME = re.compile(
    r"pass|pwd|secret|token|api_?key|access_?key|signature|credential|jwt|^auth$|authorization|^sig$|^key$",
    re.IGNORECASE,
)


def is_url(text: str) -> bool:
    """Whether this names a source that is fetched, not a file or folder here."""
    return re.match(r"[A-Za-z][\w+.-]*://", text) is not None


def scheme(url: str) -> str:
    """postgresql+psycopg://... -> postgresql+psycopg."""
    return url.partition("://")[0].lower()


def is_database(url: str) -> bool:
    """Whether SQLAlchemy is to know it, for fsspec does not."""
    from fsspec.registry import known_implementations

    return scheme(url) not in (*known_implementations, *UNLISTED)


def refuse_secrets(url: str, setting: str = "source.url") -> None:
    """Refuse a URL that holds what nobody should keep in plain words.

    Args:
        url: as written.
        setting: that holds it, for errors.

    Raises:
        InputError: no URL, or a password, token or signature stands in it in plain words.
    """
    if not is_url(url):
        raise InputError(
            f"{setting} is no URL: write for instance postgresql+psycopg://HOST/DATABASE, s3://BUCKET/FILE or "
            "hf://datasets/OWNER/NAME@REVISION/FILE."
        )
    if any(map(_is_plain, [_password(url), *_named_secrets(url)])):
        raise InputError(
            f"{setting} holds a password or a key in plain words: put it into an environment variable and write "
            "${NAME} there, or leave it to the driver's own variables such as PGPASSWORD or AWS_SECRET_ACCESS_KEY; an "
            "@ in a path is written %40."
        )


def _password(url: str) -> str:
    """What stands before the host of a URL as its password, or as a token alone; empty if nothing does."""
    kind, rest = scheme(url), url.partition("://")[2]
    if kind == "github":
        return ""  # OWNER:REPOSITORY@REVISION
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # An @ within a file's name ends no user; but a password may hold a slash, and then the first one ends no host.
    user = (authority if "@" in authority or ":" not in authority else rest).rpartition("@")[0]
    return user.partition(":")[2] if ":" in user or kind not in WEB else user


def _named_secrets(url: str) -> list[str]:
    """Values in query and fragment whose names say that they are secret, within a connection string too."""
    found = []
    for piece in re.split(r"[?#&;]", unquote_plus(url))[1:]:
        words = piece.split("=")
        found += ["=".join(words[i + 1 :]) for i, name in enumerate(words[:-1]) if SECRET_NAME.search(name)]
    return found


def absolute(url: str, base: Path) -> str:
    """An SQLite URL with the whole path of its file, which a project elsewhere finds too; any other as it is."""
    kind, _, path = url.partition(":///")
    if not kind.startswith("sqlite") or not path or path.startswith("/"):
        return url
    return f"{kind}:///{os.path.abspath(base / path)}"


def _is_plain(secret: str) -> bool:
    return bool(VARIABLE.sub("", secret))


def expanded(url: str, setting: str = "source.url") -> str:
    """The URL with `${NAME}` replaced by environment variables, percent-encoded; never to be shown.

    Raises:
        InputError: as of `refuse_secrets`, or a variable is not set.
    """
    refuse_secrets(url, setting)
    missing = sorted({name for name in VARIABLE.findall(url) if name not in os.environ})
    if missing:
        raise InputError(f"{setting} names the environment variable {missing[0]}, which is not set: set it.")
    return VARIABLE.sub(lambda match: quote(os.environ[match[1]], safe=""), url)
