"""S3 as a real server speaks it, the web, the hub, a share: a copy here, or one sentence."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.sources import files, reach
from tests.servers import bucket, free_port

CSV = b"text,label\nwhere is it,a\nnot here,b\n"
COMMIT = "c" * 40


def fetch(url: str, target: Path, max_rows: int = 100) -> files.Remote:
    remote = files.opened(url)
    files.snapshot(remote, target, max_rows)
    return remote


def refusal(url: str, target: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        fetch(url, target, **options)
    (sentence,) = caught.value.sentences
    assert "hunter2" not in sentence and "\n" not in sentence
    return sentence


class Web(BaseHTTPRequestHandler):
    """Files of the web and of a hub; /flaky.csv answers 503 the first time."""

    asked: ClassVar[list[str]] = []
    files: ClassVar[dict[str, bytes]] = {"/rows.csv": CSV, "/flaky.csv": CSV}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        Web.asked.append(path)
        body, status, headers = b"", 404, {}
        if path == "/flaky.csv" and Web.asked.count(path) == 1:
            status = 503
        elif path == "/secret.csv":
            status = 403
        elif path in Web.files:
            body, status = Web.files[path], 200
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:8]}"'}
        elif path.startswith("/api/datasets/owner/name/tree/"):
            tree = [{"type": "file", "path": "data/train.csv", "size": len(CSV), "oid": "1"}]
            body, status = json.dumps(tree).encode(), 200
        elif path.startswith("/api/datasets/owner/name"):
            found = {"id": "owner/name", "sha": COMMIT, "siblings": [{"rfilename": "data/train.csv"}]}
            body, status = json.dumps(found).encode(), 200
        elif path == f"/datasets/owner/name/resolve/{COMMIT}/data/train.csv":
            body, status, headers = CSV, 200, {"ETag": '"1"', "X-Repo-Commit": COMMIT}
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("tasks.sources.patience.time.sleep", lambda seconds: None)
    Web.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_of_the_web(web: str, tmp_path: Path) -> None:
    remote = fetch(f"{web}/rows.csv", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == CSV
    assert remote.revision == hashlib.sha256(CSV).hexdigest()[:8] and remote.ending == ".csv"


def test_a_server_that_is_busy_for_a_moment_is_asked_again(web: str, tmp_path: Path) -> None:
    fetch(f"{web}/flaky.csv", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == CSV


def test_what_the_web_does_not_give(web: str, tmp_path: Path) -> None:
    assert "There is nothing at" in refusal(f"{web}/gone.csv", tmp_path / "rows.csv")
    assert "is not open to us" in refusal(f"{web}/secret.csv", tmp_path / "rows.csv")
    assert "cannot be reached" in refusal(f"http://127.0.0.1:{free_port()}/rows.csv", tmp_path / "rows.csv")


@pytest.fixture
def hub(web: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("hub")
def test_a_file_of_a_hub_data_set_at_its_commit(tmp_path: Path) -> None:
    remote = fetch("hf://datasets/owner/name@main/data/train.csv", tmp_path / "train.csv")
    assert (remote.revision, remote.ending) == (COMMIT, ".csv") and (tmp_path / "train.csv").read_bytes() == CSV
    assert f"/datasets/owner/name/resolve/{COMMIT}/data/train.csv" in Web.asked


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("written", "revision"),
    [
        ("refs/convert/parquet", "refs/convert/parquet"),
        ("refs%2Fconvert%2Fparquet", "refs/convert/parquet"),
        ("refs/pr/7", "refs/pr/7"),
        ("new%2Frows", "new/rows"),
        ("v1.0-rc", "v1.0-rc"),
    ],
)
def test_a_revision_may_have_a_slash(written: str, revision: str, tmp_path: Path) -> None:
    remote = fetch(f"hf://datasets/owner/name@{written}/data/train.csv", tmp_path / "train.csv")
    assert remote.revision == COMMIT and (tmp_path / "train.csv").read_bytes() == CSV
    assert f"/api/datasets/owner/name/revision/{quote(revision, safe='')}" in Web.asked


@pytest.mark.usefixtures("hub")
def test_what_the_hub_does_not_have(tmp_path: Path) -> None:
    assert "is not on the hub" in refusal("hf://datasets/owner/gone/train.csv", tmp_path / "x.csv")
    assert "There is nothing at" in refusal("hf://datasets/owner/name/data/gone.csv", tmp_path / "x.csv")
    assert "must be hf://datasets/" in refusal("hf://datasets/owner/name", tmp_path / "x.csv")


@pytest.fixture(scope="module")
def store() -> Iterator[None]:
    with bucket("rows") as client:
        client.put_object(Bucket="rows", Key="rows.csv", Body=CSV)
        for name in ("left/1.png", "right/2.png", "right/.hidden"):
            client.put_object(Bucket="rows", Key=f"images/{name}", Body=name.encode())
        for name, table in {
            "b": pa.table({"text": ["two"], "label": ["b"]}), "a": pa.table({"text": ["one"], "label": ["a"]}),
        }.items():  # fmt: skip
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink)
            client.put_object(Bucket="rows", Key=f"day=1/{name}.parquet", Body=sink.getvalue().to_pybytes())
        client.put_object(Bucket="rows", Key="day=2/c.parquet", Body=b"PAR1 broken")
        yield


@pytest.mark.usefixtures("store")
class TestS3:
    def test_a_file(self, tmp_path: Path) -> None:
        remote = fetch("s3://rows/rows.csv", tmp_path / "rows.csv")
        assert (tmp_path / "rows.csv").read_bytes() == CSV
        assert remote.revision == hashlib.md5(CSV).hexdigest(), "its ETag"

    def test_a_folder(self, tmp_path: Path) -> None:
        remote = fetch("s3://rows/images", tmp_path / "images")
        found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
        assert found == ["images/left/1.png", "images/right/2.png"] and remote.ending == "" and remote.revision
        assert "holds 2 files, over data.max_rows 1" in refusal("s3://rows/images", tmp_path / "x", max_rows=1)

    def test_the_files_of_a_pattern_become_one_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        assert fetch("s3://rows/day=1/*.parquet", tmp_path / "rows.parquet").ending == ".parquet"
        assert pq.read_table(tmp_path / "rows.parquet")["text"].to_pylist() == ["one", "two"]
        assert "more than 1 rows" in refusal("s3://rows/day=1/*.parquet", tmp_path / "x.parquet", max_rows=1)

    def test_a_broken_file(self, tmp_path: Path) -> None:
        assert "is no whole Parquet" in refusal("s3://rows/day=*/*.parquet", tmp_path / "x.parquet")

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        for name in ("s3://nobody/rows.csv", "s3://rows/gone.csv", "s3://rows/gone/*.parquet"):
            assert refusal(name, tmp_path / "x") == f"There is nothing at {name}: correct source.url."

    def test_a_store_that_does_not_answer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tasks.sources.patience.time.sleep", lambda seconds: None)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        assert "cannot be reached" in refusal("s3://rows/rows.csv", tmp_path / "x")

    def test_no_credentials(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        assert "is not open to us" in refusal("s3://rows/rows.csv", tmp_path / "x")


def test_a_file_that_is_too_large(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there.csv").write_bytes(CSV)
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    assert "which no snapshot may have" in refusal(f"file://{tmp_path}/there.csv", tmp_path / "x")
    monkeypatch.setattr(files.Remote, "_tag", lambda self, name: None)  # a server that does not tell the size
    assert "sample it" in refusal(f"{web}/rows.csv", tmp_path / "x")


def test_a_folder_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / "there" / name).write_bytes(b"1234")
    monkeypatch.setattr(files, "MAX_BYTES", 12)
    fetch(f"file://{tmp_path}/there", tmp_path / "whole")
    monkeypatch.setattr(files, "MAX_BYTES", 11)
    assert "sample it" in refusal(f"file://{tmp_path}/there", tmp_path / "x")


def test_files_of_a_pattern_that_differ(tmp_path: Path) -> None:
    for name in ("text", "label"):
        pq.write_table(pa.table({name: ["a"]}), tmp_path / f"{name}.parquet")
    assert "have different columns or types" in refusal(f"file://{tmp_path}/*.parquet", tmp_path / "x.out")


def test_no_name_of_a_store_leads_out_of_the_snapshot() -> None:
    assert files._hidden("rows/images/../../evil", "rows/images") and not files._hidden("rows/a/b.png", "rows/a")


def test_a_file_of_a_share_may_have_no_revision(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_bytes(CSV)
    assert fetch(f"file://{tmp_path}/there.csv", tmp_path / "here.csv").revision is None
    assert (tmp_path / "here.csv").read_bytes() == CSV


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    assert "pip install 'adlfs'" in refusal("abfs://rows/rows.csv", tmp_path / "x")
    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    assert refusal("s3://rows/rows.csv", tmp_path / "x") == (
        "source.url needs a Python package for s3://: pip install 's3fs'."
    )


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "there.csv").write_bytes(CSV)
    monkeypatch.setattr(files.Remote, "copy", full)
    assert refusal(f"file://{tmp_path}/there.csv", tmp_path / "x").startswith("Writing the snapshot was refused")


def test_what_a_driver_says_is_not_quoted() -> None:
    said = reach.failure(RuntimeError("key hunter2"), "s3://b/x", "source.url").sentences[0]
    assert said == "s3://b/x could not be used (RuntimeError): check it with its own client."


def test_data_path_says_the_format_that_comes(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_bytes(CSV)
    remote = files.opened(f"file://{tmp_path}/there.csv")
    files.refuse_other_ending(remote, "data/raw/rows.csv")
    with pytest.raises(InputError, match=r"let it end in \.csv"):
        files.refuse_other_ending(remote, "data/raw/rows.parquet")
    for name in ("there.xlsx", "there"):
        (tmp_path / name).write_bytes(CSV)
        with pytest.raises(InputError, match=r"ends in none of \.csv"):
            files.refuse_other_ending(files.opened(f"file://{tmp_path}/{name}"), f"data/raw/{name}")
