"""The report of a project, collected from the records its phases left."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import metrics
from tasks.artifacts import read_json, write_json, write_text
from tasks.errors import InputError
from tasks.receipt.compare import compare
from tasks.receipt.render import collect, phase_markdown, text

MODELS = {"adapted", "from_scratch", "frozen_probe", "classical", "majority", "zero_shot"}
HASH = "f" * 64
CALIBRATION = {
    "temperature": 1.25,
    "before": {"log_loss": 0.5, "calibration_error": 0.09},
    "after": {"log_loss": 0.4, "calibration_error": 0.03},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    judged = metrics.judge(np.array([0, 1, 0]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.3, 0]]))
    models = dict.fromkeys(MODELS - {"zero_shot"}, judged)
    receipt = compare(models, "accuracy", ["a", "b", "c"], metrics.Resamples(3, 100, 0)) | {"test_hash": HASH}
    loss = {"value": 0.0, "low": -0.01, "high": 0.02}
    artefact = {"accuracy": 1.0, "loss": loss, "max_logit_difference": 0.0, "changed_answers": 0}
    cut = {"source": "path:m", "depth": 3, "pool": "mean", "picked_by": []}
    records: dict[str, Any] = {
        "data/adaptation/receipt.json": receipt,
        "data/adaptation/adaptation.json": {"scope": "frozen"},
        "data/selection/choice.json": {
            "model_reason": "The only one.",
            "scope": "frozen",
            "scope_reason": "frozen: few rows.",
            "source": "path:m",
            "revision": "new",
            "scopes": {"frozen": {"depth": 3, "pool": "mean", "reason": "Depth 3."}, "full": {"reason": "All."}},
        },
        "data/selection/ranking.json": [
            {"source": "path:m", "from_depth": 4, "reason": "too large"},
            cut | {"revision": "old", "accuracy": 0.875},
            cut | {"revision": "new", "accuracy": 0.625},
            cut | {"revision": "new", "depth": 2, "pool": "first", "picked_by": ["LogME", "k-NN"], "accuracy": 0.5},
        ],
        "data/preparation/card.json": {
            "rows": {"train": 8, "validation": 2, "test": 3},
            "quarantined": {"empty example": 2, "empty label": 1},
        },
        "data/deployment/chain.json": {
            "artefacts": {
                "onnx": artefact | {"bytes": 2_500_000},
                "served": artefact | {"bytes": None},
            },
            "shipped": "onnx",
            "reason": "onnx (float32) ships.",
            "calibration": CALIBRATION,
            "breaks": [],
        },
        "data/deployment/server.json": {
            "http": artefact | {"bytes": None, "max_logit_difference": None, "max_probability_difference": 1e-7},
            "breaks": [],
        },
        "data/selection/run.json": {"commit": "abc"},
        f".graft/looks/{'f' * 32}.json": ["one", "two"],
    }
    for path, record in records.items():
        write_json(tmp_path / path, record)
    for path in ("data/selection/summary.md", "data/preparation/card.md", "data/deployment/bundle/card.md"):
        write_text(tmp_path / path, f"# {path}\n")
    write_text(tmp_path / "data/deployment/bundle/manifest.json", "{}")
    return tmp_path


def test_the_columns_stay_apart_where_a_log_loss_has_two_digits(project: Path) -> None:
    record = collect(project)
    record["scores"]["classical"]["log_loss"] = {"value": 20.956, "low": 19.949, "high": 21.949}
    (line,) = (line for line in text(record).splitlines() if line.startswith("classical"))
    assert line.count("]  ") == 2


def test_a_scope_that_the_params_set_is_not_told_as_chosen(project: Path) -> None:
    assert "Scope and objective chosen: frozen: few rows." in text(collect(project))
    for record, named in (
        ({"scope": "full"}, "full, supervised"),
        ({"scope": "frozen", "objective": "contrastive"}, "frozen, contrastive"),
    ):
        write_json(project / "data/adaptation/adaptation.json", record)
        said = text(collect(project))
        told = f"Scope and objective: {named}, as the params say; selection would have chosen frozen: few rows."
        assert told in said.splitlines() and "chosen:" not in said


def test_a_scope_that_selection_did_not_judge_has_depth_and_pool_of_full(project: Path) -> None:
    write_json(project / "data/adaptation/adaptation.json", {"scope": "top"})
    assert "Depth and pool: All." in text(collect(project)).splitlines()


def test_the_evidence_of_the_strategy_is_told_where_the_choice_has_it(project: Path) -> None:
    assert "The rule" not in text(collect(project))
    path = project / "data/selection/choice.json"
    write_json(path, read_json(path) | {"strategy": {"sentence": 'The rule "few rows" decided.'}})
    lines = text(collect(project)).splitlines()
    assert lines[lines.index("Scope and objective chosen: frozen: few rows.") + 1] == 'The rule "few rows" decided.'


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.09, "+5.0 points of accuracy (95 % interval +1.0 to +9.0): training the model paid."),
        (-0.09, -0.01, "-5.0 points of accuracy (95 % interval -9.0 to -1.0): the probe is better; set"),
        (-0.01, 0.01, "+0.0 points of accuracy (95 % interval -1.0 to +1.0): not proven; adaptation.scope.kind frozen"),
    ],
)
def test_what_training_the_model_was_worth_is_told(project: Path, low: float, high: float, words: str) -> None:
    record = collect(project)
    record["differences"]["frozen_probe"] = {"value": (low + high) / 2, "low": low, "high": high}
    assert "Against the probe" not in text(record), "a solved head is the probe"
    record["adaptation"]["scope"] = "full"
    assert f"scope full makes {words}" in text(record)


def test_the_keys_of_the_report(project: Path) -> None:
    record = collect(project)
    assert set(record) == {
        *("verdict", "sentence", "metric", "test_rows", "scores", "why_no_zero_shot", "differences", "f1_per_label"),
        *("artefacts", "shipped", "shipped_reason", "selection", "ranking", "prediction", "adaptation", "data"),
        *("quality", "lineage", "calibration", "references", "short_adaptation"),
    }
    assert set(record["scores"]) == MODELS and record["scores"]["zero_shot"] is None
    assert set(record["scores"]["adapted"]) == set(metrics.METRICS)
    assert set(record["scores"]["adapted"]["accuracy"]) == {"value", "low", "high"}
    assert (record["verdict"], record["shipped"], set(record["artefacts"])) == (
        "undecided",
        "onnx",
        {"onnx", "served", "http"},
    )


def test_what_selection_foresaw_stands_beside_what_was_reached(project: Path) -> None:
    record = collect(project)
    assert record["prediction"] == {"predicted": 0.625, "realised": record["scores"]["frozen_probe"]["accuracy"]}
    assert "Selection foresaw 62.5% for a probe" in text(record) and "it reaches 100.0%" in text(record)
    write_json(project / "data/selection/ranking.json", [])
    assert collect(project)["prediction"] is None
    assert "foresaw" not in text(collect(project))


def test_what_the_short_adaptation_foresaw_stands_beside_what_the_model_reached(project: Path) -> None:
    def record(adapted: dict[str, str], scope: str = "lora", **losses: float) -> Any:
        halving = [{"steps": 8, "log_loss": {}}, {"steps": 16, "log_loss": losses}]
        path = project / "data/selection/choice.json"
        write_json(path, read_json(path) | {"scope": scope, "strategy": {"sentence": "S.", "halving": halving}})
        write_json(project / "data/adaptation/adaptation.json", adapted)
        return collect(project)

    won = {"path:m lora": 0.5, "path:m full": 0.6}
    whole = {"scope": "lora", "objective": "supervised"}
    write_text(project / "data/adaptation/history.csv", "step,validation_loss\n0,0.7\n9,0.25\n18,0.3\n")
    found = record(whole, **won)
    assert found["short_adaptation"] == {"predicted": 0.5, "realised": 0.25}
    told = "Its short adaptation foresaw a validation loss of 0.500; the whole one reaches 0.250."
    assert told in text(found).splitlines()
    assert record(whole | {"scope": "full"}, **won)["short_adaptation"] is None, "the params named another scope"
    assert record(whole | {"objective": "contrastive"}, **won)["short_adaptation"] is None
    solved = record({"scope": "frozen", "objective": "supervised"}, "frozen", **{"path:m frozen": 0.5})
    assert solved["short_adaptation"] is None, "a solved head is the whole adaptation"
    assert record(whole)["short_adaptation"] is None
    (project / "data/adaptation/history.csv").unlink()
    assert record(whole, **won)["short_adaptation"] is None, "as where only a part was pulled"


def test_the_reading_of_reference_sets_is_told(project: Path) -> None:
    assert collect(project)["references"] is None
    write_json(project / "data/selection/analysis.json", {"labels": 2})
    assert collect(project)["references"] is None
    named = {"ranked": [{"name": "books"}], "reading": "Try books first."}
    write_json(project / "data/selection/analysis.json", {"references": named})
    record = collect(project)
    assert record["references"] == named and "Try books first." in text(record).splitlines()


def test_a_missing_zero_shot_score_has_its_reason(project: Path) -> None:
    record = collect(project)
    assert record["why_no_zero_shot"] is None and "zero-shot" not in text(record)
    record["why_no_zero_shot"] = "Labels without a letter say nothing."
    assert "No zero-shot score: Labels without a letter say nothing." in text(record).splitlines()


def test_lineage_names_bundle_test_and_looks(project: Path) -> None:
    lineage = collect(project)["lineage"]
    assert lineage == {
        "bundle": hashlib.sha256(b"{}").hexdigest()[:12],
        "lock_hash": None,
        "test_hash": HASH,
        "looks_at_this_test": 2,
        "runs": {"selection": {"commit": "abc"}, "preparation": None, "adaptation": None, "deployment": None},
    }


def test_the_report_as_text_has_each_part(project: Path) -> None:
    lines = text(collect(project)).splitlines()
    assert lines[0].startswith("Undecided: accuracy 100.0 %")
    assert [line.split()[0] for line in lines[3:8]] == [
        *("adapted", "from_scratch", "frozen_probe", "classical", "majority")
    ]
    assert "1.000 [1.000 1.000]" in lines[3]
    onnx, http = (next(line for line in lines if line.startswith(name)) for name in ("onnx ", "http "))
    assert onnx.split() == ["onnx", "1.0000", "0.00", "[-1.00", "2.00]", "0", "in", "a", "logit", "0", "(0.0%)", "2.5"]
    assert http.split() == ["http", "1.0000", "0.00", "[-1.00", "2.00]", "1e-07", "in", "p", "0", "(0.0%)"]
    assert (
        "Probabilities are calibrated with temperature 1.25, fitted on validation rows; on the test rows it takes the "
        "log loss from 0.500 to 0.400 and the calibration error from 9.0 to 3.0 points." in lines
    )
    assert {"onnx (float32) ships.", "Model: The only one.", "Depth and pool: Depth 3."} <= set(lines)
    assert [line for line in lines if "would have picked" in line] == [
        "Alone, LogME, k-NN would have picked path:m, depth 2, pool first."
    ]
    assert lines[-3:] == [
        "Data: 8 training, 2 validation, 3 test rows; 3 quarantined.",
        "No test rows, so no score: c.",
        "Receipts read off this test set so far: 2. Each one more makes it a little less of a test.",
    ]


def test_the_speed_of_forms_is_told_where_it_was_read(project: Path) -> None:
    assert "peak MB" not in text(collect(project))
    reading = {"milliseconds_per_row": {"1": 4.0, "32": 2.5}, "alone": {"p50": 4.25, "p99": 9}, "peak_megabytes": 210}
    write_json(project / "data/deployment/run.json", {"deployment": {"forms": {"int8": reading}}})
    (line,) = (line for line in text(collect(project)).splitlines() if line.startswith("int8"))
    assert line.split() == ["int8", "4.25", "9", "2.5", "210"]


def test_what_is_to_be_looked_at_stands_in_the_report_and_beside_the_card(project: Path) -> None:
    quality = {"suspected_labels": {"train": 3, "validation": 1, "test": 0}, "label_noise": 0.041}
    write_json(project / "data/preparation/quality.json", quality | {"giveaways_found": 2})
    write_text(project / "data/preparation/quality.md", "# Data quality\n")
    lines = text(collect(project)).splitlines()
    assert (
        "Labels: 4 look wrong, listed in data/preparation/label_review.csv; by frozen features 4.1 % of all are."
        in lines
    )
    assert "Words: 2 nearly determine a label, listed in data/preparation/quality.md." in lines
    assert phase_markdown(project, "preparation").endswith("card.md\n\n# Data quality\n")
    write_json(project / "data/preparation/quality.json", quality | {"giveaways_found": None})
    assert "Words:" not in text(collect(project))


def test_before_deployment_there_are_no_artefacts(project: Path) -> None:
    (project / "data/deployment/chain.json").unlink()
    record = collect(project)
    assert (record["artefacts"], record["shipped"]) == ({}, None) and "artefact " not in text(record)


def test_without_a_receipt_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no receipt in this project yet: run `graft run` first\."):
        collect(tmp_path)


def test_each_phase_shows_what_it_left_for_people(project: Path) -> None:
    assert phase_markdown(project, "selection") == "# data/selection/summary.md\n"
    assert phase_markdown(project, "preparation") == "# data/preparation/card.md\n"
    assert phase_markdown(project, "adaptation") == f"```\n{text(collect(project))}\n```"
    assert phase_markdown(project, "deployment").endswith("```\n\n# data/deployment/bundle/card.md\n")


def test_what_was_searched_is_told(project: Path) -> None:
    record = collect(project)
    assert "Search" not in text(record) and "Seeds" not in text(record)
    record["adaptation"] |= {"search": {"0.0001": 0.5, "0.001": None}, "learning_rate": 0.0001}
    assert "Search: 2 learning rates looked at on validation rows; 0.0001 won." in text(record)
    trials = [{"whole": True}, {"whole": False}, {"whole": True}]
    record["adaptation"] |= {"search": {}, "study": {"trials": trials, "winner": 3, "values": {"learning_rate": 2e-4}}}
    told = "3 trials looked at on validation rows, 1 of them stopped early; trial 3 won, with learning rate 0.0002."
    assert told in text(record)
    trials[0] = {"whole": False, "diverged": True}
    assert "1 of them stopped early, 1 diverged; trial 3 won" in text(record)
    spread = {"accuracy": {"mean": 0.8, "standard_deviation": 0.1, "low": 0.7, "high": 0.9}}
    record["adaptation"]["seeds"] = {"seeds": [13, 14, 15], "validation": spread}
    assert (
        "Seeds: 3 trainings of the winner reach accuracy 0.700 to 0.900 on validation rows, 0.800 on average, standard "
        "deviation 0.100; the model is that of project.seed, 13, not the best of them."
    ) in text(record)


def test_why_nothing_was_searched_is_told(project: Path) -> None:
    record = collect(project)
    record["adaptation"]["not_searched"] = "No search: the scope frozen learns nothing by gradient steps."
    assert record["adaptation"]["not_searched"] in text(record).splitlines()
