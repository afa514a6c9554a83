"""Real servers on the loopback that a test starts and ends itself: PostgreSQL, and S3 as moto speaks it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.toy import within

USER, PASSWORD = "ada", "open-sesame"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def postgresql() -> Iterator[int]:
    """The port of a cluster of its own, whose user ada needs a password; it does not start for root, who becomes
    postgres or nobody for it."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    found = [Path(name).resolve().parent for name in (shutil.which("postgres"), shutil.which("initdb")) if name]
    if len(found) < 2:
        pytest.skip("PostgreSQL is not installed here: put postgres and initdb on PATH")
    import pwd

    names = [entry.pw_name for entry in pwd.getpwall()]
    user = ("postgres" if "postgres" in names else "nobody") if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        data, port = folder / "data", free_port()
        init = ["initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={folder}/password", "--no-sync"]
        made = subprocess.run([found[1] / init[0], *init[1:]], user=user, cwd=folder, capture_output=True, text=True)  # type: ignore[call-overload,list-item]
        if made.returncode:
            pytest.skip(f"PostgreSQL does not start here: {made.stderr.splitlines()[-1:]}")
        serve = ["postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
        log = (folder / "log").open("w")
        process = subprocess.Popen([found[0] / serve[0], *serve[1:]], user=user, cwd=folder, stdout=log, stderr=log)  # type: ignore[call-overload,list-item]
        try:
            if not within(30, lambda: _answers(port) or process.poll() is not None) or process.poll() is not None:
                pytest.skip("PostgreSQL does not start here: it ended at once")
            assert within(30, lambda: _logs_in(port))
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
            log.close()


def _logs_in(port: int) -> bool:
    import psycopg

    try:
        psycopg.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def s3() -> Iterator[str]:
    """The address of a server that speaks S3."""
    for name in ("s3fs", "moto", "flask", "flask_cors"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[dev]'")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not within(40, lambda: _answers(port) or process.poll() is not None) or process.poll() is not None:
            pytest.skip("moto's server does not start here")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def bucket(name: str) -> Iterator[Any]:
    """A client of a server that speaks S3, with a bucket of this name; the environment says where and who we are."""
    with s3() as address, pytest.MonkeyPatch.context() as patch:
        for variable, value in {
            "AWS_ACCESS_KEY_ID": "ada", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
        }.items():  # fmt: skip
            patch.setenv(variable, value)
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket=name)
        yield client
