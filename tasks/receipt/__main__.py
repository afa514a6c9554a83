"""Edge of the receipt: reads every model's answers to the test rows, writes the comparison."""

from __future__ import annotations

from tasks import metrics, predictions, prepared
from tasks.artifacts import canonical_json, read_json, sha256_text, write_json
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.receipt.compare import compare, unlabelled
from tasks.stage import Stage, one_writer, run

ANSWERS = {
    "adapted": "data/adaptation/predictions.arrow",
    "from_scratch": "data/adaptation/control/predictions.arrow",
    "frozen_probe": "data/preparation/baselines/frozen_probe.arrow",
    "classical": "data/preparation/baselines/classical.arrow",
    "majority": "data/preparation/baselines/majority.arrow",
    "zero_shot": "data/preparation/baselines/zero_shot.arrow",
}


def main(stage: Stage) -> None:
    """Compare all models on the test split, and count this look at it."""
    test = prepared.load(stage.root).of("test")
    settings = stage.params.receipt
    why_not = read_json(stage.root / "data/preparation/baselines/zero_shot.json")["why_not"]
    if test.labelled:
        drawn = metrics.Resamples(len(test), settings.resamples, stage.params.project.seed)
        record = compare(_judged(stage, test, why_not is None), settings.metric, test.labels, drawn)
    else:
        record = unlabelled(settings.metric, test.labels, [*ANSWERS], len(test))
    record["why_no_zero_shot"] = why_not
    record["test_hash"] = sha256_text("\n".join(sorted(test.ids)))
    write_json(stage.out("data/adaptation/receipt.json"), record)
    if test.labelled:
        count_look(stage, record["test_hash"], sha256_text(canonical_json(record)))
    stage.say(record["sentence"])


def _judged(stage: Stage, test: Prepared, zero_shot: bool) -> dict[str, metrics.Judged]:
    return {
        name: metrics.judge(test.classes, probabilities(predictions.load(stage.root / path, test.ids).logits))
        for name, path in ANSWERS.items()
        if name != "zero_shot" or zero_shot
    }


def count_look(stage: Stage, test_hash: str, receipt_hash: str) -> None:
    """Remember that another receipt was read off these test rows; the same receipt again is no new look."""
    path = stage.state("looks") / f"{test_hash[:32]}.json"
    with one_writer(path.parent / ".lock"):  # a scheduled run has this store in common with one by hand
        seen = read_json(path) if path.is_file() else []
        write_json(path, sorted({*seen, receipt_hash}))


if __name__ == "__main__":
    run("adaptation_receipt", main)
