"""What selection foresaw, beside what was reached: how far its word counts on these data."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def of_probe(
    choice: dict[str, Any], ranking: list[dict[str, Any]], probe: dict[str, dict[str, float]] | None
) -> dict[str, Any] | None:
    """The cross-validated accuracy of the frozen features that selection picked, beside theirs on the test rows.

    Args:
        choice: as selection wrote it.
        ranking: likewise.
        probe: scores of the probe in the receipt; None where no row has a label.
    """
    if probe is None:
        return None
    frozen = choice["scopes"]["frozen"]
    wanted = [choice["source"], choice["revision"], frozen["depth"], frozen["pool"]]
    picked = [one for one in ranking if [one.get(name) for name in ("source", "revision", "depth", "pool")] == wanted]
    return {"predicted": picked[0]["accuracy"], "realised": probe["accuracy"]} if picked else None


def of_short_adaptations(choice: dict[str, Any], adaptation: dict[str, Any], history: Path) -> dict[str, float] | None:
    """The validation loss after the short adaptation that won, on a sample of the rows, beside that of the model.

    Args:
        choice: as selection wrote it.
        adaptation: what was adapted.
        history: CSV of its validation losses, of which the model has the lowest.

    Returns:
        None where none foresaw it: no short ones ran, the params name something else, only a head is solved, which
        then is the whole adaptation, or the history is not here.
    """
    rounds, scope = choice.get("strategy", {}).get("halving"), choice["scope"]
    moved = scope != "frozen" and (scope, "supervised") == (adaptation["scope"], adaptation.get("objective"))
    if not rounds or not moved or not history.is_file():
        return None
    won = rounds[-1]["log_loss"].get(f"{choice['source']} {scope}")
    with history.open(newline="", encoding="utf-8") as file:
        reached = min(float(row["validation_loss"]) for row in csv.DictReader(file))
    return None if won is None else {"predicted": won, "realised": reached}


def in_words(probe: dict[str, Any] | None, short: dict[str, float] | None) -> list[str]:
    """Both in sentences; what nobody foresaw in none."""
    said = []
    if probe is not None:
        reached = probe["realised"]
        said.append(
            f"Selection foresaw {probe['predicted']:.1%} for a probe of the frozen features; on the test rows it "
            f"reaches {reached['value']:.1%} (95 % interval {reached['low']:.1%} to {reached['high']:.1%})."
        )
    if short is not None:
        said.append(
            f"Its short adaptation foresaw a validation loss of {short['predicted']:.3f}; the whole one reaches "
            f"{short['realised']:.3f}."
        )
    return said
