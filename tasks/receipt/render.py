"""The evidence of a project, collected from its records, as JSON, as text and as markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import calibration, cuts
from tasks.artifacts import read_json, sha256_file
from tasks.errors import InputError
from tasks.receipt import artefacts, foreseen
from tasks.words import valued

NEXT = "Labelled rows measure it and teach a better one: hand them in with `graft feedback`, then `graft retrain`."
MODELS = ("adapted", "from_scratch", "frozen_probe", "classical", "majority", "zero_shot")


def collect(root: Path) -> dict[str, Any]:
    """Everything `graft report --json` prints.

    Raises:
        InputError: there is no receipt yet.
    """
    if not (root / "data/adaptation/receipt.json").is_file():
        raise InputError("There is no receipt in this project yet: run `graft run` first.")
    for path in ("data/selection/choice.json", "data/preparation/card.json", "data/adaptation/adaptation.json"):
        if not (root / path).is_file():
            raise InputError(f"{path} is missing beside the receipt: run `graft run` to make it again.")
    receipt = read_json(root / "data/adaptation/receipt.json")
    chain = _read(root, "data/deployment/chain.json") or {}
    server = _read(root, "data/deployment/server.json") or {}
    over_http = {"http": server["http"]} if chain and server else {}
    selection, adaptation = _read(root, "data/selection/choice.json"), _read(root, "data/adaptation/adaptation.json")
    ranking = _read(root, "data/selection/ranking.json") or []
    return {
        "verdict": receipt["verdict"],
        "sentence": receipt["sentence"],
        "metric": receipt["metric"],
        "test_rows": receipt["test_rows"],
        "scores": {name: receipt["scores"].get(name) for name in MODELS},
        "why_no_zero_shot": receipt.get("why_no_zero_shot"),
        "differences": receipt["differences"],
        "f1_per_label": receipt["f1_per_label"],
        "artefacts": chain.get("artefacts", {}) | over_http,
        "shipped": chain.get("shipped"),
        "shipped_reason": chain.get("reason"),
        "calibration": chain.get("calibration"),
        "selection": selection,
        "ranking": ranking,
        "references": (_read(root, "data/selection/analysis.json") or {}).get("references"),
        "prediction": foreseen.of_probe(selection, ranking, receipt["scores"]["frozen_probe"]),
        "short_adaptation": foreseen.of_short_adaptations(selection, adaptation, root / "data/adaptation/history.csv"),
        "adaptation": adaptation,
        "data": _read(root, "data/preparation/card.json"),
        "quality": _read(root, "data/preparation/quality.json"),
        "lineage": _lineage(root, receipt),
    }


def _lineage(root: Path, receipt: dict[str, Any]) -> dict[str, Any]:
    looks = root / ".graft/looks" / f"{receipt['test_hash'][:32]}.json"
    manifest, lock = root / "data/deployment/bundle/manifest.json", root / "dvc.lock"
    return {
        "bundle": sha256_file(manifest)[:12] if manifest.is_file() else None,
        "lock_hash": sha256_file(lock) if lock.is_file() else None,
        "test_hash": receipt["test_hash"],
        "looks_at_this_test": len(read_json(looks)) if looks.is_file() else 0,
        "runs": {
            phase: _read(root, f"data/{phase}/run.json")
            for phase in ("selection", "preparation", "adaptation", "deployment")
        },
    }


def _read(root: Path, path: str) -> Any:
    return read_json(root / path) if (root / path).is_file() else None


def text(record: dict[str, Any]) -> str:
    """The report for a terminal or a log."""
    measured = record["scores"]["adapted"] is not None
    lines = [record["sentence"], *((_scores(record) + _beside_the_probe(record)) if measured else [])]
    if record["artefacts"]:
        lines += ["", *artefacts.table(record), "", record["shipped_reason"]]
        if record["calibration"]:
            lines.append(calibration.in_words(record["calibration"]))
    selection, data = record["selection"], record["data"]
    scope = record["adaptation"]["scope"]
    lines += ["", f"Model: {selection['model_reason']}", _scope(record["adaptation"], selection)]
    if "strategy" in selection:  # none where no row has a label
        lines.append(selection["strategy"]["sentence"])
    lines += [f"Depth and pool: {cuts.of(selection, scope)['reason']}"]
    lines += [
        f"Alone, {', '.join(one['picked_by'])} would have picked {one['source']}, depth {one['depth']}, "
        f"pool {one['pool']}."
        for one in record["ranking"]
        if one.get("picked_by")  # what a limit left out has none
    ]
    lines += _searched(record["adaptation"], record["metric"])
    lines += foreseen.in_words(record["prediction"], record["short_adaptation"])
    lines += [record["references"]["reading"]] if record["references"] else []
    rows, out = data["rows"], sum(data["quarantined"].values())
    lines += [
        f"Data: {rows['train']} training, {rows['validation']} validation, {rows['test']} test rows; {out} quarantined."
    ]
    lines += _quality(record["quality"])
    if not measured:
        return "\n".join([*lines, NEXT])
    missing = [label for label, f1 in record["f1_per_label"].items() if f1 is None]
    if missing:
        lines.append(f"No test rows, so no score: {', '.join(missing)}.")
    looks = record["lineage"]["looks_at_this_test"]
    lines.append(f"Receipts read off this test set so far: {looks}. Each one more makes it a little less of a test.")
    return "\n".join(lines)


def _scores(record: dict[str, Any]) -> list[str]:
    lines = ["", f"{'model':<14}{'accuracy':>24}{'macro F1':>24}{'log loss':>24}"]
    for name, scores in record["scores"].items():
        if scores:
            cells = [_cell(scores[metric]) for metric in ("accuracy", "macro_f1", "log_loss")]
            lines.append(f"{name:<14}" + "".join(f"{cell:>24}" for cell in cells))
    if record["why_no_zero_shot"]:
        lines.append(f"No zero-shot score: {record['why_no_zero_shot']}")
    return lines


def _beside_the_probe(record: dict[str, Any]) -> list[str]:
    """What moving more than a head was worth; nothing where only a head was solved."""
    difference, scope = record["differences"].get("frozen_probe"), record["adaptation"]["scope"]
    if difference is None or scope == "frozen":
        return []
    points = f"{100 * difference['value']:+.1f} points of {record['metric'].replace('_', ' ')}"
    said = f"Against the probe of the frozen features, scope {scope} makes {points} (95 % interval "
    said += f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}): "
    if difference["low"] > 0:
        return [said + "training the model paid."]
    if difference["high"] < 0:
        return [said + "the probe is better; set adaptation.scope.kind to frozen."]
    return [said + "not proven; adaptation.scope.kind frozen costs less."]


def _searched(adaptation: dict[str, Any], metric: str) -> list[str]:
    """What was tried on the validation rows, what won, and how far the score is one of the seed."""
    lines = [adaptation["not_searched"]] if "not_searched" in adaptation else []
    study, rates, seeds = adaptation.get("study"), adaptation.get("search"), adaptation.get("seeds")
    if study:
        diverged = sum(trial.get("diverged", False) for trial in study["trials"])
        early = sum(not trial["whole"] for trial in study["trials"]) - diverged
        lost = f", {diverged} diverged" if diverged else ""
        lines.append(
            f"Search: {len(study['trials'])} trials looked at on validation rows, {early} of them stopped early{lost}; "
            f"trial {study['winner']} won, with {valued(study['values'])}."
        )
    elif rates:
        lines.append(
            f"Search: {len(rates)} learning rates looked at on validation rows; {adaptation['learning_rate']:g} won."
        )
    if seeds:
        one, count, own = seeds["validation"][metric], len(seeds["seeds"]), seeds["seeds"][0]
        lines.append(
            f"Seeds: {count} trainings of the winner reach {metric} {one['low']:.3f} to {one['high']:.3f} on "
            f"validation rows, {one['mean']:.3f} on average, standard deviation {one['standard_deviation']:.3f}; the "
            f"model is that of project.seed, {own}, not the best of them."
        )
    return lines


def _scope(adaptation: dict[str, Any], selection: dict[str, Any]) -> str:
    """What learned, from what, and why; records of an older Graft name no objective, for there was one."""
    scope, objective = adaptation["scope"], adaptation.get("objective", "supervised")
    if (scope, objective) == (selection["scope"], selection.get("objective", "supervised")):
        return f"Scope and objective chosen: {selection['scope_reason']}"
    chosen = f"selection would have chosen {selection['scope_reason']}"
    return f"Scope and objective: {scope}, {objective}, as the params say; {chosen}"


def _quality(quality: dict[str, Any] | None) -> list[str]:
    """What is to be looked at, without what stands in the rows."""
    if quality is None:
        return []
    suspected, terms = sum(quality["suspected_labels"].values()), quality["giveaways_found"]
    noise = f"{100 * quality['label_noise']:.1f} %"
    listed = "listed in data/preparation/label_review.csv"
    lines = [f"Labels: {suspected} look wrong, {listed}; by frozen features {noise} of all are."]
    if terms:
        lines.append(f"Words: {terms} nearly determine a label, listed in data/preparation/quality.md.")
    return lines


def _cell(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f} {estimate['high']:.3f}]"


def phase_markdown(root: Path, phase: str) -> str:
    """What a phase left for people, as its Prefect artifact shows it."""
    if phase == "selection":
        return (root / "data/selection/summary.md").read_text(encoding="utf-8")
    if phase == "preparation":
        parts = [root / "data/preparation" / name for name in ("card.md", "quality.md")]
        return "\n".join(part.read_text(encoding="utf-8") for part in parts if part.is_file())
    report = text(collect(root))
    if phase == "deployment":
        card = (root / "data/deployment/bundle/card.md").read_text(encoding="utf-8")
        return f"```\n{report}\n```\n\n{card}"
    return f"```\n{report}\n```"
