"""Rows in portions: the same answers wherever blocks end, whether in one go or after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.bulk.answer import Tally, answer
from tasks.bulk.source import Source, open_source
from tasks.runtime import Runtime
from tests.bundles import tiny_bundle, tiny_image_bundle

HOUSE = Path(__file__).resolve().parents[3]
WORDS = ["good", "bad bad good", "", "good bad", "x" * 500]
# The process dies for good, in the middle, at the fourth portion.
CALL = """
import os, signal, sys
from pathlib import Path
from tasks.bulk.answer import answer
from tasks.bulk.source import open_source
from tasks.runtime import Runtime
runtime = Runtime.load(Path(sys.argv[1]), 1)
answered, calls = runtime.predict_usable, []
def predict_usable(examples):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return answered(examples)
runtime.predict_usable = predict_usable
answer(open_source(Path(sys.argv[2]), "text"), runtime, "text", "label", Path(sys.argv[3]), 1)
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return Runtime.load(tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle"), 1)


def rows(count: int) -> pa.Table:
    texts = [WORDS[number % len(WORDS)] for number in range(count)]
    kinds = pa.array(["a", "b"] * (count // 2)).dictionary_encode()
    return pa.table({"id": range(count), "text": texts, "label": ["good"] * count, "kind": kinds})


def source_of(table: pa.Table, block: int) -> Source:
    def tables() -> Iterator[pa.Table]:
        yield from (table.slice(start, block) for start in range(0, table.num_rows, block))

    return Source(table.schema, table.num_rows, Path(), tables)


def answered(source: Source, runtime: Runtime, out: Path) -> tuple[bytes, Tally]:
    tally = answer(source, runtime, "text", "label", out, 1)
    return out.read_bytes(), tally


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_blocks_of_the_source_do_not_show(tmp_path: Path, runtime: Runtime, ending: str) -> None:
    table, out = rows(1000), tmp_path / f"out{ending}"
    whole, tally = answered(source_of(table, 1000), runtime, out)
    assert (tally.rows, tally.unanswered, tally.judged, tally.right, tally.found) == (1000, 400, 600, 400, 0)
    for block in (1, 256, 300):
        assert answered(source_of(table, block), runtime, out)[0] == whole, block


def test_answers_are_those_of_the_runtime(tmp_path: Path, runtime: Runtime) -> None:
    table, out = rows(600), tmp_path / "out.parquet"
    answered(source_of(table, 100), runtime, out)
    found = pq.read_table(out)
    assert found.select(table.column_names) == table
    expected = runtime.predict_usable(table.column("text").to_pylist())
    assert found.column("prediction").to_pylist() == [one and one.prediction for one in expected]
    assert found.column("probability").to_pylist() == [one and one.probability for one in expected]


def test_columns_called_like_the_answers_give_way(tmp_path: Path, runtime: Runtime) -> None:
    table, out = pa.table({"prediction": [1], "text": ["good"], "probability": ["no"]}), tmp_path / "out.parquet"
    answered(source_of(table, 1), runtime, out)
    (row,) = pq.read_table(out).to_pylist()
    assert [*row] == ["text", "prediction", "probability"] and row["prediction"] == "good"


def test_killed_and_called_again_it_writes_the_same_bytes(tmp_path: Path, runtime: Runtime) -> None:
    bundle, given = tiny_bundle(tmp_path / "bundle"), tmp_path / "in.parquet"
    pq.write_table(rows(1500), given)
    once, out = tmp_path / "once.parquet", tmp_path / "out.parquet"
    whole, _ = answered(open_source(given, "text"), runtime, once)
    done = subprocess.run([sys.executable, "-c", CALL, bundle, given, out], cwd=HOUSE, timeout=60)
    assert done.returncode == -signal.SIGKILL and not out.exists()
    content, tally = answered(open_source(given, "text"), runtime, out)
    assert tally.found == 768 and content == whole
    assert not list(tmp_path.glob(".*")), "what was kept goes"


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_interrupted_and_called_again_it_writes_the_same_bytes(tmp_path: Path, runtime: Runtime, ending: str) -> None:
    source, out = source_of(rows(1500), 700), tmp_path / f"out{ending}"
    whole, _ = answered(source, runtime, tmp_path / f"once{ending}")

    def stop(done: int, _: int) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(source, runtime, "text", "label", out, 1, stop)
    assert not out.exists()
    terms = json.loads(out.with_name(f".{out.name}.answers").read_text().splitlines()[0])
    library = version("onnxruntime")
    assert terms == {"release": runtime.version, "threads": 1, "portion_rows": 256, "onnxruntime": library}
    content, tally = answered(source, runtime, out)
    assert tally.found == 1024 and content == whole


def test_files_that_have_changed_since_are_answered_again(tmp_path: Path) -> None:
    from PIL import Image

    runtime = Runtime.load(tiny_image_bundle(tmp_path / "bundle"), 1)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (4, 4), "white").save(pictures / "a.png")
    out = tmp_path / "out.csv"

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(open_source(pictures, "path"), runtime, "path", "label", out, 1, stop)
    assert out.with_name(".out.csv.answers").is_file()
    Image.new("RGB", (4, 4), "black").save(pictures / "a.png")
    tally = answer(open_source(pictures, "path"), runtime, "path", "label", out, 1)
    assert tally.found == 0 and '"dark"' in out.read_text()


def test_progress_counts_rows_and_what_was_found(tmp_path: Path, runtime: Runtime) -> None:
    seen: list[tuple[int, int]] = []
    answer(source_of(rows(600), 600), runtime, "text", "label", tmp_path / "out.csv", 1, lambda *at: seen.append(at))
    assert seen == [(256, 0), (512, 0), (600, 0)]
