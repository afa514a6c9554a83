"""`params.yaml`: every fault is found at once, and each sentence names the leaf and what is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tasks.drift import SAMPLE_ROWS
from tasks.errors import InputError
from tasks.modalities import MODALITIES, part
from tasks.params import Params, leaves, load
from tests.factories import REPO, tree


def faults(folder: Path, content: dict[str, Any] | str | bytes) -> list[str]:
    path = folder / "params.yaml"
    if isinstance(content, dict):
        content = yaml.safe_dump(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load(path)
    assert all(sentence.endswith(".") and "params.yaml" in sentence for sentence in caught.value.sentences)
    return caught.value.sentences


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    free = ("data.where.", "data.label_descriptions.", "data.rules.", "selection.references.")
    if not isinstance(value, dict) or prefix in free:
        return {prefix[:-1]: value}
    return {path: leaf for key, part in value.items() for path, leaf in flat(part, f"{prefix}{key}.").items()}


def test_the_repos_own_params_load_and_never_change() -> None:
    loaded = load(REPO / "params.yaml")
    assert (loaded.project.name, loaded.data.where) == ("support-tickets", {"channel": "email"})
    with pytest.raises(ValidationError):
        loaded.project.seed = 1  # type: ignore[misc]


def test_off_and_no_are_words_as_they_are_to_dvc(tmp_path: Path) -> None:
    text = (REPO / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("gate: not_worse", "gate: off", 1).replace("channel: email", "channel: no"))
    loaded = load(path)
    assert (loaded.receipt.gate, loaded.data.where) == ("off", {"channel": "no"})
    assert loaded.deployment.forms == ["optimised", "int8", "int8_static"]


def test_every_leaf_of_the_repos_params_is_claimed_and_kept() -> None:
    whole = tree()
    assert leaves(whole) == flat(whole)
    assert leaves(Params.model_validate(whole).model_dump()) == flat(whole)


def test_all_faults_are_reported_at_once_with_what_is_accepted(tmp_path: Path) -> None:
    content = tree(data__pth="x", resources__thread=1, project__seed=-1)
    content["selection"]["candidates"][0]["version"] = "1"
    content["extra"] = 1
    found = faults(tmp_path, content)
    assert len(found) == 5
    text = "\n".join(found)
    assert "data.pth is not a known key; the nearest is path." in text
    assert "resources.thread is not a known key; the nearest is threads." in text
    assert "selection.candidates.0.version is not a known key; the nearest is revision." in text
    assert "extra is not a known key; accepted here: adaptation, data, deployment," in text
    assert "project.seed: Input should be greater than or equal to 0, not -1." in text


@pytest.mark.parametrize(("key", "told"), [(1, "1"), (2.5, "2.5"), (True, "true")])
def test_a_key_that_yaml_takes_for_a_number_is_told_with_its_remedy(tmp_path: Path, key: Any, told: str) -> None:
    (sentence,) = faults(tmp_path, tree(data__label_descriptions={key: "one", "two": "two"}))
    assert sentence == (
        f'params.yaml: data.label_descriptions: the key {told} is no text: write "{told}" in quotation marks.'
    )


def test_comments_and_meanings_name_no_file_that_a_project_elsewhere_lacks() -> None:
    comments = [line.partition("#")[2] for line in (REPO / "params.yaml").read_text(encoding="utf-8").splitlines()]
    meanings = json.dumps(Params.model_json_schema())
    shared = ("data", ".graft", "releases")  # every project has them once it ran
    house = [path.name for path in REPO.iterdir() if path.is_dir() and path.name not in shared]
    assert not [f"{name}/" for name in house for text in (*comments, meanings) if f"{name}/" in text]


def test_a_missing_leaf_is_named(tmp_path: Path) -> None:
    content = tree()
    del content["selection"]["limits"]["licences"]
    (sentence,) = faults(tmp_path, content)
    assert sentence.startswith("params.yaml: selection.limits.licences is missing; `graft schema`")


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        ("data__test_share", 1.0),
        ("data__min_rows_per_label", 1),
        ("resources__threads", 0),
        ("project__name", "Not A Name"),
        ("project__modality", "audio"),
        ("preparation__text__max_tokens", 3),
        ("selection__candidates", []),
        ("selection__pools", ["max"]),
        ("adaptation__scope__kind", "most"),
        ("adaptation__scope__frozen__inverse_regularisation", [1.0, 0.0]),
        ("adaptation__training__learning_rates", [0.0]),
        ("receipt__scratch__learning_rates", [0.0]),
        ("adaptation__scope__top__blocks", 0),
        ("adaptation__objective__supervised__contrastive_weight__start", -0.1),
        ("receipt__metric", "auc"),
        ("receipt__resamples", 99),
        ("deployment__opset", 24),
        ("deployment__max_loss", -0.1),
        ("deployment__forms", ["int4"]),
        ("monitoring__window_rows", SAMPLE_ROWS // 2 + 1),
    ],
)
def test_a_value_out_of_range_is_refused_at_its_leaf(tmp_path: Path, leaf: str, value: Any) -> None:
    (sentence,) = faults(tmp_path, tree(**{leaf: value}))
    where = leaf.replace("__", ".").removesuffix(".inverse_regularisation")
    assert sentence.startswith(f"params.yaml: {where}")


@pytest.mark.parametrize(
    ("source", "digits", "expected"),
    [("package:a", 40, "sha256 of model.safetensors, 64 hex digits"), ("path:a", 40, "sha256"), ("hub:a/b", 64, "40")],
)
def test_a_revision_has_the_length_that_its_source_asks_for(
    tmp_path: Path, source: str, digits: int, expected: str
) -> None:
    (sentence,) = faults(tmp_path, tree(selection__candidates=[{"source": source, "revision": "a" * digits}]))
    assert sentence.startswith(f"params.yaml: selection.candidates.0: the revision of {source} must be")
    assert expected in sentence


def test_a_source_has_a_known_scheme(tmp_path: Path) -> None:
    (sentence,) = faults(tmp_path, tree(selection__candidates=[{"source": "http://x", "revision": "a" * 64}]))
    assert "selection.candidates.0.source" in sentence and "package|path|hub" in sentence


@pytest.mark.parametrize(("leaf", "value"), [("epochs", 3), ("batch_rows", 32)])
def test_the_control_is_treated_fairly(tmp_path: Path, leaf: str, value: int) -> None:
    (sentence,) = faults(tmp_path, tree(**{f"receipt__scratch__{leaf}": value}))
    assert f"receipt.scratch.{leaf} must" in sentence and f"adaptation.training.{leaf}" in sentence


def test_a_pool_that_the_modality_lacks_is_refused(tmp_path: Path) -> None:
    (sentence,) = faults(tmp_path, tree(project__modality="image", selection__pools=["mean", "last"]))
    assert "selection.pools: modality image has no pool last, only mean, first" in sentence
    assert Params.model_validate(tree(selection__pools=["last"])).selection.pools == ["last"]


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_pools_of_a_modality_are_those_of_its_backbone(modality: str) -> None:
    assert tuple(part(modality, "backbone").POOLS) == part(modality, "settings").POOLS


@pytest.mark.parametrize("leaf", ["data__test", "data__feedback"])
def test_every_source_of_rows_is_a_file_of_its_own(tmp_path: Path, leaf: str) -> None:
    (sentence,) = faults(tmp_path, tree(data__path="data/a.csv", **{leaf: "./data/a.csv"}))
    assert "data.path, data.test and data.feedback must be different files" in sentence


SPACE = "adaptation.search.space"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space__weight_decay": {"low": 0.2, "high": 0.1, "log": True}}, f"{SPACE}.weight_decay: low must be below"),
        ({"space__weight_decay": {"low": 0.1, "high": 0.1, "log": True}}, "0.1 is not below 0.1"),
        (
            {"space__weight_decay": {"low": 0.0, "high": 0.1, "log": True}},
            "on a logarithmic scale no range begins at 0",
        ),
        ({"space__warmup_share": {"low": 0.1, "high": None, "log": False}}, "low and high go together"),
        ({"space__learning_rate": {"low": 0.0, "high": 0.1, "log": False}}, "learning_rate.low must be above 0"),
        ({"space__learning_rate__high": 1.5}, f"{SPACE}.learning_rate.high: Input should be less than or equal to 1"),
        ({"space__batch_rows": [0]}, f"{SPACE}.batch_rows.0"),
        ({"space__batch_rows": []}, f"{SPACE}.batch_rows"),
        ({"space__dropout": [0.1]}, "space.dropout is not a known key; accepted here: batch_rows, learning_rate,"),
        ({"trials": -1}, "adaptation.search.trials"),
        ({"seeds": 0}, "adaptation.search.seeds"),
        (
            {"trials": 8, "space__learning_rate": {"low": None, "high": None, "log": True}},
            "adaptation.search: trials is 8, but all of space is null: give space.learning_rate a low and a high",
        ),
    ],
)
def test_a_search_space_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    (sentence,) = faults(tmp_path, tree(**{f"adaptation__search__{name}": value for name, value in changes.items()}))
    assert sentence.startswith("params.yaml: adaptation.search") and told in sentence


@pytest.mark.parametrize("leaf", ["trials", "seeds"])
def test_a_search_without_steps_is_refused(tmp_path: Path, leaf: str) -> None:
    frozen = tree(adaptation__scope__kind="frozen", **{f"adaptation__search__{leaf}": 2})
    (sentence,) = faults(tmp_path, frozen)
    assert "the scope frozen solves its head, with C by cross-validation: set adaptation.scope.kind to full" in sentence


@pytest.mark.parametrize(("kind", "refused"), [("full", True), ("lora", False), ("auto", False)])
def test_a_rank_is_searched_where_there_may_be_one(tmp_path: Path, kind: str, refused: bool) -> None:
    search = {"adaptation__search__trials": 2, "adaptation__search__space__lora_rank": [4, 8]}
    content = tree(adaptation__scope__kind=kind, **search)
    if refused:
        (sentence,) = faults(tmp_path, content)
        assert "lora_rank is of the scope lora, but adaptation.scope.kind is full: set one to lora" in sentence
    else:
        assert Params.model_validate(content).adaptation.search.space.lora_rank == [4, 8]


@pytest.mark.parametrize("sets", [{"a b": "x.csv"}, {"a": ""}, {"a": None}, ["x.csv"]])
def test_a_reference_set_has_a_name_and_a_path(tmp_path: Path, sets: Any) -> None:
    (sentence,) = faults(tmp_path, tree(selection__references=sets))
    assert sentence.startswith("params.yaml: selection.references")


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    (sentence,) = faults(tmp_path, "project:\n  name: [a\n")
    assert sentence == "params.yaml is not valid YAML in UTF-8 at line 3: correct it there."


def test_other_encodings_and_files_without_sections_are_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, b"project: \xff\xfe")[0].startswith("params.yaml is not valid YAML in UTF-8")
    for content in ("", "- a\n", "word"):
        assert "holds no sections" in faults(tmp_path, content)[0]


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no params.yaml in this folder: .* --project"):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"minimun": 1}, "data.rules.type.minimun is not a known key; the nearest is minimum."),
        ({"type": "float"}, "data.rules.type.type: Input should be 'string', 'integer', 'number' or 'date'"),
        ({"minimum": 1}, "minimum and maximum need the type integer, number or date"),
        ({"type": "number", "pattern": "x"}, "pattern, min_characters and max_characters need the type string"),
        ({"type": "date", "minimum": 3}, "minimum and maximum must be days"),
        ({"type": "number", "maximum": "2024-01-01"}, "minimum and maximum must be numbers"),
        ({"type": "number", "minimum": 3, "maximum": 2}, "no value is at least 3"),
        ({"min_characters": 3, "max_characters": 2}, "no value is at least 3 and at most 2"),
        ({"pattern": "("}, "the pattern is no regular expression"),
        ({"allowed": []}, "data.rules.type.allowed"),
        ({"max_missing_share": 1}, "data.rules.type.max_missing_share"),
        ({"type": "integer", "allowed": ["one"]}, "allowed texts need the type string"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_at_its_column(tmp_path: Path, rule: dict[str, Any], told: str) -> None:
    (sentence,) = faults(tmp_path, tree(data__rules={"type": rule}))
    assert sentence.startswith("params.yaml: data.rules.type") and told in sentence


@pytest.mark.parametrize("day", ["2024-01-01", "2024-02-31", "2024-01-01 10:30:00"])
def test_a_date_without_quotes_which_dvc_does_not_read_is_refused_at_its_line(tmp_path: Path, day: str) -> None:
    text = (REPO / "params.yaml").read_text(encoding="utf-8")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("  rules: {}"))
    bare = text.replace("  rules: {}", f"  rules: {{created: {{type: date, minimum: {day}}}}} ")
    (sentence,) = faults(tmp_path, bare)
    told = f'holds a date without quotation marks at line {line}, which DVC does not read: write "{day}".'
    assert sentence == f"params.yaml {told}"


def test_a_day_of_a_rule_is_read_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (REPO / "params.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("  rules: {}", '  rules: {created: {type: date, minimum: "2024-01-01"}} '))
    assert str(load(path).data.rules["created"].minimum) == "2024-01-01"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group_column": "who", "split_column": "part"}, "data.group_column and data.split_column each say where"),
        ({"time_column": "day", "test_from": "2026-01-01", "test": "own.csv"}, "both say which rows are test"),
        ({"time_column": "day"}, "data.time_column and data.test_from go together"),
        ({"test_from": "2026-01-01"}, "data.time_column and data.test_from go together"),
        ({"validation_from": "2026-01-01"}, "data.validation_from needs data.time_column"),
        (
            {"time_column": "day", "test_from": "2026-01-01", "validation_from": "2026-01-01T01:00+01:00"},
            "data.validation_from must be earlier than data.test_from",
        ),
        ({"time_column": "day", "test_from": "soon"}, "a date or time of ISO 8601 is wanted"),
    ],
)
def test_contradictory_placements_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    (sentence,) = faults(tmp_path, tree(**{f"data__{name}": value for name, value in changes.items()}))
    assert words in sentence
