"""`source.url` of params.yaml: what kind of source it names, and no secret in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote

from tasks.errors import InputError

HUB = "hf"
FILES = ("file", "http", "https", HUB)
# What fsspec opens by a driver of its own; every other scheme is a database that SQLAlchemy may know.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "webhdfs", "sftp", "ssh", "ftp", "smb")
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
    return scheme(url) not in (*FILES, *OBJECT_STORES)


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
    kind, rest = scheme(url), url.partition("://")[2]
    # An @ within a file's name is none before a host, and one within a password is none behind it.
    authority = "" if kind in (HUB, "file") else re.split(r"[/?#]", rest, maxsplit=1)[0]
    if kind == "sqlite":
        authority = ""
    user, at, _ = authority.rpartition("@")
    if not at and re.search(r"://[^/]*:[^/]*.*@", url) and is_database(url) and kind != "sqlite":
        user, at = rest.rpartition("@")[0], "@"  # a password with a slash in it
    secret = user.partition(":")[2] if is_database(url) or ":" in user else user
    named = [value for name, value in parse_qsl(url.partition("?")[2]) if SECRET_NAME.search(name)]
    if (at and _is_plain(secret)) or any(map(_is_plain, named)):
        raise InputError(
            f"{setting} holds a password or a key in plain words: put it into an environment variable and write "
            "${NAME} there, or leave it to the driver's own variables such as PGPASSWORD or AWS_SECRET_ACCESS_KEY."
        )


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
