"""bundle -> answer, on a bundle whose answers are worked out by hand in tests/bundles.py."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tasks.errors import CrashError, InputError
from tasks.runtime import MAX_ROWS_TIMES_LENGTH_SQUARED, Runtime, length_batches
from tests.bundles import REFERENCE, flip_byte, tiny_bundle, tiny_image_bundle, write_manifest


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return Runtime.load(tiny_bundle(tmp_path_factory.mktemp("runtime") / "bundle"), threads=1)


def test_answers_are_those_worked_out_by_hand(runtime: Runtime) -> None:
    predictions = runtime.predict(["good", "bad bad", "good other", "good bad"])
    np.testing.assert_allclose(predictions.pooled, [[1.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.5, 0.5]])
    np.testing.assert_allclose(predictions.logits, [[4, 0], [0, 4], [2, 0], [2, 2]])
    assert predictions.logits.dtype == predictions.pooled.dtype == np.float32
    assert [answer.prediction for answer in predictions.answers] == ["good", "bad", "good", "good"]
    shares = [1 / (1 + math.exp(-margin)) for margin in (4, 4, 2, 0)]
    assert [answer.probability for answer in predictions.answers] == pytest.approx(shares)


def test_probabilities_are_calibrated_and_logits_stay(tmp_path: Path) -> None:
    runtime = Runtime.load(tiny_bundle(tmp_path / "bundle", temperature=2.0), threads=1)
    found = runtime.predict(["good", "good bad"])
    np.testing.assert_allclose(found.logits, [[4, 0], [2, 2]])
    sure = 1 / (1 + math.exp(-4 / 2))
    assert [answer.probability for answer in found.answers] == pytest.approx([sure, 0.5])
    assert [one.probability for one in runtime.ranked(found.logits, 2)[0]] == pytest.approx([sure, 1 - sure])
    (shares,) = runtime.probabilities_usable(["good"])
    assert shares == pytest.approx([sure, 1 - sure])


def test_version_is_the_manifest(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    before = Runtime.load(bundle, threads=1).version
    write_manifest(bundle, project="other")
    assert Runtime.load(bundle, threads=1).version != before


def test_another_version_than_the_wanted_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not of 0123456789ab"):
        Runtime.load(tiny_bundle(tmp_path / "bundle"), threads=1, version="0123456789ab")


def test_batches_change_neither_answers_nor_order(runtime: Runtime) -> None:
    texts = ["good " * (length * 7 % 13 + 1) + "other " * (length % 5) for length in range(50)]
    alone = [runtime.predict([text]).logits[0] for text in texts]
    for batch_rows in (1, 3, 32):
        np.testing.assert_allclose(runtime.predict(texts, batch_rows).logits, alone, rtol=1e-6)


def test_a_text_counts_its_tokens_and_an_image_one(runtime: Runtime, tmp_path: Path) -> None:
    short, long = runtime.encode(["good", "good bad good"])
    assert (runtime.size_of(short), runtime.size_of(long)) == (1, 3)
    images = Runtime.load(tiny_image_bundle(tmp_path / "images"), 1)
    assert images.size_of({"pixel_values": np.zeros((3, 4, 4), dtype=np.float32)}) == 1


def test_batches_keep_within_rows_and_memory() -> None:
    lengths = [512, 3, 512, 512, 128, 9, 2000] + [128] * 40
    batches = length_batches(lengths, batch_rows=32)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) <= 32
        assert len(batch) == 1 or len(batch) * longest**2 <= MAX_ROWS_TIMES_LENGTH_SQUARED
    flat = [lengths[row] for batch in batches for row in batch]
    assert flat == sorted(lengths)
    assert [len(batch) for batch in length_batches([512] * 4, 32)] == [2, 2]


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        (3, "is not a string"),
        (None, "is not a string"),
        ("secret" * 40, "has 240 characters, over the limit of 200"),
        ("secret \ud800", "surrogate"),
    ],
)
def test_an_unusable_example_is_named_and_never_echoed(runtime: Runtime, example: Any, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        runtime.predict(["good", example])
    assert str(caught.value).startswith("Example 2 ") and reason in str(caught.value)
    assert "secret" not in str(caught.value) and str(caught.value).endswith(".")


def test_the_longest_allowed_example_is_answered(runtime: Runtime) -> None:
    assert len(runtime.predict(["x" * 200]).answers) == 1


def test_no_example_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InputError, match="nothing to answer"):
        runtime.predict([])


def test_a_logit_that_is_not_finite_is_no_answer(tmp_path: Path) -> None:
    head = np.array([[np.inf, 0], [0, 4]], dtype=np.float32)
    runtime = Runtime.opened(tiny_bundle(tmp_path / "bundle", head), threads=1)
    with pytest.raises(CrashError, match=f"{runtime.version}.*not finite"):
        runtime.predict(["good"])


def test_a_damaged_bundle_never_reaches_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    flip_byte(bundle / "card.md", 0)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("the graph was opened"))
    with pytest.raises(InputError, match=r"card\.md"):
        Runtime.load(bundle, threads=1)


def test_a_bundle_without_its_encoder_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    (bundle / "encoder/encoder.json").unlink()
    write_manifest(bundle)
    with pytest.raises(InputError, match="its encoder cannot be loaded"):
        Runtime.load(bundle, threads=1)


@pytest.mark.parametrize("number", ["max_tokens", "max_characters", "pad_id"])
@pytest.mark.parametrize("value", [2**40, -1, 1.5, None])
def test_a_text_encoder_with_a_number_that_cannot_be_meant_is_refused(
    tmp_path: Path, number: str, value: float | None
) -> None:
    refused_encoder(tiny_bundle(tmp_path / "bundle"), {number: value})


@pytest.mark.parametrize(
    "change", [{"resize": {"height": 4, "width": 2**20}}, {"crop": [2**20, 4]}, {"crop": [4, 0]}, {"max_pixels": -1}]
)
def test_an_image_encoder_of_a_huge_or_no_size_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    refused_encoder(tiny_image_bundle(tmp_path / "bundle"), change, modality="image", labels=["dark", "bright"])


def refused_encoder(bundle: Path, change: dict[str, Any], **manifest: Any) -> None:
    path = bundle / "encoder/encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    write_manifest(bundle, **manifest)
    with pytest.raises(InputError, match="its encoder cannot be loaded"):
        Runtime.load(bundle, threads=1)


def test_a_reference_of_a_huge_declared_shape_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**44,)})
    with zipfile.ZipFile(bundle / "drift.npz", "w") as archive:
        for name in ("features", "predicted", "confidence"):
            archive.writestr(f"{name}.npy", header.getvalue())
    write_manifest(bundle)
    with pytest.raises(InputError, match=r"its drift\.npz cannot be loaded"):
        Runtime.load(bundle, threads=1)


def test_pooled_features_are_projected_as_the_reference_does(runtime: Runtime, tmp_path: Path) -> None:
    pooled = runtime.predict(["good", "good bad"]).pooled
    found = runtime.projected(pooled)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, REFERENCE.project(pooled))
    without = Runtime.load(tiny_image_bundle(tmp_path / "bundle"), threads=1)
    assert without.projected(pooled).shape == (2, 0), "a release without a reference has nothing to compare"


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_reference_that_cannot_be_loaded_is_refused(tmp_path: Path, content: bytes | None) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    if content is None:
        np.savez(bundle / "drift.npz", features=np.ones((2, 2)))
    else:
        (bundle / "drift.npz").write_bytes(content)
    write_manifest(bundle)
    with pytest.raises(InputError, match=r"its drift\.npz cannot be loaded"):
        Runtime.load(bundle, threads=1)


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "prefect", "dvc", "pydantic", "onnxruntime", "pyarrow"]
    code = f"import sys, tasks.runtime, tasks.modalities.text.encode; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def pictures(folder: Path) -> list[bytes | None]:
    """Bright, missing, truncated, no file, dark."""
    made: list[bytes] = []
    for level in (250, 5):
        Image.new("RGB", (8, 8), (level,) * 3).save(folder / "one.png")
        made.append((folder / "one.png").read_bytes())
    return [made[0], None, made[0][: len(made[0]) // 2], b"", made[1]]


def test_what_cannot_be_answered_spoils_nothing_beside_it(tmp_path: Path) -> None:
    runtime = Runtime.load(tiny_image_bundle(tmp_path / "bundle"), threads=1)
    found = runtime.predict_usable(pictures(tmp_path) * 100)
    assert [answer and answer.prediction for answer in found] == ["bright", None, None, None, "dark"] * 100


def test_one_broken_example_costs_few_encodings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime.load(tiny_image_bundle(tmp_path / "bundle"), threads=1)
    asked: list[int] = []
    encode = runtime._encoder.encode
    monkeypatch.setattr(runtime._encoder, "encode", lambda examples: asked.append(len(examples)) or encode(examples))
    bright, _, broken, *_ = pictures(tmp_path)
    assert runtime.predict_usable([bright] * 255 + [broken]).count(None) == 1
    assert len(asked) <= 2 * 8 + 1


def test_a_cell_names_a_file_or_nothing(tmp_path: Path) -> None:
    runtime = Runtime.load(tiny_image_bundle(tmp_path / "bundle"), threads=1)
    (tmp_path / "a.png").write_bytes(b"content")
    assert runtime.read("a.png", tmp_path) == b"content"
    assert [runtime.read(cell, tmp_path) for cell in ("b.png", None, 5)] == [None, None, None]


def test_portions_change_no_answer(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["good " * (i % 7 + 1) + "bad" * (i % 2) for i in range(40)]
    whole = runtime.predict(texts).logits
    monkeypatch.setattr("tasks.runtime.PORTION_ROWS", 9)
    np.testing.assert_allclose(runtime.predict(iter(texts)).logits, whole, rtol=1e-6)
    encoded = runtime.encode(texts)
    np.testing.assert_array_equal(runtime.run(encoded)[0], runtime.predict(texts).logits)
